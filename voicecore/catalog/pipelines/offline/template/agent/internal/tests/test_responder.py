"""One example for each rule of the responder."""

from __future__ import annotations

from datetime import datetime

import pytest
from loguru import logger
from pipecat.processors.aggregators import async_tool_messages
from pipecat.processors.aggregators.llm_context import LLMContextMessage
from pipecat.services.llm_service import FunctionCallParams

from ..responder import Responder, ToolCall, respond

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


def test_keys_are_told() -> None:
    assert answer("(pressed 1 2 # on the telephone)") == "You pressed 1 2 pound."


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("What is the weather today?", ToolCall("weather", {})),
        ("Call order status with 1042.", ToolCall("order_status", {"number": "1042"})),
        (
            "What is my order status?",
            "I heard: What is my order status. My few rules have no answer",
        ),
        ("Play the music.", "I heard: Play the music. My few rules have no answer"),
    ],
)
def test_tools_are_called_by_their_names(said: str, expected: str | ToolCall) -> None:
    tools = {"play_my_music": "", "weather": "", "order_status": "number"}
    messages: list[LLMContextMessage] = [{"role": "user", "content": said}]
    answer = respond(messages, NOW, tools)
    assert answer == expected or str(answer).startswith(str(expected))


def test_tools_that_no_rule_calls_are_reported_at_start() -> None:
    async def opening_hours(params: FunctionCallParams, day: str, month: str) -> None: ...
    async def book_table(
        params: FunctionCallParams, day: str, people: int, name: str = ""
    ) -> None: ...
    async def weather(params: FunctionCallParams, city: str) -> None: ...

    warnings: list[str] = []
    sink = logger.add(warnings.append, level="WARNING", format="{message}")
    Responder("", [opening_hours, book_table, weather])
    logger.remove(sink)
    (warning,) = warnings
    assert "do not call the tool book_table" in warning and "its day and people in" in warning


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
        ("null", "That is done."),
        ('["milk", "eggs"]', "The answer is milk, eggs."),
        ('{"order_number": 7, "state": "on_hold"}', "The order number is 7, the state is on hold."),
        ('{"error": "no such order."}', "Sorry, that did not work: no such order."),
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
