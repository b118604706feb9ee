"""Owns raw sound on a WebSocket: 16-bit little-endian mono PCM in binary messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from voicecore.talk.audio import pcm
from voicecore.talk.channel import Delivery
from voicecore.talk.transports import pipecat_frames
from voicecore.talk.wire.wire import Data, Wire


class RawPcmWire(Wire):
    """Sound at one rate in both directions; nothing on the wire names the rate."""

    name = "pcm"
    words = False

    def __init__(self, rate: int = pcm.SPEECH_RATE) -> None:
        self._rate = rate
        self._resampler = pcm.Resampler(pcm.SPEECH_RATE, rate)
        self._rest = b""

    def speech(self, audio: bytes) -> Sequence[Data]:
        """Return the samples."""
        return (self._resampler.feed(audio),)

    def message(self, body: dict[str, Any]) -> Sequence[Data]:
        """Return nothing: it carries sound only."""
        return ()

    def read(self, data: Data) -> Sequence[Delivery]:
        """Return the samples; half of one waits for its other half."""
        if isinstance(data, str):
            raise pipecat_frames.BadFrame("text, where raw sound is expected")
        audio = self._rest + data
        whole = len(audio) // 2 * 2
        self._rest = audio[whole:]
        return (pipecat_frames.Audio(audio[:whole], self._rate),) if whole else ()
