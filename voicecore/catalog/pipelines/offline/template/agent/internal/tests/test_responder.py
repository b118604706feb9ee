"""One example for each rule of the responder."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import pytest
from pipecat.processors.aggregators import async_tool_messages
from pipecat.processors.aggregators.llm_context import LLMContextMessage

from ..responder import ToolCall, respond

if TYPE_CHECKING:
    from pipecat.processors.aggregators.llm_context import LLMContextMessage

NOW = datetime(2026, 11, 22, 15, 4)  # a Sunday


def answer(*said: str) -> str | ToolCall:
    return respond([{"role": "user", "content": text} for text in said], NOW)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("What time is it?", "It is 3:04 PM."),
        ("What day is it?", "It is Sunday, November 22."),
        ("What is twelve times seven?", "That is 84."),
        ("What is 12 times 7?", "That is 84."),
        ("twenty-one plus two hundred and five minus 3", "That is 223."),
        ("What's 2+3*4?", "That is 14."),
        ("10 divided by 4", "That is 2.5."),
        ("What is minus five plus three?", "That is -2."),
        ("6 times minus 7", "That is -42."),
        ("plus times", "I heard: plus times. My few rules have no answer to that."),
        ("What day is tomorrow?", "Tomorrow is Monday, November 23."),
        ("1 divided by zero", "I cannot divide by zero."),
        ("Repeat after me: the rain in Spain.", "the rain in Spain."),
        ("Repeat after me.", "Go ahead."),
        ("My name is Ada.", "Nice to meet you, Ada."),
        ("What is my name?", "You have not told me your name."),
        ("When are you open on Monday?", ToolCall("opening_hours", {"day": "Monday"})),
        ("Are you open today?", ToolCall("opening_hours", {"day": "Sunday"})),
        ("Are you open tomorrow?", ToolCall("opening_hours", {"day": "Monday"})),
    ],
)
def test_rules(said: str, expected: str | ToolCall) -> None:
    assert answer(said) == expected


def test_remembers_earlier_words() -> None:
    assert answer("My name is Ada.", "What is my name?") == "Your name is Ada."
    assert answer("Repeat after me.", "The rain.") == "The rain."


def test_says_that_it_is_rule_based() -> None:
    assert "rule-based" in str(answer("Who are you?"))
    assert answer("Banana!") == "I heard: Banana. My few rules have no answer to that."


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ('{"day": "Sunday", "hours": "noon to 4 PM"}', "On Sunday we are open from noon to 4 PM."),
        ('{"status": "shipped", "day": 2}', "The status is shipped, the day is 2."),
        ('"Your parcel is here."', "Your parcel is here."),
        ("84", "The answer is 84."),
        (
            '"The function `opening_hours` failed and returned no result."',
            "Sorry, I could not find that out.",
        ),
    ],
)
def test_speaks_the_result_of_a_tool(result: str, said: str) -> None:
    messages: list[LLMContextMessage] = [{"role": "tool", "content": result, "tool_call_id": "1"}]
    assert respond(messages, NOW) == said


def test_result_of_a_tool_that_survived_an_interruption_is_told() -> None:
    hours = '{"day": "Sunday", "hours": "noon to 4 PM"}'
    asked: LLMContextMessage = {"role": "user", "content": "What is 2 plus 2?"}
    late = async_tool_messages.build_final_result_message("1", hours)
    assert respond([asked, late], NOW) == "On Sunday we are open from noon to 4 PM."
