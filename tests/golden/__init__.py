"""Whole texts that people see, kept as files: a change of them is a change in a diff.

`UPDATE_GOLDEN=1 python -m pytest tests/golden` writes them anew.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from voicecore.console.output import Line

FILES = Path(__file__).parent / "files"


def assert_golden(name: str, text: str) -> None:
    """Compare `text` with the file `name`."""
    path = FILES / name
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert text == path.read_text(), f"{name} differs; UPDATE_GOLDEN=1 writes it anew"


def text_of(lines: Iterable[Line]) -> str:
    """The characters of a screen, without its styles."""
    return "".join("".join(span.text for span in line).rstrip() + "\n" for line in lines)
