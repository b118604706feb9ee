"""An event loop in a thread, for tests without one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import TypeVar

_Value = TypeVar("_Value")


@contextmanager
def in_background(serving: AbstractAsyncContextManager[_Value]) -> Iterator[_Value]:
    """Enter an asynchronous context in its own event loop, for a test without one."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="background-loop")
    thread.start()

    async def enter() -> _Value:
        return await serving.__aenter__()

    async def leave() -> None:
        await serving.__aexit__(None, None, None)

    try:
        value = asyncio.run_coroutine_threadsafe(enter(), loop).result()
        try:
            yield value
        finally:
            asyncio.run_coroutine_threadsafe(leave(), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
