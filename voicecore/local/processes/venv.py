"""Owns the virtual environments of agent and session server."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.console.network_env import download_advice
from voicecore.console.uv_program import uv_program
from voicecore.project.dotenv import without_ours
from voicecore.project.settings.programs import (
    PYPROJECT,
    AgentSettings,
    Program,
    generated_program,
)

_TRACES = "traces"
"""Dependency group of a generated agent, which only local agents install."""


class InstallFailed(VoicecoreError):
    """uv could not install the packages of a program; carries its command and output."""


def python_of(folder: Path) -> Path:
    """Return the Python interpreter of the environment of `folder` (created by `sync`)."""
    return folder / ".venv" / "bin" / "python"


def command_of(program: Program) -> tuple[str, ...]:
    """Return the program's command, with its first word from its environment if it is there."""
    first, *others = program.command
    own = program.venv / "bin" / first
    installed = first == "python" and program.requirements is not None
    return (str(own) if own.exists() or installed else first, *others)


def variables_of(program: Program, env: Mapping[str, str]) -> dict[str, str]:
    """Return `env` with the program's environment activated."""
    places = (str(program.venv / "bin"), env.get("PATH", os.defpath))
    return {**env, "VIRTUAL_ENV": str(program.venv), "PATH": os.pathsep.join(places)}


def writes_traces(program: Program) -> bool:
    """Return True for a generated program whose pyproject.toml has the packages for traces."""
    if not program.generated or not program.requirements:
        return False
    try:
        settings = tomllib.loads(program.requirements.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        return False  # uv reports what is wrong with the file
    groups = settings.get("dependency-groups")
    return isinstance(groups, dict) and _TRACES in groups


def sync(folders: Sequence[Path], env: Mapping[str, str]) -> None:
    """Install the packages of generated programs, as `install` does."""
    install([generated_program(folder, AgentSettings()) for folder in folders], env)


def install(programs: Sequence[Program], env: Mapping[str, str]) -> None:
    """Install the packages of each program, all programs at the same time.

    An up-to-date program takes about 50 ms and no network. Raises InstallFailed.
    """
    child_env = without_ours(env)
    with tempfile.TemporaryDirectory(prefix="voicecore-") as logs:
        running = [
            _start(program, child_env, Path(logs) / str(number))
            for number, program in enumerate(programs)
            if program.requirements
        ]
        for install in running:
            install.process.wait()
        for install in running:
            if install.process.returncode != 0:
                raise _failure(install)


@dataclass(frozen=True)
class _Install:
    """One running command of uv."""

    program: Program
    argv: list[str]
    log: Path
    process: subprocess.Popen[bytes]


def _start(program: Program, env: Mapping[str, str], log: Path) -> _Install:
    # In a uv workspace, all members would share one environment at its root.
    env = {**env, "UV_PROJECT_ENVIRONMENT": str(program.venv)}

    def start(argv: list[str]) -> _Install:
        with log.open("wb") as output:
            process = subprocess.Popen(
                argv, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )
        return _Install(program, argv, log, process)

    *before, last = _commands(program)
    for argv in before:
        install = start(argv)
        if install.process.wait() != 0:
            return install
    return start(last)


def _commands(program: Program) -> list[list[str]]:
    """Return the commands that install the packages of a program.

    Only a generated program gets a uv.lock by them: among the user's own files, none is written.
    """
    uv, venv = uv_program(), str(program.venv)
    if program.generated or program.locked:
        # --inexact keeps the packages that `uv run pytest` added for the project's own tests.
        folder = str((program.requirements or program.folder).parent)
        argv = [uv, "sync", "--project", folder, "--no-dev", "--inexact"]
        if writes_traces(program):
            argv += ["--group", _TRACES]
        return [argv if program.generated else [*argv, "--frozen", "--no-install-project"]]
    make = [uv, "venv", "--quiet", "--allow-existing", "--directory", str(program.folder), venv]
    install = [uv, "pip", "install", "--python", venv, "-r", str(program.requirements)]
    return [make, install]


def _failure(install: _Install) -> InstallFailed:
    folder = install.program.folder
    output = install.log.read_text(errors="replace")
    command = shlex.join(["uv", *install.argv[1:]])
    if "No interpreter found" in output or "python-build-standalone" in output:
        return InstallFailed(
            f"{folder.name}/ needs Python {_required_python(install.program)}; this machine has "
            "none, and uv could not download one.",
            "Install one, then run the same command again:  uv python install 3.12\n"
            "or set the path of yours:  export UV_PYTHON=/path/to/python3.12",
            ExitCode.MISSING_TOOL,
        )
    tail = "\n".join(output.strip().splitlines()[-15:])
    return InstallFailed(
        f"Could not install the packages of {folder.name}/:\n{tail}",
        download_advice(output, os.environ) or f"To see all output, run:  {command}",
    )


def _required_python(program: Program) -> str:
    if not program.requirements or program.requirements.name != PYPROJECT:
        return "of another version"
    settings = tomllib.loads(program.requirements.read_text(encoding="utf-8-sig"))
    return settings.get("project", {}).get("requires-python", "")
