"""The media frames of the telephone providers: what goes over their WebSockets, as values.

Here the caller's side is spoken, as the provider does: frames to a server are written, frames of
a server are read, and refused where the provider would refuse them. Sources: Twilio "Media Streams
- WebSocket Messages", Telnyx "Stream call media over WebSocket", Plivo "Stream Event Protocol",
Exotel "AgentStream - WebSocket protocol", Vonage "WebSockets in the Voice API".
"""

from __future__ import annotations

import base64
import binascii
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, cast

KEYPAD = "0123456789*#"
"""The keys of a telephone."""


@dataclass(frozen=True)
class Stream:
    """The media stream of one call, as its provider knows it; numbers are E.164."""

    account: str
    call: str
    id: str
    caller: str
    called: str
    parameters: Mapping[str, str]
    """What the server's answer asked to be told again at the start."""


@dataclass(frozen=True)
class Count:
    """Which message of a stream this is (its start is 1), and how much sound went before it."""

    message: int
    chunks: int
    ms: int


@dataclass(frozen=True)
class Play:
    """Sound for the caller, in the encoding of the wire."""

    sound: bytes


@dataclass(frozen=True)
class Mark:
    """Tell the server when all that it sent before this was heard."""

    name: str


@dataclass(frozen=True)
class Clear:
    """Forget what is unheard: the caller speaks."""


@dataclass(frozen=True)
class Press:
    """Send keys to the caller's end, as to a menu that answered."""

    keys: str


Request = Play | Mark | Clear | Press


class BadFrame(Exception):
    """A message that the provider does not take, and why."""


class Wire(ABC):
    """How one provider speaks. Sound is mono, `rate` samples/s, μ-law or 16-bit little-endian."""

    rate: ClassVar[int] = 8000
    mulaw: ClassVar[bool] = True
    chunk_ms: ClassVar[int] = 20
    """How much sound the provider puts into one message."""
    marks_when_cleared: ClassVar[bool] = True
    """Whether marks come back as well when what they stood behind was cleared."""

    @property
    def bytes_per_ms(self) -> int:
        """Of sound on the wire."""
        return self.rate // 1000 * (1 if self.mulaw else 2)

    @abstractmethod
    def opening(self, stream: Stream) -> tuple[str, ...]:
        """What is said before any sound."""

    @abstractmethod
    def media(self, stream: Stream, count: Count, sound: bytes) -> str | bytes:
        """`chunk_ms` of what the caller says."""

    @abstractmethod
    def key(self, stream: Stream, count: Count, key: str) -> str:
        """The caller pressed one key."""

    @abstractmethod
    def played(self, stream: Stream, count: Count, mark: str) -> str:
        """All that was sent before the mark was heard."""

    def cleared(self, stream: Stream, count: Count) -> str | None:
        """The answer to a request to clear; None: this provider gives none."""
        return None

    def stop(self, stream: Stream, count: Count) -> str | None:
        """The caller hung up; None: this provider just closes the socket."""
        return None

    @abstractmethod
    def read(self, stream: Stream, message: str | bytes) -> Request:
        """What a server asks for. Raises BadFrame."""


