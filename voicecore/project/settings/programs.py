"""Owns the settings of the project's two programs: [agent], and the program of [server]."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, cast

from voicecore.catalog.aws_services import SERVICES
from voicecore.catalog.pipelines import CUSTOM
from voicecore.catalog.request_headers import may_be_allowed
from voicecore.project.invalid_setting import (
    InvalidSetting,
    invalid_number,
    unknown,
    unknown_keys,
)

AGENT, SERVER = "agent", "server"
"""Names of the programs, and folders of those that voicecore generates."""

PYPROJECT = "pyproject.toml"


@dataclass(frozen=True)
class AgentSettings:
    """The agent's program, and what it may do ([agent])."""

    folder: str = AGENT
    """Folder in which it runs, from the project's."""
    command: str = "python -m internal.app"
    """Command line; `$PORT` in it becomes the agent's port."""
    requirements: str = PYPROJECT
    """File in the folder, or one level up, that lists its packages; empty for none."""
    port: int = 0
    """Port at which it always listens; 0 if it reads PORT, or has `$PORT` in its command."""
    request_headers: tuple[str, ...] = ()
    """Headers of a caller's request that reach it, besides those of the session server."""
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    """Variables that are no secret; agent/.env overrides them."""
    uses: tuple[str, ...] = ()
    """AWS services that its role allows, besides those of its pipeline (catalog.aws_services)."""


@dataclass(frozen=True)
class ServerProgram:
    """The session server's program (keys of [server])."""

    folder: str = SERVER
    command: str = "python -m internal.server"
    requirements: str = PYPROJECT
    health: str = "/health"
    """Path that answers 200 when the server is ready; empty if any answer tells that."""
    port: int = 0
    """Port at which it always listens; 0 if it reads PORT, or has `$PORT` in its command."""


@dataclass(frozen=True)
class Program:
    """Installation and start of a program of the project on this machine."""

    folder: Path
    command: tuple[str, ...]
    """Command; `$PORT` in it becomes the program's port."""
    requirements: Path | None
    """pyproject.toml or a file of requirements; None if nothing is installed."""
    venv: Path
    """Its virtual environment, which `dev` makes."""
    health: str = "/ping"
    """Path that answers 200 when it is ready; empty if any answer tells that."""
    port: int = 0
    """Port at which it always listens; 0 if it is told."""

    @property
    def generated(self) -> bool:
        """True when voicecore generated it."""
        return self.venv.parent == self.folder

    @property
    def locked(self) -> bool:
        """True when uv.lock beside its pyproject.toml says which packages it gets."""
        path = self.requirements
        return bool(path and path.name == PYPROJECT and path.with_name("uv.lock").exists())


SERVER_KEYS = tuple(each.name for each in fields(ServerProgram))
"""Keys of [server] that describe its program, and that stages cannot change."""

_PROGRAM_KEYS = ("folder", "command", "requirements", "port")
"""Keys of [agent] that only a program of the user's own has."""

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET = re.compile(r"(_|^)(API_?KEY|KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)$", re.I)
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


def invalid_programs(answers: dict[str, Any]) -> Iterator[InvalidSetting]:
    """Yield what is wrong with [agent] and with the program in [server]."""
    custom = answers.get("pipeline") == CUSTOM
    agent, server = answers.get("agent", {}), answers.get("server", {})
    if not isinstance(agent, dict):
        yield InvalidSetting("agent", "must be a table")
        return
    own = cast("dict[str, Any]", agent)
    yield from unknown_keys("agent.", own, tuple(each.name for each in fields(AgentSettings)))
    if custom and "command" not in own:
        yield InvalidSetting("agent.command", 'is missing, such as "python main.py"')
    yield from _invalid_program("agent.", own, custom, _PROGRAM_KEYS)
    yield from _invalid_headers(own)
    yield from _invalid_environment(own.get("environment", {}))
    yield from _invalid_uses(own)
    if isinstance(server, dict):
        yield from _invalid_program("server.", cast("dict[str, Any]", server), custom, SERVER_KEYS)


def agent_settings(answers: Mapping[str, Any]) -> AgentSettings:
    """Return the settings of valid answers."""
    own: dict[str, Any] = dict(answers.get("agent", {}))
    if answers["pipeline"] == CUSTOM:
        own = {"requirements": ""} | own
    for key in ("request_headers", "uses"):
        own[key] = tuple(own.get(key, ()))
    return AgentSettings(**own)


def server_program(answers: Mapping[str, Any]) -> ServerProgram | None:
    """Return the program in valid answers; None if the project has no session server."""
    own = {key: value for key, value in answers.get("server", {}).items() if key in SERVER_KEYS}
    if answers["pipeline"] != CUSTOM:
        return ServerProgram()
    given: dict[str, Any] = {"folder": ".", "requirements": "", "health": ""} | own
    return ServerProgram(**given) if "command" in own else None


