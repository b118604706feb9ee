"""The runtime's clock: AgentCore's minutes and hours, run faster for tests.

Idle timeout, maximum lifetime and the 60-minute cut run on this clock. The start limit and the
ping interval stay in real time: a process does not import faster, and an agent that must answer
a ping within 2 s cannot be asked a thousand times a second.
"""

from __future__ import annotations

import asyncio
import time


class Clock:
    """Seconds since the runtime started, `scale` times faster than real ones."""

    def __init__(self, scale: float = 1.0) -> None:
        if not scale > 0:
            raise ValueError(f"a time scale is above 0, not {scale}")
        self.scale = scale
        self._origin = time.monotonic()

    def now(self) -> float:
        """Return the scaled seconds since this clock was made."""
        return (time.monotonic() - self._origin) * self.scale

    def real(self, seconds: float) -> float:
        """Return how many real seconds `seconds` of this clock take."""
        return seconds / self.scale

    async def sleep(self, seconds: float) -> None:
        """Sleep `seconds` of this clock."""
        await asyncio.sleep(self.real(seconds))
