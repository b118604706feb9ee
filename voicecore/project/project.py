"""voicecore.toml: what a project is, read with all its mistakes at once."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

from voicecore.catalog.pipelines import PIPELINES
from voicecore.catalog.pipelines.record import services_of
from voicecore.catalog.transports import BY_PHONE, TRANSPORTS
from voicecore.catalog.turn_sources import KVS
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.project import aws_names
from voicecore.project.schema import (
    DRAIN_MINUTES_MAX,
    IDLE_TIMEOUT,
    LOG_RETENTION_DAYS,
    MAX_LIFETIME,
    PUBLIC,
    Mistake,
    did_you_mean,
    mistakes_in,
    network_for,
    one_of,
)

FILE = "voicecore.toml"

AGENT, SERVER = "agent", "server"
"""The parts of a project that become images, by their folders."""


@dataclass(frozen=True)
class Vpc:
    """The network that a deployed agent stands in: one of the user's, or how ours is made."""

    subnets: tuple[str, ...] = ()
    """Ids of the user's own private subnets; empty: voicecore makes a VPC."""
    security_groups: tuple[str, ...] = ()
    ha: bool = False
    """A NAT gateway for each zone, so that losing one zone cuts off no calls."""

    @property
    def given(self) -> bool:
        """Whether the network is the user's."""
        return bool(self.subnets)


@dataclass(frozen=True)
class Turn:
    """Where TURN credentials come from, and for how many calls at once."""

    source: str = KVS
    peak_calls: int = 10


@dataclass(frozen=True)
class Server:
    """How a session server that carries calls is reached in AWS, and by how many at once."""

    domain: str = ""
    """The name by which it is called; empty: one of CloudFront's."""
    certificate: str = ""
    """The ARN of that name's certificate, in the region of the stage."""
    peak_calls: int = 50
    drain_minutes: int = DRAIN_MINUTES_MAX
    """For how long an update of the server lets the old one keep its calls."""


@dataclass(frozen=True)
class Stage:
    """One deployment of the project, as `dev` or `prod`. Times are seconds."""

    name: str
    region: str
    account: str | None = None
    """The only account that it may be deployed to; None: any."""
    idle_timeout: int = IDLE_TIMEOUT
    max_lifetime: int = MAX_LIFETIME
    log_retention_days: int = LOG_RETENTION_DAYS
    server: Server = Server()


@dataclass(frozen=True)
class Project:
    """A project as its voicecore.toml describes it."""

    root: Path
    name: str
    transports: tuple[str, ...]
    pipeline: str
    region: str
    services: dict[str, str]
    network: str = PUBLIC
    vpc: Vpc = Vpc()
    turn: Turn = Turn()
    providers: tuple[str, ...] = ()
    """Telephone providers, where callers come by telephone."""
    stages: dict[str, Stage] = field(default_factory=dict[str, Stage])

    def stage(self, name: str = aws_names.DEFAULT_STAGE) -> Stage:
        """The stage of that name. Raises BadProject if voicecore.toml has none."""
        stage = self.stages.get(name)
        if stage is None:
            known = tuple(self.stages)
            mistakes = aws_names.stage_mistakes_in(name)
            raise BadProject(
                f"{self.root / FILE} has no stage {name!r}"
                f"{did_you_mean(name, known) or one_of(known)}",
                f"It could not have one of that name: {mistakes[0]}."
                if mistakes
                else f"To add it, write this at the end of {FILE}:  [stages.{name}]",
            )
        return stage

    @property
    def agent(self) -> Path:
        """The folder of the agent: what runs in AgentCore's container."""
        return self.root / AGENT

    @property
    def server(self) -> Path:
        """The folder of the session server: what faces clients."""
        return self.root / SERVER

    @property
    def local(self) -> Path:
        """The folder of what runs here leave behind: state and logs; never committed."""
        return self.root / ".voicecore"


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
    transports = tuple(answers["transports"])
    vpc: dict[str, Any] = answers.get("vpc", {})
    return Project(
        root=root.absolute(),  # tools that run in a folder of it are told of its files
        name=answers["name"],
        transports=transports,
        pipeline=pipeline.name,
        region=answers["region"],
        services=services_of(pipeline, answers.get("services", {})),
        network=answers.get("network") or network_for([TRANSPORTS[t] for t in transports], vpc),
        vpc=Vpc(
            subnets=tuple(vpc.get("subnets", ())),
            security_groups=tuple(vpc.get("security_groups", ())),
            ha=vpc.get("ha", False),
        ),
        turn=Turn(**answers.get("turn", {})),
        providers=tuple(answers.get(BY_PHONE, {}).get("providers", ())),
        stages=dict(_stages(answers)),
    )


def _stages(answers: dict[str, Any]) -> Iterator[tuple[str, Stage]]:
    listed: dict[str, dict[str, Any]] = {aws_names.DEFAULT_STAGE: {}, **answers.get("stages", {})}
    for name, own in listed.items():
        lifetime = own.get("max_lifetime", MAX_LIFETIME)
        yield (
            name,
            Stage(
                name,
                region=own.get("region", answers["region"]),
                account=own.get("account", answers.get("account")),
                # As AWS does it: a life shorter than the default idle time shortens that, too.
                idle_timeout=own.get("idle_timeout", min(IDLE_TIMEOUT, lifetime)),
                max_lifetime=lifetime,
                log_retention_days=own.get("log_retention_days", LOG_RETENTION_DAYS),
                server=Server(**answers.get("server", {}) | own.get("server", {})),
            ),
        )


def _report(path: Path, text: str, mistakes: list[Mistake]) -> str:
    count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
    rows = [f"  {_place(text, m.key):<8} {m.key}: {m.message}" for m in mistakes]
    return "\n".join([f"{path} has {count}:", *rows])


def _place(text: str, key: str) -> str:
    """Where in the file the mistake is; the end, if the key is not there at all."""
    lines = _lines(text)
    # Of "stages.prod.region" what is written: itself, or the table that it is missing from.
    for path in reversed(list(accumulate(key.split("."), "{}.{}".format))):
        if path in lines:
            return f"line {lines[path]}"
    number = lines.get(f"services.{key}")  # a stage of the pipeline, as init's flags name it
    return f"line {number}" if number else "end"


# tomllib keeps no positions, so they are looked up: a table's header, or a key that is set.
_HEADER = re.compile(r"\s*\[([^\[\]=]+)\]")
_SETTING = re.compile(r"\s*([\w.\"' -]+?)\s*=")


def _lines(text: str) -> dict[str, int]:
    """The number of the line in which each table begins and each key is set, by dotted path."""
    table = ""
    found: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            table = _path(header[1])
            found.setdefault(table, number)
        elif setting := _SETTING.match(line):
            found.setdefault(f"{table}.{_path(setting[1])}".lstrip("."), number)
    return found


def _path(written: str) -> str:
    return ".".join(part.strip().strip("\"'") for part in written.split("."))
