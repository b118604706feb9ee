"""Owns the command that starts the user's agent on this machine, and the one in its image."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import ClassVar

from voicecore.adopt.container import Container
from voicecore.adopt.entries import Entry, Kind
from voicecore.adopt.folder import Folder
from voicecore.project.python_code import Module

PORT_WORD = "$PORT"
AGENTCORE_PORT = 8080


@dataclass(frozen=True)
class StartCommand:
    """How the agent is started, in a folder of the user's."""

    LOCAL: ClassVar = ("--host", "127.0.0.1", "--port", PORT_WORD)
    """Options of uvicorn for this machine alone."""

    folder: str
    words: tuple[str, ...]
    """Command; `$PORT` in it is its port. Empty for a bot that nothing serves yet."""
    port: int
    """Port at which it always listens; 0 if it can be told."""
    bind: str
    """Address at which it listens by itself; empty if it is not written anywhere."""

    @property
    def line(self) -> str:
        """The command as it is typed."""
        return shlex.join(self.words).replace(f"'{PORT_WORD}'", PORT_WORD)

    @property
    def in_image(self) -> tuple[str, ...]:
        """The command in an image, where AgentCore calls port 8080."""
        given = {"127.0.0.1": "0.0.0.0", PORT_WORD: str(AGENTCORE_PORT)}  # noqa: S104 - a container
        words = tuple(given.get(word, word) for word in self.words)
        return words if words[:1] == ("python",) else ("python", "-m", *words)


def command_for(entry: Entry, folder: Folder, container: Container | None) -> StartCommand:
    """Return how the entry is started."""
    module = entry.module
    if module is None:
        return _command_in(container) if container else StartCommand(".", (), 0, "")
    place, name = _place(module, folder)
    if entry.kind == Kind.PIPECAT:
        return StartCommand(place, (), 0, "")
    start, file = module.start, str(PurePosixPath(module.path).relative_to(place))
    bind = start.host if start else ""
    if entry.kind == Kind.FASTAPI and any(key.name == "PORT" for key in module.keys):
        return StartCommand(place, ("python", file), 0, bind)
    if start and not module.served_app:
        return StartCommand(place, ("python", file), start.port or AGENTCORE_PORT, bind)
    return StartCommand(
        place, ("uvicorn", f"{name}:{entry.variable}", *StartCommand.LOCAL), 0, bind
    )


def _command_in(container: Container) -> StartCommand:
    words = _with_port(container.command)
    port = 0 if PORT_WORD in words else (container.ports or (AGENTCORE_PORT,))[0]
    return StartCommand(".", words, port, _bind_in(container.command))


def _place(module: Module, folder: Folder) -> tuple[str, str]:
    """Return the folder to run a module in, and its dotted name there.

    A module of a package, or one whose imports begin with its folder, is run from above it.
    """
    parent = str(PurePosixPath(module.path).parent)
    top = module.path.partition("/")[0]
    package = folder.has(f"{parent}/__init__.py") or any(
        f"{name}.".startswith(f"{top}.") for name in module.imports
    )
    if parent == "." or package:
        return ".", module.name
    return parent, module.name.rpartition(".")[2]


def _with_port(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return a container's command for this machine: its own port, and no other machine."""
    shown = list(words)
    for number, word in enumerate(words):
        before = words[number - 1] if number else ""
        if before in ("--port", "-p") and word.strip("${}").isalnum():
            shown[number] = PORT_WORD
        elif before == "--host" and word == "0.0.0.0":  # noqa: S104 - what the user's file says
            shown[number] = "127.0.0.1"
    return tuple(shown)


def _bind_in(words: tuple[str, ...]) -> str:
    return next((words[n + 1] for n, word in enumerate(words[:-1]) if word == "--host"), "")
