"""Owns what an agent has captured before its snapshot and uses in a session, by line of code."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from . import CAPTURED_AT

_HERE = str(Path(__file__).parent)
# Environments are in the agent's folder too.
_NOT_THE_USERS = {".venv", "venv", "site-packages"}

_folder = {"agent": Path()}
_state = {"restored": False}
_reported: set[tuple[str, str]] = set()


def install() -> None:
    """Take the current folder for the agent's."""
    _folder["agent"] = Path.cwd()


def restored() -> bool:
    """Return whether this process serves a session: its snapshot has been restored."""
    return _state["restored"]


def begin_session() -> None:
    """Report captures from now on."""
    _state["restored"] = True


def caller(*skipped: str) -> FrameType | None:
    """Return the innermost frame outside this package and the files named `skipped`."""
    frame: FrameType | None = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    while frame and (
        frame.f_code.co_filename.startswith(_HERE) or frame.f_code.co_filename.endswith(skipped)
    ):
        frame = frame.f_back
    return frame


def users_line(frame: FrameType | None) -> str | None:
    """Return `bot.py:12` if the frame runs code of the agent's folder, else None."""
    if frame is None:
        return None
    folder = _folder["agent"]
    path = folder / frame.f_code.co_filename
    if not path.is_relative_to(folder):
        return None
    own = path.relative_to(folder)
    return None if _NOT_THE_USERS.intersection(own.parts) else f"{own}:{frame.f_lineno}"


def report(what: str, line: str, message: str) -> None:
    """Log a capture, once per line of code, as the runtime expects it."""
    if (what, line) in _reported:
        return
    _reported.add((what, line))
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    fields = {
        "time": now,
        "level": "WARNING",
        "event": "log",
        "message": message,
        "logger": "voicecore dev",
        CAPTURED_AT: line,
    }
    # Not print: the agent may have replaced or closed sys.stdout.
    os.write(1, (json.dumps(fields) + "\n").encode())
