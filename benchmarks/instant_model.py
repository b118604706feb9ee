"""A bot like Pipecat's examples, with a model that answers each utterance with a tone, at once."""

from __future__ import annotations

import math
from array import array

from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.frames.frames import (
    Frame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    UserStoppedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.processors.aggregators.llm_response_universal import (
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.transports.base_transport import BaseTransport
from pipecat.utils.time import time_now_iso8601

RATE, SECONDS, PIECES = 24_000, 2, 50
TONE = array(
    "h", (round(9000 * math.sin(2 * math.pi * 880 * n / RATE)) for n in range(SECONDS * RATE))
).tobytes()


class InstantModel(FrameProcessor):
    """Hears as Nova Sonic does, and answers in pieces as a model sends them."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)
        if isinstance(frame, VADUserStoppedSpeakingFrame):
            said = TranscriptionFrame("hello", "", time_now_iso8601(), finalized=True)
            await self.push_frame(said, FrameDirection.UPSTREAM)
        elif isinstance(frame, UserStoppedSpeakingFrame):
            await self.push_frame(TTSStartedFrame())
            size = len(TONE) // PIECES
            for begin in range(0, len(TONE), size):
                await self.push_frame(TTSAudioRawFrame(TONE[begin : begin + size], RATE, 1))
            await self.push_frame(TTSStoppedFrame())


def greeting() -> list[Frame]:
    return []


def listening() -> LLMUserAggregatorParams:
    return LLMUserAggregatorParams(vad_analyzer=SileroVADAnalyzer())


def pipeline(transport: BaseTransport, context: LLMContextAggregatorPair) -> Pipeline:
    return Pipeline([transport.input(), context.user(), InstantModel(), transport.output(),
                     context.assistant()])  # fmt: skip
