"""Local logs, in the form that CloudWatch returns."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from voicecore.local import log_reader

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=30)


def write(folder: Path, name: str, text: str, changed: datetime = NOW) -> Path:
    path = folder / "2026/11/22" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    os.utime(path, (changed.timestamp(), changed.timestamp()))
    return path


def at(minute: int, text: str = "x") -> str:
    return f'{{"time": "2026-11-22T11:{minute:02}:00Z", "event": "log", "message": "{text}"}}\n'


def test_line_without_a_time_gets_that_of_the_line_before_or_the_first_time(
    tmp_path: Path,
) -> None:
    write(tmp_path, "[runtime-logs-a]1", f"starting\n{at(1)}Traceback\n{at(3)}")
    write(tmp_path, "[runtime-logs-b]2", at(2))
    found = log_reader.read(tmp_path, LONG_AGO)
    assert [(e.time.minute, e.session) for e in found] == [
        (1, "a"), (1, "a"), (1, "a"), (2, "b"), (3, "a")
    ]  # fmt: skip
    assert found[2].text == "Traceback"


def test_file_without_times_gets_its_modification_time(tmp_path: Path) -> None:
    write(tmp_path, "[runtime-logs]1", "a print\n", NOW)
    write(tmp_path, "[runtime-logs]2", "an old print\n", LONG_AGO)
    (found,) = log_reader.read(tmp_path, NOW - timedelta(hours=1))
    assert (found.text, found.time, found.session) == ("a print", NOW, "")
    assert log_reader.last_write(tmp_path) == NOW


def test_other_files_are_ignored(tmp_path: Path) -> None:
    (tmp_path / "server.log").write_text("not an agent\n")
    write(tmp_path, "notes.txt", "not an agent\n")
    assert log_reader.read(tmp_path, LONG_AGO) == []
    assert log_reader.last_write(tmp_path) is None


def test_follow_yields_a_line_once_it_is_complete(tmp_path: Path) -> None:
    path = write(tmp_path, "[runtime-logs]1", "first\nsec")

    def write_more(seconds: float) -> None:
        with path.open("a") as file:
            file.write("ond\nthird\n")

    following = log_reader.follow(tmp_path, LONG_AGO, write_more)
    assert [next(following).text for _ in range(3)] == ["first", "second", "third"]
