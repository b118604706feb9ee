"""Owns the runtime's clock: AgentCore's minutes and hours, faster for tests.

Idle timeout, maximum lifetime and the 60-minute limit use this clock. The start limit and the ping
interval stay in real time: a process does not import faster, and an agent has 2 s to answer a ping.
"""

from __future__ import annotations

import time


class Clock:
    """Counts seconds since the runtime started, `scale` times faster than real time."""

    def __init__(self, scale: float = 1.0) -> None:
        if not scale > 0:
            raise ValueError(f"a time scale must be above 0, not {scale}")
        self.scale = scale
        self._origin = time.monotonic()

    def now(self) -> float:
        """Return the scaled seconds since this clock was created."""
        return (time.monotonic() - self._origin) * self.scale

    def real(self, seconds: float) -> float:
        """Return how many real seconds `seconds` of this clock take."""
        return seconds / self.scale
