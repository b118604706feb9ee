"""Owns which files the build context has: what .dockerignore leaves, and what links lead to.

No layer gets a dangling link. A link within the agent's folder stays a link; one that leads to the
rest of the project is replaced by what it leads to; all others are refused.
"""

from __future__ import annotations

import os
import posixpath
import shlex
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.image.inputs.dockerignore import IgnoreRules, State

IGNORE_FILE = ".dockerignore"


class UnsupportedFile(VoicecoreError):
    """A folder contains a file that no image can hold: a socket, a device or a pipe."""


class UnusableFile(VoicecoreError):
    """A file of the build context cannot be read, or has a name that no image can hold."""


class BadLink(VoicecoreError):
    """A symbolic link leads to nothing that the image may contain."""


class ContextWalk:
    """Finds the files of the build context of `agent`, and what its links lead to."""

    def __init__(self, agent: Path, rules: IgnoreRules) -> None:
        self._agent = agent
        self._rules = rules
        self._project = Path(os.path.realpath(agent.parent))
        self._found: dict[str, Path | None] = {}
        self._kept: dict[str, str] = {}
        """Links that stay links, and the paths they lead to."""

    def files(self) -> dict[str, Path | None]:
        """Return the path of each file, and the file to read if it is not at that path.

        Raises BadLink, UnsupportedFile and UnusableFile.
        """
        self._read_folder("", self._rules.start, -1, (Path(os.path.realpath(self._agent)),))
        folders = {str(parent) for path in self._found for parent in Path(path).parents}
        for link, target in self._kept.items():
            if not (self._agent / link).exists():
                raise self._bad_link(link, "which does not exist")
            if target not in self._found and target not in folders:
                raise self._bad_link(link, "which .dockerignore excludes")
        return self._found

    def _read_folder(
        self, prefix: str, state: State, above: int, followed: tuple[Path, ...]
    ) -> None:
        """Add the files below the last of the `followed` folders, which stands at `prefix`.

        `state` and `above` are those of the rules at `prefix`.
        """
        waiting = [(prefix, state, above)]
        while waiting:
            folder, state, above = waiting.pop()
            real = followed[-1] / folder.removeprefix(prefix)
            with explained(self._agent, folder or "."), os.scandir(real) as entries:
                for entry in entries:
                    path = folder + entry.name
                    reached = self._rules.after(state, entry.name)
                    last = max(above, reached.last)
                    excluded = self._rules.excludes(last)
                    if entry.is_dir(follow_symlinks=False):
                        if not excluded or self._rules.may_include_in(path):
                            waiting.append((f"{path}/", self._rules.after(reached, "/"), last))
                    elif not excluded:
                        self._require_name(path)
                        inner = self._rules.after(reached, "/")
                        self._add(entry, path, inner, last, followed)

    def _add(
        self,
        entry: os.DirEntry[str],
        path: str,
        inner: State,
        last: int,
        followed: tuple[Path, ...],
    ) -> None:
        if not entry.is_symlink():
            if not entry.is_file():
                raise unsupported(self._agent, path)
            self._found[path] = None if len(followed) == 1 else Path(entry.path)
        elif len(followed) == 1 and (target := self._target_within(path)):
            self._found[path] = None
            self._kept[path] = target
        else:
            real = self._real_target(entry, path, followed)
            if real.is_dir():
                self._read_folder(f"{path}/", inner, last, (*followed, real))
            elif real.is_file():
                self._found[path] = real
            else:
                raise unsupported(self._agent, path)

    def _target_within(self, path: str) -> str:
        """Return where the link at `path` leads, if it can stay a link; empty if it cannot."""
        link = self._agent / path
        raw = str(link.readlink())
        target = posixpath.normpath(posixpath.join(posixpath.dirname(path), raw))
        if raw.startswith("/") or target == ".." or target.startswith("../"):
            return ""
        # Another link on the way leads elsewhere than the text says.
        straight = os.path.realpath(link) == os.path.realpath(self._agent / target)
        return target if straight else ""

    def _real_target(self, entry: os.DirEntry[str], path: str, followed: tuple[Path, ...]) -> Path:
        real = Path(os.path.realpath(entry.path))
        if not real.exists():
            raise self._bad_link(path, "which does not exist")
        if not real.is_relative_to(self._project):
            raise self._bad_link(path, f"which is not in the project, {self._project}")
        if self._excludes(real.relative_to(self._project)):
            raise self._bad_link(path, "which .dockerignore excludes")
        if any(folder.is_relative_to(real) for folder in followed):
            raise self._bad_link(path, "which contains the link itself")
        return real

    def _excludes(self, path: Path) -> bool:
        state, last = self._rules.start, -1
        for part in path.parts:
            reached = self._rules.after(state, part)
            last, state = max(last, reached.last), self._rules.after(reached, "/")
        return self._rules.excludes(last)

    def _require_name(self, path: str) -> None:
        try:
            path.encode()
        except UnicodeEncodeError:
            raise UnusableFile(
                f"{self._agent.name}/ has a file whose name is not UTF-8: {path!a}.",
                f"Rename it, or exclude it by a pattern in {self._agent.name}/{IGNORE_FILE}.",
                ExitCode.BAD_PROJECT,
            ) from None

    def _bad_link(self, path: str, why: str) -> BadLink:
        name = self._agent.name
        return BadLink(
            f"{name}/{path} is a link to {(self._agent / path).readlink()}, {why}.",
            f"Replace it by a copy of what the agent needs, or exclude it:\n"
            f"{exclude_command(self._agent, path)}",
            ExitCode.BAD_PROJECT,
        )


@contextmanager
def explained(agent: Path, name: str) -> Generator[None]:
    """Turn an error of the operating system into UnusableFile."""
    try:
        yield
    except OSError as error:
        raise UnusableFile(
            f"Could not read {agent.name}/{name}: {error.strerror}.",
            f"Make it readable, or exclude it:\n{exclude_command(agent, name)}",
            ExitCode.BAD_PROJECT,
        ) from error


def unsupported(agent: Path, name: str) -> UnsupportedFile:
    """Return the error for something that is not a file, folder or link."""
    return UnsupportedFile(
        f"{agent.name}/{name} is not a file, folder or link; an image cannot contain it.",
        f"Remove it, or exclude it:\n{exclude_command(agent, name)}",
        ExitCode.BAD_PROJECT,
    )


def exclude_command(agent: Path, name: str) -> str:
    """Return the command that excludes a file from the build context."""
    return f"  echo {shlex.quote(name)} >> {agent.name}/{IGNORE_FILE}"
