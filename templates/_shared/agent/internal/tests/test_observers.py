"""The latency that a conversation reports."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    InterruptionFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.observers.base_observer import FramePushed
from pipecat.observers.function_call_observer import FunctionCallEvent, FunctionCallEventKind
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from ..observers import STRAY, LatencyObserver, RunningTools

if TYPE_CHECKING:
    from pipecat.observers.user_bot_latency_observer import LatencyBreakdown


def test_transcript_that_comes_after_the_end_of_the_turn_counts() -> None:
    times = {
        100.2: VADUserStoppedSpeakingFrame(stop_secs=0.2, timestamp=100.2),
        105.2: InterruptionFrame(),  # Pipecat waits 5 s for a transcript
        106.2: TranscriptionFrame("What time is it?", user_id="", timestamp=""),
        106.3: LLMFullResponseStartFrame(),
        106.4: LLMTextFrame("Noon."),
        106.6: TTSAudioRawFrame(b"", 24_000, 1),
        106.7: BotStartedSpeakingFrame(),
    }

    async def measure() -> LatencyBreakdown:
        now = 0.0
        observer = LatencyObserver(time_source=lambda: now)
        measured = asyncio.get_running_loop().create_future()

        @observer.event_handler("on_latency_breakdown")
        async def on_latency(_: object, breakdown: LatencyBreakdown) -> None:
            measured.set_result(breakdown)

        source = FrameProcessor()
        for time, frame in times.items():
            now = time
            await observer.on_push_frame(
                FramePushed(source, source, frame, FrameDirection.DOWNSTREAM, 0)
            )
        return await asyncio.wait_for(measured, 10)

    breakdown = asyncio.run(measure())
    parts = {part.key: round(part.duration_secs, 3) for part in breakdown.contributions}
    assert parts["transcription"] == 6.0
    assert round(breakdown.total_secs, 3) == 6.7


def test_silence_is_not_counted_while_a_tool_runs() -> None:
    def event(kind: FunctionCallEventKind) -> FunctionCallEvent:
        return FunctionCallEvent(kind=kind, function_name="f", tool_call_id="1", timestamp=0.0)

    running = RunningTools()
    assert not running.ran_within(60)
    running.note(event(FunctionCallEventKind.STARTED))
    assert not running.ran_within(60)
    running.note(event(FunctionCallEventKind.IN_PROGRESS))
    assert running.ran_within(0)
    for end in (FunctionCallEventKind.COMPLETED, FunctionCallEventKind.CANCELLED):
        running.note(event(end))
        assert running.ran_within(60) and not running.ran_within(0)


def test_no_blank_follows_full_width_punctuation() -> None:
    for text, shown in (
        ("你好。 今天很好。", "你好。今天很好。"),
        ("こんにちは。 元気？", "こんにちは。元気？"),
        ("สวัสดี ครับ", "สวัสดี ครับ"),
        ("田中 太郎！ Hello. 你好", "田中 太郎！Hello. 你好"),
        ("안녕하세요. 네.", "안녕하세요. 네."),
    ):
        assert STRAY.sub("", text) == shown
