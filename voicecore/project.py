"""voicecore.toml: what a project is, read with all its mistakes at once."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from voicecore import names, regions
from voicecore.errors import ExitCode, VoicecoreError
from voicecore.pipelines import PIPELINES, Pipeline, regions_of, services_of
from voicecore.transports import TRANSPORTS

FILE = "voicecore.toml"


@dataclass(frozen=True)
class Project:
    """A project as its voicecore.toml describes it."""

    root: Path
    name: str
    transports: tuple[str, ...]
    pipeline: str
    region: str
    services: dict[str, str]

    @property
    def agent(self) -> Path:
        """The folder of the agent: what runs in AgentCore's container."""
        return self.root / "agent"

    @property
    def server(self) -> Path:
        """The folder of the session server: what faces clients."""
        return self.root / "server"

    @property
    def local(self) -> Path:
        """The folder of what runs here leave behind: state and logs; never committed."""
        return self.root / ".voicecore"


@dataclass(frozen=True)
class Mistake:
    """One thing wrong with an answer, and the key it was the answer to."""

    key: str
    message: str


class BadProject(VoicecoreError):
    """voicecore.toml is missing or says something that cannot be."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message, hint, ExitCode.BAD_PROJECT)


def load_project(root: Path) -> Project:
    """The project in `root`.

    Raises BadProject, which names every mistake with its line.
    """
    path = root / FILE
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        raise BadProject(
            f"There is no {FILE} in {root}.",
            "Go into a project's folder, or make one:  voicecore init my-agent",
        ) from None
    except UnicodeDecodeError as error:
        raise BadProject(f"{path} is no UTF-8 text: {error}.") from error
    try:
        answers = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadProject(f"{path} is no TOML: {error}.") from error
    mistakes = list(mistakes_in(answers))
    if mistakes:
        raise BadProject(_report(path, text, mistakes))
    pipeline = PIPELINES[answers["pipeline"]]
    return Project(
        root=root.absolute(),  # tools that run in a folder of it are told of its files
        name=answers["name"],
        transports=tuple(answers["transports"]),
        pipeline=pipeline.name,
        region=answers["region"],
        services=services_of(pipeline, answers.get("services", {})),
    )


def mistakes_in(answers: dict[str, Any]) -> Iterator[Mistake]:
    """Everything wrong with the answers of a voicecore.toml, or of `voicecore init`."""
    known = ("name", "transports", "pipeline", "region", "services", "voicecore")
    for key in answers:
        if key not in known:
            yield Mistake(key, f"is no setting{_did_you_mean(key, known)}")
    for key in ("name", "transports", "pipeline", "region"):
        if key not in answers:
            yield Mistake(key, "is missing")

    name = answers.get("name", "")
    if not isinstance(name, str):
        yield Mistake("name", "must be a string")
    elif "name" in answers:
        for mistake in names.mistakes_in(name):
            yield Mistake("name", f"{name!r}: {mistake}")

    yield from _transport_mistakes(answers.get("transports", ["websocket"]))

    pipeline = answers.get("pipeline")
    if pipeline is not None and pipeline not in tuple(PIPELINES):
        yield _unknown("pipeline", pipeline, tuple(PIPELINES))

    services = answers.get("services", {})
    if not isinstance(services, dict):
        yield Mistake("services", "must be a table")
        services = {}
    chosen = cast("dict[str, Any]", services)
    record = PIPELINES.get(pipeline) if isinstance(pipeline, str) else None
    if record:
        yield from _service_mistakes(record, chosen)
    if "region" in answers:
        yield from _region_mistakes(answers["region"], record, chosen)


def _transport_mistakes(transports: object) -> Iterator[Mistake]:
    if not isinstance(transports, list) or not transports:
        yield Mistake("transports", 'must be a list with at least one name, as ["websocket"]')
        return
    chosen = cast("list[object]", transports)
    for transport in chosen:
        if transport not in tuple(TRANSPORTS):
            yield _unknown("transports", transport, tuple(TRANSPORTS))
    if len(set(map(str, chosen))) < len(chosen):
        yield Mistake("transports", "names one transport twice")


def _service_mistakes(pipeline: Pipeline, services: dict[str, Any]) -> Iterator[Mistake]:
    for stage, service in services.items():
        if stage not in pipeline.stages:
            stages = ", ".join(pipeline.stages) or "none"
            yield Mistake(
                stage, f"is no stage to choose in pipeline {pipeline.name!r} (it has: {stages})"
            )
        elif service not in (options := tuple(o.name for o in pipeline.stages[stage])):
            yield _unknown(stage, service, options)


def _region_mistakes(
    region: object, pipeline: Pipeline | None, services: dict[str, Any]
) -> Iterator[Mistake]:
    if region not in regions.AGENTCORE:
        yield Mistake(
            "region",
            f"{region!r} is no region of AgentCore Runtime"
            f"{_did_you_mean(str(region), regions.AGENTCORE) or _one_of(regions.AGENTCORE)}",
        )
    elif pipeline and region not in (good := regions_of(pipeline, services_of(pipeline, services))):
        yield Mistake(
            "region", f"{region!r} lacks a model of pipeline {pipeline.name!r}{_one_of(good)}"
        )


def _unknown(key: str, value: object, choices: tuple[str, ...]) -> Mistake:
    hint = _did_you_mean(str(value), choices) or _one_of(choices)
    return Mistake(key, f"{value!r} is unknown{hint}")


def _did_you_mean(word: str, choices: tuple[str, ...]) -> str:
    match = regions.closest(word, choices)
    return f"; did you mean {match!r}?" if match else ""


def _one_of(choices: tuple[str, ...]) -> str:
    return f"; choose from {', '.join(choices)}"


def _report(path: Path, text: str, mistakes: list[Mistake]) -> str:
    count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
    rows = [f"  {_place(text, m.key):<8} {m.key}: {m.message}" for m in mistakes]
    return "\n".join([f"{path} has {count}:", *rows])


def _place(text: str, key: str) -> str:
    # tomllib keeps no positions, so the line is looked up: keys are unique in this file.
    pattern = re.compile(rf"^\s*(\[\s*)?[\"']?{re.escape(key)}[\"']?\s*(\]|=)")
    for number, line in enumerate(text.splitlines(), start=1):
        if pattern.match(line):
            return f"line {number}"
    return "end"
