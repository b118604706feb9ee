"""The telephone line: μ-law (ITU-T G.711), and what it leaves of a voice in either direction."""

from __future__ import annotations

import numpy as np

from voicecore.talk.audio import pcm
from voicecore.talk.telephone.media_frames import Wire
from voicecore.talk.transports import pipecat_frames

LINE_RATE = 8000
"""Samples/s of every telephone line that is not HD."""
_BIAS, _CLIP = 132, 32635


def to_mulaw(sound: bytes) -> bytes:
    """16-bit PCM as μ-law."""
    samples = pcm.to_array(sound).astype(np.int32)
    magnitude = np.minimum(np.abs(samples), _CLIP) + _BIAS
    # With the bias, the 8 segments begin at powers of two: a segment is the place of the first bit.
    segment = np.floor(np.log2(magnitude)).astype(np.int32) - 7
    mantissa = (magnitude >> (segment + 3)) & 0x0F
    sign = np.where(samples < 0, 0x80, 0)
    return (~(sign | (segment << 4) | mantissa) & 0xFF).astype(np.uint8).tobytes()


def _values() -> pcm.Samples:
    code = ~np.arange(256, dtype=np.int32) & 0xFF
    magnitude = ((((code & 0x0F) << 3) + _BIAS) << ((code & 0x70) >> 4)) - _BIAS
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)


_VALUES = _values()


def from_mulaw(sound: bytes) -> bytes:
    """μ-law as 16-bit PCM."""
    return _VALUES[np.frombuffer(sound, dtype=np.uint8)].astype("<i2").tobytes()


class Line:
    """Both directions of a call between a telephone and its provider's socket.

    A provider that streams 16-bit sound has it from a μ-law line all the same.
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._narrowed = pcm.Resampler(pcm.SPEECH_RATE, LINE_RATE)
        self._widened = pcm.Resampler(LINE_RATE, wire.rate)
        self._returned = pcm.Resampler(wire.rate, LINE_RATE)

    def said(self, sound: bytes) -> bytes:
        """What the caller says, PCM at SPEECH_RATE, as the provider streams it."""
        on_the_line = to_mulaw(self._narrowed.feed(sound))
        if self._wire.mulaw:
            return on_the_line
        return self._widened.feed(from_mulaw(on_the_line))

    def heard(self, sound: bytes) -> pipecat_frames.Audio:
        """What comes from the provider's stream, as the caller hears it."""
        if not self._wire.mulaw:
            sound = to_mulaw(self._returned.feed(sound))
        return pipecat_frames.Audio(from_mulaw(sound), LINE_RATE)
