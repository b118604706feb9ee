"""Owns tables, and the comparison of the code with its description."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


class OutOfDate(Exception):
    """The code has something that the generators do not describe, or the other way round."""


def same(what: str, code: set[str], described: set[str]) -> None:
    """Raise OutOfDate unless the code has what is described, and nothing else."""
    if missing := code - described:
        raise OutOfDate(f"docs/generators does not describe these {what}: {sorted(missing)}")
    if extra := described - code:
        raise OutOfDate(f"docs/generators describes {what} that do not exist: {sorted(extra)}")


def table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    """Return a table in Markdown."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |"
                     for line in lines)  # fmt: skip


def listed(names: Iterable[str]) -> str:
    """Return names as code, with commas."""
    return ", ".join(f"`{name}`" for name in names)