def generated_program(folder: Path, settings: AgentSettings | ServerProgram) -> Program:
    """Return how to install and start a program that voicecore generated into `folder`."""
    command, requirements = tuple(shlex.split(settings.command)), folder / settings.requirements
    return Program(folder, command, requirements, folder / ".venv", _health_of(settings))


def own_program(root: Path, settings: AgentSettings | ServerProgram, name: str) -> Program:
    """Return how to install and start a program of the user's in the project `root`."""
    folder = root / settings.folder
    return Program(
        folder,
        tuple(shlex.split(settings.command)),
        folder / settings.requirements if settings.requirements else None,
        root / ".voicecore" / "venv" / name,  # the user's own environment stays as it is
        _health_of(settings),
        settings.port,
    )


def _health_of(settings: AgentSettings | ServerProgram) -> str:
    return settings.health if isinstance(settings, ServerProgram) else "/ping"


def _invalid_program(
    table: str, own: dict[str, Any], custom: bool, keys: tuple[str, ...]
) -> Iterator[InvalidSetting]:
    given = [key for key in keys if key in own]
    if not custom:
        for key in given:
            yield InvalidSetting(f"{table}{key}", f'is used only with pipeline = "{CUSTOM}"')
        return
    for key in given:
        value = own[key]
        if key == "port":
            if value != 0:
                yield from invalid_number(f"{table}port", value, (1, 65_535))
        elif not isinstance(value, str) or not value:
            yield InvalidSetting(f"{table}{key}", "must be a text in quotes")
        elif key == "command":
            yield from _invalid_command(f"{table}{key}", value)
        elif key == "health" and not value.startswith("/"):
            yield InvalidSetting(f"{table}{key}", f"{value!r} is not a path such as '/health'")
        elif key != "health" and not _is_inside(value, up=int(key == "requirements")):
            yield InvalidSetting(f"{table}{key}", f"{value!r} is not a path inside the project")


def _invalid_command(key: str, command: str) -> Iterator[InvalidSetting]:
    try:
        words = shlex.split(command)
    except ValueError as error:
        yield InvalidSetting(key, f"is not a command line: {str(error).lower()}")
        return
    if shell := [word for word in words if word in ("&&", "||", ";", "|", "&", ">", "<")]:
        yield InvalidSetting(
            key, f"runs without a shell, which {shell[0]} needs; write: sh -c '...'"
        )


def _is_inside(path: str, up: int = 0) -> bool:
    """Return whether a relative path stays inside, or leads at most `up` folders out."""
    depth = 0
    for part in Path(path).parts:
        depth += {"..": -1, ".": 0}.get(part, 1)
        if depth < -up:
            return False
    return not Path(path).is_absolute()


def _invalid_environment(environment: object) -> Iterator[InvalidSetting]:
    if not isinstance(environment, dict):
        yield InvalidSetting("agent.environment", "must be a table of texts")
        return
    for name, value in cast("dict[str, object]", environment).items():
        key = f"agent.environment.{name}"
        if not _VARIABLE.fullmatch(name):
            yield InvalidSetting(key, "is not the name of a variable")
        elif name == "PORT":
            yield InvalidSetting(key, "is set by `dev` and AgentCore; see agent.port")
        elif _SECRET.search(name):
            yield InvalidSetting(
                key, "may be a secret, and this file is committed; write it into the agent's .env"
            )
        elif not isinstance(value, str):
            yield InvalidSetting(key, "must be a text in quotes")


def _invalid_uses(own: dict[str, Any]) -> Iterator[InvalidSetting]:
    uses = own.get("uses", [])
    if not isinstance(uses, list):
        yield InvalidSetting("agent.uses", 'must be a list such as ["bedrock", "polly"]')
        return
    for name in cast("list[object]", uses):
        if name not in tuple(SERVICES):
            yield unknown("agent.uses", name, tuple(SERVICES))


def _invalid_headers(own: dict[str, Any]) -> Iterator[InvalidSetting]:
    headers = own.get("request_headers", [])
    if not isinstance(headers, list):
        yield InvalidSetting("agent.request_headers", "must be a list of texts")
        return
    for name in cast("list[object]", headers):
        if not (isinstance(name, str) and _HEADER.fullmatch(name)):
            yield InvalidSetting("agent.request_headers", f"{name!r} is not the name of a header")
        elif not may_be_allowed(name.lower()):
            yield InvalidSetting(
                "agent.request_headers", f"{name!r} is a header that AgentCore passes to no agent"
            )
