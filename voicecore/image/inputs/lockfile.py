"""The lockfile of the agent: made, held current, and asked what it has no arm64 wheel for.

Nothing runs emulated, so a package that must be compiled for arm64 cannot be installed here. That
is told from uv.lock alone, before anything is fetched.
"""

from __future__ import annotations

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

LOCK = "uv.lock"


class LockFailed(VoicecoreError):
    """uv could not resolve what agent/pyproject.toml asks for; carries uv's own words."""


class LockOutdated(VoicecoreError):
    """agent/uv.lock is not what agent/pyproject.toml asks for any more."""


class BadLock(VoicecoreError):
    """agent/uv.lock cannot be read."""


class NoWheel(VoicecoreError):
    """Packages must be compiled for arm64, which cannot be done here."""


@dataclass(frozen=True)
class Target:
    """What the image runs: the interpreter of its base, and the oldest libc it may have."""

    python: tuple[int, int] = (3, 13)
    machine: str = "aarch64"
    glibc: tuple[int, int] = (2, 28)
    """As the Dockerfile's `--python-platform aarch64-manylinux_2_28` says."""

    def __str__(self) -> str:
        return (
            f"CPython {_dotted(self.python)} on {self.machine} Linux, glibc {_dotted(self.glibc)}"
        )


IMAGE = Target()


@dataclass(frozen=True)
class Locked:
    """A package that the lockfile puts into the image."""

    name: str
    version: str
    """Empty where the package has none before it is built."""
    needed_by: tuple[str, ...]
    """Names of the packages that ask for it, sorted; the agent itself is "agent"."""
    source: str
    """Where it comes from, as uv.lock calls it: registry, git, url, path, directory, editable."""
    wheels: tuple[str, ...]
    """File names."""


def ensure_lock(agent: Path, env: Mapping[str, str]) -> bool:
    """Make `agent`'s uv.lock if there is none, and say whether that was done.

    One that is there is only checked, in some 50 ms and without network where it is current.
    Raises LockFailed, LockOutdated or BadLock.
    """
    if not (agent / LOCK).exists():
        lock(agent, env)
        return True
    _uv_lock(agent, env, "--check")
    return False


def lock(agent: Path, env: Mapping[str, str]) -> None:
    """Make `agent`'s uv.lock, or bring it up to date: versions that may stay do.

    Raises LockFailed or BadLock.
    """
    _uv_lock(agent, env)


def read_lock(agent: Path) -> dict[str, Any]:
    """What `agent`'s uv.lock says. Raises BadLock."""
    path = agent / LOCK
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise _bad_lock(agent, str(error)) from error


def needed(lock: Mapping[str, Any], target: Target = IMAGE) -> tuple[Locked, ...]:
    """The packages that `lock` installs on `target`, sorted by name; development groups are not."""
    packages = cast("list[dict[str, Any]]", lock.get("package", []))
    environment = _environment(target)
    root = next((package for package in packages if _is_agent(package)), None)
    # (index of the package, extra or "") → who asked for it.
    seen: dict[tuple[int, str], None] = {}
    asked_by: dict[int, set[str]] = {}
    waiting = list(_wanted(root, "", packages, environment)) if root else []
    for index, _ in waiting:
        asked_by.setdefault(index, set()).add("agent")
    while waiting:
        asking = waiting.pop()
        if asking in seen:
            continue
        seen[asking] = None
        index, extra = asking
        for found in _wanted(packages[index], extra, packages, environment):
            if found[0] != index:
                asked_by.setdefault(found[0], set()).add(packages[index]["name"])
            waiting.append(found)
    return tuple(
        _locked(packages[index], asked_by[index])
        for index in sorted(asked_by, key=lambda index: str(packages[index]["name"]))
    )


def without_wheel(lock: Mapping[str, Any], target: Target = IMAGE) -> tuple[Locked, ...]:
    """The packages of `needed` that no wheel of theirs can install on `target`."""
    return tuple(package for package in needed(lock, target) if not best(package.wheels, target))


def best(wheels: Sequence[str], target: Target = IMAGE) -> str | None:
    """The file name, of `wheels`, that is installed on `target`; None if none can be."""
    rank = _ranks(target)
    usable = [
        (min(rank[tag] for tag in tags), name)
        for name in wheels
        if (tags := _tags_of(name) & rank.keys())
    ]
    return min(usable)[1] if usable else None


def require_wheels(agent: Path, target: Target = IMAGE) -> None:
    """Raise NoWheel, naming them, if `agent`'s uv.lock has packages without a usable wheel."""
    missing = without_wheel(read_lock(agent), target)
    if missing:
        raise _no_wheel(missing, agent, target)


def _uv_lock(agent: Path, env: Mapping[str, str], *flags: str) -> None:
    import uv

    # VIRTUAL_ENV is voicecore's own, which the agent's packages have nothing to do with.
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
        raise _failure(agent, run.stdout)


