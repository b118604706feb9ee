"""Complete texts that users see, kept as files, so that a diff shows when they change.

`UPDATE_GOLDEN=1 python -m pytest tests/golden` rewrites them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from voicecore.console.output import Line

FILES = Path(__file__).parent / "files"


def assert_golden(name: str, text: str) -> None:
    """Compare `text` with the golden file `name`."""
    path = FILES / name
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert text == path.read_text(), f"{name} differs; UPDATE_GOLDEN=1 rewrites it"


def text_of(lines: Iterable[Line]) -> str:
    """Return the characters of a screen, without styles."""
    return "".join("".join(span.text for span in line).rstrip() + "\n" for line in lines)
