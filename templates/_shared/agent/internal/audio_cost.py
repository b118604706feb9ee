"""Owns what Pipecat does with each piece of audio though nothing needs it. AgentCore bills the CPU.

Pipecat 1.14 tells each observer of each step of each frame: 77 times for 20 ms of the caller's
silence. Its own observers ignore nearly all of that.
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
    """Pipecat's worker, whose observers learn of the agent's audio once, of the caller's never.

    For observers that need more, such as RTVI's with audio levels, use Pipecat's worker.
    """

    def __init__(
        self, pipeline: Pipeline, *, observers: list[BaseObserver], **options: Any
    ) -> None:
        super().__init__(pipeline, observers=observers, **options)
        # Pipecat has no option for this. It has added its own observers to the list.
        self._observer = Distributor(observers=observers)


class Distributor(WorkerObserver):
    """Tells observers nothing that all of them ignore."""

    async def on_process_frame(self, data: FrameProcessed) -> None:
        """Tell of a frame that a processor begins with, if an observer listens for that."""
        ignored = BaseObserver.on_process_frame
        if any(type(each).on_process_frame is not ignored for each in self._observers):
            await super().on_process_frame(data)

    async def on_push_frame(self, data: FramePushed) -> None:
        """Tell of a frame that is passed on."""
        frame = data.frame
        repeated = frame.id in self._frames_pushed
        if not isinstance(frame, InputAudioRawFrame) and not (
            repeated and isinstance(frame, AudioRawFrame)
        ):
            await super().on_push_frame(data)


class EndOfInput(FrameProcessor):
    """Ends the caller's audio, after the last step that needs it.

    A step that records both sides, such as Pipecat's AudioBufferProcessor, takes its place.
    """

    def __init__(self) -> None:
        super().__init__(enable_direct_mode=True)  # it does nothing that is worth a task

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Pass on everything else."""
        if not isinstance(frame, InputAudioRawFrame):
            await super().process_frame(frame, direction)
            await self.push_frame(frame, direction)
