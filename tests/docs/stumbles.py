"""Owns what makes a user stumble on a screen: a traceback, a cut line or a dead hint."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from tests.docs.test_hints import commands_in, problem_of
from voicecore.console.output import columns

_WHOLE = re.compile(r"\s*(?:\S+|(?:aws|cd|docker|export|kill|sudo|uv|voicecore) .*)$")
"""Rows that the terminal may break, so that they can be copied: a word, or a command."""
_FOLDER = re.compile(r"(?:^|  )cd (\S+)(?= &&|$)")
_DRAWN = re.compile(r"^[\u2500-\u259f\s]+$|[\u2580-\u259f]{8}|\S {3,}\S")
"""Rows of lines and bars, and rows with a part at the right edge."""


def stumbles_on(rows: str, lines: str, width: int, folder: Path) -> list[str]:
    """Return what a user would stumble over; empty if nothing.

    `rows` are as a terminal of this width shows them, `lines` as the program wrote them. Commands
    are typed in `folder`.
    """
    text = lines.splitlines()
    return [*_tracebacks(text), *_cuts(rows.splitlines(), text, width), *_dead_hints(text, folder)]


def _tracebacks(lines: list[str]) -> Iterator[str]:
    yield from (f"traceback: {line}" for line in lines if line.startswith("Traceback (most recent"))


def _cuts(rows: list[str], lines: list[str], width: int) -> Iterator[str]:
    for line in lines:
        if columns(line) > width and not _WHOLE.match(line):
            yield f"broken by the terminal: {line}"
    # A full row that has a next one may have been broken between words.
    whole = {line.rstrip() for line in lines}
    for row, following in pairwise([*(row.rstrip() for row in rows), ""]):
        full = columns(row) == width and row in whole and not following
        if full and not row.endswith(("…", ".")) and not _DRAWN.search(row):
            yield f"cut at the edge: {row}"


def _dead_hints(lines: list[str], folder: Path) -> Iterator[str]:
    for line in lines:
        missing = [each for each in _FOLDER.findall(line) if not (folder / each).is_dir()]
        yield from (f"no such folder: cd {each}" for each in missing)
        problems = map(problem_of, dict.fromkeys(commands_in(line.replace(" && ", "\n"))))
        yield from (f"dead hint: {problem}" for problem in problems if problem)
