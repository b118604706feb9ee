"""Owns 16-bit PCM as numbers: to and from arrays, levels, and other sample rates."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

SPEECH_RATE = 16_000
"""Samples/s of the user's voice: what speech recognizers take, and what our agents expect."""
VOICE_RATE = 24_000
"""Samples/s of the agent's voice, as it is played, saved and recorded."""
BLOCK_MS = 20
"""Length of the blocks in which all audio moves."""
SPEECH_BLOCK = SPEECH_RATE * BLOCK_MS // 1000
VOICE_BLOCK = VOICE_RATE * BLOCK_MS // 1000
SILENT_BLOCK = bytes(2 * SPEECH_BLOCK)

Samples = NDArray[np.int16]


def to_array(pcm: bytes) -> Samples:
    """Return the samples in little-endian 16-bit PCM; an odd last byte is dropped."""
    return np.frombuffer(pcm[: len(pcm) // 2 * 2], dtype="<i2")


def rms(pcm: bytes) -> float:
    """Return the root mean square of the samples, in units of a 16-bit sample; 0 for no samples."""
    samples = to_array(pcm)
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) if len(samples) else 0.0


def decibels(level: float) -> float:
    """Return a level as dB below full scale: 0 is the loudest, -100 stands for silence."""
    return max(-100.0, 20 * math.log10(max(level, 1e-9) / 32768))


class Resampler:
    """Converts a stream of mono PCM to another sample rate, without clicks between its chunks.

    Keeps the last few samples and the position between them. A windowed sinc of 32 taps: images
    are 60 dB below speech, which is more than any telephone keeps.
    """

    _TAPS = 32
    _PIECE = 8192
    """Samples converted at once: each sample of the result takes 256 bytes meanwhile."""
    delay = _TAPS // 2
    """Delay from input to output, in samples at the source's rate."""

    def __init__(self, source: int, target: int) -> None:
        self.source, self.target = source, target
        divisor = math.gcd(source, target)
        self._up, self._down = target // divisor, source // divisor
        self._phases = _polyphase(self._up, self._down, self._TAPS)
        self._history = np.zeros(self._TAPS - 1, dtype=np.float32)
        self._position = 0  # of the next output sample, in units of 1/up input samples

    def feed(self, pcm: bytes) -> bytes:
        """Return the next chunk at the target's rate, delayed by `delay` samples."""
        if self._up == self._down:
            return pcm
        size = 2 * self._PIECE
        return b"".join(self._next(pcm[n : n + size]) for n in range(0, len(pcm), size))

    def _next(self, pcm: bytes) -> bytes:
        samples = np.concatenate([self._history, to_array(pcm).astype(np.float32)])
        available = (len(samples) - self._TAPS + 1) * self._up
        positions = np.arange(self._position, available, self._down)
        self._position = int(self._position + len(positions) * self._down - available)
        self._history = samples[len(samples) - self._TAPS + 1 :]
        if not len(positions):
            return b""
        windows = np.lib.stride_tricks.sliding_window_view(samples, self._TAPS)
        out = np.einsum(
            "ij,ij->i", windows[positions // self._up], self._phases[positions % self._up]
        )
        return np.clip(np.rint(out), -32768, 32767).astype("<i2").tobytes()


def _polyphase(up: int, down: int, taps: int) -> NDArray[np.float32]:
    # One row of taps per position; there are `up` positions between two input samples.
    cutoff = min(1.0, up / down) * 0.95  # leave the filter room to fall before half the rate
    offsets = np.arange(taps) - (taps / 2 - 1)
    distance = offsets[None, :] - np.arange(up)[:, None] / up
    window = 0.5 + 0.5 * np.cos(np.pi * np.clip(distance / (taps / 2), -1, 1))
    rows = cutoff * np.sinc(cutoff * distance) * window
    return (rows / rows.sum(axis=1, keepdims=True)).astype(np.float32)


def mono(pcm: bytes, channels: int) -> bytes:
    """Return the average of interleaved channels."""
    if channels == 1:
        return pcm
    samples = to_array(pcm)
    frames = samples[: len(samples) // channels * channels].reshape(-1, channels)
    return frames.mean(axis=1).astype("<i2").tobytes()
