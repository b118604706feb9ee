"""The caller's audio, in any shape, becomes a steady stream."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from pipecat.frames.frames import EndFrame, Frame, InputAudioRawFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.workers.runner import WorkerRunner

from ..sound_input import (
    AHEAD_SECONDS,
    GAP_SECONDS,
    QUIET_SECONDS,
    SPEED,
    AudioDroppedFrame,
    BadAudio,
    MonoStream,
    SoundInput,
    SteadyStream,
)

RATE = 16_000
PIECE, GULP = 640, 3200  # 20 ms, 100 ms

Frames = list[tuple[float, bytes]]  # time, and mono audio at RATE


def sound(seconds: float) -> bytes:
    """Return noise, of which no sample is 0."""
    samples = np.random.default_rng(0).integers(1, 30_000, int(seconds * RATE))
    return samples.astype("<i2").tobytes()


def hiss(seconds: float) -> bytes:
    """Return noise of -60 dB, as of a quiet room."""
    return np.random.default_rng(0).normal(0, 33, int(seconds * RATE)).astype("<i2").tobytes()


def play(frames: Frames, until: float) -> Frames:
    """Return the pieces that are heard, with their times, if these frames come at theirs."""
    stream, heard, now = SteadyStream(RATE), [], 0.0
    for at, audio in [*frames, (until, b"")]:
        while (wait := stream.wait(now)) is not None and now + wait < at:
            now += max(wait, 1e-6)
            if piece := stream.take(now):
                heard.append((now, piece))
        now = at
        stream.add(audio, RATE, 1, now)
    return heard


def cut(audio: bytes, size: int, every: float, start: float = 1.0) -> Frames:
    """Return frames of this size in bytes, one every so many seconds."""
    return [
        (start + n * every, audio[i : i + size]) for n, i in enumerate(range(0, len(audio), size))
    ]


@pytest.mark.parametrize("ms", [10, 20, 60, 500, 2000])
def test_chunks_are_heard_whole_and_without_silence(ms: int) -> None:
    audio = sound(6)
    frames = cut(audio, ms * RATE // 1000 * 2, ms / 1000)
    heard = play(frames, frames[-1][0] + ms / 1000)
    assert b"".join(piece for _, piece in heard) == audio
    assert max(len(piece) for _, piece in heard) <= PIECE


def test_burst_is_heard_faster_than_real_time_but_not_at_once() -> None:
    audio = sound(2)
    heard = play([(0.0, audio)], 2)
    assert b"".join(piece for _, piece in heard) == audio
    assert heard[-1][0] == pytest.approx(2 / SPEED, abs=0.01)


def test_pause_in_sending_is_silence_in_real_time() -> None:
    audio = sound(1)
    frames = cut(audio, PIECE, 0.02, start=0.0)
    heard = play(frames, 4)
    silence = [at for at, piece in heard if not any(piece)]
    assert silence[0] == pytest.approx(1 + GAP_SECONDS, abs=0.03)
    seconds = sum(len(piece) for at, piece in heard if at in silence) / 2 / RATE
    assert seconds == pytest.approx(3 - GAP_SECONDS, abs=0.1)


def test_late_frames_of_a_short_stall_follow_without_silence() -> None:
    audio = sound(2)
    frames = [(at if at < 1 else max(at, 1.5), piece) for at, piece in cut(audio, PIECE, 0.02, 0.0)]
    assert b"".join(piece for _, piece in play(frames, 2)) == audio


@pytest.mark.parametrize("ms", [10, 20, 60])
def test_quiet_stream_is_heard_whole_in_longer_pieces(ms: int) -> None:
    audio = hiss(6)
    heard = play(cut(audio, ms * RATE // 1000 * 2, ms / 1000), 7.5)
    assert b"".join(piece for _, piece in heard if any(piece)) == audio
    assert {len(piece) for _, piece in heard} == {GULP}


@pytest.mark.parametrize("begin", [1.0, 1.02, 1.04, 1.06, 1.08])
def test_speech_and_what_came_before_it_do_not_wait(begin: float) -> None:
    audio = hiss(begin) + sound(1)
    heard = play(cut(audio, PIECE, 0.02, start=0.0), begin + 1.5)
    assert b"".join(piece for _, piece in heard) == audio
    before = 0
    for at, piece in heard:
        assert at < begin or len(piece) <= PIECE
        if before > 2 * RATE * (begin + 0.04):  # by then it has caught up
            assert at - before / 2 / RATE < 0.01  # after the frame that began with it
        before += len(piece)


def test_short_pause_belongs_to_speech() -> None:
    audio = sound(0.1) + hiss(3)
    heard = play(cut(audio, PIECE, 0.02, start=0.0), 3.1)
    assert {len(piece) for at, piece in heard if at < QUIET_SECONDS} == {PIECE}
    assert {len(piece) for at, piece in heard if at > QUIET_SECONDS + 0.2} == {GULP}


def test_speech_in_a_long_burst_is_heard_in_short_pieces() -> None:
    audio = sound(8)
    heard = play([(0.0, audio)], 3)
    assert b"".join(piece for _, piece in heard) == audio
    assert {len(piece) for _, piece in heard} == {PIECE}


def test_nothing_is_heard_before_the_first_frame() -> None:
    assert play([], 10) == []


@pytest.mark.parametrize("size", [1, 641, 999])
def test_half_of_a_sample_waits_for_its_rest(size: int) -> None:
    audio = sound(0.5)
    stream = MonoStream(RATE)
    parts = [stream.feed(audio[i : i + size], RATE, 1) for i in range(0, len(audio), size)]
    assert b"".join(parts) == audio


def test_channels_are_mixed() -> None:
    audio = np.array([100, 300, -5, -7], "<i2").tobytes()
    assert MonoStream(RATE).feed(audio, RATE, 2) == np.array([200, -6], "<i2").tobytes()


@pytest.mark.parametrize("rate", [8000, 22_050, 44_100, 48_000, 96_000])
def test_rates_are_converted(rate: int) -> None:
    tone = (9000 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)).astype("<i2")
    stream, size = MonoStream(RATE), rate // 50
    parts = [stream.feed(tone[i : i + size].tobytes(), rate, 1) for i in range(0, rate, size)]
    heard = np.frombuffer(b"".join(parts), "<i2")
    assert len(heard) / RATE > 0.93  # the filter delays by 20 ms, from 8 kHz by 60
    peak = np.argmax(np.abs(np.fft.rfft(heard[-8000:])))
    assert (peak * 2, round(float(heard.max()), -3)) == (440, 9000)


@pytest.mark.parametrize(
    ("rate", "channels", "wrong"),
    [(0, 1, "0 Hz"), (4 * 10**9, 1, "Hz"), (RATE, 0, "0 ch"), (RATE, 99, "99")],
)
def test_impossible_audio_is_refused_with_what_to_send(
    rate: int, channels: int, wrong: str
) -> None:
    with pytest.raises(BadAudio, match=f"{wrong}.*Send"):
        MonoStream(RATE).feed(sound(0.1), rate, channels)


def test_audio_far_ahead_of_real_time_is_refused() -> None:
    stream = SteadyStream(RATE)
    stream.add(sound(AHEAD_SECONDS + 1), RATE, 1, now=0.0)
    with pytest.raises(BadAudio, match="faster than real time"):
        stream.add(sound(1), RATE, 1, now=0.0)


class Ear(FrameProcessor):
    """Keeps all frames."""

    def __init__(self) -> None:
        super().__init__()
        self.frames: list[Frame] = []

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        self.frames.append(frame)
        await self.push_frame(frame, direction)


def heard_in(frames: list[Frame]) -> bytes:
    return b"".join(frame.audio for frame in frames if isinstance(frame, InputAudioRawFrame))


def hear(sent: list[InputAudioRawFrame], until: int) -> list[Frame]:
    """Return the frames behind a SoundInput, until so many bytes of audio are among them."""

    async def run() -> list[Frame]:
        ear = Ear()
        worker = PipelineWorker(Pipeline([SoundInput(), ear]), enable_rtvi=False)
        runner = WorkerRunner(handle_sigint=False)
        await runner.add_workers(worker)
        running = asyncio.create_task(runner.run())
        await worker.queue_frames(sent)
        while len(heard_in(ear.frames)) < until:
            await asyncio.sleep(0.01)
        await worker.queue_frames([EndFrame()])
        await running
        return ear.frames

    return asyncio.run(asyncio.wait_for(run(), 10))


def test_pipeline_hears_pieces_and_is_told_once_of_what_is_dropped() -> None:
    bad = [InputAudioRawFrame(sound(0.02), 7, 1) for _ in range(3)]
    good = InputAudioRawFrame(np.repeat(np.frombuffer(sound(0.2), "<i2"), 2).tobytes(), RATE, 2)
    frames = hear([*bad, good], len(sound(0.2)))
    assert heard_in(frames) == sound(0.2)
    [dropped] = [frame for frame in frames if isinstance(frame, AudioDroppedFrame)]
    assert dropped.reason == "its sample rate is 7 Hz. Send 8000 to 192000 Hz."


def test_pipeline_hears_silence_when_a_quiet_caller_stops_sending() -> None:
    frames = hear([InputAudioRawFrame(hiss(0.02), RATE, 1)], PIECE + GULP)
    assert heard_in(frames) == hiss(0.02) + bytes(GULP)
