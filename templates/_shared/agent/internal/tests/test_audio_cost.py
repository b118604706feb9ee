"""Observers are told of no audio that they ignore, and the caller's ends after its last reader."""

from __future__ import annotations

import asyncio

from pipecat.frames.frames import (
    EndFrame,
    Frame,
    InputAudioRawFrame,
    OutputAudioRawFrame,
    TextFrame,
)
from pipecat.observers.base_observer import BaseObserver, FrameProcessed, FramePushed
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.workers.runner import WorkerRunner

from ..audio_cost import EndOfInput, Worker

SOUND = InputAudioRawFrame(bytes(640), sample_rate=16_000, num_channels=1)
ANSWER = OutputAudioRawFrame(bytes(960), sample_rate=24_000, num_channels=1)


class Pushes(BaseObserver):
    """Keeps the kinds of frames that are pushed."""

    def __init__(self) -> None:
        super().__init__()
        self.kinds: list[type[Frame]] = []

    async def on_push_frame(self, data: FramePushed) -> None:
        self.kinds.append(type(data.frame))


class Both(Pushes):
    """Also keeps those that processors begin with."""

    def __init__(self) -> None:
        super().__init__()
        self.begun: list[type[Frame]] = []

    async def on_process_frame(self, data: FrameProcessed) -> None:
        self.begun.append(type(data.frame))


class Last(FrameProcessor):
    """Keeps the kinds of frames that reach it."""

    def __init__(self) -> None:
        super().__init__()
        self.kinds: list[type[Frame]] = []

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        self.kinds.append(type(frame))
        await self.push_frame(frame, direction)


def run(processors: list[FrameProcessor], observer: BaseObserver) -> None:
    """Let a sound, an answer and a text pass."""

    async def hold() -> None:
        worker = Worker(Pipeline(processors), observers=[observer], enable_rtvi=False)
        await worker.queue_frames([SOUND, ANSWER, TextFrame("hello"), EndFrame()])
        runner = WorkerRunner(handle_sigint=False)
        await runner.add_workers(worker)
        await runner.run()

    asyncio.run(hold())


def test_callers_audio_ends() -> None:
    last = Last()
    run([EndOfInput(), last], Pushes())
    assert InputAudioRawFrame not in last.kinds
    assert {OutputAudioRawFrame, TextFrame, EndFrame} <= set(last.kinds)


def test_observers_are_told_of_the_agents_audio_once_and_of_the_callers_never() -> None:
    pushes, last = Pushes(), Last()
    run([Last(), last], pushes)
    assert InputAudioRawFrame in last.kinds
    assert InputAudioRawFrame not in pushes.kinds
    assert pushes.kinds.count(OutputAudioRawFrame) == 1
    assert pushes.kinds.count(TextFrame) > 2
    assert EndFrame in pushes.kinds


def test_observer_that_listens_for_more_is_told() -> None:
    both = Both()
    run([Last()], both)
    assert {InputAudioRawFrame, TextFrame} <= set(both.begun)
