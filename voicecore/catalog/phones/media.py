"""Owns the parts that providers' media streams share: frames as values, and JSON messages.

Here the provider's side is spoken: frames to a server are written; frames from a server are read,
and refused where the provider would refuse them. Sources: Twilio "Media Streams - WebSocket
Messages", Telnyx "Stream call media over WebSocket", Plivo "Stream Event Protocol", Exotel
"AgentStream - WebSocket protocol", Vonage "WebSockets in the Voice API".
"""

from __future__ import annotations

import base64
import copy
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self, cast

from voicecore.catalog.phones.record import PCM, Phone
from voicecore.console import json_text

KEYPAD = "0123456789*#"
"""Keys of a telephone."""


@dataclass(frozen=True)
class MediaStream:
    """The media stream of one call as its provider knows it; numbers are E.164."""

    account: str
    call: str
    id: str
    caller: str
    called: str
    parameters: Mapping[str, str]
    """Values that the server's answer asked to get back at the start."""


@dataclass(frozen=True)
class StreamPosition:
    """Number of a message in its stream (its start is 1), and the audio sent before it."""

    message: int
    chunks: int
    ms: int


@dataclass(frozen=True)
class Play:
    """Play audio to the caller, in the encoding of the stream."""

    audio: bytes


@dataclass(frozen=True)
class Mark:
    """Report when everything sent before this was played."""

    name: str


@dataclass(frozen=True)
class Clear:
    """Drop what was not played yet: the caller speaks."""


@dataclass(frozen=True)
class Press:
    """Send keys to the caller's end, as to a menu that answered."""

    keys: str


MediaCommand = Play | Mark | Clear | Press
"""A server's request to the provider over the media socket."""


class BadMessage(Exception):
    """A message that the provider refuses; the message says why."""


class MediaProtocol(ABC):
    """One provider's stream: mono, in the format of its record unless `over` names another."""

    chunk_ms: int = 20
    """Length of the audio in one message, in ms."""
    marks_when_cleared: ClassVar[bool] = True
    """True when marks also come back for audio that was cleared."""

    def __init__(self, phone: Phone) -> None:
        self.rate, self.encoding = phone.rate, phone.encoding

    def over(self, encoding: str = "", rate: int = 0, chunk_ms: int = 0) -> Self:
        """Return this protocol for a phone line with another encoding, rate or packet length."""
        other = copy.copy(self)
        other.encoding, other.rate = encoding or self.encoding, rate or self.rate
        other.chunk_ms = chunk_ms or self.chunk_ms
        return other

    @property
    def plays(self) -> str:
        """Encoding of the audio that the server sends."""
        return self.encoding

    @property
    def chunk_bytes(self) -> int:
        """Size of the caller's audio in one message."""
        return self.chunk_ms * self._bytes_per_ms(self.encoding)

    def milliseconds(self, audio: bytes) -> int:
        """Return the length of audio that the server sends."""
        return len(audio) // self._bytes_per_ms(self.plays)

    def _bytes_per_ms(self, encoding: str) -> int:
        return self.rate // 1000 * (2 if encoding == PCM else 1)

    @abstractmethod
    def opening(self, stream: MediaStream) -> tuple[str, ...]:
        """Return the messages that precede any audio."""

    @abstractmethod
    def media(self, stream: MediaStream, position: StreamPosition, audio: bytes) -> str | bytes:
        """Return the message with `chunk_ms` of the caller's voice."""

    @abstractmethod
    def key(self, stream: MediaStream, position: StreamPosition, key: str) -> str:
        """Return the message for one key that the caller pressed."""

    @abstractmethod
    def played(self, stream: MediaStream, position: StreamPosition, mark: str) -> str:
        """Return the message for a mark whose audio was played."""

    def cleared(self, stream: MediaStream, position: StreamPosition) -> str | None:
        """Return the message that confirms a clear; None if this provider sends none."""
        return None

    def stop(self, stream: MediaStream, position: StreamPosition) -> str | None:
        """Return the message for a caller who hung up; None if this provider sends none."""
        return None

    @abstractmethod
    def read(self, stream: MediaStream, message: str | bytes) -> MediaCommand:
        """Return what a server's message asks for. Raises BadMessage."""


