"""Owns how a turn's latency is shown: the names of its stages, and their seconds."""

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
"""Stage names by the keys that Pipecat's UserBotLatencyObserver reports."""
_REST = "agent"
_ORDER = (*dict.fromkeys(_NAMES.values()), _REST)
_SHOWN_MS = 0.5
"""A shorter stage would be shown as zero, and is left out."""


def sum_by_stage(stages: Iterable[tuple[str, float]], total_ms: float) -> dict[str, float]:
    """Return milliseconds by stage name, in a turn's order; they add up to `total_ms`.

    Time of unknown keys, and time of the total that no stage covers, counts as the agent's own.
    """
    sums = dict.fromkeys(_ORDER, 0.0)
    for key, ms in stages:
        sums[_NAMES.get(key, _REST)] += ms
    sums[_REST] += total_ms - sum(sums.values())
    return {name: ms for name, ms in sums.items() if ms >= _SHOWN_MS}


def in_seconds(total_ms: float, parts: Iterable[tuple[str, float]]) -> str:
    """Return a turn's latency and its parts, given in ms, as they are shown: in seconds."""
    shown = (f"{name} {ms / 1000:.2f}" for name, ms in parts)
    return " · ".join([f"{total_ms / 1000:.2f} s", *shown])
