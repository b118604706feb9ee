"""Properties of an agent's hearing; test_sound.py runs them in an agent's environment."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from internal.hearing import PAUSE_SECONDS, WINDOW_SECONDS, Hearing, Outcome, Stretches
from internal.sound_input import (
    CHANNELS,
    GAP_SECONDS,
    GULP_SECONDS,
    RATES,
    BadAudio,
    MonoStream,
    SteadyStream,
)

BY_COUNT = settings(max_examples=50, deadline=None)
RATE = 16_000
GULP = round(2 * RATE * GULP_SECONDS)
SIZES = st.lists(st.integers(1, 4000), min_size=1, max_size=20)
PAUSES = st.integers(1 + round(PAUSE_SECONDS / WINDOW_SECONDS), 40)


def noise(samples: int, channels: int = 1) -> np.ndarray:
    """Return samples of which none is 0; all channels are the same."""
    one = np.random.default_rng(samples).integers(1, 30_000, samples, "<i2")
    return np.repeat(one, channels)


def cut(audio: bytes, sizes: list[int]) -> list[bytes]:
    """Return the audio in pieces of these sizes, again and again."""
    pieces: list[bytes] = []
    while audio:
        for size in sizes:
            pieces.append(audio[:size])
            audio = audio[size:]
    return pieces


@BY_COUNT
@given(SIZES, st.sampled_from(CHANNELS), st.integers(1, 20_000))
def test_frames_of_any_size_and_channels_are_the_same_sound(
    sizes: list[int], channels: int, samples: int
) -> None:
    audio = noise(samples, channels).tobytes()
    stream = MonoStream(RATE)
    heard = b"".join(stream.feed(piece, RATE, channels) for piece in cut(audio, sizes))
    assert heard == noise(samples).tobytes()


@BY_COUNT
@given(SIZES, st.sampled_from(CHANNELS), st.sampled_from(RATES))
def test_any_rate_keeps_its_duration(sizes: list[int], channels: int, rate: int) -> None:
    audio = noise(rate // 2, channels).tobytes()
    stream = MonoStream(RATE)
    heard = b"".join(stream.feed(piece, rate, channels) for piece in cut(audio, sizes))
    assert 0.4 < len(heard) / 2 / RATE <= 0.51


@BY_COUNT
@given(st.binary(), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_any_frame_is_heard_or_refused(audio: bytes, rate: int, channels: int) -> None:
    stream = SteadyStream(RATE)
    try:
        stream.add(audio, rate, channels, now=0.0)
    except BadAudio as bad:
        assert "Send" in str(bad)
    assert len(stream.take(0.0)) <= GULP


FRAMES = st.lists(
    st.tuples(st.integers(0, 32_000), st.floats(0, 2), st.booleans()), min_size=1, max_size=15
)  # samples, seconds until the next frame, and whether it is loud


@BY_COUNT
@given(FRAMES)
def test_any_spacing_loses_nothing_and_is_silent_only_after_a_gap(
    frames: list[tuple[int, float, bool]],
) -> None:
    stream, now, sent = SteadyStream(RATE), 0.0, b""
    heard: list[tuple[float, bytes]] = []
    quiet_since = 0.0
    for samples, pause, loud in [*frames, (0, 9.0, False)]:
        audio = (noise(samples) if loud else np.ones(samples, "<i2")).tobytes()
        try:
            stream.add(audio, RATE, 1, now)
            sent += audio
        except BadAudio:
            pass  # 30 s ahead
        end = now + pause
        while (wait := stream.wait(now)) is not None and now + wait < end:
            now += max(wait, 1e-6)
            if piece := stream.take(now):
                if not any(piece):
                    assert now >= quiet_since + GAP_SECONDS
                heard.append((now, piece))
        now, quiet_since = end, end
    assert b"".join(piece for _, piece in heard if any(piece)) == sent
    assert all(len(piece) <= GULP for _, piece in heard)
    times = [at for at, _ in heard]
    assert times == sorted(times)


RUNS = st.lists(
    st.tuples(st.integers(1, 40), st.booleans(), st.floats(-120, 0), PAUSES), max_size=10
)  # windows, voiced, level; then a pause


@BY_COUNT
@given(RUNS)
def test_each_loud_sound_has_one_outcome(runs: list[tuple[int, bool, float, int]]) -> None:
    stretches = Stretches()
    for windows, voiced, level, pause in runs:
        levels = [(voiced, level)] * windows + [(False, -120.0)] * pause
        ended = [stretches.feed(voice, db, speaking=False) for voice, db in levels]
        told = [stretch for stretch in ended if stretch]
        loud = level >= -45 or (voiced and windows >= 3)
        assert len(told) == loud
        for stretch in told:
            assert stretch.message.count("\n") == 0
            assert stretch.level_db == level


EVENTS = st.lists(
    st.tuples(st.sampled_from(["stretch", "words", "begins", "ends"]), st.floats(0.1, 4))
)


@BY_COUNT
@given(EVENTS)
def test_speech_has_one_outcome_in_any_order_of_events(events: list[tuple[str, float]]) -> None:
    stretches = Stretches()
    for _ in range(20):
        stretches.feed(True, -20, speaking=True)
    speech = stretches.feed(False, -90, speaking=False)
    assert speech is not None
    hearing, now, told, spoken = Hearing(), 0.0, [], 0
    for event, seconds in [*events, ("ends", 60.0), ("", 0.0)]:
        match event:
            case "stretch":
                spoken += 1
                told += hearing.ended(speech, now)
            case "words":
                told += hearing.words(now)
            case "begins" | "ends":
                hearing.turn(event == "begins", now)
            case _:
                pass
        now += seconds
        told += hearing.due(now)
    assert len(told) == spoken
    assert {stretch.outcome for stretch in told} <= {Outcome.HEARD, Outcome.NOT_RECOGNIZED}
