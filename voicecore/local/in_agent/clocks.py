"""Owns the jump of the monotonic clocks: a snapshot may be restored hours after it was taken.

A deadline that was set before the snapshot is over in the session. The clocks of Python jump; those
of C libraries do not.
"""

from __future__ import annotations

import time
from collections.abc import Callable

JUMP_SECONDS = 3 * 3600
_NAMES = ("monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns")

_passed = {"seconds": 0}


def install() -> None:
    """Replace the clocks of `time`, before the agent imports them from there."""
    for name in _NAMES:
        unit = 10**9 if name.endswith("_ns") else 1
        setattr(time, name, _with_jump(getattr(time, name), unit))


def jump() -> None:
    """Move all clocks ahead."""
    _passed["seconds"] += JUMP_SECONDS


def _with_jump(clock: Callable[[], float], unit: int) -> Callable[[], float]:
    def read() -> float:
        return clock() + _passed["seconds"] * unit

    return read
