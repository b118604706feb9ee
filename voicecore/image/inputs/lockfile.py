"""Owns agent/uv.lock: created, checked, read, and refused where it cannot be installed."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.console.network_env import download_advice
from voicecore.console.uv_program import uv_program
from voicecore.image.inputs.locked_packages import (
    IMAGE,
    LOCAL_FOLDERS,
    InstallTarget,
    LockedPackage,
    entries_of,
    root_of,
    tags_of,
    without_wheel,
)
from voicecore.project.dotenv import without_ours

LOCK = "uv.lock"

INDEX_LOGIN = """\
Give uv a login to it, in one of these ways (NAME is the index's, in pyproject.toml or uv.toml):
  export UV_INDEX_NAME_USERNAME=... UV_INDEX_NAME_PASSWORD=...
  a line `machine HOST login USER password PASSWORD` in ~/.netrc
  export UV_KEYRING_PROVIDER=subprocess    (with keyring installed)"""
"""Ways to log in to a package index of your own; uv reads all of these."""


class LockFailed(VoicecoreError):
    """uv could not resolve the dependencies of agent/pyproject.toml; shows uv's message."""


class LoginRefused(VoicecoreError):
    """A package index wants a login, or another one."""


class LockOutdated(VoicecoreError):
    """agent/uv.lock no longer matches agent/pyproject.toml."""


class BadLock(VoicecoreError):
    """agent/uv.lock cannot be read."""


class NoWheel(VoicecoreError):
    """Packages must be compiled for arm64, which cannot be done here."""


class PackagedProject(VoicecoreError):
    """The project itself would be installed as a package, which has no hash."""


def lock_path(agent: Path, env: Mapping[str, str]) -> Path:
    """Return the path of `agent`'s uv.lock, which is at the root of its uv workspace, if any."""
    run = _uv(["workspace", "dir", "--project", str(agent)], env)
    return (Path(run.stdout.strip()) if run.returncode == 0 else agent) / LOCK


def ensure_lock(agent: Path, env: Mapping[str, str]) -> bool:
    """Create `agent`'s uv.lock if it is missing, and return whether it was created.

    An existing one is only checked, which takes about 50 ms and no network if it is current.
    Raises LockFailed, LockOutdated or BadLock.
    """
    if not lock_path(agent, env).exists():
        lock(agent, env)
        return True
    _uv_lock(agent, env, "--check")
    return False


def lock(agent: Path, env: Mapping[str, str]) -> None:
    """Create or update `agent`'s uv.lock, keeping locked versions where possible.

    Raises LockFailed or BadLock.
    """
    _uv_lock(agent, env)


def read_lock(agent: Path, path: Path | None = None) -> dict[str, Any]:
    """Return the content of `agent`'s uv.lock, with paths of packages relative to `agent`.

    `path` is the place of a workspace's uv.lock. Raises BadLock.
    """
    path = path or agent / LOCK
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise _bad_lock(agent, str(error)) from error
    for entry in entries_of(content):
        for kind in LOCAL_FOLDERS & entry["source"].keys():
            entry["source"][kind] = os.path.relpath(path.parent / entry["source"][kind], agent)
    return content


def require_wheels(
    agent: Path, lock: Mapping[str, Any], target: InstallTarget = IMAGE, path: Path | None = None
) -> None:
    """Raise NoWheel, naming the packages that `agent`'s uv.lock has no usable wheel of.

    `path` is the place of a workspace's uv.lock.
    """
    missing = without_wheel(lock, target)
    if missing:
        root = path.parent if path else agent
        raise _no_wheel(missing, agent, target, os.path.relpath(root, agent.parent))


def require_virtual(agent: Path, lock: Mapping[str, Any]) -> None:
    """Raise PackagedProject if `agent`'s uv.lock installs the project itself."""
    root = root_of(lock)
    if root and "virtual" not in root["source"]:
        raise PackagedProject(
            f"{agent.name}/pyproject.toml makes the project a package ([tool.uv] package, or "
            "[build-system]), which has no hash to install it by; the image has its files anyway.",
            f"Write this into {agent.name}/pyproject.toml:\n  [tool.uv]\n  package = false\n"
            f"and then run:  uv lock --project {agent.name}",
            ExitCode.BAD_PROJECT,
        )


def _uv(arguments: Sequence[str], env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:

    return subprocess.run(
        [uv_program(), *arguments],
        env=without_ours(env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
    )


def _uv_lock(agent: Path, env: Mapping[str, str], *flags: str) -> None:
    run = _uv(["lock", "--project", str(agent), *flags], env)
    if run.returncode != 0:
        raise _lock_error(agent, run.stdout + run.stderr)


def login_refused(output: str) -> LoginRefused | None:
    """Return the error for uv's output if a package index wants another login."""
    if not re.search(r"\b40[13] (Unauthorized|Forbidden)", output):
        return None
    tail = "\n".join(output.strip().splitlines()[-15:])
    return LoginRefused(
        f"A package index refused your login:\n{tail}",
        f"{INDEX_LOGIN}\nThen run the same command again.",
    )


def _lock_error(agent: Path, output: str) -> VoicecoreError:
    """Return the error for what a failed `uv lock` printed."""
    command = f"uv lock --project {agent.name}"
    if "needs to be updated" in output:
        return LockOutdated(
            f"{agent.name}/{LOCK} is out of date: {agent.name}/pyproject.toml has changed since.",
            f"Update it, then build again:  {command}",
            ExitCode.BAD_PROJECT,
        )
    if "No interpreter found" in output or "python-build-standalone" in output:
        return LockFailed(
            f"This machine has no Python that {agent.name}/pyproject.toml allows, "
            "and uv could not download one.",
            "Install one, then run the same command again:  uv python install 3.13\n"
            "or name yours:  export UV_PYTHON=/path/to/python3.13",
            ExitCode.MISSING_TOOL,
        )
    tail = "\n".join(output.strip().splitlines()[-15:])
    if refused := login_refused(output):
        return refused
    if f"Failed to parse `{LOCK}`" in output:
        return _bad_lock(agent, tail)
    return LockFailed(
        f"Could not resolve the packages of {agent.name}/:\n{tail}",
        download_advice(output, os.environ) or f"Run it yourself to see more:  {command}",
    )


def _bad_lock(agent: Path, reason: str) -> BadLock:
    return BadLock(
        f"Could not read {agent.name}/{LOCK}: {reason}",
        f"Create it again:  rm {agent.name}/{LOCK} && uv lock --project {agent.name}",
        ExitCode.BAD_PROJECT,
    )


def _no_wheel(
    missing: Sequence[LockedPackage], agent: Path, target: InstallTarget, root: str
) -> NoWheel:
    count = "1 package has" if len(missing) == 1 else f"{len(missing)} packages have"
    width = max(len(f"{package.name} {package.version}") for package in missing)
    lines = [
        f"  {f'{package.name} {package.version}':{width}}  {_why_no_wheel(package, target)}; "
        f"required by {', '.join(package.required_by)}"
        for package in missing
    ]
    excluded = ", ".join(f'"{package.name}"' for package in missing)
    workspace = (
        f"(the root of the workspace; uv ignores the list in {agent.name}/pyproject.toml, so move "
        "that here)\n"
    )
    return NoWheel(
        "\n".join(
            [
                f"{count} no wheel for {target}:",
                *lines,
                "Such a package must be compiled on arm64, and builds here do not run emulated.",
            ]
        ),
        "Compile it on AWS's arm64 machines:\n"
        "  voicecore build --builder codebuild --push REPOSITORY\n"
        "or, if the agent never imports it, exclude it. Add it to the list in "
        f"{os.path.normpath(f'{root}/pyproject.toml')}:\n"
        f"{workspace if root != agent.name else ''}"
        f"  [tool.uv]\n  exclude-dependencies = [{excluded}]\n"
        f"and then run:  uv lock --project {agent.name}",
        ExitCode.BAD_PROJECT,
    )


def _why_no_wheel(package: LockedPackage, target: InstallTarget) -> str:
    """Return why no wheel is usable, as far as the wheels' names show it."""
    if not package.wheels:
        return "is published as source only"
    platforms = {tag.platform for wheel in package.wheels for tag in tags_of(wheel)}
    mine = sorted(name for name in platforms if "linux" in name and name.endswith(target.machine))
    if not mine:
        return f"no wheel for {target.machine}"
    return f"its wheels for {target.machine} need another Python or libc ({', '.join(mine)})"
