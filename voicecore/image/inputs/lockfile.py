"""Owns agent/uv.lock: created, checked, and searched for packages without an arm64 wheel.

Builds do not run emulated, so a package that must be compiled for arm64 cannot be installed here.
uv.lock alone shows that, before anything is downloaded.
"""

from __future__ import annotations

import os
import subprocess
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote

from packaging.markers import Marker
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.console.network_env import download_advice

LOCK = "uv.lock"


class LockFailed(VoicecoreError):
    """uv could not resolve the dependencies of agent/pyproject.toml; shows uv's message."""


class LockOutdated(VoicecoreError):
    """agent/uv.lock no longer matches agent/pyproject.toml."""


class BadLock(VoicecoreError):
    """agent/uv.lock cannot be read."""


class NoWheel(VoicecoreError):
    """Packages must be compiled for arm64, which cannot be done here."""


class PackagedProject(VoicecoreError):
    """The project itself would be installed as a package, which has no hash."""


@dataclass(frozen=True)
class InstallTarget:
    """Python, machine and libc that packages are installed for."""

    python: tuple[int, int] = (3, 13)
    machine: str = "aarch64"
    glibc: tuple[int, int] = (2, 28)
    """Oldest glibc supported: the Dockerfile's `--python-platform aarch64-manylinux_2_28`."""

    def __str__(self) -> str:
        return (
            f"CPython {_dotted(self.python)} on {self.machine} Linux, glibc {_dotted(self.glibc)}"
        )


IMAGE = InstallTarget()


@dataclass(frozen=True)
class LockedPackage:
    """A package that the lockfile installs in the image."""

    name: str
    version: str
    """Version; empty if the package has none before it is built."""
    required_by: tuple[str, ...]
    """Names of the packages that require it, sorted; the agent itself is "agent"."""
    source: str
    """Kind of source in uv.lock: registry, git, url, path, directory or editable."""
    wheels: tuple[str, ...]
    """File names of its wheels."""


def ensure_lock(agent: Path, env: Mapping[str, str]) -> bool:
    """Create `agent`'s uv.lock if it is missing, and return whether it was created.

    An existing one is only checked, which takes about 50 ms and no network if it is current.
    Raises LockFailed, LockOutdated or BadLock.
    """
    if not (agent / LOCK).exists():
        lock(agent, env)
        return True
    _uv_lock(agent, env, "--check")
    return False


def lock(agent: Path, env: Mapping[str, str]) -> None:
    """Create or update `agent`'s uv.lock, keeping locked versions where possible.

    Raises LockFailed or BadLock.
    """
    _uv_lock(agent, env)


def read_lock(agent: Path) -> dict[str, Any]:
    """Return the content of `agent`'s uv.lock. Raises BadLock."""
    path = agent / LOCK
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise _bad_lock(agent, str(error)) from error


def packages_for(
    lock: Mapping[str, Any], target: InstallTarget = IMAGE
) -> tuple[LockedPackage, ...]:
    """Return the packages that `lock` installs on `target`, by name, without dev dependencies."""
    packages = cast("list[dict[str, Any]]", lock.get("package", []))
    environment = _marker_environment(target)
    root = next((package for package in packages if _is_agent(package)), None)
    visited: set[tuple[int, str]] = set()  # (index of the package, extra or "")
    required_by: dict[int, set[str]] = {}
    waiting = list(_requirements(root, "", packages, environment)) if root else []
    for index, _ in waiting:
        required_by.setdefault(index, set()).add("agent")
    while waiting:
        requirement = waiting.pop()
        if requirement in visited:
            continue
        visited.add(requirement)
        index, extra = requirement
        for found in _requirements(packages[index], extra, packages, environment):
            if found[0] != index:
                required_by.setdefault(found[0], set()).add(packages[index]["name"])
            waiting.append(found)
    return tuple(
        _locked(packages[index], required_by[index])
        for index in sorted(required_by, key=lambda index: str(packages[index]["name"]))
    )


def without_wheel(
    lock: Mapping[str, Any], target: InstallTarget = IMAGE
) -> tuple[LockedPackage, ...]:
    """Return the packages that have no wheel which `target` can install."""
    return tuple(
        package for package in packages_for(lock, target) if not best_wheel(package.wheels, target)
    )


def best_wheel(wheels: Sequence[str], target: InstallTarget = IMAGE) -> str | None:
    """Return the file name, of `wheels`, that is installed on `target`; None if there is none."""
    rank = _tag_ranks(target)
    usable = [
        (min(rank[tag] for tag in tags), name)
        for name in wheels
        if (tags := _tags_of(name) & rank.keys())
    ]
    return min(usable)[1] if usable else None


def require_wheels(agent: Path, target: InstallTarget = IMAGE) -> None:
    """Raise NoWheel, naming the packages of `agent`'s uv.lock that have no usable wheel."""
    missing = without_wheel(read_lock(agent), target)
    if missing:
        raise _no_wheel(missing, agent, target)


def require_virtual(agent: Path) -> None:
    """Raise PackagedProject if `agent`'s uv.lock installs the project itself."""
    packages = cast("list[dict[str, Any]]", read_lock(agent).get("package", []))
    root = next((package for package in packages if _is_agent(package)), None)
    if root and "virtual" not in root["source"]:
        raise PackagedProject(
            f"{agent.name}/pyproject.toml makes the project a package ([tool.uv] package, or "
            "[build-system]), which has no hash to install it by; the image has its files anyway.",
            f"Write this into {agent.name}/pyproject.toml:\n  [tool.uv]\n  package = false\n"
            f"and then run:  uv lock --project {agent.name}",
            ExitCode.BAD_PROJECT,
        )


