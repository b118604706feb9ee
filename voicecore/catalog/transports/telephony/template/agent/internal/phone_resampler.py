"""Owns resampling between a phone line's sample rate and the pipeline's, without extra delay.

Pipecat's own resampler (soxr, "VHQ") returns nothing until it has 60 to 160 ms of audio, in each
direction, and loses the last 60 to 100 ms before a silence.
"""

from __future__ import annotations

import math

import numpy as np
from pipecat.audio.resamplers.base_audio_resampler import BaseAudioResampler

# Length of the filter. Half of it is the delay: 2 ms at 8 kHz.
TAPS = 32


class PhoneResampler(BaseAudioResampler):
    """A windowed sinc filter: images are 60 dB below speech, beyond what a phone line carries."""

    def __init__(self) -> None:
        self._rates = (0, 0)

    async def resample(self, audio: bytes, in_rate: int, out_rate: int) -> bytes:
        """Resample the next piece of a stream (16-bit mono)."""
        if in_rate == out_rate:
            return audio
        if self._rates != (in_rate, out_rate):
            self._begin(in_rate, out_rate)
        samples = np.concatenate([self._before, np.frombuffer(audio, "<i2").astype(np.float32)])
        # Positions are in units of 1/up sample.
        end = (len(samples) - TAPS + 1) * self._up
        positions = np.arange(self._position, end, self._down)
        self._position = int(self._position + len(positions) * self._down - end)
        self._before = samples[len(samples) - TAPS + 1 :]
        if not len(positions):
            return b""
        windows = np.lib.stride_tricks.sliding_window_view(samples, TAPS)
        filters = self._filters[positions % self._up]
        resampled = np.einsum("ij,ij->i", windows[positions // self._up], filters)
        return np.clip(np.rint(resampled), -32768, 32767).astype("<i2").tobytes()

    def _begin(self, in_rate: int, out_rate: int) -> None:
        self._rates = in_rate, out_rate
        divisor = math.gcd(in_rate, out_rate)
        self._up, self._down = out_rate // divisor, in_rate // divisor
        cutoff = min(1.0, out_rate / in_rate) * 0.95  # room for the filter's slope
        distance = np.arange(TAPS) - (TAPS / 2 - 1) - np.arange(self._up)[:, None] / self._up
        window = 0.5 + 0.5 * np.cos(np.pi * np.clip(distance / (TAPS / 2), -1, 1))
        filters = np.sinc(cutoff * distance) * window
        self._filters = (filters / filters.sum(axis=1, keepdims=True)).astype(np.float32)
        self._before, self._position = np.zeros(TAPS - 1, np.float32), 0
