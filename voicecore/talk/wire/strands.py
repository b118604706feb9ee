"""Owns the events of a Strands BidiAgent, which AWS's sample sends over a WebSocket as JSON.

Events: strands-agents before 1.60 (strands/experimental/bidi/types/events.py), and since then
(strands/bidi/types/events.py). What a client sends is that of AWS's sample in both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from voicecore.talk.audio import pcm
from voicecore.talk.channel import Delivery
from voicecore.talk.transports import rtvi
from voicecore.talk.wire.wire import Data, Wire, as_json, audio_in, encoded, object_in, text_of


class StrandsWire(Wire):
    """Bidirectional events, `bidi_…`."""

    name = "strands"

    def speech(self, audio: bytes) -> Sequence[Data]:
        """Return one event."""
        event = {
            "type": "bidi_audio_input",
            "audio": encoded(audio),
            "format": "pcm",
            "sample_rate": pcm.SPEECH_RATE,
            "channels": 1,
        }
        return (as_json(event),)

    def message(self, body: dict[str, Any]) -> Sequence[Data]:
        """Return a typed line as an event."""
        event = {"type": "bidi_text_input", "text": text_of(body), "role": "user"}
        return (as_json(event),) if text_of(body) else ()

    def read(self, data: Data) -> Sequence[Delivery]:
        """Return what an event delivers."""
        body = object_in(data)
        match body.get("type"):
            case "bidi_audio_stream" | "bidi_audio_delta":
                channels = body.get("channels", 1)
                return (audio_in(body.get("audio"), body.get("sample_rate"), channels),)
            case "bidi_transcript_stream":
                return _said(body, "text", bool(body.get("is_final")))
            case "bidi_transcript_block":
                return _said(body, "transcript", final=True)
            case "bidi_response_start":
                return (rtvi.BotStarted(),)
            case "bidi_response_complete" | "bidi_response_stop":
                return (rtvi.BotStopped(),)
            case "bidi_interruption" | "bidi_barge_in":
                return (rtvi.BotInterrupted(), rtvi.BotStopped())
            case "bidi_error" | "error":
                return (rtvi.AgentError(rtvi.text_in(body, "message"), fatal=False),)
            case _:
                return ()


def _said(body: Mapping[str, Any], key: str, final: bool) -> Sequence[Delivery]:
    text = rtvi.text_in(body, key).strip()
    if not text:
        return ()
    if body.get("role") == "user":
        return (rtvi.UserTranscription(text, final),)
    return (rtvi.BotOutput(text),) if final else ()
