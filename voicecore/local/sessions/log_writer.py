"""Owns the log file of each session, named as CloudWatch names its streams."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path
from typing import Any, cast

from voicecore.console import json_text
from voicecore.local.in_agent import CAPTURED_AT
from voicecore.project.no_links import within

_SESSION_ID_SHOWN = 150  # file names have at most 255 bytes, session IDs 256
_EARLY_LINES_MAX = 5000  # lines kept while a spare process waits for its session


def stream_name(session_id: str | None, now: datetime, unique: str) -> str:
    """Return `YYYY/MM/DD/[runtime-logs-<session>]<unique>`, the date in UTC.

    Without a session it is AgentCore's older form `[runtime-logs]<unique>`
    (developer guide, observability-configure).
    """
    session = f"-{session_id[:_SESSION_ID_SHOWN]}" if session_id else ""
    return f"{now:%Y/%m/%d}/[runtime-logs{session}]{unique}"


def turn_of(line: str) -> int | None:
    """Return the number of the turn that a log line of a generated agent belongs to."""
    turn = _fields_with("turn", line).get("turn")
    return turn if type(turn) is int else None


def capture_of(line: str) -> str | None:
    """Return the message of a log line about something captured before the snapshot, else None.

    local/in_agent/captures.py writes it into the session's log.
    """
    fields = _fields_with(CAPTURED_AT, line)
    return str(fields.get("message", "")) if CAPTURED_AT in fields else None


def _fields_with(key: str, line: str) -> dict[str, Any]:
    if not line.startswith("{") or f'"{key}"' not in line:
        return {}
    try:
        return cast("dict[str, Any]", json_text.parse(line))
    except ValueError:
        return {}


class SessionLog:
    """The log of one agent process; lines from before its session come first in the file."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._unique = str(uuid.uuid4())
        self._early: list[str] = []
        self._file: TextIOWrapper | None = None
        self.path: Path | None = None

    def write(self, lines: Sequence[str]) -> None:
        """Add lines; once the file is open, they are on disk when this returns.

        Raises OSError once, for example for a full disk; later lines are not written.
        """
        if self._file is None:
            self._early = [*self._early, *lines][-_EARLY_LINES_MAX:]
            return
        try:
            self._file.writelines(f"{line}\n" for line in lines)
            self._file.flush()
        except OSError:
            self.close()
            raise

    def open(self, session_id: str | None) -> Path:
        """Open the file, readable only by the user: it may contain what callers said."""
        if self.path is not None:
            return self.path
        path = self._directory / stream_name(session_id, datetime.now(UTC), self._unique)
        opener = within(self._directory.parent)
        self._file = open(path, "a", encoding="utf-8", opener=opener)  # noqa: SIM115 - see close
        self.path = path
        early, self._early = self._early, []
        self.write(early)
        return path

    def close(self) -> None:
        """Close the file; later lines are dropped."""
        if self._file is not None:
            with suppress(OSError):  # what a full disk has no room for
                self._file.close()
        self._file = None
