"""How often AWS is asked whether something is over."""

from __future__ import annotations

from collections.abc import Callable, Iterator

Pause = Callable[[float], None]
"""Waits for seconds; what it raises ends the waiting."""


def pauses() -> Iterator[float]:
    """Seconds between questions: soon at first, then as seldom as suits what takes minutes."""
    seconds = 0.1
    while True:
        yield seconds
        seconds = min(seconds * 1.5, 1.0)
