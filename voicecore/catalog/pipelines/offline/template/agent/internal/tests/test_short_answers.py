"""Short answers are heard, on a quiet line and on a telephone's."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
import soxr
from pipecat.audio.vad.vad_analyzer import VADState

import bot

from ..hearing import SpeechDetector
from ..speech import speak


@pytest.mark.parametrize("rate", [16_000, 8_000])
@pytest.mark.parametrize("level_db", [-18, -35])
@pytest.mark.parametrize("word", ["Eight.", "No.", "Go.", "Yes.", "Two."])
def test_word_is_speech(word: str, level_db: int, rate: int) -> None:
    spoken = np.frombuffer(speak(bot.piper, word), "<i2") / 32768
    spoken *= 10 ** (level_db / 20) / np.sqrt(np.mean(spoken**2))
    word_at_rate = soxr.resample(spoken, bot.piper.config.sample_rate, rate)
    samples = np.concatenate([np.zeros(rate), word_at_rate, np.zeros(rate)])
    audio = np.rint(np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()

    async def hear() -> set[VADState]:
        detector = SpeechDetector()
        detector.set_sample_rate(rate)
        size = rate // 50 * 2
        pieces = [audio[i : i + size] for i in range(0, len(audio), size)]
        states = {await detector.analyze_audio(piece) for piece in pieces}
        await detector.cleanup()
        return states

    assert VADState.SPEAKING in asyncio.run(hear())
