"""Owns `.voicecore/versions.json`: the versions of each stage, for shells that complete them.

AWS has the versions; to ask it would keep a shell waiting.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from voicecore.project.no_links import within

_FILE = "versions.json"


def read_known(folder: Path) -> list[str]:
    """Return the versions of all stages in a project's local folder, newest first."""
    numbers = {number for stage in _read(folder).values() for number in stage}
    return [f"v{number}" for number in sorted(numbers, reverse=True)]


def keep_known(folder: Path, stage: str, numbers: Sequence[int]) -> None:
    """Keep the versions of a stage, as AWS has them now, where that is possible."""
    known = _read(folder) | {stage: list(numbers)}
    with suppress(OSError), open(folder / _FILE, "w", opener=within(folder.parent)) as file:
        json.dump(known, file)


def _read(folder: Path) -> dict[str, list[int]]:
    try:
        return json.loads((folder / _FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
