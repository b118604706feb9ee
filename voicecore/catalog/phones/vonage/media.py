"""Owns the WebSocket endpoint of an NCCO: bare audio in binary messages, all else as JSON."""

from __future__ import annotations

import json

from voicecore.catalog.phones.media import (
    BadMessage,
    Clear,
    Mark,
    MediaCommand,
    MediaProtocol,
    MediaStream,
    Play,
    StreamPosition,
    compact,
    json_object,
)
from voicecore.catalog.phones.vonage import PHONE


class VonageMedia(MediaProtocol):
    """Messages of a Vonage media stream."""

    marks_when_cleared = False

    def opening(self, stream: MediaStream) -> tuple[str, ...]:
        """Return `websocket:connected`, with the headers of the NCCO in it."""
        connected = {
            "event": "websocket:connected",
            "content-type": f"{self.encoding};rate={self.rate}",
            **stream.parameters,
        }
        return (compact(connected),)

    def media(self, stream: MediaStream, position: StreamPosition, audio: bytes) -> bytes:
        """Return the audio as it is."""
        return audio

    def key(self, stream: MediaStream, position: StreamPosition, key: str) -> str:
        """Return a DTMF event; `duration` is in ms."""
        return compact({"event": "websocket:dtmf", "digit": key, "duration": 260})

    def played(self, stream: MediaStream, position: StreamPosition, mark: str) -> str:
        """Return the notification that was asked for; `mark` is the JSON of its payload."""
        return compact({"event": "websocket:notify", "payload": json.loads(mark)})

    def cleared(self, stream: MediaStream, position: StreamPosition) -> str:
        """Return the event of an empty queue."""
        return compact({"event": "websocket:cleared"})

    def read(self, stream: MediaStream, message: str | bytes) -> MediaCommand:
        """Return what a server's message asks for. Raises BadMessage."""
        if isinstance(message, bytes):
            if len(message) != self.chunk_bytes:
                raise BadMessage(
                    f"{len(message)} bytes of audio; each message must hold {self.chunk_bytes}"
                )
            return Play(message)
        body = json_object(message)
        match body.get("action"):
            case "clear":
                return Clear()
            case "notify" if isinstance(body.get("payload"), dict):
                return Mark(compact(body["payload"]))
            case action:
                raise BadMessage(f"the action {action!r}")


MEDIA = VonageMedia(PHONE)
