"""The questions of `voicecore init`: asked of a person, only for what no flag has said."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable
from typing import Any

from voicecore.catalog import phones, pipelines, regions, transports
from voicecore.catalog.phones import PHONES
from voicecore.catalog.pipelines import PIPELINES
from voicecore.catalog.pipelines.record import Pipeline, regions_of
from voicecore.catalog.transports import TRANSPORTS
from voicecore.project import aws_names

DEFAULT_NAME = "my-agent"

_STAGES = {"stt": "speech to text", "llm": "the language model", "tts": "text to speech"}

_DESCRIPTION = " " * len("  Description: ")
"""What questionary puts before the description of the choice pointed at; it wraps nothing."""


def ask_name(taken: Callable[[str], bool]) -> str:
    """The project's name; taken: whether there is something of that name already."""
    import questionary

    def check(text: str) -> bool | str:
        if mistakes := aws_names.mistakes_in(text):
            return mistakes[0]
        return f"{text} exists already; choose another name" if taken(text) else True

    return _answer(questionary.text("Name of the project:", default=DEFAULT_NAME, validate=check))


def ask_transports() -> list[str]:
    """One or more transports, each with its trade-off."""
    import questionary

    if len(TRANSPORTS) == 1:
        return list(TRANSPORTS)
    choices = [
        questionary.Choice(
            f"{t.title:<20} {t.consistency} consistency, {t.effort}; for {t.best_for}",
            value=t.name,
            checked=t.name == transports.DEFAULT,
        )
        for t in TRANSPORTS.values()
    ]
    return _answer(
        questionary.checkbox(
            "How do callers reach the agent?",
            choices=choices,
            instruction="(space bar chooses)",
            validate=lambda chosen: bool(chosen) or "Choose at least one (space bar).",
        )
    )


def ask_providers() -> list[str]:
    """One or more telephone providers."""
    import questionary

    choices = [
        questionary.Choice(phone.title, value=phone.name, checked=phone.name == phones.DEFAULT)
        for phone in PHONES.values()
    ]
    return _answer(
        questionary.checkbox(
            "Whose telephone numbers?",
            choices=choices,
            instruction="(space bar chooses)",
            validate=lambda chosen: bool(chosen) or "Choose at least one (space bar).",
        )
    )


def ask_pipeline() -> str:
    """The way from heard speech to spoken reply."""
    import questionary

    choices = [
        questionary.Choice(
            f"{p.title} (needs {p.needs})", value=p.name, description=_wrapped(p.summary)
        )
        for p in PIPELINES.values()
    ]
    return _answer(questionary.select("Pipeline:", choices=choices, default=pipelines.DEFAULT))


def ask_region(pipeline: Pipeline, services: dict[str, str]) -> str:
    """An AWS region in which the pipeline's models are offered."""
    import questionary

    offered = regions_of(pipeline, services)
    default = regions.DEFAULT if regions.DEFAULT in offered else offered[0]
    return _answer(
        questionary.select("Where will it run in AWS, later?", choices=offered, default=default)
    )


def confirm(question: str) -> bool:
    """Yes or no; no unless said."""
    import questionary

    return _answer(questionary.confirm(question, default=False))


def ask_services(pipeline: Pipeline, missing: Iterable[str]) -> dict[str, str]:
    """A service for each missing stage that leaves a choice."""
    import questionary

    answers: dict[str, str] = {}
    for stage in missing:
        options = pipeline.stages[stage]
        if len(options) > 1:
            choices = [questionary.Choice(option.title, value=option.name) for option in options]
            question = f"Service for {_STAGES.get(stage, stage)}:"
            answers[stage] = _answer(questionary.select(question, choices=choices))
    return answers


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 79 - len(_DESCRIPTION), subsequent_indent=_DESCRIPTION)


def _answer(question: Any) -> Any:
    # unsafe_ask raises KeyboardInterrupt at Ctrl-C, which the command boundary turns into 130;
    # ask() would print a line of its own and return None. Ctrl-D is the other way to leave.
    try:
        return question.unsafe_ask()
    except EOFError:
        raise KeyboardInterrupt from None
