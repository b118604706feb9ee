"""Owns the latency of a turn: from the user's last sound to the agent's first, and its parts."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from voicecore.contract.latency_stages import sum_by_stage
from voicecore.talk.transports import rtvi

TRANSPORT = "transport"
"""Part that the client waited in addition to what the agent measured: the network both ways,
buffers, and the VAD's error about the end of speech. May be negative."""


@dataclass(frozen=True)
class LatencyPart:
    """One named part of a turn's latency."""

    name: str
    ms: float


@dataclass(frozen=True)
class MeasuredTurn:
    """A turn, measured here in ms, and by the agent if it reports that."""

    number: int
    total_ms: float
    agent: rtvi.AgentLatency | None = None

    @property
    def parts(self) -> tuple[LatencyPart, ...]:
        """Parts of the latency; they add up to the total."""
        if self.agent is None:
            return ()
        stages = ((stage.key, stage.ms) for stage in self.agent.stages)
        named = [
            LatencyPart(name, ms) for name, ms in sum_by_stage(stages, self.agent.total_ms).items()
        ]
        rest = self.total_ms - sum(part.ms for part in named)
        return (*named, LatencyPart(TRANSPORT, rest))


@dataclass(frozen=True)
class TurnTotals:
    """All turns of a call; latencies in ms, None if no turn was measured."""

    turns: int
    median_ms: float | None
    worst_ms: float | None


def totals_of(turns: Sequence[MeasuredTurn]) -> TurnTotals:
    """Return number, median and worst of the turns of a call."""
    times = [turn.total_ms for turn in turns]
    if not times:
        return TurnTotals(0, None, None)
    return TurnTotals(len(times), statistics.median(times), max(times))
