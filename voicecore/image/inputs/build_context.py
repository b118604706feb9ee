"""Owns the build context: the files that a build sends, and what of each changes the image."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.image.inputs.context_walk import (
    IGNORE_FILE,
    ContextWalk,
    exclude_command,
    explained,
    unsupported,
)
from voicecore.image.inputs.dockerignore import IgnoreRules
from voicecore.image.limits import IMAGE_BYTES_MAX, gigabytes

ARCHIVE = "internal/packages.tar"
REQUIREMENTS = "internal/requirements.txt"
"""Files that host_packages.py adds; the Dockerfile reads them if they exist."""

HOST_FILES = (ARCHIVE, REQUIREMENTS)

_READ_BY_BUILD = ("Dockerfile", IGNORE_FILE, "pyproject.toml", "uv.lock", "internal/prune.py")

# Docker always sends these, whatever the patterns say.
_ALWAYS = ("!Dockerfile", f"!{IGNORE_FILE}")

NEVER_SENT = (".voicecore", "**/.venv", "**/.git", "**/__pycache__", "**/.env", "voicecore.toml")
"""Patterns of what no image of an adopted agent has: its Dockerfile may copy all there is."""

_SHOWN = 5


class BadIgnoreFile(VoicecoreError):
    """The .dockerignore has a pattern that Docker refuses."""


class ContextTooLarge(VoicecoreError):
    """The files alone are larger than AgentCore accepts; names the largest."""


@dataclass(frozen=True)
class ContextFile:
    """A file of the build context: what of it changes the image."""

    path: str
    """Path relative to the agent's folder, with forward slashes."""
    executable: bool
    sha256: str
    """SHA-256 of the content, or of the target of a symbolic link."""
    source: Path | None = None
    """File to read in place of the one at `path` in the agent's folder; None for that one."""


def context_files(agent: Path, excluded: Sequence[str] = ()) -> list[ContextFile]:
    """Return the files of `agent/` that .dockerignore does not exclude, sorted by path.

    `excluded` are more patterns. A link to the rest of the project is replaced by what it leads to.
    Raises BadIgnoreFile, UnsupportedFile, UnusableFile, BadLink and ContextTooLarge.
    """
    for name in _READ_BY_BUILD:
        path = agent / name
        if path.exists() and not path.is_file():  # a pipe or a device may never end
            raise unsupported(agent, name)
    found = ContextWalk(agent, _rules_of(agent, excluded)).files()
    _require_size(agent, found)
    return [_context_file(agent, path, found[path]) for path in sorted(found)]


def file_from_outside(agent: Path, path: Path) -> list[ContextFile]:
    """Return a file that the image needs and that is not below `agent`, under its own name."""
    if not path.is_file() or path.resolve().is_relative_to(agent.resolve()):
        return []
    return [_context_file(agent, path.name, path.resolve())]


def sources_of(files: Iterable[ContextFile]) -> dict[str, Path]:
    """Return the source of each file that is not read from the agent's folder."""
    return {file.path: file.source for file in files if file.source}


def _rules_of(agent: Path, excluded: Sequence[str]) -> IgnoreRules:
    path = agent / IGNORE_FILE
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines() if path.exists() else []
        return IgnoreRules([*lines, *excluded, *_ALWAYS])
    except ValueError as error:  # not UTF-8 too
        raise BadIgnoreFile(
            f"Could not read {agent.name}/{IGNORE_FILE}: {error}.",
            "Fix the line. A backslash before *, ?, [ or \\ means the character itself.",
            ExitCode.BAD_PROJECT,
        ) from error


def _require_size(agent: Path, found: Mapping[str, Path | None]) -> None:
    """Raise ContextTooLarge before gigabytes are read."""
    sizes: dict[str, int] = {}
    for path, source in found.items():
        with explained(agent, path):
            sizes[path] = (source or agent / path).lstat().st_size
    total = sum(sizes.values())
    if total <= IMAGE_BYTES_MAX:
        return
    largest = sorted(sizes, key=lambda path: -sizes[path])[:_SHOWN]
    shown = [path for path in largest if sizes[path] > total / 100] or largest
    lines = [f"  {gigabytes(sizes[path]):>8}  {agent.name}/{path}" for path in shown]
    raise ContextTooLarge(
        f"The files of {agent.name}/ have {gigabytes(total)}; AgentCore's limit for "
        f"the whole image is {gigabytes(IMAGE_BYTES_MAX)}. The largest files:\n" + "\n".join(lines),
        f"Exclude what the agent does not read:\n{exclude_command(agent, largest[0])}\n"
        "and let it load large data from S3 when it starts.",
        ExitCode.BAD_PROJECT,
    )


def _context_file(agent: Path, name: str, source: Path | None) -> ContextFile:
    path = source or agent / name
    with explained(agent, name):
        if path.is_symlink():
            target = hashlib.sha256(os.fsencode(path.readlink()))
            return ContextFile(name, executable=False, sha256=target.hexdigest())
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256")
            mode = os.fstat(file.fileno()).st_mode
    return ContextFile(name, bool(mode & stat.S_IXUSR), content.hexdigest(), source)
