"""Sample rates, levels, and the ends of speech."""

import math

import numpy as np
import pytest

from tests.standins.talk.session_server import tone
from voicecore.talk.audio import pcm, vad


def resampled(sound: bytes, source: int, target: int) -> bytes:
    """Return a clip at another rate, without the delay of a stream."""
    resampler = pcm.Resampler(source, target)
    lead = -resampler.delay % (source // math.gcd(source, target))
    out = resampler.feed(bytes(2 * lead) + sound + bytes(2 * resampler.delay))
    skip = (lead + resampler.delay) * target // source
    return out[2 * skip : 2 * (skip + len(sound) // 2 * target // source)]


@pytest.mark.parametrize(
    ("source", "target"),
    [(8000, 16000), (44100, 16000), (48000, 16000), (16000, 24000), (22050, 24000), (24000, 16000)],
)
def test_resampled_tone_is_the_same_tone(source: int, target: int) -> None:
    out = pcm.to_array(resampled(tone(500, 1000, source), source, target)).astype(float)
    ideal = pcm.to_array(tone(500, 1000, target)).astype(float)
    assert abs(len(out) - len(ideal)) <= 1
    middle = slice(target // 10, len(ideal) - target // 10)
    error = np.sqrt(np.mean((out[middle] - ideal[middle]) ** 2) / np.mean(ideal[middle] ** 2))
    assert error < 0.01  # 40 dB, and in phase: aligned with the original


def test_resampling_removes_what_the_new_rate_cannot_hold() -> None:
    out = resampled(tone(500, 11_000, 48_000), 48_000, 16_000)
    assert pcm.rms(out) < 0.01 * pcm.rms(tone(500, 11_000, 48_000))


def test_stream_is_resampled_like_the_whole() -> None:
    sound = tone(300, 700, 16_000)
    whole = pcm.Resampler(16_000, 24_000).feed(sound)
    stream = pcm.Resampler(16_000, 24_000)
    pieces = b"".join(stream.feed(sound[i : i + 642]) for i in range(0, len(sound), 642))
    assert pieces == whole


def test_overshoot_of_loud_audio_is_clipped() -> None:
    step = np.repeat(np.array([-32767, 32767], "<i2"), 400)
    out = pcm.to_array(resampled(step.tobytes(), 16_000, 24_000))
    assert out[:590].max() < 0 < out[610:].min()  # a sample over the limit would wrap around
    assert out.max() == 32767


def test_incomplete_last_frame_is_dropped() -> None:
    assert pcm.mono(np.array([1, 3, 9], "<i2").tobytes(), 2) == np.array([2], "<i2").tobytes()


def test_mono_is_the_average_of_stereo() -> None:
    assert (
        pcm.mono(np.array([100, 300, -2, 2], "<i2").tobytes(), 2)
        == np.array([200, 0], "<i2").tobytes()
    )


def test_level_of_silence_and_of_full_scale() -> None:
    assert pcm.rms(b"") == 0
    assert pcm.decibels(32768) == 0
    assert pcm.decibels(0) == -100


def test_voice_is_within_35_dB_of_the_loudest() -> None:
    hiss = np.random.default_rng(1).normal(0, 20, 16_000).astype("<i2")
    sound = np.concatenate([hiss, pcm.to_array(tone(730, 300, 16_000)), hiss])
    levels = vad.levels(sound, 16_000)
    voiced = np.flatnonzero(levels > vad.voice_threshold(levels))
    assert (voiced[0], voiced[-1]) == (100, 172)
    assert not (vad.levels(hiss, 16_000) > vad.voice_threshold(vad.levels(hiss, 16_000))).any()
    assert vad.voice_threshold(vad.levels(hiss[:0], 16_000)) > 0


def test_finds_the_first_audible_sample() -> None:
    assert vad.first_audible_sample(bytes(960) + tone(20), 24_000) == 480
    assert vad.first_audible_sample(bytes(960), 24_000) is None


def test_detects_voice_beside_a_fan() -> None:
    detector = vad.VoiceDetector()
    rng = np.random.default_rng(1)

    def fan(blocks: int) -> list[bytes]:
        return [rng.normal(0, 150, 320).astype("<i2").tobytes() for _ in range(blocks)]

    assert not any(detector.feed(block) for block in fan(100)[50:])
    assert not detector.speaking
    assert all(detector.feed(tone(20, 300, 16_000)) for _ in range(20))
    assert detector.speaking
    detector.feed(fan(1)[0])
    assert detector.speaking  # a short gap does not end a phrase
    for block in fan(15):
        detector.feed(block)
    assert not detector.speaking
