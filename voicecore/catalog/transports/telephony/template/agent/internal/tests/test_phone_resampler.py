"""A telephone line's sound comes out as it went in, at another rate, and at once."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from ..phone_resampler import TAPS, Line


@pytest.mark.parametrize(
    ("source", "target"), [(8000, 16_000), (24_000, 8000), (24_000, 16_000), (22_050, 8000)]
)
def test_a_tone_is_the_same_tone_and_none_of_it_waits(source: int, target: int) -> None:
    def tone(rate: int, delay: float = 0) -> np.ndarray:
        return 8000 * np.sin(2 * np.pi * 440 * (np.arange(rate) / rate - delay))

    async def heard() -> list[bytes]:
        line, said = Line(), tone(source).astype("<i2")
        step = source // 50
        return [
            await line.resample(said[n : n + step].tobytes(), source, target)
            for n in range(0, source, step)
        ]

    pieces = asyncio.run(heard())
    assert {len(piece) for piece in pieces} == {2 * target // 50}
    sound = np.frombuffer(b"".join(pieces), "<i2")
    wrong = sound - tone(target, TAPS / 2 / source)
    assert np.abs(wrong[target // 50 :]).max() < 20


def test_what_a_line_cannot_carry_does_not_come_back_as_something_else() -> None:
    shrill = (8000 * np.sin(2 * np.pi * 6000 * np.arange(24_000) / 24_000)).astype("<i2")
    heard = asyncio.run(Line().resample(shrill.tobytes(), 24_000, 8000))
    assert np.abs(np.frombuffer(heard, "<i2")[100:]).max() < 80
