"""The small pure parts: clock, log names, error lines, frame rate, what is watched."""

import socket
from datetime import UTC, datetime
from pathlib import Path

import pytest

from voicecore.local.gateway.websocket_proxy import FrameMeter
from voicecore.local.processes.ports import PortTaken, free_port, held_port
from voicecore.local.runtime import local_arn
from voicecore.local.sessions.clock import Clock
from voicecore.local.sessions.log_writer import SessionLog, last_error, stream_name, turn_of
from voicecore.local.sessions.warm_pool import is_source


def test_an_hour_in_a_second() -> None:
    clock = Clock(scale=3600)
    assert clock.real(3600) == 1.0
    before = clock.now()
    assert clock.now() >= before
    with pytest.raises(ValueError, match="above 0"):
        Clock(scale=0)


def test_the_local_arn_has_the_form_of_aws() -> None:
    arn = local_arn("my_agent", "us-west-2")
    assert arn == "arn:aws:bedrock-agentcore:us-west-2:000000000000:runtime/my_agent-local00000"


def test_stream_names_are_those_of_cloudwatch() -> None:
    now = datetime(2026, 3, 4, 23, 59, tzinfo=UTC)
    assert stream_name("s-1", now, "u") == "2026/03/04/[runtime-logs-s-1]u"
    assert stream_name(None, now, "u") == "2026/03/04/[runtime-logs]u"


def test_early_lines_come_first_and_late_ones_are_dropped(tmp_path: Path) -> None:
    log = SessionLog(tmp_path)
    log.write(["before"])
    path = log.open("s" * 33)
    log.write(["during"])
    assert log.open("another") == path
    log.close()
    log.write(["after"])
    assert path.read_text() == "before\nduring\n"


TRACEBACK = """\
starting
Traceback (most recent call last):
  File "app.py", line 3, in <module>
    import pipecat
    ^^^^^^^^^^^^^^
ModuleNotFoundError: No module named 'pipecat'
"""


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (TRACEBACK, "ModuleNotFoundError: No module named 'pipecat'"),
        (TRACEBACK + "bye\n", "ModuleNotFoundError: No module named 'pipecat'"),
        (TRACEBACK + TRACEBACK.replace("pipecat", "boto3"), "No module named 'boto3'"),
        ("hello\nSegmentation fault\n\n", "Segmentation fault"),
        ("", "it wrote nothing"),
    ],
)
def test_the_line_that_says_why(output: str, expected: str) -> None:
    assert last_error(output.splitlines()).endswith(expected)


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
def test_turns_in_log_lines(line: str, turn: int | None) -> None:
    assert turn_of(line) == turn


def test_two_hundred_and_fifty_frames_a_second() -> None:
    meter = FrameMeter()
    assert all(meter.admits(10.2) for _ in range(250))
    assert not meter.admits(10.9)
    assert all(meter.admits(11.0) for _ in range(250))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("bot.py", True),
        ("prompts/greeting.j2", True),
        (".env", True),
        ("pyproject.toml", True),
        (".venv/lib/x.py", False),
        ("__pycache__/bot.cpython-312.pyc", False),
        ("bot.py~", False),
        ("recording.wav", False),
    ],
)
def test_what_makes_a_new_version(path: str, expected: bool) -> None:
    assert is_source(Path("/agent", path), Path("/agent")) == expected


def test_the_usual_port_or_the_first_free_one_above_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with held_port(None, port) as other:
            assert other > port
        with pytest.raises(PortTaken, match=f"Port {port} is taken"), held_port(port, 0):
            pass


def test_a_port_that_another_voicecore_is_about_to_use_is_not_free() -> None:
    usual = free_port()
    with held_port(None, usual) as mine, held_port(None, usual) as others:
        assert mine != others
    with held_port(mine, 0):
        pass  # and given back
