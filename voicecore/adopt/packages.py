"""Owns reading what the user's agent installs: its packages, and the Python that they need."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, cast

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from voicecore.adopt.folder import Folder

PYPROJECT, LIST = "pyproject.toml", "requirements.txt"
_PYTHON_VERSION = ".python-version"

_VERSIONS = tuple((3, minor) for minor in range(7, 16))
_FLOORS = {
    "pipecat-ai": (3, 11),
    "bedrock-agentcore": (3, 10),
    "aws-sdk-bedrock-runtime": (3, 12),
}
"""Oldest Python that these install on (their metadata, autumn 2026)."""
_NOVA_SONIC = "aws-nova-sonic"
"""Extra of Pipecat that needs aws-sdk-bedrock-runtime."""


@dataclass(frozen=True)
class Packages:
    """Packages that the agent installs."""

    file: str
    """File that lists it, from the user's folder; empty if there is none."""
    names: frozenset[str]
    python: str
    """Python versions that are allowed, as a specifier; empty for any."""
    python_file: str
    """File that says so."""
    floor: tuple[int, int]
    """Oldest Python that the packages install on."""
    because: str
    """Package that needs the floor."""


def read_packages(folder: Folder, places: Iterable[str], hint: str = "") -> Packages:
    """Return what the agent installs, by the first file in `places`: folders, nearest first.

    `hint` is the text of its Dockerfile, which may name one of two files.
    """
    for place in places:
        found = [f"{place}{name}" for name in (PYPROJECT, LIST) if folder.has(f"{place}{name}")]
        found = [file for file in found if file.endswith(LIST) or _dependencies(folder, file)]
        preferred = [file for file in found if file.rpartition("/")[2] in hint]
        if len(preferred) == 1 or found:
            return _packages(folder, preferred[0] if len(preferred) == 1 else found[0])
    return Packages("", frozenset(), _python_version(folder), _PYTHON_VERSION, (3, 0), "")


def python_problem(packages: Packages, python: tuple[int, int] | None) -> str:
    """Return why no allowed Python is new enough; empty if one is.

    `python` is the one in the image, if a Dockerfile names it.
    """
    allowed = [python] if python else [v for v in _VERSIONS if _allows(packages.python, v)]
    if not allowed or max(allowed) >= packages.floor:
        return ""
    where = "the Dockerfile has" if python else f"{packages.python_file} allows"
    newest, floor = _shown(max(allowed)), _shown(packages.floor)
    return f"{packages.because} needs Python {floor} or newer, and {where} {newest}"


def _packages(folder: Folder, file: str) -> Packages:
    lines = _dependencies(folder, file) if file.endswith(PYPROJECT) else _lines(folder.files[file])
    requirements = list(_requirements(lines))
    names = {canonicalize_name(each.name) for each in requirements}
    if any(_NOVA_SONIC in each.extras for each in requirements):
        names.add(canonicalize_name("aws-sdk-bedrock-runtime"))
    because = max(names & _FLOORS.keys(), key=lambda name: _FLOORS[name], default="")
    project = _project(folder, file) if file.endswith(PYPROJECT) else {}
    required = str(project.get("requires-python", ""))
    python, said_by = (required, file) if required else (_python_version(folder), _PYTHON_VERSION)
    floor = _FLOORS.get(because, (3, 0))
    return Packages(file, frozenset(map(str, names)), python, said_by, floor, because)


def _project(folder: Folder, file: str) -> dict[str, Any]:
    try:
        found = tomllib.loads(folder.files[file]).get("project", {})
    except tomllib.TOMLDecodeError:
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _dependencies(folder: Folder, file: str) -> list[str]:
    found = _project(folder, file).get("dependencies", [])
    return [str(each) for each in cast("list[object]", found)] if isinstance(found, list) else []


def _lines(text: str) -> Iterator[str]:
    for line in text.splitlines():
        plain = re.sub(r"(^|\s)#.*", "", line).strip()
        if plain and not plain.startswith("-"):
            yield plain.partition(" --hash")[0].rstrip("\\ ")


def _requirements(lines: Iterable[str]) -> Iterator[Requirement]:
    for line in lines:
        try:
            yield Requirement(line)
        except InvalidRequirement:
            continue  # a path or an URL: uv reads it


def _python_version(folder: Folder) -> str:
    found = re.match(r"\s*(3\.\d+)", folder.files.get(_PYTHON_VERSION, ""))
    return f"=={found[1]}.*" if found else ""


def _allows(specifier: str, version: tuple[int, int]) -> bool:
    try:
        return SpecifierSet(specifier).contains(f"{_shown(version)}.99")
    except InvalidSpecifier:
        return True


def _shown(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
