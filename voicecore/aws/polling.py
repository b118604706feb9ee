"""How often AWS is asked whether something is over."""

from __future__ import annotations

from collections.abc import Callable, Iterator

Sleep = Callable[[float], None]
"""Waits for seconds; what it raises ends the waiting."""


def poll_intervals(longest: float = 1.0) -> Iterator[float]:
    """Seconds between questions: soon at first, then ever longer, up to `longest`."""
    seconds = 0.1
    while True:
        yield seconds
        seconds = min(seconds * 1.5, longest)
