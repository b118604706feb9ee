"""How long a turn took, from the user's last sound to the agent's first, and where it went."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from voicecore.talk import rtvi

_GROUPS = {
    "endpointing_wait": "VAD",
    "turn_detection": "turn",
    "turn_completion": "turn",
    "waiting_for_user": "turn",
    "transcription": "STT",
    "first_request": "LLM",
    "llm_inference": "LLM",
    "llm_tool_call": "LLM",
    "awaiting_speakable_text": "LLM",
    "function_handler": "tool",
    "sentence_aggregation": "TTS",
    "speech_synthesis": "TTS",
}
"""Pipecat's stages (UserBotLatencyObserver, contribution keys) as a person names them."""
_ORDER: tuple[str, ...] = ("VAD", "STT", "turn", "LLM", "tool", "TTS", "agent")
_REST_OF_AGENT = "agent"
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
        sums = dict.fromkeys(_ORDER, 0.0)
        for stage in self.agent.stages:
            sums[_GROUPS.get(stage.key, _REST_OF_AGENT)] += stage.ms
        sums[_REST_OF_AGENT] += self.agent.total_ms - sum(s.ms for s in self.agent.stages)
        named = [Part(name, ms) for name, ms in sums.items() if ms >= 0.5]
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
