"""A bot whose services take no time, so that a benchmark measures only transport and pipeline.

It greets with a tone and answers with one. Turn detection is Silero and smart-turn, as elsewhere.
"""

from __future__ import annotations

import math
from array import array

from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.frames.frames import (
    Frame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSTextFrame,
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

TOOLS: list[object] = []
RATE = 24_000
TONE = array("h", (round(9000 * math.sin(2 * math.pi * 880 * n / RATE)) for n in range(RATE // 2)))


def greeting() -> list[Frame]:
    return [*spoken()]


def listening() -> LLMUserAggregatorParams:
    return LLMUserAggregatorParams(vad_analyzer=SileroVADAnalyzer())


def pipeline(transport: BaseTransport, context: LLMContextAggregatorPair) -> Pipeline:
    return Pipeline([transport.input(), InstantSTT(), context.user(), InstantLLM(), InstantTTS(),
                     transport.output(), context.assistant()])  # fmt: skip


def spoken() -> list[Frame]:
    sound = TTSAudioRawFrame(TONE.tobytes(), RATE, 1)
    return [TTSStartedFrame(), sound, TTSTextFrame("Beep.", "word"), TTSStoppedFrame()]


class InstantSTT(FrameProcessor):
    """Transcribes every utterance as "hello", at once."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)
        if isinstance(frame, VADUserStoppedSpeakingFrame):
            said = TranscriptionFrame("hello", "", time_now_iso8601(), finalized=True)
            await self.push_frame(said)


class InstantLLM(FrameProcessor):
    """Answers "Beep.", at once."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if not isinstance(frame, LLMContextFrame):
            await self.push_frame(frame, direction)
            return
        answer = [LLMFullResponseStartFrame(), LLMTextFrame("Beep."), LLMFullResponseEndFrame()]
        for part in answer:
            await self.push_frame(part)


class InstantTTS(FrameProcessor):
    """Speaks a tone, at once."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)
        if isinstance(frame, LLMTextFrame):
            for part in spoken():
                await self.push_frame(part)
