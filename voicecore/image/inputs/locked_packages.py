"""Owns what uv.lock installs: its packages, their sources, and the wheels that fit an image.

Builds do not run emulated, so a package that must be compiled for arm64 cannot be installed here.
uv.lock alone shows that, before anything is downloaded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, cast
from urllib.parse import unquote

from packaging.markers import Marker
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import InvalidWheelFilename, parse_wheel_filename


@dataclass(frozen=True)
class InstallTarget:
    """Python, machine and libc that packages are installed for."""

    python: tuple[int, int] = (3, 13)
    machine: str = "aarch64"
    glibc: tuple[int, int] = (2, 28)
    """Oldest glibc supported: the Dockerfile's `--python-platform aarch64-manylinux_2_28`."""

    def __str__(self) -> str:
        return f"CPython {dotted(self.python)} on {self.machine} Linux, glibc {dotted(self.glibc)}"


IMAGE = InstallTarget()

PYPI = "https://pypi.org/simple"
"""The index that every machine can reach."""

LOCAL_FOLDERS = frozenset(("virtual", "editable", "directory"))
"""Kinds of sources in uv.lock that are folders of this machine."""


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
    everywhere: bool = True
    """True when every machine can install it: it is on PyPI, and locked with a hash."""


def entries_of(lock: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the entries of all packages in `lock`, for every platform."""
    return cast("list[dict[str, Any]]", lock.get("package", []))


def root_of(lock: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the entry of the agent itself; None if `lock` has none."""
    return next(
        (
            entry
            for entry in entries_of(lock)
            if any(entry.get("source", {}).get(kind) == "." for kind in LOCAL_FOLDERS)
        ),
        None,
    )


def is_everywhere(entry: Mapping[str, Any]) -> bool:
    """Return whether every machine can install a package: it is on PyPI, with a hash."""
    sdists = [entry["sdist"]] if "sdist" in entry else []
    files = cast("list[dict[str, Any]]", [*entry.get("wheels", []), *sdists])
    return entry["source"].get("registry") == PYPI and all("hash" in file for file in files)


def packages_for(
    lock: Mapping[str, Any], target: InstallTarget = IMAGE
) -> tuple[LockedPackage, ...]:
    """Return the packages that `lock` installs on `target`, by name, without dev dependencies."""
    packages = entries_of(lock)
    environment = _marker_environment(target)
    root = root_of(lock)
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
        if "virtual" not in packages[index]["source"]  # only its requirements are installed
    )


def has_folders(lock: Mapping[str, Any], target: InstallTarget = IMAGE) -> bool:
    """Return whether a package is a folder, which can change without the lockfile."""
    return any(found.source in LOCAL_FOLDERS for found in packages_for(lock, target))


def without_wheel(
    lock: Mapping[str, Any], target: InstallTarget = IMAGE
) -> tuple[LockedPackage, ...]:
    """Return the packages of PyPI that have no wheel which `target` can install.

    Other packages are installed on this machine, which builds the wheels (host_packages.py).
    """
    return tuple(
        package
        for package in packages_for(lock, target)
        if package.everywhere and not best_wheel(package.wheels, target)
    )


def best_wheel(wheels: Sequence[str], target: InstallTarget = IMAGE) -> str | None:
    """Return the file name, of `wheels`, that is installed on `target`; None if there is none."""
    rank = _tag_ranks(target)
    usable = [
        (min(rank[tag] for tag in tags), name)
        for name in wheels
        if (tags := tags_of(name) & rank.keys())
    ]
    return min(usable)[1] if usable else None


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
        everywhere=is_everywhere(package),
    )


def _file_name(wheel: Mapping[str, Any]) -> str:
    # uv.lock has a wheel's `url`, `path` or `filename`, depending on the kind of source.
    place = next(str(wheel[key]) for key in ("filename", "url", "path") if key in wheel)
    return unquote(place.rsplit("/", 1)[-1].partition("#")[0])


def tags_of(wheel: str) -> frozenset[Tag]:
    """Return the tags in a wheel's file name."""
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
    full = f"{dotted(target.python)}.0"
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
        "python_version": dotted(target.python),
        "sys_platform": "linux",
    }


def dotted(version: tuple[int, int]) -> str:
    """Return a version as text: 3.13."""
    return f"{version[0]}.{version[1]}"
