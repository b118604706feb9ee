"""Each stretch of sound gets one outcome, with what to do."""

from __future__ import annotations

import asyncio
import json
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pipecat.audio.vad.vad_analyzer import VADParams, VADState
from pipecat.frames.frames import Frame, InputAudioRawFrame, TranscriptionFrame
from pipecat.observers.base_observer import FramePushed
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from ..hearing import Hearing, HearingObserver, Outcome, SpeechDetector, Stretch, Stretches
from ..sound_input import AudioDroppedFrame
from .test_sound_input import cut, play

RATE = 16_000
QUESTION = Path(__file__).parents[3] / "tests" / "question.wav"
with_question = pytest.mark.skipif(not QUESTION.exists(), reason="tests/ has no question.wav")
SPEECH = Stretch(Outcome.NOT_RECOGNIZED, 1.0, -20.0)


def question(level_db: float) -> np.ndarray:
    """Return a spoken question at this level (RMS), 16 kHz."""
    with wave.open(str(QUESTION)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768
    return samples * 10 ** (level_db / 20) / np.sqrt(np.mean(samples**2))


def silence(seconds: float) -> np.ndarray:
    return np.zeros(int(seconds * RATE))


def noise(seconds: float, level_db: float) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 10 ** (level_db / 20), int(seconds * RATE))


def pcm(*sounds: np.ndarray) -> bytes:
    return np.rint(np.clip(np.concatenate(sounds), -1, 1) * 32767).astype("<i2").tobytes()


def hear(
    *sounds: np.ndarray, params: VADParams | None = None
) -> tuple[list[VADState], list[Stretch]]:
    """Return the states of the detector, 50 a second, and the stretches."""
    audio = pcm(silence(0.5), *sounds, silence(1))

    async def run() -> tuple[list[VADState], list[Stretch]]:
        detector = SpeechDetector(params)
        detector.set_sample_rate(RATE)
        pieces = [audio[i : i + 640] for i in range(0, len(audio), 640)]
        states = [await detector.analyze_audio(piece) for piece in pieces]
        await detector.cleanup()
        return states, detector.take()

    return asyncio.run(run())


@with_question
@pytest.mark.parametrize("level", [-15, -25, -35])
def test_speech_is_heard(level: int) -> None:
    states, stretches = hear(question(level))
    assert VADState.SPEAKING in states
    assert states[-1] is VADState.QUIET
    assert {stretch.outcome for stretch in stretches} == {Outcome.NOT_RECOGNIZED}


@with_question
def test_quiet_speech_tells_its_level() -> None:
    states, [stretch] = hear(question(-62))
    assert set(states) == {VADState.QUIET}
    assert stretch.outcome is Outcome.TOO_QUIET
    assert f"{stretch.level_db:.0f} dBFS, and -45 are needed" in stretch.message


@with_question
@pytest.mark.parametrize("begin", [1.04, 1.08])
def test_speech_is_noticed_in_a_quiet_stream_as_in_short_pieces(begin: float) -> None:
    """sound_input.py lets the quiet before it wait, for up to 0.1 s."""
    frames = cut(pcm(noise(begin, -65), question(-38)), 640, every=0.02, start=0.0)
    assert noticed(play(frames, until=3.0)) == pytest.approx(noticed(frames), abs=0.01)


def noticed(pieces: list[tuple[float, bytes]]) -> float:
    """Return when the detector takes pieces, with their times, for speech."""

    async def run() -> list[float]:
        detector = SpeechDetector()
        detector.set_sample_rate(RATE)
        states = [(at, await detector.analyze_audio(piece)) for at, piece in pieces]
        return [at for at, state in states if state is VADState.SPEAKING]

    return asyncio.run(run())[0]


@with_question
def test_loudness_that_the_bot_requires_counts() -> None:
    states, _ = hear(question(-35), params=VADParams(min_volume=0.9))
    assert set(states) == {VADState.QUIET}


def test_noise_is_not_speech() -> None:
    states, [stretch] = hear(noise(2, -30))
    assert VADState.SPEAKING not in states
    assert (stretch.outcome, round(stretch.seconds)) == (Outcome.NOT_SPEECH, 2)


def test_click_is_not_speech() -> None:
    _, [stretch] = hear(noise(0.01, -10))
    assert stretch.outcome is Outcome.NOT_SPEECH


def test_silence_and_hiss_are_no_sound() -> None:
    assert hear(silence(3))[1] == hear(noise(3, -60))[1] == []


