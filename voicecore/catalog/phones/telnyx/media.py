"""Owns Telnyx's media streaming of a call, with `bidirectionalMode` rtp."""

from __future__ import annotations

from voicecore.catalog.phones.media import (
    JsonMedia,
    MediaStream,
    StreamPosition,
    compact,
    numbered,
)
from voicecore.catalog.phones.record import ALAW, MULAW
from voicecore.catalog.phones.telnyx import PHONE

_CODECS = {MULAW: "PCMU", ALAW: "PCMA"}


class TelnyxMedia(JsonMedia):
    """Messages of a Telnyx media stream."""

    stream_key = "stream_id"
    number_key = "sequence_number"
    names_stream = False

    @property
    def plays(self) -> str:
        """Encoding of the server's audio: bidirectionalCodec names it, whatever the line has."""
        return MULAW

    def opening(self, stream: MediaStream) -> tuple[str, ...]:
        """Return `connected` and `start`."""
        start = {
            "user_id": stream.account,
            "call_control_id": stream.call,
            "call_session_id": stream.call.partition(":")[2],
            "from": stream.caller,
            "to": stream.called,
            "custom_parameters": dict(stream.parameters),
            "media_format": {
                "encoding": _CODECS.get(self.encoding, self.encoding),
                "sample_rate": self.rate,
                "channels": 1,
            },
        }
        return (
            compact({"event": "connected", "version": "1.0.0"}),
            compact({"event": "start", **self.header(stream, 1), "start": start}),
        )

    def media(self, stream: MediaStream, position: StreamPosition, audio: bytes) -> str:
        """Return one message of audio as base64."""
        media = {"track": "inbound", **numbered(position, audio)}
        return self.event("media", stream, position, {"media": media})

    def stop(self, stream: MediaStream, position: StreamPosition) -> str:
        """Return the end of the stream."""
        stop = {"user_id": stream.account, "call_control_id": stream.call}
        return self.event("stop", stream, position, {"stop": stop})


MEDIA = TelnyxMedia(PHONE)
