"""What a project lacks for one more transport: a plan of changes that keeps the user's own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import pairwise
from typing import Literal

from voicecore.scaffold.render import SECRET_FILES, Files


@dataclass(frozen=True)
class Change:
    """A file that is new, is replaced, or gets our lines beside the user's."""

    path: str
    kind: Literal["new", "changed", "merged"]
    before: bytes
    after: bytes


@dataclass(frozen=True)
class Conflict:
    """A file that the user has changed where we would: neither can win."""

    path: str
    ours_before: bytes
    """What we once made of it."""
    ours_after: bytes
    """What we would make of it now."""


@dataclass(frozen=True)
class Plan:
    """Everything that adding comes to."""

    changes: tuple[Change, ...]
    conflicts: tuple[Conflict, ...]


def plan(old: Files, present: Files, new: Files) -> Plan:
    """How a folder that has `present` gets what `new` adds to `old`, both as they are rendered.

    What is the same in both stays as it is, whatever the user made of it; so do secrets.
    """
    changes: list[Change] = []
    conflicts: list[Conflict] = []
    for path, after in new.items():
        before, mine = old.get(path, b""), present.get(path)
        if path in SECRET_FILES or (path in old and before == after) or mine == after:
            continue
        if mine is None:
            changes.append(Change(path, "new", b"", after))
        elif path in old and mine == before:
            changes.append(Change(path, "changed", mine, after))
        elif (merged := _merged(before, mine, after)) is None:
            conflicts.append(Conflict(path, before, after))
        elif merged != mine:
            changes.append(Change(path, "merged", mine, merged))
    return Plan(tuple(changes), tuple(conflicts))


def _merged(before: bytes, mine: bytes, after: bytes) -> bytes | None:
    try:
        texts = [text.decode() for text in (before, mine, after)]
    except UnicodeDecodeError:
        return None
    lines = merge(*(text.splitlines(keepends=True) for text in texts))
    return None if lines is None else "".join(lines).encode()


def merge(before: list[str], mine: list[str], after: list[str]) -> list[str] | None:
    """`before` with the edits of both others; None where these touch each other and differ."""
    edits = sorted({*_edits(before, mine), *_edits(before, after)})
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
    """These lines stand instead of lines `start` to `end`."""

    start: int
    end: int
    lines: tuple[str, ...]


def _edits(before: list[str], after: list[str]) -> Iterator[_Edit]:
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    for tag, start, end, first, last in matcher.get_opcodes():
        if tag != "equal":
            yield _Edit(start, end, tuple(after[first:last]))
