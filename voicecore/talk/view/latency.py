"""How long a turn took, from the user's last sound to the agent's first, and where it went."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from voicecore.contract.latency_stages import sum_by_stage
from voicecore.talk.transports import rtvi

TRANSPORT = "transport"
"""What the client waited beyond what the agent measured: the network both ways, buffers, and the
difference between the end of speech and what the agent's VAD takes for it. May be negative."""


@dataclass(frozen=True)
class Part:
    """One named share of a turn's latency."""

    name: str
    ms: float


@dataclass(frozen=True)
class Turn:
    """A turn, measured here in ms, and by the agent where it says so."""

    number: int
    total_ms: float
    agent: rtvi.Latency | None = None

    @property
    def parts(self) -> tuple[Part, ...]:
        """Where the time went; the parts add up to the total."""
        if self.agent is None:
            return ()
        stages = ((stage.key, stage.ms) for stage in self.agent.stages)
        named = [Part(name, ms) for name, ms in sum_by_stage(stages, self.agent.total_ms).items()]
        rest = self.total_ms - sum(part.ms for part in named)
        return (*named, Part(TRANSPORT, rest))


@dataclass(frozen=True)
class Totals:
    """All turns of a conversation; latencies in ms, None when no turn was measured."""

    turns: int
    median_ms: float | None
    worst_ms: float | None


def totals(turns: Sequence[Turn]) -> Totals:
    """The figures to remember of a conversation."""
    times = [turn.total_ms for turn in turns]
    if not times:
        return Totals(0, None, None)
    return Totals(len(times), statistics.median(times), max(times))
