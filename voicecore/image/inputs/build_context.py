"""Owns the build context: the files that a build sends, and what of each changes the image."""

from __future__ import annotations

import hashlib
import os
import shlex
import stat
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.image.inputs.dockerignore import IgnoreRules

IGNORE_FILE = ".dockerignore"

_READ_BY_BUILD = ("Dockerfile", IGNORE_FILE, "pyproject.toml", "uv.lock", "internal/prune.py")

# Docker always sends these, whatever the patterns say.
_ALWAYS = ("!Dockerfile", f"!{IGNORE_FILE}")


class UnsupportedFile(VoicecoreError):
    """A folder contains a file that no image can hold: a socket, a device or a pipe."""


class UnusableFile(VoicecoreError):
    """A file of the build context cannot be read, or has a name that no image can hold."""


class BadIgnoreFile(VoicecoreError):
    """The .dockerignore has a pattern that Docker refuses."""


@dataclass(frozen=True)
class ContextFile:
    """A file of the build context: what of it changes the image."""

    path: str
    """Path relative to the agent's folder, with forward slashes."""
    executable: bool
    sha256: str
    """SHA-256 of the content, or of the target of a symbolic link."""


def context_files(agent: Path) -> list[ContextFile]:
    """Return the files of `agent/` that .dockerignore does not exclude, sorted by path.

    Raises BadIgnoreFile, UnsupportedFile and UnusableFile.
    """
    for name in _READ_BY_BUILD:
        path = agent / name
        if path.exists() and not path.is_file():  # a pipe or a device may never end
            raise _unsupported(agent, name)
    return [_context_file(agent, path) for path in sorted(_context_paths(agent))]


def _rules_of(agent: Path) -> IgnoreRules:
    path = agent / IGNORE_FILE
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines() if path.exists() else []
        return IgnoreRules([*lines, *_ALWAYS])
    except ValueError as error:  # not UTF-8 too
        raise BadIgnoreFile(
            f"Could not read {agent.name}/{IGNORE_FILE}: {error}.",
            "Fix the line. A backslash before *, ?, [ or \\ means the character itself.",
            ExitCode.BAD_PROJECT,
        ) from error


def _context_paths(agent: Path) -> list[str]:
    rules = _rules_of(agent)
    found: list[str] = []
    waiting = [("", rules.start, -1)]
    while waiting:
        folder, state, above = waiting.pop()
        with _explained(agent, folder or "."), os.scandir(agent / folder) as entries:
            for entry in entries:
                path = folder + entry.name
                reached = rules.after(state, entry.name)
                last = max(above, reached.last)
                excluded = rules.excludes(last)
                if entry.is_dir(follow_symlinks=False):
                    if not excluded or rules.may_include_in(path):
                        waiting.append((f"{path}/", rules.after(reached, "/"), last))
                elif not excluded:
                    if not entry.is_symlink() and not entry.is_file():
                        raise _unsupported(agent, path)
                    _require_name(agent, path)
                    found.append(path)
    return found


def _require_name(agent: Path, path: str) -> None:
    try:
        path.encode()
    except UnicodeEncodeError:
        raise UnusableFile(
            f"{agent.name}/ has a file whose name is not UTF-8: {path!a}.",
            f"Rename it, or exclude it by a pattern in {agent.name}/{IGNORE_FILE}.",
            ExitCode.BAD_PROJECT,
        ) from None


def _context_file(agent: Path, name: str) -> ContextFile:
    path = agent / name
    with _explained(agent, name):
        if path.is_symlink():
            target = hashlib.sha256(os.fsencode(path.readlink()))
            return ContextFile(name, executable=False, sha256=target.hexdigest())
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256")
            mode = os.fstat(file.fileno()).st_mode
    return ContextFile(name, bool(mode & stat.S_IXUSR), content.hexdigest())


@contextmanager
def _explained(agent: Path, name: str) -> Generator[None]:
    """Turn an error of the operating system into UnusableFile."""
    try:
        yield
    except OSError as error:
        raise UnusableFile(
            f"Could not read {agent.name}/{name}: {error.strerror}.",
            f"Make it readable, or exclude it:\n{_exclude(agent, name)}",
            ExitCode.BAD_PROJECT,
        ) from error


def _unsupported(agent: Path, name: str) -> UnsupportedFile:
    return UnsupportedFile(
        f"{agent.name}/{name} is not a file, folder or link; an image cannot contain it.",
        f"Remove it, or exclude it:\n{_exclude(agent, name)}",
        ExitCode.BAD_PROJECT,
    )


def _exclude(agent: Path, name: str) -> str:
    return f"  echo {shlex.quote(name)} >> {agent.name}/{IGNORE_FILE}"
