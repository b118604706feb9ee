"""Owns the three-way merge of texts by lines (diff3), with conflict markers as git writes them.

It is our own, on difflib: merge3 from PyPI is GPL-2.0-or-later, and `git merge-file` would make git
a requirement of `voicecore add` and `voicecore update`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

MARKER = re.compile(r"^<<<<<<< .*$", re.MULTILINE)
"""First line of a conflict."""


@dataclass(frozen=True)
class Chunk:
    """Consecutive lines of a merge; `mine` and `theirs` differ in a conflict."""

    mine: tuple[str, ...]
    theirs: tuple[str, ...]


def chunks(before: str, mine: str, theirs: str) -> list[Chunk]:
    """Return `before` with the edits of both others; edits that touch and differ conflict."""
    lines, sides = _lines(before), (_lines(mine), _lines(theirs))
    edits = [list(_edits(lines, side)) for side in sides]
    result, position = list[Chunk](), 0
    for start, end in _regions([*edits[0], *edits[1]]):
        same = tuple(lines[position:start])
        both = [_edited(lines, start, end, side) for side in edits]
        changed = [text for text in both if text != tuple(lines[start:end])] or both
        # Where one side alone edited, both get its lines.
        result += [Chunk(same, same), Chunk(changed[0], changed[-1])]
        position = end
    rest = tuple(lines[position:])
    return [*result, Chunk(rest, rest)]


def has_conflict(merged: Sequence[Chunk]) -> bool:
    """Return whether edits of both sides touch and differ."""
    return any(chunk.mine != chunk.theirs for chunk in merged)


def mine_of(merged: Sequence[Chunk]) -> str:
    """Return the merged text; of a conflict, my lines."""
    return "".join(line for chunk in merged for line in chunk.mine)


def marked(merged: Sequence[Chunk], theirs: str) -> str:
    """Return the merged text; a conflict has both sides between markers, and `theirs` is named."""
    parts: list[str] = []
    for chunk in merged:
        if chunk.mine == chunk.theirs:
            parts += chunk.mine
            continue
        parts += ["<<<<<<< yours\n", *_ended(chunk.mine)]
        parts += ["=======\n", *_ended(chunk.theirs), f">>>>>>> {theirs}\n"]
    return "".join(parts)


@dataclass(frozen=True, order=True)
class _Edit:
    """Lines that replace those from `start` up to `end`."""

    start: int
    end: int
    lines: tuple[str, ...]


def _lines(text: str) -> list[str]:
    return re.findall(r".*\n|.+$", text)


def _edits(before: list[str], after: list[str]) -> Iterator[_Edit]:
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    for tag, start, end, first, last in matcher.get_opcodes():
        if tag != "equal":
            yield _Edit(start, end, tuple(after[first:last]))


def _regions(edits: list[_Edit]) -> Iterator[tuple[int, int]]:
    """Yield the ranges of lines that the edits change; those of edits that touch are one."""
    regions: list[tuple[int, int]] = []
    for edit in sorted(edits):
        if regions and edit.start <= regions[-1][1]:
            regions[-1] = (regions[-1][0], max(regions[-1][1], edit.end))
        else:
            regions.append((edit.start, edit.end))
    yield from regions


def _edited(lines: list[str], start: int, end: int, edits: list[_Edit]) -> tuple[str, ...]:
    """Return the lines of a region after the edits in it."""
    result: list[str] = []
    for edit in edits:
        if start <= edit.start and edit.end <= end:
            result += [*lines[start : edit.start], *edit.lines]
            start = edit.end
    return (*result, *lines[start:end])


def _ended(lines: tuple[str, ...]) -> Iterator[str]:
    """Yield lines that all end in a newline, which the last of a file may lack."""
    for line in lines:
        yield line if line.endswith("\n") else f"{line}\n"
