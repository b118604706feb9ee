"""Owns the choice of the agent's entry: the module that serves it, or the bot that lacks one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from voicecore.adopt.container import Container
from voicecore.project.python_code import Module

_AGENT_PATHS = ("/ping", "/ws", "/invocations")
_SERVER_PATHS = ("/start", "/health")
_ARN = "AGENT_RUNTIME_ARN"


class Kind(StrEnum):
    """Kind of an entry."""

    SDK = "an app of AWS's SDK"
    FASTAPI = "a FastAPI app"
    PIPECAT = "a bot for Pipecat's runner"
    CONTAINER = "a container"


@dataclass(frozen=True)
class Entry:
    """A way to start the agent that was found."""

    kind: Kind
    file: str
    line: int = 1
    variable: str = ""
    """Variable of the app, or function of the bot."""
    module: Module | None = None

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.kind.value}" + (
            f", {self.variable}" if self.variable else ""
        )


def find_entries(modules: Sequence[Module], container: Container | None) -> list[Entry]:
    """Return the entries that may be the agent; one if only one can be."""
    found = [entry for module in modules for entry in _entries_of(module)]
    found = [entry for entry in found if not _is_imported(entry, found)]
    if started := [entry for entry in found if container and _starts(container, entry)]:
        return started[:1]
    if not found and container and container.command:
        return [Entry(Kind.CONTAINER, "Dockerfile")]
    return found


def find_server(modules: Iterable[Module], entry: Entry) -> Entry | None:
    """Return the session server: an app that starts sessions and is not the agent."""
    for module in modules:
        serves = any(module.route(path) for path in _SERVER_PATHS) or _ARN in module.texts
        answers = any(module.route(path) for path in _AGENT_PATHS)
        if serves and not answers and module.path != entry.file:
            for app in module.apps:
                if not app.sdk:
                    return Entry(Kind.FASTAPI, module.path, app.line, app.variable, module)
    return None


def _entries_of(module: Module) -> Iterable[Entry]:
    for app in module.apps:
        if app.sdk or any(module.route(path) for path in _AGENT_PATHS):
            kind = Kind.SDK if app.sdk else Kind.FASTAPI
            yield Entry(kind, module.path, app.line, app.variable, module)
    if not module.apps and "bot" in module.functions and _uses_runner(module):
        yield Entry(Kind.PIPECAT, module.path, module.functions["bot"].line, "bot", module)


def _uses_runner(module: Module) -> bool:
    return any(name.startswith("pipecat") for name in module.imports)


def _is_imported(entry: Entry, others: Sequence[Entry]) -> bool:
    """Return whether another entry's module imports this one's: it serves it then."""
    if entry.module is None:
        return False
    names = {entry.module.name, entry.module.name.rpartition(".")[2]}
    return any(
        bool(other.module and other.file != entry.file and other.module.imports & names)
        for other in others
    )


def _starts(container: Container, entry: Entry) -> bool:
    """Return whether the container's command names the entry's module."""
    if not entry.module:
        return False
    names = {entry.file, entry.module.name, entry.file.rpartition("/")[2]}
    last = entry.module.name.rpartition(".")[2]
    words = {word.partition(":")[0].removeprefix("./") for word in container.command}
    return bool(words & names) or last in words
