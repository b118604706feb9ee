"""Owns how a project gains a transport: a plan of changes that keeps the user's own edits.

The three-way merge is our own, 30 lines on difflib: merge3 from PyPI is GPL-2.0-or-later, and
`git merge-file` would make git a requirement of `voicecore add`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import pairwise
from typing import Literal

from voicecore.scaffold.render import SECRET_FILES, Files


@dataclass(frozen=True)
class Change:
    """A file that is new, is replaced, or is merged with the user's edits."""

    path: str
    kind: Literal["new", "changed", "merged"]
    before: bytes
    after: bytes


@dataclass(frozen=True)
class Conflict:
    """A file in which the user edited the lines that have to change."""

    path: str
    rendered_before: bytes
    """The file as rendered without the new transport."""
    rendered_after: bytes
    """The file as rendered with it."""


@dataclass(frozen=True)
class MergePlan:
    """All changes and conflicts of one merge."""

    changes: tuple[Change, ...] = ()
    conflicts: tuple[Conflict, ...] = ()


def plan(old: Files, present: Files, new: Files) -> MergePlan:
    """Return the changes that take a folder from `old` to `new`, where `present` is on disk.

    `old` and `new` are rendered files. A file that is the same in both is left as the user has it,
    and so are files that hold secrets.
    """
    changes: list[Change] = []
    conflicts: list[Conflict] = []
    for path, after in new.items():
        before, current = old.get(path, b""), present.get(path)
        if path in SECRET_FILES or (path in old and before == after) or current == after:
            continue
        if current is None:
            changes.append(Change(path, "new", b"", after))
        elif path in old and current == before:
            changes.append(Change(path, "changed", current, after))
        elif (merged := _merged(before, current, after)) is None:
            conflicts.append(Conflict(path, before, after))
        elif merged != current:
            changes.append(Change(path, "merged", current, merged))
    return MergePlan(tuple(changes), tuple(conflicts))


def _merged(before: bytes, current: bytes, after: bytes) -> bytes | None:
    try:
        texts = [text.decode() for text in (before, current, after)]
    except UnicodeDecodeError:
        return None
    lines = merge(*(text.splitlines(keepends=True) for text in texts))
    return None if lines is None else "".join(lines).encode()


def merge(before: list[str], current: list[str], after: list[str]) -> list[str] | None:
    """Return `before` with the edits of both others; None if two edits touch and differ."""
    edits = sorted({*_edits(before, current), *_edits(before, after)})
    for first, second in pairwise(edits):
        if second.start <= first.end:
            return None
    merged, position = list[str](), 0
    for edit in edits:
        merged += [*before[position : edit.start], *edit.lines]
        position = edit.end
    return merged + before[position:]


@dataclass(frozen=True, order=True)
class _Edit:
    """Lines that replace those from `start` up to `end`."""

    start: int
    end: int
    lines: tuple[str, ...]


def _edits(before: list[str], after: list[str]) -> Iterator[_Edit]:
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    for tag, start, end, first, last in matcher.get_opcodes():
        if tag != "equal":
            yield _Edit(start, end, tuple(after[first:last]))
