"""Owns reading the local logs of agents and session server, in the form that CloudWatch returns."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from voicecore.contract import agent_log
from voicecore.contract.agent_log import LogEntry

SERVER = "server.log"

_POLL = 0.3
"""Seconds between two checks for new lines."""

Files = Callable[[Path], list[Path]]
"""Selects the log files in a folder."""


def log_folder(local: Path) -> Path:
    """Return the folder of the runtime's logs, given the project's local folder."""
    return local / "logs"


def agent_files(folder: Path) -> list[Path]:
    """Return the log files of sessions."""
    return [
        path
        for path in sorted(folder.glob("*/*/*/*"))
        if agent_log.is_output_stream(_stream(folder, path))
    ]


def server_files(folder: Path) -> list[Path]:
    """Return the log file of the session server, if it exists."""
    path = folder / SERVER
    return [path] if path.exists() else []


def read(folder: Path, since: datetime, files: Files = agent_files) -> list[LogEntry]:
    """Return all lines since `since`, oldest first."""
    return _new_entries(folder, files, {}, since)


def last_write(folder: Path, files: Files = agent_files) -> datetime | None:
    """Return when one of the files was last written; None without files."""
    return max((_modified(path) for path in files(folder)), default=None)


def follow(
    folder: Path,
    since: datetime,
    pause: Callable[[float], None] = time.sleep,
    files: Files = agent_files,
) -> Iterator[LogEntry]:
    """Yield the lines since `since`, then new lines as they are written, without end."""
    offsets: dict[Path, int] = {}
    while True:
        yield from _new_entries(folder, files, offsets, since)
        pause(_POLL)


def _new_entries(
    folder: Path, files: Files, offsets: dict[Path, int], since: datetime
) -> list[LogEntry]:
    """Return the lines after `offsets`, oldest first, and move `offsets` past them."""
    entries: list[LogEntry] = []
    for path in files(folder):
        modified = _modified(path)
        offset = offsets.get(path, 0)
        if modified >= since and path.stat().st_size > offset:
            lines, offsets[path] = _lines(path, offset)
            entries += _entries(_stream(folder, path), lines, modified)
    return sorted((e for e in entries if e.time >= since), key=lambda entry: entry.time)


def _stream(folder: Path, path: Path) -> str:
    return path.relative_to(folder).as_posix()


def _modified(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)


def _lines(path: Path, offset: int) -> tuple[list[str], int]:
    """Return the complete lines from byte `offset` on, and the offset after them."""
    with path.open("rb") as file:
        file.seek(offset)
        written = file.read()
    complete = written[: written.rfind(b"\n") + 1]
    return complete.decode("utf-8", "replace").splitlines(), offset + len(complete)


def _entries(stream: str, lines: Iterable[str], default: datetime) -> list[LogEntry]:
    """Return the lines as entries.

    A line without a time gets that of the line before it, or of the first line that has one.
    """
    texts = list(lines)
    times = [agent_log.written_at(text) for text in texts]
    current = next((time for time in times if time), default)
    entries: list[LogEntry] = []
    for text, own in zip(texts, times, strict=True):
        current = own or current
        entries.append(LogEntry(current, stream, text))
    return entries
