"""Logs of this machine, read as CloudWatch would give them."""

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


def test_lines_without_a_time_go_with_the_line_before_or_the_first_that_has_one(
    tmp_path: Path,
) -> None:
    write(tmp_path, "[runtime-logs-a]1", f"starting\n{at(1)}Traceback\n{at(3)}")
    write(tmp_path, "[runtime-logs-b]2", at(2))
    found = log_reader.read(tmp_path, LONG_AGO)
    assert [(e.time.minute, e.session) for e in found] == [
        (1, "a"), (1, "a"), (1, "a"), (2, "b"), (3, "a")
    ]  # fmt: skip
    assert found[2].text == "Traceback"


def test_files_that_hold_no_time_are_of_when_they_were_written(tmp_path: Path) -> None:
    write(tmp_path, "[runtime-logs]1", "a print\n", NOW)
    write(tmp_path, "[runtime-logs]2", "an old print\n", LONG_AGO)
    (found,) = log_reader.read(tmp_path, NOW - timedelta(hours=1))
    assert (found.text, found.time, found.session) == ("a print", NOW, "")
    assert log_reader.last(tmp_path) == NOW


def test_other_files_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "server.log").write_text("no agent\n")
    write(tmp_path, "notes.txt", "no agent\n")
    assert log_reader.read(tmp_path, LONG_AGO) == []
    assert log_reader.last(tmp_path) is None


def test_a_line_is_followed_once_it_is_whole(tmp_path: Path) -> None:
    path = write(tmp_path, "[runtime-logs]1", "first\nsec")

    def go_on(seconds: float) -> None:
        with path.open("a") as file:
            file.write("ond\nthird\n")

    following = log_reader.follow(tmp_path, LONG_AGO, go_on)
    assert [next(following).text for _ in range(3)] == ["first", "second", "third"]
