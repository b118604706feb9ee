"""Owns how changes of a project are written: all or none, and with a copy of what they replace.

1. `.voicecore/changes.part/` gets all new files. A full disk or a link stops here.
2. It is renamed to `.voicecore/changes/`: from now on the changes are made.
3. The files are moved to their places. If the process is killed meanwhile, the next command that
   changes the project's files continues here.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from voicecore.console.errors import VoicecoreError
from voicecore.project.no_links import refuse_links, within
from voicecore.scaffold.render import SECRET_FILES, Files

_REPLACED = ".voicecore/replaced"
_DRAFT = ".voicecore/changes.part"
_READY = ".voicecore/changes"
_FILES, _REMOVED = "files", "removed"
"""Folders of a draft: new files, and an empty file for each that is removed."""


class PlaceTaken(VoicecoreError):
    """A file cannot be written to its place."""


def apply(root: Path, files: Files, removed: Iterable[str] = ()) -> Path:
    """Write and remove files of a project; return the folder that has the replaced ones.

    Raises OSError, LinkRefused and PlaceTaken, after which nothing is changed.
    """
    gone = list(removed)
    for folder in (_REPLACED, _DRAFT, _READY):
        refuse_links(root / folder, root)
    for path in (*files, *gone):
        refuse_links(root / path, root)
        _require_place(root / path)
    draft, ready = root / _DRAFT, root / _READY
    shutil.rmtree(draft, ignore_errors=True)
    backup = root / _REPLACED / f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
    try:
        _copy(root, [path for path in (*files, *gone) if (root / path).is_file()], backup)
        _stage(root, files, gone)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        shutil.rmtree(backup, ignore_errors=True)
        raise
    draft.rename(ready)
    try:
        finish(root)
    except KeyboardInterrupt:
        finish(root)
        raise
    return backup


def finish(root: Path) -> bool:
    """Move changes that are ready to their places; return whether there were any."""
    ready = root / _READY
    if not ready.is_dir():
        return False
    refuse_links(ready, root)
    for staged in _files_in(ready / _REMOVED):
        target = root / staged.relative_to(ready / _REMOVED)
        refuse_links(target, root)
        target.unlink(missing_ok=True)
    for staged in _files_in(ready / _FILES):
        target = root / staged.relative_to(ready / _FILES)
        refuse_links(target, root)
        target.parent.mkdir(parents=True, exist_ok=True)
        staged.replace(target)
    shutil.rmtree(ready)
    return True


def _require_place(target: Path) -> None:
    """Raise PlaceTaken unless a file can be moved there."""
    folder = next(parent for parent in target.parents if parent.exists())
    if target.is_dir() or not folder.is_dir():
        taken = target if target.is_dir() else folder
        kind = "folder" if taken.is_dir() else "file"
        raise PlaceTaken(
            f"Could not write {target}: {taken} is a {kind}. Nothing was written.",
            f"Move it away, then run the same command again:  mv {taken} {taken}.mine",
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PlaceTaken(
            f"Could not write {target}: you may not write to {folder}. Nothing was written.",
            f"Allow it, then run the same command again:  chmod u+wx {folder}",
        )


def _files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if not path.is_dir())


def _copy(root: Path, paths: Iterable[str], backup: Path) -> None:
    for path in paths:
        (backup / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / path, backup / path)


def _stage(root: Path, files: Files, removed: list[str]) -> None:
    draft = root / _DRAFT
    for path, content in files.items():
        staged = draft / _FILES / path
        mode = 0o600 if path in SECRET_FILES else 0o666
        with open(staged, "xb", opener=within(root, mode)) as file:
            file.write(content)
        if (root / path).exists():
            staged.chmod((root / path).stat().st_mode & 0o777)
    for path in removed:
        open(draft / _REMOVED / path, "xb", opener=within(root)).close()
