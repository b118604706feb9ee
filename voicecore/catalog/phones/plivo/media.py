"""Owns Plivo's audio streaming, as `<Stream bidirectional="true">` opens it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from voicecore.catalog.phones.media import (
    BadMessage,
    JsonMedia,
    MediaCommand,
    MediaStream,
    Press,
    StreamPosition,
    compact,
)
from voicecore.catalog.phones.plivo import PHONE


class PlivoMedia(JsonMedia):
    """Messages of a Plivo media stream."""

    marks_when_cleared = False
    stream_key = "streamId"
    number_key = "sequenceNumber"
    command_events = ("playAudio", "checkpoint", "clearAudio")

    def header(self, stream: MediaStream, number: int) -> dict[str, Any]:
        """Return the fields that name a message and its stream; the number is an integer."""
        return {self.number_key: number, self.stream_key: stream.id}

    def opening(self, stream: MediaStream) -> tuple[str, ...]:
        """Return `start` alone: Plivo has no `connected`."""
        start = {
            "callId": stream.call,
            "streamId": stream.id,
            "accountId": stream.account,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": self.encoding, "sampleRate": self.rate},
        }
        message = {"event": "start", "sequenceNumber": 1, "start": start}
        headers = ";".join(f"{name}={value}" for name, value in stream.parameters.items())
        return (compact({**message, "extra_headers": headers}),)

    def media(self, stream: MediaStream, position: StreamPosition, audio: bytes) -> str:
        """Return one message of audio as base64."""
        media = {
            "track": "inbound",
            "timestamp": str(position.ms),
            "chunk": position.chunks + 1,
            "payload": base64.b64encode(audio).decode("ascii"),
        }
        return self.event("media", stream, position, {"media": media})

    def key(self, stream: MediaStream, position: StreamPosition, key: str) -> str:
        """Return a DTMF event."""
        dtmf = {"track": "inbound", "timestamp": str(position.ms), "digit": key}
        return self.event("dtmf", stream, position, {"dtmf": dtmf})

    def played(self, stream: MediaStream, position: StreamPosition, mark: str) -> str:
        """Return the event of a checkpoint that was reached."""
        return self.event("playedStream", stream, position, {"name": mark})

    def cleared(self, stream: MediaStream, position: StreamPosition) -> str:
        """Return the event of an empty queue."""
        return self.event("clearedAudio", stream, position, {})

    def audio_in(self, media: Mapping[str, Any]) -> bytes:
        """Return the audio of a message, which must name its format. Raises BadMessage."""
        encoding, rate = media.get("contentType"), str(media.get("sampleRate"))
        if (encoding, rate) != ("audio/x-mulaw", "8000"):
            raise BadMessage(f"audio as {encoding} at {rate} samples/s in a μ-law stream")
        return super().audio_in(media)

    def mark_in(self, body: Mapping[str, Any]) -> str:
        """Return the name of a checkpoint. Raises BadMessage."""
        return super().mark_in({"mark": body})

    def other(self, body: Mapping[str, Any]) -> MediaCommand:
        """Return the keys of a sendDTMF. Raises BadMessage."""
        keys = body.get("dtmf")
        if body.get("event") == "sendDTMF" and isinstance(keys, str):
            return Press(keys)
        return super().other(body)


MEDIA = PlivoMedia(PHONE)
