"""Owns what Pipecat does with each piece of audio that nobody needs; AgentCore bills the CPU.

Pipecat 1.14 tells every observer of every hop of every frame: 77 times for 20 ms of a caller's
silence. Its own observers ignore audio, as do those of this agent.
"""

from __future__ import annotations

from typing import Any

from pipecat.frames.frames import AudioRawFrame, Frame, InputAudioRawFrame
from pipecat.observers.base_observer import BaseObserver, FrameProcessed, FramePushed
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.pipeline.worker_observer import WorkerObserver
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor


class Worker(PipelineWorker):
    """Pipecat's worker, whose observers are told only what they listen for."""

    def __init__(
        self, pipeline: Pipeline, *, observers: list[BaseObserver], **options: Any
    ) -> None:
        super().__init__(pipeline, observers=observers, **options)
        # The list has Pipecat's own by now. There is no option for another distributor.
        self._observer = Observers(observers=observers)


class Observers(WorkerObserver):
    """Pipecat's distributor to observers, without audio and without what none implements."""

    async def on_process_frame(self, data: FrameProcessed) -> None:
        """Tell of a frame that a processor begins with, if an observer implements it."""
        implemented = BaseObserver.on_process_frame
        if any(type(each).on_process_frame is not implemented for each in self._observers):
            await super().on_process_frame(data)

    async def on_push_frame(self, data: FramePushed) -> None:
        """Tell of a frame that is passed on; of the agent's audio once, of the caller's never."""
        frame = data.frame
        passed_on = frame.id in self._frames_pushed
        if isinstance(frame, InputAudioRawFrame) or (passed_on and isinstance(frame, AudioRawFrame)):
            return
        await super().on_push_frame(data)


class EndOfInput(FrameProcessor):
    """Ends the caller's audio. What records it belongs before this."""

    def __init__(self) -> None:
        super().__init__(enable_direct_mode=True)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Pass on everything else."""
        if not isinstance(frame, InputAudioRawFrame):
            await super().process_frame(frame, direction)
            await self.push_frame(frame, direction)
