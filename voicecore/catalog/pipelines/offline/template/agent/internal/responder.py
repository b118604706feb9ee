"""Owns the rules that answer in place of a language model, so that the bot needs no account.

`Responder` is a Pipecat LLM service, so tools, interruptions and typed text work as they do with a
model. For a real model, replace `Responder(PROMPT, TOOLS)` in bot.py, for example with
`AWSBedrockLLMService(settings=AWSBedrockLLMService.Settings(model=..., system_instruction=PROMPT))`
from pipecat.services.aws.llm.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction

from loguru import logger
from pipecat.adapters.llm.schemas.direct_function import DirectFunction, DirectFunctionWrapper
from pipecat.frames.frames import (
    Frame,
    FunctionCallFromLLM,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
)
from pipecat.processors.aggregators import async_tool_messages
from pipecat.processors.aggregators.llm_context import (
    LLMContext,
    LLMContextMessage,
    standard_message_text,
)
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.llm_service import LLMService
from pipecat.services.settings import LLMSettings

REPEAT = re.compile(r"(?:please\s+)?(?:repeat after me|say)\b[\s,:.]*", re.I)
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True)
class ToolCall:
    """A tool to call, with its arguments."""

    name: str
    arguments: dict[str, str]


def respond(
    messages: Sequence[LLMContextMessage], now: datetime, named: Mapping[str, str] | None = None
) -> str | ToolCall:
    """Return the answer to the last message: the first rule that applies.

    `named` are tools that a caller calls by name, each with its argument, or an empty text:
    "the weather today" calls `weather_today`, and "order status with 1042" passes 1042 on.
    """
    last = messages[-1]
    role = last.get("role") if isinstance(last, dict) else ""
    text = standard_message_text(last).strip()
    if isinstance(last, dict) and (late := async_tool_messages.parse_message(last)):
        return _tell_result(late.result or "")
    said = text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    if role == "tool":
        return _tell_result(text)
    if role != "user":
        return "Sorry, I did not catch that."
    if keys := re.fullmatch(r"\(pressed (.+) on the telephone\)", said):  # internal/telephony.py
        return f"You pressed {keys[1].replace('*', 'star').replace('#', 'pound')}."
    if REPEAT.fullmatch(_user_texts(messages)[-2]):
        return text
    if REPEAT.fullmatch(text):
        return "Go ahead."
    if again := REPEAT.match(text):
        return text[again.end() :]
    if re.search(r"\bmy name\b", said) and re.search(r"\b(what|what's|tell|know|remember)\b", said):
        name = _last_name(messages)
        return f"Your name is {name}." if name else "You have not told me your name."
    if name := _name_in(text):
        return f"Nice to meet you, {name}."
    for name, argument in (named or {}).items():
        words = name.lower().split("_")
        value = re.search(rf"\b{' '.join(words)} with (.+?)[.?!]*$", text, re.I)
        if argument and value:
            return ToolCall(name, {argument: value[1]})
        if not argument and set(words) <= set(re.findall(r"\w+", said)):
            return ToolCall(name, {})
    if re.search(r"\b(open|opening|close|closing|hours)\b", said):
        return ToolCall("opening_hours", {"day": _day(said, now)})
    if (result := calculate(said)) is not None:
        return result
    if re.search(r"\btime\b", said):
        return f"It is {now.hour % 12 or 12}:{now.minute:02} {'AM' if now.hour < 12 else 'PM'}."
    if re.search(r"\b(date|day|today|tomorrow)\b", said):
        day = now + timedelta(days="tomorrow" in said)
        name = "Tomorrow" if "tomorrow" in said else "It"
        return f"{name} is {day:%A}, {day:%B} {day.day}."
    if re.search(r"\b(who|what) (are|can) you\b|\bhelp\b|\breal\b|\bhuman\b", said):
        return (
            "I am a simple, rule-based program, no language model. "
            "I can tell the time, do sums, repeat after you, and look up our opening hours."
        )
    if re.search(r"\b(hello|hi|hey|good (morning|afternoon|evening))\b", said):
        return "Hello! How can I help?"
    if re.search(r"\bthank", said):
        return "You are welcome."
    if re.search(r"\b(goodbye|bye)\b", said):
        return "Goodbye!"
    return f"I heard: {text.rstrip('.?!')}. My few rules have no answer to that."


def _tell_result(text: str) -> str:
    try:
        result = json.loads(text)
    except ValueError:
        return text
    if isinstance(result, dict) and result.keys() >= {"day", "hours"}:
        return f"On {result['day']} we are open from {result['hours']}."
    if isinstance(result, str):
        # Pipecat's own words for a tool that raised an exception.
        failed = result.startswith("The function `") and "failed" in result
        return "Sorry, I could not find that out." if failed else result
    if isinstance(result, dict) and (error := result.get("error")):
        return f"Sorry, that did not work: {_plain(error)}."
    if isinstance(result, dict) and result:
        facts = ", ".join(f"the {_plain(key)} is {_plain(value)}" for key, value in result.items())
        return f"{facts[:1].upper()}{facts[1:]}."
    return f"The answer is {_plain(result)}." if result is not None else "That is done."


def _plain(value: object) -> str:
    """Return a value of a tool's result in words that can be spoken."""
    if isinstance(value, dict):
        return ", ".join(f"{_plain(key)} {_plain(each)}" for key, each in value.items())
    if isinstance(value, list):
        return ", ".join(map(_plain, value)) or "none"
    if value is None or isinstance(value, bool):
        return {None: "not known", True: "yes", False: "no"}[value]
    return str(value).replace("_", " ").rstrip(".")


