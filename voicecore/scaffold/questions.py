"""Owns the questions of `voicecore init`, asked for what the options leave open."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from voicecore.catalog import pipelines, regions
from voicecore.catalog.phones import PHONES
from voicecore.catalog.pipelines import GENERATED
from voicecore.catalog.pipelines.record import Pipeline, Service, regions_of
from voicecore.catalog.transports import TRANSPORTS
from voicecore.console.choices import Choice, choose, choose_several
from voicecore.console.confirm import answer_to
from voicecore.project import aws_names

DEFAULT_NAME = "my-agent"

_SERVICES = {
    "stt": "speech to text",
    "llm": "the language model",
    "tts": "text to speech",
    "speech_to_speech": "speech to speech",
}


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
    if len(TRANSPORTS) == 1:
        return list(TRANSPORTS)
    choices = [
        Choice(t.name, t.title, f"{t.title:<11}{t.effort} setup; {t.audio}; for {t.best_for}")
        for t in TRANSPORTS.values()
    ]
    return choose_several("How do callers reach the agent?", choices)


def ask_providers() -> list[str]:
    """Ask for one or more phone providers."""
    choices = [Choice(phone.name, phone.title) for phone in PHONES.values()]
    return choose_several("Which phone providers?", choices)


def ask_pipeline() -> str:
    """Ask for the pipeline: how speech becomes speech."""
    choices = [
        Choice(p.name, p.title, f"{p.title} (needs {p.needs})", p.summary)
        for p in GENERATED.values()
    ]
    return choose("Pipeline:", choices, pipelines.DEFAULT)


def ask_services(pipeline: Pipeline, missing: Iterable[str]) -> dict[str, str]:
    """Ask for each missing service of the pipeline that leaves a choice."""
    return {
        kind: choose(
            f"Service for {_SERVICES.get(kind, kind)}:",
            [_service(option) for option in pipeline.stages[kind]],
        )
        for kind in missing
        if len(pipeline.stages[kind]) > 1
    }


def _service(service: Service) -> Choice:
    needs = f" (needs {service.key} in agent/.env)" if service.key else ""
    return Choice(service.name, service.title, service.title + needs)


def ask_region(pipeline: Pipeline, services: dict[str, str]) -> str:
    """Ask for an AWS region that offers the pipeline's models."""
    offered = regions_of(pipeline, services)
    default = regions.DEFAULT if regions.DEFAULT in offered else offered[0]
    choices = [Choice(region, region) for region in offered]
    return choose("AWS region to deploy to later:", choices, default)