@with_question
def test_gap_ends_speech_and_zeros_do_not_begin_it() -> None:
    """sound_input.py replaces a gap by silence."""
    states, _ = hear(question(-20)[: int(1.2 * RATE)], silence(3))
    begins = [n for n, state in enumerate(states) if state is VADState.SPEAKING]
    assert VADState.SPEAKING not in states[begins[0] + 100 :]


def feed(stretches: Stretches, windows: int, voiced: bool, level: float) -> list[Stretch]:
    ended = [stretches.feed(voiced, level, speaking=False) for _ in range(windows)]
    return [stretch for stretch in ended if stretch]


def test_short_voice_tells_its_length() -> None:
    stretches = Stretches()
    assert feed(stretches, 4, True, -20) == []
    [stretch] = feed(stretches, 20, False, -90)
    assert stretch.outcome is Outcome.TOO_SHORT
    assert stretch.message.startswith("0.13 s of speech were too short: 0.15 s are needed.")


def test_sound_that_goes_on_is_told_once() -> None:
    stretches = Stretches()
    assert len(feed(stretches, 2000, False, -30)) == 1
    assert feed(stretches, 20, False, -90) == []
    feed(stretches, 5, False, -30)
    assert len(feed(stretches, 20, False, -90)) == 1


def test_transcript_makes_speech_heard() -> None:
    hearing = Hearing()
    hearing.turn(begins=True, now=0)
    assert hearing.ended(SPEECH, now=2) == []
    [heard] = hearing.words(now=6)
    assert (heard.outcome, heard.message) == (Outcome.HEARD, "heard 1.0 s of speech")
    assert hearing.due(now=60) == []


def test_transcript_may_come_before_the_end_of_speech() -> None:
    hearing = Hearing()
    hearing.words(now=9.8)
    assert [sound.outcome for sound in hearing.ended(SPEECH, now=10)] == [Outcome.HEARD]


def test_speech_without_a_transcript_is_told_after_the_turn() -> None:
    hearing = Hearing()
    hearing.turn(begins=True, now=0)
    hearing.ended(SPEECH, now=2)
    assert hearing.due(now=6) == []
    hearing.turn(begins=False, now=7)
    assert hearing.due(now=9) == []
    [told] = hearing.due(now=10)
    assert told.outcome is Outcome.NOT_RECOGNIZED
    assert hearing.due(now=11) == []


@pytest.mark.parametrize("outcome", [Outcome.TOO_QUIET, Outcome.TOO_SHORT])
def test_model_that_hears_by_itself_hears_more(outcome: Outcome) -> None:
    hearing = Hearing()
    hearing.ended(Stretch(outcome, 0.1, -50.0), now=2)
    assert [sound.outcome for sound in hearing.words(now=3)] == [Outcome.HEARD]


def test_echo_of_the_agent_is_not_told() -> None:
    hearing = Hearing()
    hearing.agent_speaks(speaks=True, now=0)
    hearing.ended(Stretch(Outcome.TOO_QUIET, 1.0, -60.0), now=2)
    hearing.agent_speaks(speaks=False, now=3)
    hearing.ended(Stretch(Outcome.NOT_SPEECH, 1.0, -30.0), now=4)
    assert hearing.due(now=60) == []
    hearing.ended(Stretch(Outcome.NOT_SPEECH, 1.0, -30.0), now=9)
    assert len(hearing.due(now=60)) == 1


class HeardOnce(SpeechDetector):
    """A detector that has heard one second of speech."""

    def __init__(self) -> None:
        super().__init__()
        self._ended.append(SPEECH)


def test_outcomes_go_to_the_log_and_the_client(capsys: pytest.CaptureFixture[str]) -> None:
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def run(*frames: Frame) -> None:
        observer, source = HearingObserver(HeardOnce(), send), FrameProcessor()
        for frame in frames:
            await observer.on_push_frame(
                FramePushed(source, source, frame, FrameDirection.DOWNSTREAM, timestamp=0)
            )
            await observer.on_heard(source, frame)

    silent = InputAudioRawFrame(bytes(640), RATE, 1)
    words = TranscriptionFrame("What time is it?", user_id="", timestamp="")
    asyncio.run(run(AudioDroppedFrame("its sample rate is 7 Hz."), silent, words))
    assert [(told["type"], told["outcome"]) for told in sent] == [
        ("sound", "dropped"),
        ("sound", "heard"),
    ]
    assert sent[0]["message"] == "Audio was dropped: its sample rate is 7 Hz."
    assert (sent[1]["seconds"], sent[1]["level_db"], sent[1]["threshold_db"]) == (1.0, -20.0, -45)
    logged = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["message"] for line in logged] == [told["message"] for told in sent]
