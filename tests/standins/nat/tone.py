"""Owns the test tone, and the measurement of what arrived of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_HERTZ = 440
_AMPLITUDE = 8000
_STEP_MS = 5
GAP_MS = 60
"""An audible gap: Opus conceals gaps of up to three packets."""
_LOUD = 500.0
"""RMS above which the tone counts as present: 21 dB below the sent level."""


@dataclass(frozen=True)
class ReceivedTone:
    """The tone's length in seconds from first to last sound, its RMS, and its longest gap."""

    seconds: float
    level: float
    gap_ms: float

    def is_whole(self, seconds: float, level: float, about: float = 1.25) -> bool:
        """Return whether so many seconds arrived, at this share of their level, without a gap."""
        return (
            abs(self.seconds - seconds) < 0.1
            and 1 / about < self.level / (SENT_LEVEL * level) < about
            and self.gap_ms <= GAP_MS
        )


SENT_LEVEL = _AMPLITUDE / 2**0.5


def tone(seconds: float, rate: int) -> bytes:
    """Return the tone as 16-bit mono PCM."""
    times = np.arange(round(seconds * rate)) / rate
    wave = _AMPLITUDE * np.sin(2 * np.pi * _HERTZ * times)
    return wave.astype("<i2").tobytes()


def measure(pcm: bytes, rate: int) -> ReceivedTone:
    """Measure the tone in received PCM."""
    samples = np.frombuffer(pcm[: len(pcm) // 2 * 2], "<i2").astype(np.float64)
    step = rate * _STEP_MS // 1000
    frames = samples[: len(samples) // step * step].reshape(-1, step)
    levels = np.sqrt((frames**2).mean(axis=1))
    loud = np.flatnonzero(levels > _LOUD)
    if not len(loud):
        return ReceivedTone(0, 0, 0)
    within = levels[loud[0] : loud[-1] + 1]
    gaps = np.diff(loud) - 1
    return ReceivedTone(
        seconds=len(within) * _STEP_MS / 1000,
        level=float(np.median(within)),
        gap_ms=float(gaps.max(initial=0)) * _STEP_MS,
    )