class JsonMedia(MediaProtocol):
    """A protocol in which every message is a JSON object with an `event`."""

    stream_key: ClassVar[str]
    """Name of the field with the stream's ID."""
    number_key: ClassVar[str]
    """Name of the field with the number of the message."""
    command_events: ClassVar[tuple[str, str, str]] = ("media", "mark", "clear")
    """Events by which a server asks to play, mark and clear."""
    names_stream: ClassVar[bool] = True
    """True when a server's message must name the stream."""

    def key(self, stream: MediaStream, position: StreamPosition, key: str) -> str:
        """Return a DTMF event."""
        return self.event("dtmf", stream, position, {"dtmf": {"digit": key}})

    def played(self, stream: MediaStream, position: StreamPosition, mark: str) -> str:
        """Return the server's own mark."""
        return self.event("mark", stream, position, {"mark": {"name": mark}})

    def event(
        self, event: str, stream: MediaStream, position: StreamPosition, body: Mapping[str, Any]
    ) -> str:
        """Return an event of the stream as a message."""
        return compact({"event": event, **self.header(stream, position.message), **body})

    def header(self, stream: MediaStream, number: int) -> dict[str, Any]:
        """Return the fields that name a message and its stream."""
        return {self.number_key: str(number), self.stream_key: stream.id}

    def read(self, stream: MediaStream, message: str | bytes) -> MediaCommand:
        """Return what a server's message asks for. Raises BadMessage."""
        if isinstance(message, bytes):
            raise BadMessage("a binary message")
        body = json_object(message)
        if self.names_stream and body.get(self.stream_key) != stream.id:
            raise BadMessage(
                f"{self.stream_key} {body.get(self.stream_key)!r} is not this call's stream"
            )
        play, mark, clear = self.command_events
        event = body.get("event")
        if event == play:
            return Play(self.audio_in(_inner(body, "media")))
        if event == mark:
            return Mark(self.mark_in(body))
        if event == clear:
            return Clear()
        return self.other(body)

    def audio_in(self, media: Mapping[str, Any]) -> bytes:
        """Return the audio of a message. Raises BadMessage."""
        payload = media.get("payload")
        try:
            audio = base64.b64decode(payload, validate=True) if isinstance(payload, str) else b""
        except ValueError:  # of base64, or of text that is not ASCII
            raise BadMessage("a payload that is not base64") from None
        if not audio or (self.plays == PCM and len(audio) % 2):
            raise BadMessage(f"{len(audio)} bytes of audio")
        return audio

    def mark_in(self, body: Mapping[str, Any]) -> str:
        """Return the name of a mark. Raises BadMessage."""
        name = _inner(body, "mark").get("name")
        if not isinstance(name, str) or not name:
            raise BadMessage("a mark without a name")
        return name

    def other(self, body: Mapping[str, Any]) -> MediaCommand:
        """Return what a message of another event asks for. Raises BadMessage."""
        raise BadMessage(f"the event {body.get('event')!r}")


def numbered(position: StreamPosition, audio: bytes) -> dict[str, Any]:
    """Return the fields of a media message that most providers share."""
    return {
        "chunk": str(position.chunks + 1),
        "timestamp": str(position.ms),
        "payload": base64.b64encode(audio).decode("ascii"),
    }


def compact(message: Mapping[str, Any]) -> str:
    """Return a message as JSON without spaces."""
    return json.dumps(message, separators=(",", ":"))


def json_object(message: str) -> dict[str, Any]:
    """Return the object in a text message. Raises BadMessage."""
    try:
        body = json_text.parse(message)
    except json_text.NotJson:
        raise BadMessage("a text that is not JSON") from None
    if not isinstance(body, dict):
        raise BadMessage("JSON that is not an object")
    return cast("dict[str, Any]", body)


def _inner(body: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = body.get(key)
    if not isinstance(value, dict):
        raise BadMessage(f"a message without {key!r}")
    return cast("dict[str, Any]", value)
