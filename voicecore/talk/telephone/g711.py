"""Owns G.711 (μ-law and A-law), and the sound of a telephone line in both directions."""

from __future__ import annotations

import numpy as np

from voicecore.catalog.phones.media import MediaProtocol
from voicecore.catalog.phones.record import ALAW, MULAW
from voicecore.talk.audio import pcm
from voicecore.talk.transports import pipecat_frames

LINE_RATE = 8000
"""Samples/s of every telephone line without HD voice."""


class Law:
    """One of the two laws by which a line carries 16-bit samples as 8-bit codes."""

    def __init__(self, values: pcm.Samples) -> None:
        self._values = values.astype("<i2")
        """Sample of each code."""
        self._codes = np.argsort(values, kind="stable").astype(np.uint8)
        ordered = values[self._codes].astype(float)
        self._limits = (ordered[1:] + ordered[:-1]) / 2

    def encode(self, audio: bytes) -> bytes:
        """Return 16-bit PCM as codes: of each sample, the nearest."""
        nearest = np.searchsorted(self._limits, pcm.to_array(audio), side="right")
        return self._codes[nearest].tobytes()

    def decode(self, codes: bytes) -> bytes:
        """Return codes as 16-bit PCM."""
        return self._values[np.frombuffer(codes, dtype=np.uint8)].tobytes()


def _mulaw() -> pcm.Samples:
    code = ~np.arange(256, dtype=np.int32) & 0xFF
    magnitude = ((((code & 0x0F) << 3) + 132) << ((code & 0x70) >> 4)) - 132
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)


def _alaw() -> pcm.Samples:
    code = np.arange(256, dtype=np.int32) ^ 0x55
    segment, magnitude = (code & 0x70) >> 4, ((code & 0x0F) << 4) + 8
    scaled = (magnitude + 256) << np.maximum(segment - 1, 0)
    magnitude = np.where(segment, scaled, magnitude)
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)


LAWS = {MULAW: Law(_mulaw()), ALAW: Law(_alaw())}
"""The laws by the encoding that carries them; a provider may stream 16-bit samples instead."""


class PhoneLine:
    """Both directions of a call between a telephone and its provider's media socket.

    A provider that streams 16-bit audio gets it from a μ-law line all the same.
    """

    def __init__(self, media: MediaProtocol) -> None:
        self._to_line = pcm.Resampler(pcm.SPEECH_RATE, LINE_RATE)
        self._to_socket = pcm.Resampler(LINE_RATE, media.rate)
        self._from_socket = pcm.Resampler(media.rate, LINE_RATE)
        self._heard, self._played = LAWS.get(media.encoding), LAWS.get(media.plays)
        self._law = self._heard or LAWS[MULAW]

    def to_provider(self, audio: bytes) -> bytes:
        """Return the caller's voice, PCM at SPEECH_RATE, as the provider streams it."""
        on_the_line = self._law.encode(self._to_line.feed(audio))
        return on_the_line if self._heard else self._to_socket.feed(self._law.decode(on_the_line))

    def to_caller(self, audio: bytes) -> pipecat_frames.Audio:
        """Return audio of the provider's stream as the caller hears it."""
        sound = self._played.decode(audio) if self._played else self._from_socket.feed(audio)
        return pipecat_frames.Audio(self._law.decode(self._law.encode(sound)), LINE_RATE)
