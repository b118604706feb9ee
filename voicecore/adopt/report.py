"""Owns the report on the user's folder: the agent that is there, and what it lacks."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import PurePosixPath

from voicecore.adopt.command import StartCommand, command_for
from voicecore.adopt.container import Container, read_container
from voicecore.adopt.entries import APP, Entry, Kind, find_entries, find_server
from voicecore.adopt.folder import Folder
from voicecore.adopt.packages import Packages, python_problem, read_packages
from voicecore.catalog import transports
from voicecore.catalog.aws_services import SERVICES
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.project.python_code import Key, Module, read_module

_NO_PING = "does not answer GET /ping"

ENV_EXAMPLES = (".env.example", "env.example")

_SECRET = re.compile(r"(_|^)(KEY|TOKEN|SECRET|PASSWORD|SID|CREDENTIALS)$")
_OURS = re.compile(r"AWS_|PORT$|HOST$|PYTHON|OTEL_|AGENT_RUNTIME_ARN$|DOCKER_CONTAINER$")
"""Variables that the platform sets, or that say where a program runs."""


class Missing(StrEnum):
    """A file that adopt can write."""

    APP = "app"
    KEYS = "keys"
    DOCKERFILE = "dockerfile"
    SERVER = "server"
    TESTS = "tests"
    GUIDE = "agents-md"


class NoAgent(VoicecoreError):
    """The folder has no agent that adopt knows."""


class SeveralAgents(VoicecoreError):
    """The folder has several agents, and the user has to choose."""


@dataclass(frozen=True)
class FoundServer:
    """The user's session server."""

    entry: Entry
    command: StartCommand
    packages: Packages


@dataclass(frozen=True)
class Report:
    """The agent in a folder, and what it lacks."""

    entry: Entry
    command: StartCommand
    packages: Packages
    container: Container | None
    ping: str
    """Status that its /ping answers; empty if its framework answers, or nothing does."""
    stamped: bool
    """True when the answer has time_of_last_update, or its framework adds it."""
    transports: tuple[str, ...]
    server: FoundServer | None
    keys: tuple[Key, ...]
    """Secrets that it reads from its environment."""
    uses: tuple[str, ...]
    """AWS services that it calls."""
    unknown: tuple[str, ...]
    """AWS services that it calls, and that voicecore has no permission for."""
    missing: tuple[Missing, ...]
    problems: tuple[str, ...]


def report_on(folder: Folder, chosen: str = "", typed: str = "voicecore adopt") -> Report:
    """Return what is in the folder; `chosen` is the file of the entry, if the user named it.

    `typed` is the user's command, to which an error adds what is to be chosen. Raises NoAgent
    and SeveralAgents.
    """
    read = (read_module(path, text) for path, text in folder.modules().items())
    modules = [module for module in read if module]
    text = folder.files.get("Dockerfile", "")
    container = read_container(text) if text else None
    entry = _choose(folder, find_entries(modules, container), chosen, typed)
    command = command_for(entry, folder, container)
    packages = read_packages(folder, _places(command), text)
    own = _reached(entry, modules)
    keys = tuple(_keys(own, folder))
    known, unknown = _services(own)
    return Report(
        entry=entry,
        command=command,
        packages=packages,
        container=container,
        ping=_ping(entry),
        stamped=entry.kind == Kind.SDK or _is_stamped(entry),
        transports=_transports(entry, own),
        server=_server(folder, modules, entry),
        keys=keys,
        uses=known,
        unknown=unknown,
        missing=tuple(_missing(entry, keys, folder)),
        problems=tuple(_problems(entry, container, packages, unknown)),
    )


def with_app(report: Report, module: str) -> Report:
    """Return the report after the app around the entry is written, as `module`."""
    rest = tuple(each for each in report.missing if each != Missing.APP)
    words = ("uvicorn", f"{module}:app", *StartCommand.LOCAL)
    command = replace(report.command, words=words, port=0)
    return replace(
        report,
        command=command,
        missing=rest,
        transports=report.transports,
        stamped=True,
        problems=tuple(each for each in report.problems if _NO_PING not in each),
    )


def _choose(folder: Folder, found: Sequence[Entry], chosen: str, typed: str) -> Entry:
    if chosen:
        wanted = str(PurePosixPath(chosen))
        named = [
            entry for entry in found if wanted in (entry.file, f"{entry.file}:{entry.variable}")
        ]
        if not named:
            raise NoAgent(
                f"{chosen} is not an agent that adopt knows.",
                _listed(found) if found else _LOOKED_FOR,
                ExitCode.BAD_PROJECT,
            )
        found = named
    if not found:
        raise NoAgent(
            f"{folder.name} has no agent that adopt knows.", _LOOKED_FOR, ExitCode.BAD_PROJECT
        )
    if len(found) > 1:
        first = found[0]
        same = len({entry.file for entry in found}) < len(found)
        example = f"{first.file}:{first.variable}" if same else first.file
        raise SeveralAgents(
            f"{folder.name} has {len(found)} agents:\n{_listed(found)}",
            f"Choose one:  {typed} --entry {example}"
            + ("\nor name the folder of one as DIR." if "/" in first.file else ""),
            ExitCode.USAGE,
        )
    return found[0]


