"""The history that a conversation keeps when its connection breaks."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest
from pipecat.frames.frames import InterruptionFrame, OutputAudioRawFrame
from pipecat.processors.aggregators.async_tool_messages import build_started_message
from pipecat.processors.frame_processor import FrameProcessor

from ..conversation import Playback, heard_by_user, note_cancelled

if TYPE_CHECKING:
    from pipecat.processors.aggregators.llm_context import LLMContextMessage

QUESTION: LLMContextMessage = {"role": "user", "content": "Are you open?"}
ANSWER: LLMContextMessage = {"role": "assistant", "content": "Until"}
CALL: LLMContextMessage = {"role": "assistant", "tool_calls": []}


def result(content: str) -> LLMContextMessage:
    return {"role": "tool", "content": content, "tool_call_id": "1"}


def test_heard_answer_is_kept() -> None:
    assert heard_by_user([QUESTION, ANSWER], cut=False) == [QUESTION, ANSWER]


def test_cut_answer_is_dropped() -> None:
    assert heard_by_user([QUESTION, ANSWER], cut=True) == [QUESTION]
    assert heard_by_user([ANSWER], cut=True) == []


def test_client_plays_what_was_sent_until_an_interruption() -> None:
    output = FrameProcessor()
    playback = Playback(output)

    async def play(*seconds: float) -> None:
        for each in seconds:
            sound = bytes(2 * int(each * 24_000))
            await output.push_frame(OutputAudioRawFrame(sound, sample_rate=24_000, num_channels=1))

    asyncio.run(play(1, 0.5))
    assert playback.until == pytest.approx(time.monotonic() + 1.5, abs=0.2)
    asyncio.run(output.push_frame(InterruptionFrame()))
    assert playback.until < time.monotonic()


def test_finished_tool_is_kept_and_unfinished_one_dropped() -> None:
    finished = [QUESTION, CALL, result("{}")]
    assert heard_by_user([*finished, ANSWER], cut=True) == finished
    for placeholder in (result("IN_PROGRESS"), build_started_message("1")):
        assert heard_by_user([QUESTION, CALL, placeholder], cut=True) == [QUESTION]


def test_cancelled_tool_does_not_run_on_in_the_history() -> None:
    messages = [QUESTION, CALL, result("IN_PROGRESS"), result("{}")]
    note_cancelled(messages, "2")
    assert messages == [QUESTION, CALL, result("IN_PROGRESS"), result("{}")]
    note_cancelled(messages, "1")
    assert messages == [QUESTION, CALL, result("CANCELLED"), result("{}")]
