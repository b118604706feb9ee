"""Several things at once, until one of them is over."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def first(*things: Coroutine[Any, Any, T]) -> T:
    """The result (or the exception) of what ends first; the others are cancelled and awaited.

    Of two that end in the same moment, the one named first counts.
    """
    running = [asyncio.ensure_future(thing) for thing in things]
    try:
        await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
    finally:
        over = [task for task in running if task.done()]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    return over[0].result()
