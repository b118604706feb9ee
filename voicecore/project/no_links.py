"""Owns opening files of a project for writing: a symbolic link in it is never followed.

A cloned project can contain links, such as `.voicecore/dev.lock` to a file of the user, which would
be emptied when it is opened.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from voicecore.console.errors import ExitCode, VoicecoreError


class LinkRefused(VoicecoreError):
    """A path to write in a project is, or goes through, a symbolic link."""

    def __init__(self, link: Path) -> None:
        super().__init__(
            f"{link} is a symbolic link. voicecore writes through no link in a project, because it "
            "can lead to any of your files.",
            f"Check where it leads, then remove it:  rm {link}",
            ExitCode.BAD_PROJECT,
        )


# Windows, on which `init` runs, has no such flag.
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)


def refuse_links(path: Path, root: Path) -> None:
    """Raise LinkRefused if `path` or a folder between it and `root` is a link."""
    for part in (*reversed(path.relative_to(root).parents), path.relative_to(root)):
        if part.parts and (root / part).is_symlink():
            raise LinkRefused(root / part)


def within(root: Path, mode: int = 0o600) -> Callable[[str, int], int]:
    """Return an opener for `open` of files below `root`, which creates their folders.

    A new file gets `mode`: by default only the user can read it. The opener raises LinkRefused.
    """

    def open_file(name: str, flags: int) -> int:
        path = Path(name)
        refuse_links(path, root)
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, flags | _NO_FOLLOW, mode)

    return open_file
