"""Owns finding the bot's own code in a traceback, between the lines of the libraries."""

from __future__ import annotations

import traceback
from pathlib import Path

BOT = Path(__file__).parents[1]
"""Folder of the files that the owner edits."""


def is_own(file: str) -> bool:
    """Return whether a file of code is one that the owner edits."""
    path = Path(file)
    return path.is_relative_to(BOT) and path.relative_to(BOT).parts[0] not in ("internal", ".venv")


def own_frames(error: BaseException) -> list[traceback.FrameSummary]:
    """Return the steps of an error's traceback that are in the bot's own code."""
    return [step for step in traceback.extract_tb(error.__traceback__) if is_own(step.filename)]


def described(error: BaseException, steps: list[traceback.FrameSummary]) -> str:
    """Return the error and these steps of its traceback, as Python prints them."""
    lines = [*traceback.format_list(steps), *traceback.format_exception_only(error)]
    return "".join(lines).rstrip()
