"""Owns how a project gets the files of new templates: a plan of changes that keeps your edits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from voicecore.scaffold import record, text_merge, toml_merge
from voicecore.scaffold.render import SECRET_FILES, Files

Kind = Literal["new", "changed", "merged", "conflict", "removed"]


@dataclass(frozen=True)
class Change:
    """A file that is new, replaced, merged with your edits (or as far as possible), or removed."""

    path: str
    kind: Kind
    before: bytes
    after: bytes


@dataclass(frozen=True)
class Kept:
    """A file that stays as it is, although the template changed."""

    path: str
    reason: str


@dataclass(frozen=True)
class MergePlan:
    """All changes of one merge."""

    changes: tuple[Change, ...] = ()
    kept: tuple[Kept, ...] = ()

    @property
    def conflicts(self) -> tuple[Change, ...]:
        """The files that get conflict markers."""
        return tuple(change for change in self.changes if change.kind == "conflict")


def plan(
    old: Files,
    present: Files,
    new: Files,
    theirs: str = "new",
    moved: Mapping[str, str] | None = None,
) -> MergePlan:
    """Return the changes that take a folder from `old` to `new`, where `present` is on disk.

    `old` is what was generated, as recorded, and `new` is rendered. A file that is the same in both
    stays as it is, and so do files that hold secrets. `theirs` names the new side of a conflict;
    `moved` tells the new path of an old file.
    """
    sources = {
        after: before
        for before, after in (moved or {}).items()
        if before in old and after not in present
    }
    steps = [
        *_updates(old, present, new, theirs, sources),
        *_removals(old, present, new, set(sources.values())),
    ]
    return MergePlan(
        tuple(step for step in steps if isinstance(step, Change)),
        tuple(step for step in steps if isinstance(step, Kept)),
    )


def _updates(
    old: Files, present: Files, new: Files, theirs: str, sources: Mapping[str, str]
) -> Iterator[Change | Kept]:
    for path, after in new.items():
        source = sources.get(path, path)
        before, current = old.get(source), present.get(source)
        if path in SECRET_FILES:
            continue
        if current is None:
            if before is None:
                yield Change(path, "new", b"", after)
            elif not record.is_of(before, after):
                yield Kept(path, "you deleted it")
        elif source != path:
            step = _merged(path, before, current, after, theirs)
            yield step if isinstance(step, Change) else Change(path, "new", b"", current)
        elif before is None or not record.is_of(before, after):
            yield from filter(None, [_merged(path, before, current, after, theirs)])


def _removals(old: Files, present: Files, new: Files, moved: set[str]) -> Iterator[Change | Kept]:
    for path, before in old.items():
        current = present.get(path)
        if path in new or current is None:
            continue
        if path in moved or record.is_of(before, current):
            yield Change(path, "removed", current, b"")
        else:
            yield Kept(path, "no longer generated, but you edited it")


def _merged(
    path: str, before: bytes | None, current: bytes, after: bytes, theirs: str
) -> Change | Kept | None:
    """Return the change of a file that exists; None if your edits contain it already."""
    if current == after:
        return None
    if before is not None and record.is_of(before, current):
        return Change(path, "changed", current, after)
    if not all(map(record.is_text, (current, after))) or record.is_digest(before or b""):
        return Kept(path, "you replaced it, and it is not text")
    crlf = b"\r\n" in current
    base, mine, new = (_text_of(each) for each in (before or b"", current, after))
    text, conflict = _merged_text(path, base, mine, new, theirs)
    merged = (text.replace("\n", "\r\n") if crlf else text).encode()
    if merged == current:
        return None
    return Change(path, "conflict" if conflict else "merged", current, merged)


def _merged_text(path: str, before: str, current: str, after: str, theirs: str) -> tuple[str, bool]:
    """Return the merged text, and whether it has conflict markers."""
    merged = text_merge.chunks(before, current, after)
    if path.endswith(".toml") and toml_merge.is_toml(current):
        mine = text_merge.mine_of(merged)
        valid = toml_merge.is_toml(mine)
        if text_merge.has_conflict(merged) or not valid:
            # Lines of the template that do not conflict are merged already, with their comments.
            result = toml_merge.merge_toml(before, mine if valid else current, after)
            if result is not None:
                return result, False
        if not valid:  # both sides added the same table, in different places
            merged = text_merge.chunks("", current, after)
    return text_merge.marked(merged, theirs), text_merge.has_conflict(merged)


def _text_of(content: bytes) -> str:
    return content.decode().replace("\r\n", "\n")
