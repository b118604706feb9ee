"""Detecting a headset, which leaves no echo to remove."""

import numpy as np
import pytest

from voicecore.talk.audio import pcm
from voicecore.talk.audio.echo_path import EchoPath

SILENCE = bytes(2 * pcm.VOICE_BLOCK)


def noise(rng: np.random.Generator, level_db: float, samples: int) -> bytes:
    amplitude = 32768 * 10 ** (level_db / 20)
    return (rng.standard_normal(samples) * amplitude).clip(-32768, 32767).astype("<i2").tobytes()


def hear(path: EchoPath, blocks: int, played_db: float | None, near_db: float) -> bool:
    rng = np.random.default_rng(1)
    exists = True
    for _ in range(blocks):
        played = SILENCE if played_db is None else noise(rng, played_db, pcm.VOICE_BLOCK)
        exists = path.exists(played, noise(rng, near_db, pcm.SPEECH_BLOCK))
    return exists


@pytest.mark.parametrize("floor_db", [-90, -70, -50])
def test_detects_headset_within_the_greeting(floor_db: float) -> None:
    path = EchoPath()
    hear(path, 50, None, floor_db)
    assert hear(path, 100, -25, floor_db) is False


def test_interruption_is_not_taken_for_an_echo() -> None:
    path = EchoPath()
    hear(path, 50, None, -80)
    hear(path, 100, -25, -80)
    assert hear(path, 40, -25, -25) is False  # 0.8 s of both at once
    assert hear(path, 100, None, -25) is False  # then the agent is silent


def test_echo_keeps_the_canceller_active() -> None:
    path = EchoPath()
    hear(path, 50, None, -80)
    for _ in range(20):  # words and pauses, with an echo 100 ms late
        hear(path, 5, -25, -80)
        hear(path, 10, -25, -45)
        assert hear(path, 5, None, -45) is True


def test_detects_headset_that_is_taken_off() -> None:
    path = EchoPath()
    hear(path, 50, None, -80)
    assert hear(path, 100, -25, -80) is False
    assert hear(path, 120, -25, -40) is True


def test_silent_agent_proves_nothing() -> None:
    assert hear(EchoPath(), 500, None, -90) is True
