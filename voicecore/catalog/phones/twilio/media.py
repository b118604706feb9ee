"""Owns Twilio's Media Streams, both ways, as <Connect> opens them."""

from __future__ import annotations

from voicecore.catalog.phones.media import (
    JsonMedia,
    MediaStream,
    StreamPosition,
    compact,
    numbered,
)
from voicecore.catalog.phones.twilio import PHONE


class TwilioMedia(JsonMedia):
    """Messages of a Twilio media stream."""

    stream_key = "streamSid"
    number_key = "sequenceNumber"

    def opening(self, stream: MediaStream) -> tuple[str, ...]:
        """Return `connected` and `start`."""
        start = {
            "accountSid": stream.account,
            "streamSid": stream.id,
            "callSid": stream.call,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": self.encoding, "sampleRate": self.rate, "channels": 1},
            "customParameters": dict(stream.parameters),
        }
        return (
            compact({"event": "connected", "protocol": "Call", "version": "1.0.0"}),
            compact({"event": "start", **self.header(stream, 1), "start": start}),
        )

    def media(self, stream: MediaStream, position: StreamPosition, audio: bytes) -> str:
        """Return one message of audio as base64."""
        media = {"track": "inbound", **numbered(position, audio)}
        return self.event("media", stream, position, {"media": media})

    def key(self, stream: MediaStream, position: StreamPosition, key: str) -> str:
        """Return a DTMF event; Twilio takes the tone out of the audio."""
        dtmf = {"track": "inbound_track", "digit": key}
        return self.event("dtmf", stream, position, {"dtmf": dtmf})

    def stop(self, stream: MediaStream, position: StreamPosition) -> str:
        """Return the end of the stream."""
        stop = {"accountSid": stream.account, "callSid": stream.call}
        return self.event("stop", stream, position, {"stop": stop})


MEDIA = TwilioMedia(PHONE)
