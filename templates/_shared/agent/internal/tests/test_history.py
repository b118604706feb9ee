"""What a conversation keeps when its connection breaks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..conversation import heard

if TYPE_CHECKING:
    from pipecat.processors.aggregators.llm_context import LLMContextMessage

QUESTION: LLMContextMessage = {"role": "user", "content": "Are you open?"}
ANSWER: LLMContextMessage = {"role": "assistant", "content": "Until"}
CALL: LLMContextMessage = {"role": "assistant", "tool_calls": []}


def result(content: str) -> LLMContextMessage:
    return {"role": "tool", "content": content, "tool_call_id": "1"}


def test_an_answer_that_was_heard_stays() -> None:
    assert heard([QUESTION, ANSWER], cut=False) == [QUESTION, ANSWER]


def test_an_answer_that_was_cut_off_is_given_again() -> None:
    assert heard([QUESTION, ANSWER], cut=True) == [QUESTION]
    assert heard([ANSWER], cut=True) == []


def test_a_finished_tool_is_not_called_again_but_an_unfinished_one_is() -> None:
    assert heard([QUESTION, CALL, result("{}"), ANSWER], cut=True) == [QUESTION, CALL, result("{}")]
    assert heard([QUESTION, CALL, result("IN_PROGRESS")], cut=True) == [QUESTION]
