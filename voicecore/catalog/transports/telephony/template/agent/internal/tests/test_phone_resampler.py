"""The resampler keeps the audio, and adds no delay."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from ..phone_resampler import TAPS, PhoneResampler


@pytest.mark.parametrize(
    ("source", "target"), [(8000, 16_000), (24_000, 8000), (24_000, 16_000), (22_050, 8000)]
)
def test_tone_is_kept_and_not_delayed(source: int, target: int) -> None:
    def tone(rate: int, delay: float = 0) -> np.ndarray:
        return 8000 * np.sin(2 * np.pi * 440 * (np.arange(rate) / rate - delay))

    async def resampled() -> list[bytes]:
        resampler, audio = PhoneResampler(), tone(source).astype("<i2")
        step = source // 50
        return [
            await resampler.resample(audio[n : n + step].tobytes(), source, target)
            for n in range(0, source, step)
        ]

    pieces = asyncio.run(resampled())
    assert {len(piece) for piece in pieces} == {2 * target // 50}
    samples = np.frombuffer(b"".join(pieces), "<i2")
    error = samples - tone(target, TAPS / 2 / source)
    assert np.abs(error[target // 50 :]).max() < 20


def test_frequencies_above_the_line_are_removed() -> None:
    high = (8000 * np.sin(2 * np.pi * 6000 * np.arange(24_000) / 24_000)).astype("<i2")
    resampled = asyncio.run(PhoneResampler().resample(high.tobytes(), 24_000, 8000))
    assert np.abs(np.frombuffer(resampled, "<i2")[100:]).max() < 80
