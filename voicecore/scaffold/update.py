"""Owns what a project's generated files would be today, and the plan to get there."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from voicecore import __version__
from voicecore.project.project import FILE, Project
from voicecore.scaffold import merge, migrations, record, render, text_merge
from voicecore.scaffold.merge import MergePlan
from voicecore.scaffold.render import EJECTABLE, Answers, Files

_VERSION = re.compile(rb'^voicecore = "[^"]*"$', re.MULTILINE)


def rendered(project: Project, answers: Answers, before: Files) -> Files:
    """Return all files that this voicecore generates, with the parts that `before` has ejected.

    The key in `server/.env` is a new one; an existing file is never changed.
    """
    files = render.render(answers, render.new_session_api_key(), project.id)
    for part in EJECTABLE:
        if any(path.startswith(f"{part}/") for path in before):
            files |= {f"{part}/{path}": text for path, text in render.ejected(part).items()}
    return files


def plan_for(project: Project, before: Files, after: Files) -> MergePlan:
    """Return the changes that bring the project from the generated files `before` to `after`."""
    if FILE in before:
        # A version that was edited by hand has no meaning of its own: it is replaced as well.
        told = f'voicecore = "{project.version}"'.encode()
        before = before | {FILE: _VERSION.sub(told, before[FILE])}
    present = read_files(project.root, {*before, *after})
    return merge.plan(before, present, after, f"voicecore {__version__}", migrations.moved())


def read_files(root: Path, paths: Iterable[str]) -> Files:
    """Return those of the files that exist."""
    files = ((path, root / path) for path in sorted(paths))
    return {path: file.read_bytes() for path, file in files if file.is_file()}


def unresolved(project: Project, paths: Iterable[str]) -> dict[str, int]:
    """Return the files that still have conflict markers, with the line of the first."""
    found: dict[str, int] = {}
    for path, content in read_files(project.root, paths).items():
        if record.is_text(content) and (mark := text_merge.MARKER.search(content.decode())):
            found[path] = content.decode()[: mark.start()].count("\n") + 1
    return found