def _uv_lock(agent: Path, env: Mapping[str, str], *flags: str) -> None:
    import uv

    # VIRTUAL_ENV is voicecore's own, which does not concern the agent's packages.
    run = subprocess.run(
        [uv.find_uv_bin(), "lock", "--project", str(agent), *flags],
        env={name: value for name, value in env.items() if name != "VIRTUAL_ENV"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    if run.returncode != 0:
        raise _lock_error(agent, run.stdout)


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


def _no_wheel(missing: Sequence[LockedPackage], agent: Path, target: InstallTarget) -> NoWheel:
    count = "1 package has" if len(missing) == 1 else f"{len(missing)} packages have"
    width = max(len(f"{package.name} {package.version}") for package in missing)
    lines = [
        f"  {f'{package.name} {package.version}':{width}}  {_why_no_wheel(package, target)}; "
        f"required by {', '.join(package.required_by)}"
        for package in missing
    ]
    excluded = ", ".join(f'"{package.name}"' for package in missing)
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
        f"{agent.name}/pyproject.toml:\n"
        f"  [tool.uv]\n  exclude-dependencies = [{excluded}]\n"
        f"and then run:  uv lock --project {agent.name}",
        ExitCode.BAD_PROJECT,
    )


def _why_no_wheel(package: LockedPackage, target: InstallTarget) -> str:
    """Return why no wheel is usable, as far as the wheels' names show it."""
    if package.source not in ("registry", "url", "path"):
        return f"is installed from source, from {package.source}"
    if not package.wheels:
        return "is published as source only"
    platforms = {tag.platform for wheel in package.wheels for tag in _tags_of(wheel)}
    mine = sorted(name for name in platforms if "linux" in name and name.endswith(target.machine))
    if not mine:
        return f"no wheel for {target.machine}"
    return f"its wheels for {target.machine} need another Python or libc ({', '.join(mine)})"


def _is_agent(package: Mapping[str, Any]) -> bool:
    source = cast("dict[str, Any]", package.get("source", {}))
    return any(source.get(kind) == "." for kind in ("virtual", "editable", "directory"))


def _requirements(
    package: Mapping[str, Any],
    extra: str,
    packages: Sequence[Mapping[str, Any]],
    environment: Mapping[str, str],
) -> Iterator[tuple[int, str]]:
    """Yield what `package` or its `extra` requires in `environment`: (index in `packages`, extra).

    The extra "" is the package itself.
    """
    entries = cast(
        "list[dict[str, Any]]",
        package.get("optional-dependencies", {}).get(extra, [])
        if extra
        else package.get("dependencies", []),
    )
    for entry in entries:
        marker = entry.get("marker")
        if marker and not Marker(marker).evaluate(dict(environment)):
            continue
        index = next(n for n, candidate in enumerate(packages) if _matches(candidate, entry))
        for name in ("", *entry.get("extra", ())):
            yield index, name


def _matches(package: Mapping[str, Any], entry: Mapping[str, Any]) -> bool:
    # An entry has a version and a source only if the name alone is ambiguous.
    return all(
        package.get(key) == entry[key] for key in ("name", "version", "source") if key in entry
    )


def _locked(package: Mapping[str, Any], required_by: set[str]) -> LockedPackage:
    wheels = cast("list[dict[str, Any]]", package.get("wheels", []))
    return LockedPackage(
        name=package["name"],
        version=package.get("version", ""),
        required_by=tuple(sorted(required_by)),
        source=next(iter(package["source"])),
        wheels=tuple(_file_name(wheel) for wheel in wheels),
    )


def _file_name(wheel: Mapping[str, Any]) -> str:
    # uv.lock has a wheel's `url`, `path` or `filename`, depending on the kind of source.
    place = next(str(wheel[key]) for key in ("filename", "url", "path") if key in wheel)
    return unquote(place.rsplit("/", 1)[-1].partition("#")[0])


def _tags_of(wheel: str) -> frozenset[Tag]:
    try:
        return parse_wheel_filename(wheel)[3]
    except InvalidWheelFilename:  # no installer accepts it
        return frozenset()


@cache
def _tag_ranks(target: InstallTarget) -> dict[Tag, int]:
    """Return the rank of each tag that `target` can install; 0 is the best."""
    return {tag: rank for rank, tag in enumerate(_tags_for(target))}


def _tags_for(target: InstallTarget) -> Iterator[Tag]:
    major, minor = target.glibc
    # manylinux_2_17 is the oldest for aarch64 (PEP 599); manylinux2014 is its other name.
    platforms = [
        *(f"manylinux_{major}_{n}_{target.machine}" for n in range(minor, 16, -1)),
        f"manylinux2014_{target.machine}",
        f"linux_{target.machine}",
    ]
    interpreter = f"cp{target.python[0]}{target.python[1]}"
    yield from cpython_tags(target.python, abis=[interpreter], platforms=platforms)
    yield from compatible_tags(target.python, interpreter, platforms)


def _marker_environment(target: InstallTarget) -> dict[str, str]:
    """Return PEP 508's variables on `target`, with patch release 0, which is not known."""
    full = f"{_dotted(target.python)}.0"
    return {
        "implementation_name": "cpython",
        "implementation_version": full,
        "os_name": "posix",
        "platform_machine": target.machine,
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": full,
        "python_version": _dotted(target.python),
        "sys_platform": "linux",
    }


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
