"""Owns the virtual environments of agent and session server."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.console.network_env import download_advice
from voicecore.console.uv_program import uv_program
from voicecore.project.dotenv import without_ours


class InstallFailed(VoicecoreError):
    """uv could not install the packages of a pyproject.toml; carries its command and output."""


def python_of(folder: Path) -> Path:
    """Return the Python interpreter of the environment of `folder` (created by `sync`)."""
    return folder / ".venv" / "bin" / "python"


def sync(folders: Sequence[Path], env: Mapping[str, str]) -> None:
    """Install the packages of each folder's pyproject.toml, all folders at the same time.

    An up-to-date folder takes about 50 ms and no network. Raises InstallFailed.
    """
    child_env = without_ours(env)
    with tempfile.TemporaryDirectory(prefix="voicecore-") as logs:
        running = [_start(folder, child_env, Path(logs) / folder.name) for folder in folders]
        for install in running:
            install.process.wait()
        for install in running:
            if install.process.returncode != 0:
                raise _failure(install)


@dataclass(frozen=True)
class _Install:
    """One running `uv sync`."""

    folder: Path
    argv: list[str]
    log: Path
    process: subprocess.Popen[bytes]


def _start(folder: Path, env: Mapping[str, str], log: Path) -> _Install:

    # --inexact keeps the packages that `uv run pytest` added for the project's own tests.
    argv = [uv_program(), "sync", "--project", str(folder), "--no-dev", "--inexact"]
    # In a uv workspace, all members would share one environment at its root.
    env = {**env, "UV_PROJECT_ENVIRONMENT": str(folder / ".venv")}
    with log.open("wb") as output:
        process = subprocess.Popen(
            argv, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
    return _Install(folder, argv, log, process)


def _failure(install: _Install) -> InstallFailed:
    folder = install.folder
    output = install.log.read_text(errors="replace")
    command = shlex.join(["uv", *install.argv[1:]])
    if "No interpreter found" in output or "python-build-standalone" in output:
        return InstallFailed(
            f"{folder.name}/ needs Python {_required_python(folder)}; this machine has none, "
            "and uv could not download one.",
            "Install one, then run the same command again:  uv python install 3.12\n"
            "or set the path of yours:  export UV_PYTHON=/path/to/python3.12",
            ExitCode.MISSING_TOOL,
        )
    tail = "\n".join(output.strip().splitlines()[-15:])
    return InstallFailed(
        f"Could not install the packages of {folder.name}/:\n{tail}",
        download_advice(output, os.environ) or f"To see all output, run:  {command}",
    )


def _required_python(folder: Path) -> str:
    import tomllib

    settings = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8-sig"))
    return settings.get("project", {}).get("requires-python", "")
