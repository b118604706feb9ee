"""Owns RTVI, the messages of Pipecat, on a WebSocket: in protobuf frames, or as JSON text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from voicecore.talk.audio import pcm
from voicecore.talk.channel import Delivery
from voicecore.talk.transports import pipecat_frames, rtvi
from voicecore.talk.wire.wire import Data, Wire, as_json, audio_in, encoded, object_in

_BOT_AUDIO = "eval-bot-audio"
"""Audio of a bot that speaks JSON, which only Pipecat's serializer for evaluations sends."""


class ProtobufWire(Wire):
    """Pipecat's protobuf frames, as its ProtobufFrameSerializer and our agents speak them."""

    name = "pipecat"
    announces = True

    def opening(self) -> Sequence[Data]:
        """Ask the agent to begin."""
        return self.message(rtvi.client_ready())

    def speech(self, audio: bytes) -> Sequence[Data]:
        """Return one frame."""
        return (pipecat_frames.encode(pipecat_frames.Audio(audio, pcm.SPEECH_RATE)),)

    def message(self, body: dict[str, Any]) -> Sequence[Data]:
        """Return one frame."""
        return (pipecat_frames.encode(pipecat_frames.Message(body)),)

    def read(self, data: Data) -> Sequence[Delivery]:
        """Return the frame, or the event in it."""
        if isinstance(data, str):
            return ()  # an agent may add text of its own
        frame = pipecat_frames.decode(data)
        event = rtvi.parse(frame.body) if isinstance(frame, pipecat_frames.Message) else frame
        return (event,) if event is not None else ()


class JsonWire(Wire):
    """RTVI as JSON, with sound as base64 (pipecat/evals/serializer.py of Pipecat 1.14)."""

    name = "rtvi"
    announces = True

    def opening(self) -> Sequence[Data]:
        """Ask the agent for its voice, and to begin."""
        asks = {"t": "eval-connect", "d": {"capture_bot_audio": True}}
        return (
            as_json(rtvi.message("client-message", asks, id="eval-connect")),
            as_json(rtvi.client_ready()),
        )

    def speech(self, audio: bytes) -> Sequence[Data]:
        """Return one message."""
        data = {"base64Audio": encoded(audio), "sampleRate": pcm.SPEECH_RATE, "numChannels": 1}
        return (as_json(rtvi.message("raw-audio", data)),)

    def message(self, body: dict[str, Any]) -> Sequence[Data]:
        """Return it as it is."""
        return (as_json(body),)

    def read(self, data: Data) -> Sequence[Delivery]:
        """Return the event, or the agent's voice."""
        body = object_in(data)
        if body.get("type") == _BOT_AUDIO:
            sound = rtvi.mapping_in(body.get("data"))
            return (audio_in(sound.get("audio"), sound.get("sampleRate")),)
        event = rtvi.parse(body)
        return (event,) if event is not None else ()
