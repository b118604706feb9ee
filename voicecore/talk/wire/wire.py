"""Owns what a protocol of a WebSocket has to say: how it writes speech, and what it reads."""

from __future__ import annotations

import base64
import binascii
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, cast

from voicecore.talk.channel import Delivery
from voicecore.talk.transports import pipecat_frames, rtvi

Data = str | bytes
"""A message of a WebSocket: text or binary."""


class Wire(ABC):
    """One protocol on one connection."""

    name: ClassVar[str]
    """Value of --protocol."""
    announces: ClassVar[bool] = False
    """True if the agent says when it is ready to hear."""
    words: ClassVar[bool] = True
    """False if it carries sound only: no text, in either direction."""

    def opening(self) -> Sequence[Data]:
        """Return the messages that begin the conversation."""
        return ()

    @abstractmethod
    def speech(self, audio: bytes) -> Sequence[Data]:
        """Return the messages that carry the user's voice, PCM at SPEECH_RATE."""

    @abstractmethod
    def message(self, body: dict[str, Any]) -> Sequence[Data]:
        """Return the messages that carry a message of RTVI, as far as the protocol has it."""

    @abstractmethod
    def read(self, data: Data) -> Sequence[Delivery]:
        """Return what a message of the agent delivers. Raises BadFrame."""


def text_of(body: Mapping[str, Any]) -> str:
    """Return the line that a message of RTVI carries; empty if it carries none."""
    return rtvi.text_in(rtvi.mapping_in(body.get("data")), "content")


def object_in(data: Data) -> dict[str, Any]:
    """Return the JSON object in a text message. Raises BadFrame."""
    if isinstance(data, bytes):
        raise pipecat_frames.BadFrame("a binary message, where text is expected")
    return pipecat_frames.message_in(data)


def audio_in(text: object, rate: object, channels: object = 1) -> pipecat_frames.Audio:
    """Return audio that a JSON message carries as base64. Raises BadFrame."""
    try:
        audio = base64.b64decode(cast("str", text), validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise pipecat_frames.BadFrame("audio that is not base64") from None
    if not isinstance(rate, int) or not isinstance(channels, int):
        raise pipecat_frames.BadFrame("audio without a sample rate")
    return pipecat_frames.checked_audio(audio, rate, channels)


def encoded(audio: bytes) -> str:
    """Return audio as base64."""
    return base64.b64encode(audio).decode()


def as_json(body: Mapping[str, Any]) -> str:
    """Return a message as JSON text."""
    return json.dumps(body)