def _failure(agent: Path, output: str) -> VoicecoreError:
    """What uv's words after a failed `uv lock` mean."""
    command = f"uv lock --project {agent.name}"
    if "needs to be updated" in output:
        return LockOutdated(
            f"{agent.name}/{LOCK} is out of date: {agent.name}/pyproject.toml asks for something "
            "else by now.",
            f"Bring it up to date, then build again:  {command}",
            ExitCode.BAD_PROJECT,
        )
    if "No interpreter found" in output or "python-build-standalone" in output:
        return LockFailed(
            f"No Python that {agent.name}/pyproject.toml allows is on this machine, "
            "and uv could not fetch one.",
            "Install one, then run the same command again:  uv python install 3.13\n"
            "or name yours:  export UV_PYTHON=/path/to/python3.13",
            ExitCode.MISSING_TOOL,
        )
    tail = "\n".join(output.strip().splitlines()[-15:])
    if f"Failed to parse `{LOCK}`" in output:
        return _bad_lock(agent, tail)
    return LockFailed(
        f"The packages of {agent.name}/ could not be resolved:\n{tail}",
        f"Try it by hand:  {command}",
    )


def _bad_lock(agent: Path, reason: str) -> BadLock:
    return BadLock(
        f"{agent.name}/{LOCK} cannot be read: {reason}",
        f"Make it anew:  rm {agent.name}/{LOCK} && uv lock --project {agent.name}",
        ExitCode.BAD_PROJECT,
    )


def _no_wheel(missing: Sequence[Locked], agent: Path, target: Target) -> NoWheel:
    count = "1 package has" if len(missing) == 1 else f"{len(missing)} packages have"
    width = max(len(f"{package.name} {package.version}") for package in missing)
    lines = [
        f"  {f'{package.name} {package.version}':{width}}  {_why(package, target)}; "
        f"needed by {', '.join(package.needed_by)}"
        for package in missing
    ]
    left_out = ", ".join(f'"{package.name}"' for package in missing)
    return NoWheel(
        "\n".join(
            [
                f"{count} no wheel for {target}:",
                *lines,
                "A package without one must be compiled on arm64, and nothing runs emulated here.",
            ]
        ),
        "Have it compiled on AWS's arm64 machines:\n"
        "  voicecore build --builder codebuild --push REPOSITORY\n"
        "or, if the agent never imports it, leave it out. Add it to the list in "
        f"{agent.name}/pyproject.toml:\n"
        f"  [tool.uv]\n  exclude-dependencies = [{left_out}]\n"
        f"and then:  uv lock --project {agent.name}",
        ExitCode.BAD_PROJECT,
    )


def _why(package: Locked, target: Target) -> str:
    """What stands in the way, as far as the names of the wheels tell it."""
    if package.source not in ("registry", "url", "path"):
        return f"comes as source, from {package.source}"
    if not package.wheels:
        return "comes as source only"
    platforms = {tag.platform for wheel in package.wheels for tag in _tags_of(wheel)}
    mine = sorted(name for name in platforms if "linux" in name and name.endswith(target.machine))
    if not mine:
        return f"no wheel for {target.machine}"
    return f"its wheels for {target.machine} are of another Python or libc ({', '.join(mine)})"


def _is_agent(package: Mapping[str, Any]) -> bool:
    source = cast("dict[str, Any]", package.get("source", {}))
    return any(source.get(kind) == "." for kind in ("virtual", "editable", "directory"))


def _wanted(
    package: Mapping[str, Any],
    extra: str,
    packages: Sequence[Mapping[str, Any]],
    environment: Mapping[str, str],
) -> Iterator[tuple[int, str]]:
    """What `package`, or its `extra`, asks for in `environment`: (index in `packages`, extra)."""
    asked = cast(
        "list[dict[str, Any]]",
        package.get("optional-dependencies", {}).get(extra, [])
        if extra
        else package.get("dependencies", []),
    )
    for entry in asked:
        marker = entry.get("marker")
        if marker and not Marker(marker).evaluate(dict(environment)):
            continue
        index = next(n for n, candidate in enumerate(packages) if _is_meant(candidate, entry))
        for name in ("", *entry.get("extra", ())):
            yield index, name


def _is_meant(package: Mapping[str, Any], entry: Mapping[str, Any]) -> bool:
    # Version and source are written in the entry only where the name alone is not clear.
    return all(
        package.get(key) == entry[key] for key in ("name", "version", "source") if key in entry
    )


def _locked(package: Mapping[str, Any], needed_by: set[str]) -> Locked:
    wheels = cast("list[dict[str, Any]]", package.get("wheels", []))
    return Locked(
        name=package["name"],
        version=package.get("version", ""),
        needed_by=tuple(sorted(needed_by)),
        source=next(iter(package["source"])),
        wheels=tuple(_file_name(wheel) for wheel in wheels),
    )


def _file_name(wheel: Mapping[str, Any]) -> str:
    """uv.lock gives a wheel's `url`, its `path`, or its `filename` (locked by path or registry)."""
    place = next(str(wheel[key]) for key in ("filename", "url", "path") if key in wheel)
    return unquote(place.rsplit("/", 1)[-1].partition("#")[0])


def _tags_of(wheel: str) -> frozenset[Tag]:
    try:
        return parse_wheel_filename(wheel)[3]
    except InvalidWheelFilename:  # No installer takes it either.
        return frozenset()


@cache
def _ranks(target: Target) -> dict[Tag, int]:
    """The tags that `target` can install, the best first."""
    return {tag: rank for rank, tag in enumerate(_tags(target))}


def _tags(target: Target) -> Iterator[Tag]:
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


def _environment(target: Target) -> dict[str, str]:
    """PEP 508's variables on `target`; of the patch release nothing is known but that it is one."""
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