class _JsonWire(Wire):
    """All but Vonage: every message is a JSON object with its `event`."""

    stream_key: ClassVar[str]
    names: ClassVar[tuple[str, str, str]] = ("media", "mark", "clear")
    """The events by which a server asks to play, mark and clear."""
    addressed: ClassVar[bool] = True
    """Whether a server's message must name the stream."""

    def read(self, stream: Stream, message: str | bytes) -> Request:
        """What a server asks for. Raises BadFrame."""
        if isinstance(message, bytes):
            raise BadFrame("a binary message")
        body = _object(message)
        if self.addressed and body.get(self.stream_key) != stream.id:
            raise BadFrame(f"{self.stream_key} {body.get(self.stream_key)!r} is not of this call")
        play, mark, clear = self.names
        event = body.get("event")
        if event == play:
            return Play(self._sound(_inner(body, "media")))
        if event == mark:
            return Mark(self._name(body))
        if event == clear:
            return Clear()
        return self._other(body)

    def _sound(self, media: Mapping[str, Any]) -> bytes:
        payload = media.get("payload")
        try:
            sound = base64.b64decode(payload, validate=True) if isinstance(payload, str) else b""
        except binascii.Error:
            raise BadFrame("a payload that is no base64") from None
        if not sound or (not self.mulaw and len(sound) % 2):
            raise BadFrame(f"{len(sound)} bytes of sound")
        return sound

    def _name(self, body: Mapping[str, Any]) -> str:
        name = _inner(body, "mark").get("name")
        if not isinstance(name, str) or not name:
            raise BadFrame("a mark without a name")
        return name

    def _other(self, body: Mapping[str, Any]) -> Request:
        raise BadFrame(f"the event {body.get('event')!r}")


class Twilio(_JsonWire):
    """Media Streams in `<Connect>`, both ways."""

    stream_key = "streamSid"

    def opening(self, stream: Stream) -> tuple[str, ...]:
        """`connected` and `start`."""
        start = {
            "accountSid": stream.account,
            "streamSid": stream.id,
            "callSid": stream.call,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": dict(stream.parameters),
        }
        return (
            _text({"event": "connected", "protocol": "Call", "version": "1.0.0"}),
            _text(
                {
                    "event": "start",
                    "sequenceNumber": "1",
                    "streamSid": stream.id,
                    "start": start,
                }
            ),
        )

    def media(self, stream: Stream, count: Count, sound: bytes) -> str:
        """Base64 of 20 ms."""
        media = {
            "track": "inbound",
            "chunk": str(count.chunks + 1),
            "timestamp": str(count.ms),
            "payload": _base64(sound),
        }
        return self._event("media", stream, count, {"media": media})

    def key(self, stream: Stream, count: Count, key: str) -> str:
        """A DTMF tone that was heard and taken out of the sound."""
        dtmf = {"track": "inbound_track", "digit": key}
        return self._event("dtmf", stream, count, {"dtmf": dtmf})

    def played(self, stream: Stream, count: Count, mark: str) -> str:
        """The server's own mark again."""
        return self._event("mark", stream, count, {"mark": {"name": mark}})

    def stop(self, stream: Stream, count: Count) -> str:
        """The end of the stream."""
        stop = {"accountSid": stream.account, "callSid": stream.call}
        return self._event("stop", stream, count, {"stop": stop})

    def _event(self, event: str, stream: Stream, count: Count, body: Mapping[str, Any]) -> str:
        number = str(count.message)
        return _text({"event": event, "sequenceNumber": number, "streamSid": stream.id, **body})


class Telnyx(_JsonWire):
    """Media streaming of a call, with `bidirectionalMode` rtp."""

    stream_key = "stream_id"
    addressed = False

    def opening(self, stream: Stream) -> tuple[str, ...]:
        """`connected` and `start`."""
        start = {
            "user_id": stream.account,
            "call_control_id": stream.call,
            "call_session_id": stream.call.partition(":")[2],
            "from": stream.caller,
            "to": stream.called,
            "custom_parameters": dict(stream.parameters),
            "media_format": {"encoding": "PCMU", "sample_rate": 8000, "channels": 1},
        }
        return (
            _text({"event": "connected", "version": "1.0.0"}),
            _text(
                {"event": "start", "sequence_number": "1", "stream_id": stream.id, "start": start}
            ),
        )

    def media(self, stream: Stream, count: Count, sound: bytes) -> str:
        """Base64 of 20 ms."""
        media = {
            "track": "inbound",
            "chunk": str(count.chunks + 1),
            "timestamp": str(count.ms),
            "payload": _base64(sound),
        }
        return self._event("media", stream, count, {"media": media})

    def key(self, stream: Stream, count: Count, key: str) -> str:
        """A DTMF tone."""
        return self._event("dtmf", stream, count, {"dtmf": {"digit": key}})

    def played(self, stream: Stream, count: Count, mark: str) -> str:
        """The server's own mark again."""
        return self._event("mark", stream, count, {"mark": {"name": mark}})

    def stop(self, stream: Stream, count: Count) -> str:
        """The end of the stream."""
        stop = {"user_id": stream.account, "call_control_id": stream.call}
        return self._event("stop", stream, count, {"stop": stop})

    def _event(self, event: str, stream: Stream, count: Count, body: Mapping[str, Any]) -> str:
        number = str(count.message)
        return _text({"event": event, "sequence_number": number, "stream_id": stream.id, **body})


