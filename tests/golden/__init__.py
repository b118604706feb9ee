"""Golden files: whole texts that users see, so that each change of them shows in a diff.

`UPDATE_GOLDEN=1 python -m pytest tests/golden` writes them again.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from voicecore.console.output import Line

FILES = Path(__file__).parent / "files"


def assert_golden(name: str, text: str) -> None:
    """Assert that `text` equals the golden file `name`."""
    path = FILES / name
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert text == path.read_text(), f"{name} differs; UPDATE_GOLDEN=1 writes it again"


def text_of(lines: Iterable[Line]) -> str:
    """Return the characters of lines, without their styles."""
    return "".join("".join(span.text for span in line).rstrip() + "\n" for line in lines)