def _name_in(text: str) -> str | None:
    found = re.search(r"\b(?:my name is|my name's|call me|i am called)\s+([A-Za-z'-]+)", text, re.I)
    return found[1].title() if found else None


def _last_name(messages: Sequence[LLMContextMessage]) -> str | None:
    names = [name for text in _user_texts(messages) if (name := _name_in(text))]
    return names[-1] if names else None


def _user_texts(messages: Sequence[LLMContextMessage]) -> list[str]:
    """Return the user's texts, after two empty ones, so that there is always a previous text."""
    said = (m for m in messages if isinstance(m, dict) and m.get("role") == "user")
    return ["", "", *(standard_message_text(message).strip() for message in said)]


def _day(said: str, now: datetime) -> str:
    named = [day for day in DAYS if day.lower() in said]
    date = now + timedelta(days=1) if "tomorrow" in said else now
    return named[0] if named else DAYS[date.weekday()]


# --- arithmetic, in digits and words ---

_UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_NUMBERS = {word: n for n, word in enumerate(_UNITS)} | {
    word: 10 * n for n, word in enumerate(_TENS, start=2)
}
_SCALES = {"hundred": 100, "thousand": 1_000, "million": 1_000_000}
_OPERATORS = {"plus": "+", "minus": "-", "times": "*", "x": "*", "over": "/", "divided": "/"}
_OPERATORS |= {"multiplied": "*", "×": "*", "÷": "/"} | {symbol: symbol for symbol in "+-*/"}
_TOKEN = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?|[a-z]+|[-+*/×÷]")


def calculate(said: str) -> str | None:
    """Return the result of the calculation in `said` as a sentence; None if there is none."""
    numbers: list[Fraction] = []
    operators: list[str] = []
    sign = 1
    for token in _tokens(said):
        if isinstance(token, Fraction):
            if len(numbers) > len(operators):
                return None
            numbers.append(sign * token)
            sign = 1
        elif len(numbers) == len(operators) + 1:
            operators.append(token)
        elif token == "-":
            sign = -sign
        else:
            return None
    if not operators or len(numbers) != len(operators) + 1:
        return None
    try:
        return f"That is {_spoken(_evaluate(numbers, operators))}."
    except ZeroDivisionError:
        return "I cannot divide by zero."


def _tokens(said: str) -> list[Fraction | str]:
    """Return the numbers and operators in `said`; words of one number are joined."""
    found: list[Fraction | str] = []
    whole, part = None, 0  # of a number in words: "two thousand" and "one hundred five"
    for word in [*_TOKEN.findall(re.sub(r"(?<=[a-z])-(?=[a-z])", " ", said)), "."]:
        if word in _NUMBERS:
            whole, part = whole or 0, part + _NUMBERS[word]
        elif word in _SCALES and whole is not None:
            scale = _SCALES[word]
            if scale == 100:
                part *= 100
            else:
                whole, part = whole + part * scale, 0
        elif word == "and" and whole is not None:
            continue
        else:
            if whole is not None:
                found.append(Fraction(whole + part))
                whole, part = None, 0
            if word[0].isdigit():
                found.append(Fraction(word.replace(",", "")))
            elif word in _OPERATORS:
                found.append(_OPERATORS[word])
    return found


def _evaluate(numbers: list[Fraction], operators: list[str]) -> Fraction:
    """Evaluate from left to right, products before sums."""
    terms = [numbers[0]]
    for operator, number in zip(operators, numbers[1:], strict=True):
        if operator == "*":
            terms[-1] *= number
        elif operator == "/":
            terms[-1] /= number
        else:
            terms.append(number if operator == "+" else -number)
    return sum(terms, Fraction())


def _spoken(number: Fraction) -> str:
    if number.denominator == 1:
        return f"{number.numerator}"
    return f"{float(number):.4g}"


class Responder(LLMService):
    """The rules as a Pipecat LLM service."""

    def __init__(self, prompt: str, tools: Sequence[DirectFunction] = ()) -> None:
        super().__init__(
            settings=LLMSettings(
                model="rules",
                system_instruction=prompt,
                temperature=None,
                max_tokens=None,
                top_p=None,
                top_k=None,
                frequency_penalty=None,
                presence_penalty=None,
                seed=None,
                filter_incomplete_user_turns=False,
                user_turn_completion_config=None,
            )
        )

        schemas = [DirectFunctionWrapper(tool).to_function_schema() for tool in tools]
        own = [schema for schema in schemas if schema.name not in respond.__code__.co_consts]
        self._named = {
            schema.name: "".join(schema.required) for schema in own if len(schema.required) < 2
        }
        for schema in own:
            if schema.name not in self._named:
                logger.warning(
                    f"This agent's rules do not call the tool {schema.name}, because they cannot "
                    f"find its {' and '.join(schema.required)} in what is said. Add a rule to "
                    "respond() in internal/responder.py, or put a language model into bot.py."
                )

    def can_generate_metrics(self) -> bool:
        """Report the answer as a stage of latency."""
        return True

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Answer each context, and pass other frames on."""
        await super().process_frame(frame, direction)
        if isinstance(frame, LLMContextFrame):
            await self._answer(frame.context)
        else:
            await self.push_frame(frame, direction)

    async def _answer(self, context: LLMContext) -> None:
        await self.push_frame(LLMFullResponseStartFrame())
        await self.start_ttfb_metrics()
        answer = respond(context.get_messages(), datetime.now().astimezone(), self._named)
        await self.stop_ttfb_metrics()
        if isinstance(answer, ToolCall):
            call = FunctionCallFromLLM(answer.name, str(uuid.uuid4()), answer.arguments, context)
            await self.run_function_calls([call])
        else:
            await self.push_frame(LLMTextFrame(answer))
        await self.push_frame(LLMFullResponseEndFrame())
