"""Owns μ-law (ITU-T G.711), and the sound of a telephone line in both directions."""

from __future__ import annotations

import numpy as np

from voicecore.catalog.phones.media import MediaProtocol
from voicecore.talk.audio import pcm
from voicecore.talk.transports import pipecat_frames

LINE_RATE = 8000
"""Samples/s of every telephone line without HD voice."""
_BIAS, _CLIP = 132, 32635


def to_mulaw(audio: bytes) -> bytes:
    """Return 16-bit PCM as μ-law."""
    samples = pcm.to_array(audio).astype(np.int32)
    magnitude = np.minimum(np.abs(samples), _CLIP) + _BIAS
    # With the bias, the 8 segments begin at powers of two: the highest bit tells the segment.
    segment = np.floor(np.log2(magnitude)).astype(np.int32) - 7
    mantissa = (magnitude >> (segment + 3)) & 0x0F
    sign = np.where(samples < 0, 0x80, 0)
    return (~(sign | (segment << 4) | mantissa) & 0xFF).astype(np.uint8).tobytes()


def _values() -> pcm.Samples:
    code = ~np.arange(256, dtype=np.int32) & 0xFF
    magnitude = ((((code & 0x0F) << 3) + _BIAS) << ((code & 0x70) >> 4)) - _BIAS
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)


_VALUES = _values()


def from_mulaw(audio: bytes) -> bytes:
    """Return μ-law as 16-bit PCM."""
    return _VALUES[np.frombuffer(audio, dtype=np.uint8)].astype("<i2").tobytes()


class PhoneLine:
    """Both directions of a call between a telephone and its provider's media socket.

    A provider that streams 16-bit audio gets it from a μ-law line all the same.
    """

    def __init__(self, media: MediaProtocol) -> None:
        self._media = media
        self._to_line = pcm.Resampler(pcm.SPEECH_RATE, LINE_RATE)
        self._to_socket = pcm.Resampler(LINE_RATE, media.rate)
        self._from_socket = pcm.Resampler(media.rate, LINE_RATE)

    def to_provider(self, audio: bytes) -> bytes:
        """Return the caller's voice, PCM at SPEECH_RATE, as the provider streams it."""
        on_the_line = to_mulaw(self._to_line.feed(audio))
        if self._media.mulaw:
            return on_the_line
        return self._to_socket.feed(from_mulaw(on_the_line))

    def to_caller(self, audio: bytes) -> pipecat_frames.Audio:
        """Return audio of the provider's stream as the caller hears it."""
        if not self._media.mulaw:
            audio = to_mulaw(self._from_socket.feed(audio))
        return pipecat_frames.Audio(from_mulaw(audio), LINE_RATE)
