"""Owns the order of events that Nova Sonic requires of a client, as a state machine without I/O.

https://docs.aws.amazon.com/nova/latest/nova2-userguide/sonic-input-events.html and speech-errors.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.standins.models.refusal import Refused, invalid

_RATES = (8000, 16000, 24000)
_SESSION_KEYS = {"inferenceConfiguration", "turnDetectionConfiguration"}


@dataclass(frozen=True)
class Tool:
    name: str
    description: str


@dataclass(frozen=True)
class Audio:
    """Audio of the caller: mono PCM16 at the announced rate."""

    pcm: bytes


@dataclass(frozen=True)
class Typed:
    """Interactive text: typed by the caller, to be answered."""

    text: str


@dataclass(frozen=True)
class ToolResult:
    tool_use_id: str
    content: str


@dataclass(frozen=True)
class Ended:
    """The client ended the session in the required order."""


Input = Audio | Typed | ToolResult | Ended


@dataclass
class _Content:
    kind: str
    role: str
    interactive: bool
    tool_use_id: str = ""
    open: bool = True


@dataclass
class SonicSession:
    """The state of one session. Only `accept` changes it."""

    started: bool = False
    prompt: str | None = None
    prompt_ended: bool = False
    ended: bool = False
    system: str | None = None
    history: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    tools: Sequence[Tool] = ()
    input_rate: int = 16000
    output_rate: int = 24000
    voice: str = ""
    awaited_results: set[str] = field(default_factory=set[str])
    _contents: dict[str, _Content] = field(default_factory=dict[str, _Content])

    def accept(self, message: Mapping[str, Any]) -> Input | None:
        """Apply the next event; return the input for the model, if it has any.

        Raises Refused where AWS ends the stream with a ValidationException.
        """
        events = message.get("event")
        if not isinstance(events, dict) or len(events) != 1:
            raise invalid("Invalid input request: one event expected")
        name, body = next(iter(events.items()))
        handler = {
            "sessionStart": self._session_start,
            "promptStart": self._prompt_start,
            "contentStart": self._content_start,
            "textInput": self._text_input,
            "audioInput": self._audio_input,
            "toolResult": self._tool_result,
            "contentEnd": self._content_end,
            "promptEnd": self._prompt_end,
            "sessionEnd": self._session_end,
        }.get(name)
        if handler is None:
            raise invalid(f"Invalid input request: unknown event {name}")
        if self.ended or (not self.started and name != "sessionStart"):
            raise invalid(f"Invalid input request: {name} outside a session")
        return handler(body)

    def _session_start(self, body: Mapping[str, Any]) -> None:
        if self.started:
            raise invalid("Invalid input request: sessionStart was sent twice")
        # Nova 2 refuses unknown members: https://github.com/livekit/agents/issues/6200
        unknown = set(body) - _SESSION_KEYS
        inference = body.get("inferenceConfiguration")
        if unknown or not isinstance(inference, dict):
            raise invalid(f"Invalid input request: sessionStart {sorted(unknown)}")
        for key in ("topP", "temperature"):
            if not 0 <= inference.get(key, 0) <= 1:
                raise invalid(f"Invalid input request: {key} must be between 0 and 1")
        if inference.get("maxTokens", 1) < 1:
            raise invalid("Invalid input request: maxTokens must be positive")
        detection = body.get("turnDetectionConfiguration", {})
        if detection.get("endpointingSensitivity", "MEDIUM") not in ("HIGH", "MEDIUM", "LOW"):
            raise invalid("Invalid input request: endpointingSensitivity")
        self.started = True

    def _prompt_start(self, body: Mapping[str, Any]) -> None:
        if self.prompt is not None:
            raise invalid("Invalid input request: promptStart was sent twice")
        _demand(body.get("textOutputConfiguration"), {"mediaType": ("text/plain",)})
        audio = _demand(
            body.get("audioOutputConfiguration"),
            {
                "mediaType": ("audio/lpcm",),
                "sampleRateHertz": _RATES,
                "sampleSizeBits": (16,),
                "channelCount": (1,),
                "encoding": ("base64",),
                "audioType": ("SPEECH",),
            },
        )
        self.output_rate = audio["sampleRateHertz"]
        self.voice = audio.get("voiceId", "")
        if not self.voice.isidentifier():
            raise invalid(f"Invalid input request: voiceId {self.voice!r}")
        if "toolConfiguration" in body:
            _demand(body.get("toolUseOutputConfiguration"), {"mediaType": ("application/json",)})
            self.tools = [_tool(entry) for entry in body["toolConfiguration"]["tools"]]
        self.prompt = body["promptName"]

    def _content_start(self, body: Mapping[str, Any]) -> None:
        self._check_prompt(body)
        name, kind, role = body.get("contentName"), body.get("type"), body.get("role")
        if not isinstance(name, str) or name in self._contents:
            raise invalid("Invalid input request: contentName must be new")
        content = _Content(str(kind), str(role), body.get("interactive") is True)
        match kind, role:
            case "TEXT", "SYSTEM":
                _demand(body.get("textInputConfiguration"), {"mediaType": ("text/plain",)})
                if self._contents:
                    raise invalid("The system prompt must be the first content of a prompt.")
            case "TEXT", "USER" | "ASSISTANT":
                _demand(body.get("textInputConfiguration"), {"mediaType": ("text/plain",)})
                self._check_text_order(content)
            case "AUDIO", "USER":
                self._check_audio_start(body, content)
            case "TOOL", "TOOL":
                content.tool_use_id = self._check_tool_start(body)
            case _:
                raise invalid(f"Invalid input request: {kind} content of role {role}")
        self._contents[name] = content

    def _check_text_order(self, content: _Content) -> None:
        listening = any(c.kind == "AUDIO" for c in self._contents.values())
        if content.interactive:
            if content.role != "USER" or not listening:
                raise invalid("Interactive text is the user's, after the audio input has started.")
        elif listening:
            raise invalid("The chat history must come before the audio input.")
        elif content.role == "ASSISTANT" and not self.history:
            raise invalid("The first message of the chat history must be from the user.")

    def _check_audio_start(self, body: Mapping[str, Any], content: _Content) -> None:
        if not content.interactive:
            raise invalid("Invalid input request: audio must be interactive")
        if any(c.kind == "AUDIO" and c.open for c in self._contents.values()):
            raise invalid("Invalid input request: an audio content is open already")
        audio = _demand(
            body.get("audioInputConfiguration"),
            {
                "mediaType": ("audio/lpcm",),
                "sampleRateHertz": _RATES,
                "sampleSizeBits": (16,),
                "channelCount": (1,),
                "encoding": ("base64",),
                "audioType": ("SPEECH",),
            },
        )
        self.input_rate = audio["sampleRateHertz"]

    def _check_tool_start(self, body: Mapping[str, Any]) -> str:
        config = _demand(body.get("toolResultInputConfiguration"), {"type": ("TEXT",)})
        tool_use_id = config.get("toolUseId")
        if tool_use_id not in self.awaited_results:
            raise invalid(f"Invalid input request: no tool use {tool_use_id} is open")
        return str(tool_use_id)

    def _text_input(self, body: Mapping[str, Any]) -> Typed | None:
        content = self._content(body, "TEXT")
        text = body.get("content")
        if not isinstance(text, str) or not text.strip():
            raise invalid("Invalid input request: empty text")
        if content.interactive:
            return Typed(text)
        if content.role == "SYSTEM":
            self.system = text
        else:
            self.history.append((content.role, text))
        return None

    def _audio_input(self, body: Mapping[str, Any]) -> Audio:
        self._content(body, "AUDIO")
        try:
            pcm = base64.b64decode(body["content"], validate=True)
        except (KeyError, binascii.Error) as e:
            raise invalid("Invalid input request: audio is not base64") from e
        if len(pcm) % 2:
            raise invalid("Invalid input request: half a sample")
        return Audio(pcm)

    def _tool_result(self, body: Mapping[str, Any]) -> ToolResult:
        content = self._content(body, "TOOL")
        try:
            json.loads(body["content"])
        except (KeyError, TypeError, ValueError) as e:
            raise invalid("Tool Response parsing error") from e
        self.awaited_results.discard(content.tool_use_id)
        return ToolResult(content.tool_use_id, body["content"])

    def _content_end(self, body: Mapping[str, Any]) -> None:
        self._content(body).open = False

    def _prompt_end(self, body: Mapping[str, Any]) -> None:
        self._check_prompt(body)
        self.prompt_ended = True

    def _session_end(self, body: Mapping[str, Any]) -> Ended:
        if self.prompt is not None and not self.prompt_ended:
            raise invalid("Invalid input request: sessionEnd before promptEnd")
        self.ended = True
        return Ended()

    def _check_prompt(self, body: Mapping[str, Any]) -> None:
        if self.prompt is None or self.prompt_ended or body.get("promptName") != self.prompt:
            raise invalid("Invalid input request: no such prompt is open")

    def _content(self, body: Mapping[str, Any], kind: str | None = None) -> _Content:
        self._check_prompt(body)
        content = self._contents.get(body.get("contentName", ""))
        if content is None or not content.open or kind not in (None, content.kind):
            raise invalid("Invalid input request: no such content is open")
        return content


def _demand(config: Any, allowed: Mapping[str, Sequence[Any]]) -> Mapping[str, Any]:
    if not isinstance(config, dict):
        raise invalid(f"Invalid input request: configuration with {list(allowed)} is missing")
    for key, values in allowed.items():
        if config.get(key) not in values:
            raise invalid(f"Invalid input request: {key} {config.get(key)!r} is not in {values}")
    return config


def _tool(entry: Mapping[str, Any]) -> Tool:
    try:
        spec = entry["toolSpec"]
        schema = json.loads(spec["inputSchema"]["json"])
        if schema["type"] != "object":
            raise invalid("Invalid input request: a tool's schema must be an object")
        return Tool(spec["name"], spec["description"])
    except (KeyError, TypeError, ValueError) as e:
        raise Refused("ValidationException", f"Invalid input request: tool {entry}") from e
