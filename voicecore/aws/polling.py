"""Owns the intervals at which voicecore asks AWS whether something is complete."""

from __future__ import annotations

from collections.abc import Callable, Iterator

Sleep = Callable[[float], None]
"""Waits for that many seconds; an exception from it ends the polling."""

Clock = Callable[[], float]
"""Returns seconds that only grow."""


def poll_intervals(longest: float = 1.0) -> Iterator[float]:
    """Yield seconds between two requests: 0.1 at first, then growing up to `longest`."""
    seconds = 0.1
    while True:
        yield seconds
        seconds = min(seconds * 1.5, longest)