class Plivo(_JsonWire):
    """`<Stream bidirectional="true">`."""

    marks_when_cleared = False
    stream_key = "streamId"
    names = ("playAudio", "checkpoint", "clearAudio")

    def opening(self, stream: Stream) -> tuple[str, ...]:
        """`start` alone: Plivo has no `connected`."""
        start = {
            "callId": stream.call,
            "streamId": stream.id,
            "accountId": stream.account,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000},
        }
        message = {"event": "start", "sequenceNumber": 1, "start": start}
        return (_text({**message, "extra_headers": self._extra(stream)}),)

    def media(self, stream: Stream, count: Count, sound: bytes) -> str:
        """Base64 of 20 ms."""
        media = {
            "track": "inbound",
            "timestamp": str(count.ms),
            "chunk": count.chunks + 1,
            "payload": _base64(sound),
        }
        return self._event("media", stream, count, {"media": media})

    def key(self, stream: Stream, count: Count, key: str) -> str:
        """A DTMF tone."""
        dtmf = {"track": "inbound", "timestamp": str(count.ms), "digit": key}
        return self._event("dtmf", stream, count, {"dtmf": dtmf})

    def played(self, stream: Stream, count: Count, mark: str) -> str:
        """The checkpoint was reached."""
        return self._event("playedStream", stream, count, {"name": mark})

    def cleared(self, stream: Stream, count: Count) -> str:
        """Nothing is queued any more."""
        return self._event("clearedAudio", stream, count, {})

    def _event(self, event: str, stream: Stream, count: Count, body: Mapping[str, Any]) -> str:
        return _text(
            {"event": event, "sequenceNumber": count.message, "streamId": stream.id, **body}
        )

    def _sound(self, media: Mapping[str, Any]) -> bytes:
        told = (media.get("contentType"), str(media.get("sampleRate")))
        if told != ("audio/x-mulaw", "8000"):
            raise BadFrame(f"sound as {told[0]} at {told[1]} samples/s in a μ-law stream")
        return super()._sound(media)

    def _name(self, body: Mapping[str, Any]) -> str:
        return super()._name({"mark": body})

    def _other(self, body: Mapping[str, Any]) -> Request:
        keys = body.get("dtmf")
        if body.get("event") == "sendDTMF" and isinstance(keys, str):
            return Press(keys)
        return super()._other(body)

    @staticmethod
    def _extra(stream: Stream) -> str:
        return ";".join(f"{name}={value}" for name, value in stream.parameters.items())


