"""Where speech begins and ends in a sound: by its level alone, as a meter sees it."""

from __future__ import annotations

import numpy as np

from voicecore.talk.audio import pcm

_SILENCE = 100.0
"""RMS below which nothing is heard: -50 dB of full scale. Dither and comfort noise lie below."""
_RANGE_DB = 35.0
"""Speech spans about 30 dB from vowel to fricative (ITU-T P.56 counts as active what lies within
its margin of the level); what lies further below the loudest is room."""


def last_voiced_sample(sound: bytes, rate: int) -> int:
    """How many samples of `sound` there are up to the end of speech, to 10 ms; 0 for silence."""
    step = rate // 100
    samples = pcm.to_array(sound)
    frames = samples[: len(samples) // step * step].reshape(-1, step).astype(np.float64)
    if not len(frames):
        return 0
    levels = np.sqrt((frames**2).mean(axis=1))
    threshold = max(_SILENCE, float(levels.max()) / 10 ** (_RANGE_DB / 20))
    voiced = np.flatnonzero(levels > threshold)
    return int(voiced[-1] + 1) * step if len(voiced) else 0


def first_sound_sample(sound: bytes, rate: int) -> int | None:
    """The first sample of the first 5 ms that can be heard; None for silence."""
    step = max(1, rate // 200)
    for start in range(0, len(sound) // 2, step):
        if pcm.rms(sound[2 * start : 2 * (start + step)]) > _SILENCE:
            return start
    return None


class Pauses:
    """A stream of sound without its longer silences.

    Silence that goes on is dropped until there is sound again: an ear that is behind catches up,
    and knows when it has heard everything.
    """

    _BLOCKS = 15
    """Blocks of silence in a row that are let through."""

    def __init__(self) -> None:
        self._quiet = 0

    def let_through(self, block: bytes, rate: int) -> bool:
        """Whether the next block is to be heard; `rate` counts the samples of all channels."""
        silent = first_sound_sample(block, rate) is None
        self._quiet = self._quiet + 1 if silent else 0
        return self._quiet <= self._BLOCKS


class VoiceTracker:
    """Follows a live microphone: whether this block is speech, and whether a phrase goes on.

    The noise floor falls at once to the quietest block and rises by 1 dB/s, so that a fan that is
    switched on is speech for some seconds only; speech is what exceeds it four times (12 dB).
    """

    _RISE = 10 ** (1 / 20 * pcm.BLOCK_MS / 1000)
    _ABOVE_FLOOR = 4.0
    _HANGOVER_MS = 200

    def __init__(self) -> None:
        self._floor = 300.0
        self._quiet_ms = self._HANGOVER_MS

    def feed(self, block: bytes) -> bool:
        """Whether this block of BLOCK_MS holds voice."""
        level = pcm.rms(block)
        self._floor = max(10.0, min(level, self._floor * self._RISE))
        voiced = level > max(_SILENCE, self._floor * self._ABOVE_FLOOR)
        self._quiet_ms = 0 if voiced else self._quiet_ms + pcm.BLOCK_MS
        return voiced

    @property
    def speaking(self) -> bool:
        """Whether a phrase is under way; short gaps between words do not end it."""
        return self._quiet_ms < self._HANGOVER_MS
