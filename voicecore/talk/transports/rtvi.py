"""RTVI, the protocol of JSON messages between client and agent: parsed into typed events.

Protocol 2.2.0 as Pipecat 1.14 speaks it (pipecat/processors/frameworks/rtvi/models.py).
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

LABEL = "rtvi-ai"
VERSION = "2.2.0"


@dataclass(frozen=True)
class BotReady:
    """The agent is there and listens."""


@dataclass(frozen=True)
class UserStarted:
    """The agent hears the user begin to speak."""


@dataclass(frozen=True)
class UserStopped:
    """The agent holds the user's turn for finished."""


@dataclass(frozen=True)
class UserSaid:
    """What the agent understood; not final: it may still change."""

    text: str
    final: bool


@dataclass(frozen=True)
class BotThinking:
    """The agent begins to compose an answer."""


@dataclass(frozen=True)
class BotSays:
    """A sentence of the agent. `spoken` grows to `text` while it is heard, where that is known."""

    text: str
    segment: int | None = None
    spoken: str | None = None


@dataclass(frozen=True)
class BotStarted:
    """The agent's voice begins."""


@dataclass(frozen=True)
class BotStopped:
    """The agent's voice ends."""


@dataclass(frozen=True)
class BotInterrupted:
    """The user spoke over the agent; what is still unheard is void."""


@dataclass(frozen=True)
class Stage:
    """A part of the agent's own latency, in milliseconds."""

    key: str
    label: str
    ms: float


@dataclass(frozen=True)
class Latency:
    """What the agent measured for a turn, from the user's silence to its own first sound, in ms."""

    turn: int
    total_ms: float
    stages: tuple[Stage, ...]


@dataclass(frozen=True)
class ToolCall:
    """A tool that the agent called."""

    name: str
    ms: float


@dataclass(frozen=True)
class AgentError:
    """Something failed inside the agent; fatal: its pipeline has stopped."""

    message: str
    fatal: bool


Event = (
    BotReady
    | UserStarted
    | UserStopped
    | UserSaid
    | BotThinking
    | BotSays
    | BotStarted
    | BotStopped
    | BotInterrupted
    | Latency
    | ToolCall
    | AgentError
)

_SIGNALS: Mapping[str, Event] = {
    "bot-ready": BotReady(),
    "user-started-speaking": UserStarted(),
    "user-stopped-speaking": UserStopped(),
    "bot-llm-started": BotThinking(),
    "bot-started-speaking": BotStarted(),
    "bot-stopped-speaking": BotStopped(),
    "bot-interrupted": BotInterrupted(),
}


def client_ready() -> dict[str, Any]:
    """The message that asks the agent to begin."""
    return _message("client-ready", {"version": VERSION, "about": {"library": "voicecore"}})


def send_text(text: str) -> dict[str, Any]:
    """The message of a user who types; the agent answers by voice, as always."""
    return _message("send-text", {"content": text})


def _message(kind: str, data: dict[str, Any]) -> dict[str, Any]:
    return {"label": LABEL, "type": kind, "id": uuid.uuid4().hex[:8], "data": data}


def parse(body: Mapping[str, Any]) -> Event | None:
    """The event in a message; None for one that tells a caller nothing, or is malformed."""
    if body.get("label") != LABEL:
        return None
    kind = body.get("type")
    if isinstance(kind, str) and kind in _SIGNALS:
        return _SIGNALS[kind]
    data = _mapping(body.get("data"))
    match kind:
        case "user-transcription":
            return _said(data)
        case "bot-output":
            return _bot_says(data)
        case "server-message":
            return _server_message(data)
        case "error" | "error-response":
            return AgentError(_text(data, "error"), bool(data.get("fatal", False)))
        case _:
            return None


def _said(data: Mapping[str, Any]) -> UserSaid | None:
    text = _text(data, "text").strip()
    return UserSaid(text, bool(data.get("final", False))) if text else None


def _bot_says(data: Mapping[str, Any]) -> BotSays | None:
    text = _text(data, "text").strip()
    if not text:
        return None
    segment = data.get("segment_id")
    spoken = _mapping(data.get("spoken_progress")).get("accumulated_text")
    return BotSays(
        text,
        segment if isinstance(segment, int) else None,
        spoken if isinstance(spoken, str) else None,
    )


def _server_message(data: Mapping[str, Any]) -> Latency | ToolCall | None:
    match data.get("type"):
        case "latency":
            stages = data.get("stages")
            return Latency(
                int(_number(data, "turn")),
                _number(data, "total_ms"),
                tuple(
                    Stage(_text(stage, "key"), _text(stage, "label"), _number(stage, "ms"))
                    for stage in map(_mapping, cast("list[object]", stages))
                )
                if isinstance(stages, list)
                else (),
            )
        case "tool_call":
            return ToolCall(_text(data, "name"), _number(data, "ms"))
        case _:
            return None


def _mapping(value: object) -> Mapping[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _text(data: Mapping[str, Any], key: str) -> str:
    value = data.get(key)
    return value if isinstance(value, str) else ""


def _number(data: Mapping[str, Any], key: str) -> float:
    value = data.get(key)
    return float(value) if isinstance(value, (int, float)) else 0.0
