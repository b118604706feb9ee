"""Owns RTVI, the protocol of JSON messages between client and agent: messages as typed events.

Protocol 2.2.0 as Pipecat 1.14 speaks it (pipecat/processors/frameworks/rtvi/models.py).
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

LABEL = "rtvi-ai"
VERSION = "2.2.0"

TEXT_MAX = 20_000
"""Characters of one text, which is cut there: 20 minutes of speech."""
_STAGES_MAX = 20
_NUMBER_MAX = 1e9
"""Larger numbers, and NaN, are read as 0: no turn and no duration in ms is that large."""


@dataclass(frozen=True)
class BotReady:
    """The agent is ready and listens."""


@dataclass(frozen=True)
class UserStarted:
    """The agent hears the user begin to speak."""


@dataclass(frozen=True)
class UserStopped:
    """The agent considers the user's turn finished."""


@dataclass(frozen=True)
class UserTranscription:
    """Text that the agent understood."""

    text: str
    final: bool
    """False while the text may still change."""


@dataclass(frozen=True)
class BotThinking:
    """The agent begins to compose an answer."""


@dataclass(frozen=True)
class BotThought:
    """The agent has composed all text of a reply."""


@dataclass(frozen=True)
class SpeechStarted:
    """The agent begins to turn text into speech."""


@dataclass(frozen=True)
class SpeechStopped:
    """The agent has turned all text so far into speech."""


@dataclass(frozen=True)
class ToolStarted:
    """A tool of the agent begins to run."""

    call: str


@dataclass(frozen=True)
class ToolStopped:
    """A tool of the agent has ended."""

    call: str


@dataclass(frozen=True)
class TextReceived:
    """The agent has received a line that the user typed."""

    message: str
    """ID of the message with the line."""


@dataclass(frozen=True)
class BotOutput:
    """A sentence of the agent."""

    text: str
    segment: int | None = None
    """Number of the sentence; None if the agent does not number them."""
    spoken: str | None = None
    """Beginning of `text` that was played so far; None if the agent does not report it."""


@dataclass(frozen=True)
class BotStarted:
    """The agent begins to speak."""


@dataclass(frozen=True)
class BotStopped:
    """The agent stops speaking."""


@dataclass(frozen=True)
class BotInterrupted:
    """The user spoke over the agent; drop what was not played yet."""


@dataclass(frozen=True)
class AgentStage:
    """One stage of the agent's own latency, in ms."""

    key: str
    label: str
    ms: float


@dataclass(frozen=True)
class AgentLatency:
    """The agent's own latency for a turn, from the end of speech to its first audio, in ms."""

    turn: int
    total_ms: float
    stages: tuple[AgentStage, ...]


@dataclass(frozen=True)
class ToolCall:
    """A tool that the agent called."""

    name: str
    ms: float


@dataclass(frozen=True)
class Sound:
    """The outcome of a stretch of the user's sound (contract/agent_log.py)."""

    outcome: str
    message: str
    """It in one line, with what to do."""


@dataclass(frozen=True)
class AgentError:
    """Something failed inside the agent."""

    message: str
    fatal: bool
    """True when the agent's pipeline has stopped."""


RtviEvent = (
    BotReady
    | UserStarted
    | UserStopped
    | UserTranscription
    | BotThinking
    | BotThought
    | SpeechStarted
    | SpeechStopped
    | ToolStarted
    | ToolStopped
    | TextReceived
    | BotOutput
    | BotStarted
    | BotStopped
    | BotInterrupted
    | AgentLatency
    | ToolCall
    | Sound
    | AgentError
)

_SIGNALS: Mapping[str, RtviEvent] = {
    "bot-ready": BotReady(),
    "user-started-speaking": UserStarted(),
    "user-stopped-speaking": UserStopped(),
    "bot-llm-started": BotThinking(),
    "bot-llm-stopped": BotThought(),
    "bot-tts-started": SpeechStarted(),
    "bot-tts-stopped": SpeechStopped(),
    "bot-started-speaking": BotStarted(),
    "bot-stopped-speaking": BotStopped(),
    "bot-interrupted": BotInterrupted(),
}


def client_ready() -> dict[str, Any]:
    """Return the message that asks the agent to begin."""
    return message("client-ready", {"version": VERSION, "about": {"library": "voicecore"}})


def send_text(text: str) -> dict[str, Any]:
    """Return the message of a user who types; the agent still answers by voice."""
    return message("send-text", {"content": text})


def message(kind: str, data: dict[str, Any], id: str = "") -> dict[str, Any]:
    """Return a message of this type; without an ID, it gets a new one."""
    return {"label": LABEL, "type": kind, "id": id or uuid.uuid4().hex[:8], "data": data}


def parse(body: Mapping[str, Any]) -> RtviEvent | None:
    """Return the event in a message; None if a caller has no use for it, or it is malformed."""
    if body.get("label") != LABEL:
        return None
    kind = body.get("type")
    if isinstance(kind, str) and kind in _SIGNALS:
        return _SIGNALS[kind]
    data = mapping_in(body.get("data"))
    match kind:
        case "user-transcription":
            return _transcription(data)
        case "bot-output":
            return _output(data)
        case "server-message":
            return _server_message(data)
        case "llm-function-call-in-progress":
            return ToolStarted(text_in(data, "tool_call_id"))
        case "llm-function-call-stopped":
            return ToolStopped(text_in(data, "tool_call_id"))
        case "user-input" if data.get("input_type") == "chat":
            return TextReceived(text_in(data, "msg_id"))
        case "error" | "error-response":
            return AgentError(text_in(data, "error"), bool(data.get("fatal", False)))
        case _:
            return None


def _transcription(data: Mapping[str, Any]) -> UserTranscription | None:
    text = text_in(data, "text").strip()
    return UserTranscription(text, bool(data.get("final", False))) if text else None


def _output(data: Mapping[str, Any]) -> BotOutput | None:
    text = text_in(data, "text").strip()
    if not text:
        return None
    segment = data.get("segment_id")
    spoken = mapping_in(data.get("spoken_progress")).get("accumulated_text")
    return BotOutput(
        text,
        segment if isinstance(segment, int) else None,
        spoken[:TEXT_MAX] if isinstance(spoken, str) else None,
    )


def _server_message(data: Mapping[str, Any]) -> AgentLatency | ToolCall | Sound | None:
    match data.get("type"):
        case "latency":
            stages = data.get("stages")
            return AgentLatency(
                int(_number(data, "turn")),
                _number(data, "total_ms"),
                tuple(
                    AgentStage(text_in(stage, "key"), text_in(stage, "label"), _number(stage, "ms"))
                    for stage in map(mapping_in, cast("list[object]", stages)[:_STAGES_MAX])
                )
                if isinstance(stages, list)
                else (),
            )
        case "tool_call":
            return ToolCall(text_in(data, "name"), _number(data, "ms"))
        case "sound":
            return Sound(text_in(data, "outcome"), text_in(data, "message"))
        case _:
            return None


def mapping_in(value: object) -> Mapping[str, Any]:
    """Return an object of a message; empty if the value is another."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def text_in(data: Mapping[str, Any], key: str) -> str:
    """Return a text of a message, cut to TEXT_MAX; empty if it has none."""
    value = data.get(key)
    return value[:TEXT_MAX] if isinstance(value, str) else ""


def _number(data: Mapping[str, Any], key: str) -> float:
    value = data.get(key)
    return float(value) if isinstance(value, (int, float)) and abs(value) <= _NUMBER_MAX else 0.0
