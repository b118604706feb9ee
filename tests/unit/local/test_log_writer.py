"""Log files of sessions: their names, the order of their lines, turns in a line."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from voicecore.local.sessions.log_writer import SessionLog, stream_name, turn_of


def test_stream_names_match_cloudwatch() -> None:
    now = datetime(2026, 3, 4, 23, 59, tzinfo=UTC)
    assert stream_name("s-1", now, "u") == "2026/03/04/[runtime-logs-s-1]u"
    assert stream_name(None, now, "u") == "2026/03/04/[runtime-logs]u"


def test_lines_before_open_come_first_and_lines_after_close_are_dropped(tmp_path: Path) -> None:
    log = SessionLog(tmp_path)
    log.write(["before"])
    path = log.open("s" * 33)
    log.write(["during"])
    assert log.open("another") == path
    log.close()
    log.write(["after"])
    assert path.read_text() == "before\nduring\n"


@pytest.mark.parametrize(
    ("line", "turn"),
    [
        ('{"event": "user_said", "turn": 4}', 4),
        ('{"event": "log", "message": "\\"turn\\""}', None),
        ('{"turn": "4"}', None),
        ('{"turn": ', None),
        ("plain text with turn", None),
    ],
)
def test_turn_is_read_from_json_lines_only(line: str, turn: int | None) -> None:
    assert turn_of(line) == turn
