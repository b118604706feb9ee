"""Owns the three-way merge of TOML by structure: keys, lists as sets, extras of requirements."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import takewhile
from typing import Any, Protocol, cast

import tomlkit
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from tomlkit import items
from tomlkit.exceptions import TOMLKitError

_Table = dict[str, Any]
"""A table of tomlkit, which is a dict that keeps comments and layout."""


class _Array(Protocol):
    """An array of tomlkit: a list that keeps comments and layout."""

    def __iter__(self) -> Iterator[Any]: ...
    def __setitem__(self, index: int, value: Any) -> None: ...
    def __delitem__(self, index: int) -> None: ...
    def append(self, item: Any) -> None: ...
    def add_line(self, *items: Any, comment: str | None = None) -> None: ...
    def as_string(self) -> str: ...


class _Conflict(Exception):
    """Both sides changed a value, differently."""


def merge_toml(before: str, mine: str, theirs: str) -> str | None:
    """Return `mine` with everything that differs between `before` and `theirs`.

    None if one is not TOML, or if a value was changed on both sides.
    """
    try:
        tables = [tomlkit.parse(text) for text in (before, mine, theirs)]
        _merge_tables(*cast("list[_Table]", tables))
        return tomlkit.dumps(tables[1])
    except (_Conflict, TOMLKitError):
        return None


def is_toml(text: str) -> bool:
    """Return whether the text is valid TOML."""
    try:
        tomlkit.parse(text)
    except TOMLKitError:
        return False
    return True


def _merge_tables(before: _Table, mine: _Table, theirs: _Table) -> None:
    for key in list(dict.fromkeys([*before, *theirs])):
        old, current, new = (table.get(key) for table in (before, mine, theirs))
        if new in (old, current):
            continue
        if isinstance(current, dict) and isinstance(new, dict):
            _merge_tables(old or {}, cast("_Table", current), cast("_Table", new))
        elif isinstance(current, items.Array) and isinstance(new, items.Array):
            _merge_lists(old or [], cast("_Array", current), cast("_Array", new))
        elif current != old:
            raise _Conflict
        elif new is None:
            del mine[key]
        else:
            mine[key] = new


def _merge_lists(before: list[Any], mine: _Array, theirs: _Array) -> None:
    """Add, remove and change the items that differ between `before` and `theirs`."""
    old, current, new = ({_key(each): each for each in side} for side in (before, mine, theirs))
    for key in dict.fromkeys([*old, *new]):
        if new.get(key) in (old.get(key), current.get(key)):
            continue
        if key not in current:
            if key in old:
                raise _Conflict
            _append(mine, theirs, new[key])
        elif key not in new:
            if current[key] != old[key]:
                raise _Conflict
            del mine[list(map(_key, mine)).index(key)]
        else:
            merged = _merged_requirement(old.get(key), current[key], new[key])
            mine[list(map(_key, mine)).index(key)] = merged


def _key(item: object) -> str:
    """Return what tells an item from the others of its list: of a requirement, the package."""
    requirement = _requirement(item)
    return canonicalize_name(requirement.name) if requirement else repr(item)


def _requirement(item: object) -> Requirement | None:
    try:
        return Requirement(item) if isinstance(item, str) else None
    except InvalidRequirement:
        return None


def _merged_requirement(before: object, mine: object, theirs: object) -> str:
    """Return the requirement with extras as sets, and the version of the side that changed it."""
    old, current, new = map(_requirement, (before, mine, theirs))
    if old is None or current is None or new is None:
        raise _Conflict
    rests = [_rest(str(item)) for item in (before, mine, theirs)]
    if rests[1] not in (rests[0], rests[2]) and rests[0] != rests[2]:
        raise _Conflict
    rest = rests[1] if rests[0] == rests[2] else rests[2]
    extras = (current.extras | (new.extras - old.extras)) - (old.extras - new.extras)
    listed = ",".join(sorted(extras))
    return f"{current.name}[{listed}]{rest}" if extras else f"{current.name}{rest}"


def _rest(requirement: str) -> str:
    """Return what follows name and extras, as written."""
    parsed = Requirement(requirement)
    return requirement.partition("]")[2] if parsed.extras else requirement[len(parsed.name) :]


def _append(mine: _Array, theirs: _Array, item: Any) -> None:
    """Add an item of `theirs`, with its comments, in the layout of `mine`."""
    if "\n" not in mine.as_string():
        mine.append(item)
        return
    above, beside = _comments_of(theirs, item)
    for comment in above:
        mine.add_line(comment=comment)
    mine.add_line(item, comment=beside or None)


def _comments_of(array: _Array, item: object) -> tuple[list[str], str]:
    """Return the comments in the lines above an item, and the one beside it."""
    lines = [line.strip() for line in array.as_string().splitlines()]
    literal = json.dumps(item)
    for number, line in enumerate(lines):
        if line.startswith(literal):
            above = list(takewhile(lambda text: text.startswith("#"), reversed(lines[:number])))
            beside = line[len(literal) :].partition("#")[2]
            return list(_texts(reversed(above))), beside.strip()
    return [], ""


def _texts(comments: Iterator[str]) -> Iterator[str]:
    for comment in comments:
        yield comment.lstrip("#").strip()
