"""Sound between a telephone line's sample rate and the pipeline's, without keeping any of it back.

Pipecat's own resampler (soxr, "VHQ") hands out nothing until it has 60 to 160 ms of sound, in each
direction, and loses the last 60 to 100 ms of whatever is followed by silence.
"""

from __future__ import annotations

import math

import numpy as np
from pipecat.audio.resamplers.base_audio_resampler import BaseAudioResampler

# Of the filter; half of them is the delay, 2 ms of a telephone's sound.
TAPS = 32


class Line(BaseAudioResampler):
    """A windowed sinc: images lie 60 dB below speech, more than a telephone line keeps."""

    def __init__(self) -> None:
        self._rates = (0, 0)

    async def resample(self, audio: bytes, in_rate: int, out_rate: int) -> bytes:
        """What the next piece of a stream becomes."""
        if in_rate == out_rate:
            return audio
        if self._rates != (in_rate, out_rate):
            self._begin(in_rate, out_rate)
        samples = np.concatenate([self._before, np.frombuffer(audio, "<i2").astype(np.float32)])
        # Places are counted in units of 1/up sample.
        end = (len(samples) - TAPS + 1) * self._up
        places = np.arange(self._place, end, self._down)
        self._place = int(self._place + len(places) * self._down - end)
        self._before = samples[len(samples) - TAPS + 1 :]
        if not len(places):
            return b""
        windows = np.lib.stride_tricks.sliding_window_view(samples, TAPS)
        filters = self._filters[places % self._up]
        heard = np.einsum("ij,ij->i", windows[places // self._up], filters)
        return np.clip(np.rint(heard), -32768, 32767).astype("<i2").tobytes()

    def _begin(self, in_rate: int, out_rate: int) -> None:
        self._rates = in_rate, out_rate
        divisor = math.gcd(in_rate, out_rate)
        self._up, self._down = out_rate // divisor, in_rate // divisor
        cutoff = min(1.0, out_rate / in_rate) * 0.95  # the filter needs room to fall
        distance = np.arange(TAPS) - (TAPS / 2 - 1) - np.arange(self._up)[:, None] / self._up
        window = 0.5 + 0.5 * np.cos(np.pi * np.clip(distance / (TAPS / 2), -1, 1))
        filters = np.sinc(cutoff * distance) * window
        self._filters = (filters / filters.sum(axis=1, keepdims=True)).astype(np.float32)
        self._before, self._place = np.zeros(TAPS - 1, np.float32), 0
