"""Owns the events of Amazon Nova Sonic, which AWS's sample agent passes on as JSON.

https://docs.aws.amazon.com/nova/latest/nova2-userguide/sonic-input-events.html and
sonic-output-events.html. The agent behind it only passes on: the prompt is the client's.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from voicecore.talk.audio import pcm
from voicecore.talk.channel import Delivery
from voicecore.talk.transports import rtvi
from voicecore.talk.wire.wire import Data, Wire, as_json, audio_in, encoded, object_in, text_of

_PROMPT = "You are a helpful assistant on the phone. Answer in one or two short sentences."
_SOUND = {"mediaType": "audio/lpcm", "sampleSizeBits": 16, "channelCount": 1, "encoding": "base64"}
_TEXT = {"mediaType": "text/plain"}


class SonicWire(Wire):
    """Nova Sonic's own events, `{"event": {…}}`."""

    name = "sonic"

    def __init__(self) -> None:
        self._prompt, self._microphone = str(uuid.uuid4()), str(uuid.uuid4())
        self._planned = True
        """True while the agent's text is what it is about to say."""

    def opening(self) -> Sequence[Data]:
        """Start a session: limits, voice, prompt, and an open microphone."""
        limits = {"maxTokens": 1024, "topP": 0.9, "temperature": 0.7}
        voice = _SOUND | {
            "sampleRateHertz": pcm.VOICE_RATE,
            "voiceId": "matthew",
            "audioType": "SPEECH",
        }
        microphone = _SOUND | {"sampleRateHertz": pcm.SPEECH_RATE, "audioType": "SPEECH"}
        return (
            _event("sessionStart", inferenceConfiguration=limits),
            self._of_prompt(
                "promptStart", textOutputConfiguration=_TEXT, audioOutputConfiguration=voice
            ),
            *self._text("SYSTEM", _PROMPT, interactive=False),
            self._of_prompt(
                "contentStart",
                contentName=self._microphone,
                type="AUDIO",
                interactive=True,
                role="USER",
                audioInputConfiguration=microphone,
            ),
        )

    def speech(self, audio: bytes) -> Sequence[Data]:
        """Return one event."""
        sound = encoded(audio)
        return (self._of_prompt("audioInput", contentName=self._microphone, content=sound),)

    def message(self, body: dict[str, Any]) -> Sequence[Data]:
        """Return a typed line as events."""
        text = text_of(body)
        return self._text("USER", text, interactive=True) if text else ()

    def read(self, data: Data) -> Sequence[Delivery]:
        """Return what an event delivers."""
        body = object_in(data)
        kind, fields = next(iter(rtvi.mapping_in(body.get("event")).items()), ("", None))
        content = rtvi.mapping_in(fields)
        match body.get("type") or kind:
            case "error":
                return (rtvi.AgentError(rtvi.text_in(content or body, "message"), fatal=False),)
            case "audioOutput":
                return (audio_in(content.get("content"), pcm.VOICE_RATE),)
            case "contentStart":
                return self._begins(content)
            case "textOutput":
                return self._said(content)
            case "contentEnd":
                return _ends(content)
            case _:
                return ()

    def _begins(self, content: Mapping[str, Any]) -> Sequence[Delivery]:
        stage = str(content.get("additionalModelFields"))  # JSON in JSON
        self._planned = '"FINAL"' not in stage
        return (rtvi.BotStarted(),) if content.get("type") == "AUDIO" else ()

    def _said(self, content: Mapping[str, Any]) -> Sequence[Delivery]:
        text = rtvi.text_in(content, "content").strip()
        if text.replace(" ", "") == '{"interrupted":true}':
            return (rtvi.BotInterrupted(), rtvi.BotStopped())
        if not text:
            return ()
        if content.get("role") == "USER":
            return (rtvi.UserTranscription(text, final=True),)
        return (rtvi.BotOutput(text),) if self._planned else ()

    def _text(self, role: str, text: str, interactive: bool) -> Sequence[Data]:
        name = str(uuid.uuid4())
        return (
            self._of_prompt(
                "contentStart",
                contentName=name,
                type="TEXT",
                interactive=interactive,
                role=role,
                textInputConfiguration=_TEXT,
            ),
            self._of_prompt("textInput", contentName=name, content=text),
            self._of_prompt("contentEnd", contentName=name),
        )

    def _of_prompt(self, kind: str, **fields: object) -> str:
        return _event(kind, promptName=self._prompt, **fields)


def _ends(content: Mapping[str, Any]) -> Sequence[Delivery]:
    if content.get("stopReason") == "INTERRUPTED":
        return (rtvi.BotInterrupted(), rtvi.BotStopped())
    return (rtvi.BotStopped(),) if content.get("type") == "AUDIO" else ()


def _event(kind: str, **fields: object) -> str:
    return as_json({"event": {kind: fields}})
