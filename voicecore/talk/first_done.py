"""Owns running several coroutines until the first one ends."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def first_done(*coroutines: Coroutine[Any, Any, T]) -> T:
    """Return the result of the coroutine that ends first, or raise its exception.

    The others are cancelled and awaited. Of two that end at the same moment, the one listed first
    counts.
    """
    running = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
    finally:
        done = [task for task in running if task.done()]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    return done[0].result()