class Exotel(_JsonWire):
    """The Voicebot applet: 16-bit PCM, which comes five times rarer than elsewhere."""

    mulaw = False
    chunk_ms = 100
    stream_key = "stream_sid"

    def opening(self, stream: Stream) -> tuple[str, ...]:
        """`connected` and `start`."""
        start = {
            "stream_sid": stream.id,
            "call_sid": stream.call,
            "account_sid": stream.account,
            "from": stream.caller,
            "to": stream.called,
            "custom_parameters": dict(stream.parameters),
            "media_format": {"encoding": "audio/x-raw", "sample_rate": "8000", "bit_rate": "16"},
        }
        return (
            _text({"event": "connected"}),
            _text(
                {"event": "start", "sequence_number": "1", "stream_sid": stream.id, "start": start}
            ),
        )

    def media(self, stream: Stream, count: Count, sound: bytes) -> str:
        """Base64 of 100 ms."""
        media = {
            "chunk": str(count.chunks + 1),
            "timestamp": str(count.ms),
            "payload": _base64(sound),
        }
        return self._event("media", stream, count, {"media": media})

    def key(self, stream: Stream, count: Count, key: str) -> str:
        """A DTMF tone."""
        return self._event("dtmf", stream, count, {"dtmf": {"digit": key, "duration": "100"}})

    def played(self, stream: Stream, count: Count, mark: str) -> str:
        """The server's own mark again."""
        return self._event("mark", stream, count, {"mark": {"name": mark}})

    def stop(self, stream: Stream, count: Count) -> str:
        """The end of the stream."""
        stop = {"call_sid": stream.call, "account_sid": stream.account, "reason": "callended"}
        return self._event("stop", stream, count, {"stop": stop})

    def _event(self, event: str, stream: Stream, count: Count, body: Mapping[str, Any]) -> str:
        number = str(count.message)
        return _text({"event": event, "sequence_number": number, "stream_sid": stream.id, **body})


class Vonage(Wire):
    """A WebSocket endpoint of an NCCO: bare sound in binary messages, everything else as JSON."""

    rate = 16_000
    mulaw = False
    marks_when_cleared = False

    def opening(self, stream: Stream) -> tuple[str, ...]:
        """`websocket:connected`, with the NCCO's headers in it."""
        told = {"event": "websocket:connected", "content-type": f"audio/l16;rate={self.rate}"}
        return (_text({**told, **stream.parameters}),)

    def media(self, stream: Stream, count: Count, sound: bytes) -> bytes:
        """20 ms as they are."""
        return sound

    def key(self, stream: Stream, count: Count, key: str) -> str:
        """A DTMF tone; `duration` is in ms."""
        return _text({"event": "websocket:dtmf", "digit": key, "duration": 260})

    def played(self, stream: Stream, count: Count, mark: str) -> str:
        """The notification that was asked for; `mark` is the JSON of its payload."""
        return _text({"event": "websocket:notify", "payload": json.loads(mark)})

    def cleared(self, stream: Stream, count: Count) -> str:
        """Nothing is queued any more."""
        return _text({"event": "websocket:cleared"})

    def read(self, stream: Stream, message: str | bytes) -> Request:
        """What a server asks for. Raises BadFrame."""
        if isinstance(message, bytes):
            size = self.bytes_per_ms * self.chunk_ms
            if len(message) != size:
                raise BadFrame(f"{len(message)} bytes of sound, where each message holds {size}")
            return Play(message)
        body = _object(message)
        match body.get("action"):
            case "clear":
                return Clear()
            case "notify" if isinstance(body.get("payload"), dict):
                return Mark(_text(body["payload"]))
            case action:
                raise BadFrame(f"the action {action!r}")


WIRES: Mapping[str, Wire] = {
    "twilio": Twilio(),
    "telnyx": Telnyx(),
    "plivo": Plivo(),
    "exotel": Exotel(),
    "vonage": Vonage(),
}


def _text(message: Mapping[str, Any]) -> str:
    return json.dumps(message, separators=(",", ":"))


def _base64(sound: bytes) -> str:
    return base64.b64encode(sound).decode("ascii")


def _object(message: str) -> dict[str, Any]:
    try:
        body = json.loads(message)
    except json.JSONDecodeError:
        raise BadFrame("a text that is no JSON") from None
    if not isinstance(body, dict):
        raise BadFrame("JSON that is no object")
    return cast("dict[str, Any]", body)


def _inner(body: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = body.get(key)
    if not isinstance(value, dict):
        raise BadFrame(f"no {key!r} in it")
    return cast("dict[str, Any]", value)
