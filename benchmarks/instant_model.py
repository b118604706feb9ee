"""A model like Nova Sonic that takes no time: it answers each utterance with a tone, at once."""

from __future__ import annotations

import math
from array import array

from pipecat.frames.frames import (
    Frame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    UserStoppedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.utils.time import time_now_iso8601

RATE, SECONDS, PIECES = 24_000, 2, 50
TONE = array(
    "h", (round(9000 * math.sin(2 * math.pi * 880 * n / RATE)) for n in range(SECONDS * RATE))
).tobytes()


class InstantModel(FrameProcessor):
    """Speaks when the caller has spoken, in pieces as a model sends them."""

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
