"""Owns the questions of `voicecore init`, asked for what the options leave open."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from voicecore.catalog import phones, pipelines, regions, transports
from voicecore.catalog.phones import PHONES
from voicecore.catalog.pipelines import GENERATED
from voicecore.catalog.pipelines.record import Pipeline, regions_of
from voicecore.catalog.transports import TRANSPORTS
from voicecore.console.confirm import answer_to
from voicecore.project import aws_names

if TYPE_CHECKING:
    import questionary

DEFAULT_NAME = "my-agent"

_SERVICES = {
    "stt": "speech to text",
    "llm": "the language model",
    "tts": "text to speech",
    "speech_to_speech": "speech to speech",
}

_DESCRIPTION = " " * len("  Description: ")
"""Indent of the description that questionary shows for the selected choice, without wrapping it."""


def ask_name(taken: Callable[[str], bool]) -> str:
    """Ask for the project's name; `taken` returns whether a folder of that name exists."""
    import questionary

    def check(text: str) -> bool | str:
        if problems := aws_names.name_problems(text):
            return f"{text!r} is not valid: {problems[0]}"
        return f"{text} already exists; choose another name" if taken(text) else True

    return answer_to(questionary.text("Project name:", default=DEFAULT_NAME, validate=check))


def ask_project_name(default: str) -> str:
    """Ask for the name of a project in a folder that exists."""
    import questionary

    def check(text: str) -> bool | str:
        problems = aws_names.name_problems(text)
        return f"{text!r} is not valid: {problems[0]}" if problems else True

    return answer_to(questionary.text("Project name:", default=default, validate=check))


def ask_to_write(file: str, default: bool) -> bool:
    """Ask whether to write a file."""
    import questionary

    return answer_to(questionary.confirm(f"Write {file}?", default=default))


def ask_transports() -> list[str]:
    """Ask for one or more transports, and show the trade-offs."""
    import questionary

    if len(TRANSPORTS) == 1:
        return list(TRANSPORTS)
    choices = [
        questionary.Choice(
            f"{t.title:<10} {t.effort} setup; audio {t.audio}; for {t.best_for}",
            value=t.name,
            checked=t.name == transports.DEFAULT,
        )
        for t in TRANSPORTS.values()
    ]
    return _ask_several("How do callers reach the agent?", choices)


def ask_providers() -> list[str]:
    """Ask for one or more phone providers."""
    import questionary

    choices = [
        questionary.Choice(phone.title, value=phone.name, checked=phone.name == phones.DEFAULT)
        for phone in PHONES.values()
    ]
    return _ask_several("Which phone providers?", choices)


def _ask_several(question: str, choices: Iterable[questionary.Choice]) -> list[str]:
    import questionary

    return answer_to(
        questionary.checkbox(
            question,
            choices=list(choices),
            instruction="(space to select)",
            validate=lambda chosen: bool(chosen) or "Select at least one (space).",
        )
    )


def ask_pipeline() -> str:
    """Ask for the pipeline: how speech becomes speech."""
    import questionary

    choices = [
        questionary.Choice(
            f"{p.title} (needs {p.needs})", value=p.name, description=_wrapped(p.summary)
        )
        for p in GENERATED.values()
    ]
    return answer_to(questionary.select("Pipeline:", choices=choices, default=pipelines.DEFAULT))


def ask_services(pipeline: Pipeline, missing: Iterable[str]) -> dict[str, str]:
    """Ask for each missing service of the pipeline that leaves a choice."""
    import questionary

    answers: dict[str, str] = {}
    for kind in missing:
        options = pipeline.stages[kind]
        if len(options) > 1:
            choices = [questionary.Choice(option.title, value=option.name) for option in options]
            question = f"Service for {_SERVICES.get(kind, kind)}:"
            answers[kind] = answer_to(questionary.select(question, choices=choices))
    return answers


def ask_region(pipeline: Pipeline, services: dict[str, str]) -> str:
    """Ask for an AWS region that offers the pipeline's models."""
    import questionary

    offered = regions_of(pipeline, services)
    default = regions.DEFAULT if regions.DEFAULT in offered else offered[0]
    question = "AWS region to deploy to later:"
    return answer_to(questionary.select(question, choices=offered, default=default))


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 79 - len(_DESCRIPTION), subsequent_indent=_DESCRIPTION)
