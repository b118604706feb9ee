"""The stages of a turn's latency as a person names them, from the keys that Pipecat gives them."""

from __future__ import annotations

from collections.abc import Iterable

_NAMES = {
    "endpointing_wait": "VAD",
    "transcription": "STT",
    "turn_detection": "turn",
    "turn_completion": "turn",
    "waiting_for_user": "turn",
    "first_request": "LLM",
    "llm_inference": "LLM",
    "llm_tool_call": "LLM",
    "awaiting_speakable_text": "LLM",
    "function_handler": "tool",
    "sentence_aggregation": "TTS",
    "speech_synthesis": "TTS",
}
"""Keys of the contributions that Pipecat's UserBotLatencyObserver reports."""
_REST = "agent"
_ORDER = (*dict.fromkeys(_NAMES.values()), _REST)
_SHOWN_MS = 0.5
"""Below this a stage would read as zero."""


def sum_by_stage(stages: Iterable[tuple[str, float]], total_ms: float) -> dict[str, float]:
    """Milliseconds by name, in the order of a turn; they add up to `total_ms` but for rounding.

    What no key names, and what the total has beyond the stages, is the agent's own.
    """
    sums = dict.fromkeys(_ORDER, 0.0)
    for key, ms in stages:
        sums[_NAMES.get(key, _REST)] += ms
    sums[_REST] += total_ms - sum(sums.values())
    return {name: ms for name, ms in sums.items() if ms >= _SHOWN_MS}
