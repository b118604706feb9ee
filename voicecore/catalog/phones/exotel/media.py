"""Owns the stream of Exotel's Voicebot applet: 16-bit PCM, in messages of 100 ms."""

from __future__ import annotations

from voicecore.catalog.phones.exotel import PHONE
from voicecore.catalog.phones.media import (
    JsonMedia,
    MediaStream,
    StreamPosition,
    compact,
    numbered,
)
from voicecore.catalog.phones.record import PCM


class ExotelMedia(JsonMedia):
    """Messages of a Exotel media stream."""

    chunk_ms = 100
    stream_key = "stream_sid"
    number_key = "sequence_number"

    def opening(self, stream: MediaStream) -> tuple[str, ...]:
        """Return `connected` and `start`."""
        start = {
            "stream_sid": stream.id,
            "call_sid": stream.call,
            "account_sid": stream.account,
            "from": stream.caller,
            "to": stream.called,
            "custom_parameters": dict(stream.parameters),
            "media_format": {
                "encoding": "audio/x-raw" if self.encoding == PCM else self.encoding,
                "sample_rate": str(self.rate),
                "bit_rate": "16",
            },
        }
        return (
            compact({"event": "connected"}),
            compact({"event": "start", **self.header(stream, 1), "start": start}),
        )

    def media(self, stream: MediaStream, position: StreamPosition, audio: bytes) -> str:
        """Return one message of audio as base64."""
        return self.event("media", stream, position, {"media": numbered(position, audio)})

    def key(self, stream: MediaStream, position: StreamPosition, key: str) -> str:
        """Return a DTMF event; `duration` is in ms."""
        return self.event("dtmf", stream, position, {"dtmf": {"digit": key, "duration": "100"}})

    def stop(self, stream: MediaStream, position: StreamPosition) -> str:
        """Return the end of the stream."""
        stop = {"call_sid": stream.call, "account_sid": stream.account, "reason": "callended"}
        return self.event("stop", stream, position, {"stop": stop})


MEDIA = ExotelMedia(PHONE)
