"""Owns voice activity detection by level: where speech begins and ends in audio."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from voicecore.talk.audio import pcm

_SILENCE = 100.0
"""RMS below which nothing is audible: -50 dB of full scale. Dither and comfort noise are below."""
_RANGE_DB = 35.0
"""Speech spans about 30 dB from vowel to fricative (ITU-T P.56 counts as active what is within its
margin of the level); what is further below the loudest is room noise."""


LEVEL_MS = 10
"""Length of the parts whose level is compared."""


def levels(samples: pcm.Samples, rate: int) -> NDArray[np.float64]:
    """Return the level (RMS) of each LEVEL_MS; a shorter rest is left out."""
    step = rate * LEVEL_MS // 1000
    parts = samples[: len(samples) // step * step].reshape(-1, step)
    return np.sqrt(np.square(parts, dtype=np.float64).mean(axis=1))


def voice_threshold(levels: NDArray[np.float64]) -> float:
    """Return the level above which sound is voice, among sound of these levels."""
    return max(_SILENCE, float(levels.max(initial=0.0)) / 10 ** (_RANGE_DB / 20))


def first_audible_sample(audio: bytes, rate: int) -> int | None:
    """Return the first sample of the first audible 5 ms; None for silence."""
    step = max(1, rate // 200)
    for start in range(0, len(audio) // 2, step):
        if pcm.rms(audio[2 * start : 2 * (start + step)]) > _SILENCE:
            return start
    return None


class SilenceGate:
    """Cuts the longer silences out of a stream.

    Silence that lasts is dropped until there is sound again: a listener that is behind catches up,
    and knows when it has heard everything.
    """

    _BLOCKS = 15
    """Blocks of silence in a row that pass."""

    def __init__(self) -> None:
        self._quiet = 0

    def passes(self, block: bytes, rate: int) -> bool:
        """Return whether the next block passes; `rate` counts the samples of all channels."""
        silent = first_audible_sample(block, rate) is None
        self._quiet = self._quiet + 1 if silent else 0
        return self._quiet <= self._BLOCKS


class VoiceDetector:
    """Follows a live microphone: whether a block is speech, and whether a phrase continues.

    The noise floor falls at once to the quietest block and rises by 1 dB/s, so that a fan that is
    switched on counts as speech for some seconds only. Speech exceeds the floor four times (12 dB).
    """

    _RISE = 10 ** (1 / 20 * pcm.BLOCK_MS / 1000)
    _ABOVE_FLOOR = 4.0
    _HANGOVER_MS = 200

    def __init__(self) -> None:
        self._floor = 300.0
        self._quiet_ms = self._HANGOVER_MS

    def feed(self, block: bytes) -> bool:
        """Return whether this block of BLOCK_MS holds voice."""
        level = pcm.rms(block)
        self._floor = max(10.0, min(level, self._floor * self._RISE))
        voiced = level > max(_SILENCE, self._floor * self._ABOVE_FLOOR)
        self._quiet_ms = 0 if voiced else self._quiet_ms + pcm.BLOCK_MS
        return voiced

    @property
    def speaking(self) -> bool:
        """True during a phrase; short gaps between words do not end it."""
        return self._quiet_ms < self._HANGOVER_MS
