"""The logs that agents left on this machine, read as CloudWatch would give them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from voicecore.contract import agent_log
from voicecore.contract.agent_log import LogEntry

SERVER = "server.log"

_LOOK_AGAIN = 0.3
"""Seconds between two looks for new lines."""

Of = Callable[[Path], list[Path]]
"""Which files of the folder are meant."""


def folder_in(local: Path) -> Path:
    """Where the local runtime writes the logs, given the project's local folder."""
    return local / "logs"


def of_agents(folder: Path) -> list[Path]:
    """What sessions left there."""
    return [
        path
        for path in sorted(folder.glob("*/*/*/*"))
        if agent_log.is_output_stream(_stream(folder, path))
    ]


def of_server(folder: Path) -> list[Path]:
    """What the session server left there, if it has run."""
    path = folder / SERVER
    return [path] if path.exists() else []


def read(folder: Path, since: datetime, of: Of = of_agents) -> list[LogEntry]:
    """All lines since then, oldest first."""
    return _new(folder, of, {}, since)


def last(folder: Path, of: Of = of_agents) -> datetime | None:
    """When one of them last wrote here."""
    return max((_changed(path) for path in of(folder)), default=None)


def follow(
    folder: Path,
    since: datetime,
    pause: Callable[[float], None] = time.sleep,
    of: Of = of_agents,
) -> Iterator[LogEntry]:
    """The lines since then, and those that come, for ever."""
    ends: dict[Path, int] = {}
    while True:
        yield from _new(folder, of, ends, since)
        pause(_LOOK_AGAIN)


def _new(folder: Path, of: Of, ends: dict[Path, int], since: datetime) -> list[LogEntry]:
    """The lines behind `ends`, which are moved to behind them; oldest first."""
    found: list[LogEntry] = []
    for path in of(folder):
        changed = _changed(path)
        begin = ends.get(path, 0)
        if changed >= since and path.stat().st_size > begin:
            lines, ends[path] = _lines(path, begin)
            found += _entries(_stream(folder, path), lines, changed)
    return sorted((e for e in found if e.time >= since), key=lambda entry: entry.time)


def _stream(folder: Path, path: Path) -> str:
    return path.relative_to(folder).as_posix()


def _changed(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)


def _lines(path: Path, begin: int) -> tuple[list[str], int]:
    """The whole lines from the byte `begin` on, and where the next one begins."""
    with path.open("rb") as file:
        file.seek(begin)
        written = file.read()
    whole = written[: written.rfind(b"\n") + 1]
    return whole.decode("utf-8", "replace").splitlines(), begin + len(whole)


def _entries(stream: str, lines: Iterable[str], otherwise: datetime) -> list[LogEntry]:
    """The lines with their times: their own, or else that of the line before, or the next's."""
    texts = list(lines)
    times = [agent_log.written_at(text) for text in texts]
    moment = next((time for time in times if time), otherwise)
    entries: list[LogEntry] = []
    for text, own in zip(texts, times, strict=True):
        moment = own or moment
        entries.append(LogEntry(moment, stream, text))
    return entries