_LOOKED_FOR = (
    "It looks for an app of AWS's SDK (BedrockAgentCoreApp), a FastAPI app with /ping, /ws or "
    "/invocations, a bot(...) for Pipecat's runner, and a Dockerfile with a CMD.\n"
    "Name the folder that has it:  voicecore adopt FOLDER\n"
    "or create an agent:  voicecore init my-agent"
)


def _places(command: StartCommand) -> dict[str, None]:
    """Return where a program's packages may be listed, the nearest folder first."""
    return dict.fromkeys((f"{command.folder}/" if command.folder != "." else "", "", "../"))


def _server(folder: Folder, modules: Sequence[Module], agent: Entry) -> FoundServer | None:
    entry = find_server(modules, agent)
    if entry is None:
        return None
    command = command_for(entry, folder, None)
    return FoundServer(entry, command, read_packages(folder, _places(command)))


def _listed(entries: Sequence[Entry]) -> str:
    return "\n".join(f"  {entry}" for entry in entries)


def _ping(entry: Entry) -> str:
    route = entry.module.route("/ping") if entry.module and entry.kind == Kind.FASTAPI else None
    return route.status if route else ""


def _is_stamped(entry: Entry) -> bool:
    route = entry.module.route("/ping") if entry.module else None
    return bool(route and route.stamped)


def _transports(entry: Entry, own: Sequence[Module]) -> tuple[str, ...]:
    """Return the transports that the entry or a module of its `own` answers."""
    answers = entry.kind in (Kind.PIPECAT, Kind.CONTAINER) or any(
        module.route("/ws") for module in own
    )
    return (transports.DEFAULT,) if answers else ()


def _reached(entry: Entry, modules: Sequence[Module]) -> list[Module]:
    """Return the entry's module and those of the folder that it imports."""
    if not entry.module:
        return list(modules)
    reached, waiting = {entry.module.path: entry.module}, [entry.module]
    while waiting:
        imports = waiting.pop().imports
        for module in modules:
            names = {module.name, module.name.rpartition(".")[2]}
            if module.path not in reached and names & imports:
                reached[module.path] = module
                waiting.append(module)
    return list(reached.values())


def _services(modules: Sequence[Module]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the AWS services that these call: those that voicecore knows, and the clients else."""
    clients = {client for module in modules for client in module.clients}
    imports = {name for module in modules for name in module.imports}
    known = tuple(
        service.name
        for service in SERVICES.values()
        if clients & {*service.clients}
        or any(f"{name}.".startswith(f"{own}.") for name in imports for own in service.modules)
    )
    named = {client for service in SERVICES.values() for client in service.clients}
    return known, tuple(sorted(clients - named - {"sts"}))


def _keys(modules: Sequence[Module], folder: Folder) -> Iterator[Key]:
    found: dict[str, Key] = {}
    for key in (key for module in modules for key in module.keys):
        if _is_key(key.name) and (key.name not in found or key.required):
            found[key.name] = key
    for file in ENV_EXAMPLES:
        for number, line in enumerate(folder.files.get(file, "").splitlines(), start=1):
            name = line.partition("=")[0].removeprefix("export ").strip()
            if name.isidentifier() and _is_key(name) and name not in found:
                found[name] = Key(name, False, file, number)
    return iter(sorted(found.values(), key=lambda key: (key.file, key.line)))


def _is_key(name: str) -> bool:
    return bool(_SECRET.search(name)) and not _OURS.match(name)


def _lacks_ping(entry: Entry) -> bool:
    """Return whether nothing answers /ping: a bot has no app, and an app may lack the path."""
    if entry.kind == Kind.FASTAPI:
        return bool(entry.module and not entry.module.route("/ping"))
    return entry.kind == Kind.PIPECAT


def _missing(entry: Entry, keys: Sequence[Key], folder: Folder) -> Iterator[Missing]:
    if _lacks_ping(entry):
        yield Missing.APP
    if keys:
        yield Missing.KEYS
    if not folder.has("Dockerfile"):
        yield Missing.DOCKERFILE
    yield from (Missing.SERVER, Missing.TESTS)
    if not folder.has("AGENTS.md"):
        yield Missing.GUIDE


def _problems(
    entry: Entry, container: Container | None, packages: Packages, unknown: Collection[str]
) -> Iterator[str]:
    if problem := python_problem(packages, container.python if container else None):
        yield problem
    if container and "amd64" in container.platform:
        yield f"the Dockerfile builds for {container.platform}; AgentCore runs linux/arm64"
    if container and _lacks_ping(entry) and APP not in " ".join(container.command):
        yield (
            f"the Dockerfile does not start {APP}.py, which answers AgentCore: end it with  "
            f'CMD ["python", "-m", "uvicorn", "{APP}:app", "--host", "0.0.0.0", "--port", "8080"]'
        )
    if entry.kind == Kind.FASTAPI and _lacks_ping(entry):
        yield f"{entry.file} {_NO_PING}, by which AgentCore sees that it is healthy: --add app"
    if (status := _ping(entry)) and status not in ("Healthy", "HealthyBusy"):
        yield f'/ping answers "{status}"; AWS documents "Healthy" and "HealthyBusy"'
    if not packages.file and entry.kind != Kind.CONTAINER:
        yield "no pyproject.toml and no requirements.txt lists its packages"
    for client in unknown:
        yield (
            f'it calls "{client}" by boto3, which voicecore has no permission for: name a role of '
            "your own that has it (role = in voicecore.toml)"
        )
