"""A bot that replaces the project's own: it repeats the sound that it receives."""

from __future__ import annotations

import os
from array import array
from pathlib import Path

from pipecat.frames.frames import Frame, InputAudioRawFrame, OutputAudioRawFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.aggregators.llm_response_universal import (
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.transports.base_transport import BaseTransport

TOOLS: list[object] = []
LOUD = 500
OVER_SECONDS = 0.3


def greeting() -> list[Frame]:
    return []


def listening() -> LLMUserAggregatorParams:
    return LLMUserAggregatorParams()


def pipeline(transport: BaseTransport, context: LLMContextAggregatorPair) -> Pipeline:
    return Pipeline([transport.input(), Echo(), transport.output()])


class Echo(FrameProcessor):
    """Repeats a sound after its end; as synthesis does, faster than real time.

    Writes all incoming sound to a file of the process's own, as 16-bit mono PCM at 16 kHz.
    """

    def __init__(self) -> None:
        super().__init__()
        self._file = (Path(os.environ["HEARD"]) / str(os.getpid())).open("ab", buffering=0)
        self._heard = b""
        self._quiet = 0.0

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if not isinstance(frame, InputAudioRawFrame):
            await self.push_frame(frame, direction)
            return
        self._file.write(frame.audio)
        loud = max(array("h", frame.audio)) > LOUD
        self._quiet = 0.0 if loud else self._quiet + frame.num_frames / frame.sample_rate
        if loud or self._heard:
            self._heard += frame.audio
        if self._heard and self._quiet > OVER_SECONDS:
            await self.push_frame(OutputAudioRawFrame(self._heard, frame.sample_rate, 1))
            self._heard = b""
