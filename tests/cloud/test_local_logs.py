"""`voicecore logs --local` reads the files of `dev`, without AWS."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.cloud.log_lines import CALL, OTHER, SESSION, Following, texts_of, written
from tests.conftest import Result
from tests.standins.aws import Aws
from voicecore.console.errors import ExitCode


@pytest.fixture
def log_folder(line: object, tmp_path: Path) -> Path:
    """Return the folder of the local runtime's logs."""
    folder = tmp_path / "line" / ".voicecore" / "logs"
    folder.mkdir(parents=True)
    return folder


def append_lines(folder: Path, *texts: str, session: str = SESSION) -> None:
    path = folder / f"{datetime.now(UTC):%Y/%m/%d}" / f"[runtime-logs-{session}]unique"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.writelines(f"{text}\n" for text in texts)


def test_local_logs_do_not_call_aws(
    aws: Aws, log_folder: Path, line: Callable[..., Result]
) -> None:
    assert "voicecore talk" in line("--local").stderr
    append_lines(log_folder, *CALL, "Traceback (most recent call last):")
    shown = line("--local")
    assert "you    What time is it?" in shown.stdout
    assert "Traceback" in shown.stdout
    assert "Connected" not in shown.stdout
    assert "Connected" in line("--local", "--level", "info", "--json").stdout
    assert line("--local", "--live").code == ExitCode.USAGE
    assert not list(aws.journal)


def test_local_log_of_the_server(log_folder: Path, line: Callable[..., Result]) -> None:
    append_lines(log_folder, *CALL)
    assert "Nothing was logged here yet" in line("--local", "--server").stderr
    stopped = written("session_stopped", transport="websocket")
    (log_folder / "server.log").write_text(f"{CALL[0]}\n{stopped}\n")
    assert [row[10:] for row in line("--local", "--server").stdout.splitlines()] == [
        "3f9c2a71      session started over websocket",
        "3f9c2a71      session stopped by its caller",
    ]


def test_local_logs_are_followed(log_folder: Path, following: Following) -> None:
    append_lines(log_folder, "first")
    following.polls = [
        lambda: append_lines(log_folder, "second"),
        lambda: append_lines(log_folder, "of another", session=OTHER),
        lambda: None,
    ]
    assert texts_of(following.run(local=True)) == ["first", "second", "of another"]
