"""`voicecore logs` that follows: late lines, failures, Ctrl-C, a terminal."""

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pexpect
import pytest

from tests.cloud.deploying import Deployer
from tests.cloud.log_lines import CALL, OTHER, RUNTIME, SESSION, Following, process, texts_of
from tests.cloud.permissions import expect_granted
from tests.conftest import Voicecore
from tests.standins.aws import Aws
from voicecore.console.errors import ExitCode


def test_followed_lines_are_shown_once_even_late_ones(aws: Aws, following: Following) -> None:
    now = datetime.now(UTC)
    aws.agent_says(RUNTIME, "first", session=SESSION, at=now - timedelta(minutes=5))
    following.polls = [
        lambda: aws.agent_says(RUNTIME, "second", session=SESSION),
        lambda: aws.agent_says(RUNTIME, "late", session=OTHER, at=now - timedelta(seconds=60)),
        lambda: None,
        lambda: aws.agent_says(RUNTIME, "of another endpoint", session=OTHER, endpoint="dev"),
        lambda: None,
    ]
    followed = following.run()
    assert texts_of(followed) == ["first", "second", "late", "of another endpoint"]


def test_stage_is_followed_before_its_first_call(aws: Aws, deployer: Deployer) -> None:
    assert deployer.deploy().code == ExitCode.OK
    client = aws.client("logs")
    for group in client.describe_log_groups()["logGroups"]:
        client.delete_log_group(logGroupName=group["logGroupName"])
    control = aws.client("bedrock-agentcore-control")
    runtime = control.list_agent_runtimes()["agentRuntimes"][0]["agentRuntimeId"]
    following = Following(deployer.root, [lambda: aws.agent_says(runtime, "hello"), lambda: None])
    followed = following.run()
    assert "The log does not exist yet" in followed.stderr
    assert texts_of(followed) == ["hello"]


@pytest.mark.parametrize(
    ("break_it", "text"),
    [
        (lambda aws: setattr(aws.faults, "down", True), "AWS does not answer"),
        (lambda aws: aws.faults.throttle("logs:*"), "This account sends AWS too many requests"),
    ],
    ids=["network", "throttling"],
)
def test_temporary_failures_are_waited_for(
    aws: Aws, following: Following, break_it: Callable[[Aws], None], text: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    aws.agent_says(RUNTIME, "before", session=SESSION)

    def repair() -> None:
        aws.agent_says(RUNTIME, "meanwhile", session=SESSION)
        aws.faults.clear()

    following.polls = [lambda: break_it(aws), repair, lambda: None]
    followed = following.run()
    assert texts_of(followed) == ["before", "meanwhile"]
    assert text in followed.stderr
    assert "AWS answers again" in followed.stderr


def write_keys(path: Path, aws: Aws, **how: Any) -> None:
    caller = aws.new_caller(**how)
    token = f"aws_session_token={caller.session_token}\n" if caller.session_token else ""
    path.write_text(
        f"[default]\naws_access_key_id={caller.access_key_id}\n"
        f"aws_secret_access_key={caller.secret_access_key}\n{token}"
    )


def test_expired_credentials_are_waited_for(
    aws: Aws, following: Following, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in aws.caller.environment():
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    write_keys(tmp_path / "credentials", aws)
    aws.agent_says(RUNTIME, "before", session=SESSION)

    def expire() -> None:
        aws.faults.expired = True

    def log_in() -> None:
        aws.agent_says(RUNTIME, "meanwhile", session=SESSION)
        write_keys(tmp_path / "credentials", aws, temporary=False)

    following.polls = [expire, lambda: None, log_in, lambda: None]
    followed = following.run()
    assert texts_of(followed) == ["before", "meanwhile"]
    assert followed.stderr.count("credentials have expired") == 1


def test_expired_credentials_of_the_environment_end_logs(
    aws: Aws, deployer: Deployer, voicecore: Voicecore
) -> None:
    aws.agent_says(RUNTIME, "before", session=SESSION)

    def expire() -> None:
        aws.faults.expired = True

    aws.faults.after_calls(4, expire, lose=False)
    ended = voicecore("logs", "--follow", cwd=deployer.root, env=aws.environment)
    assert ended.code == ExitCode.AWS_REFUSED
    assert "credentials have expired" in ended.stderr


@pytest.mark.parametrize("flag", ["--follow", "--live"])
def test_ctrl_c_ends_logs_cleanly(aws: Aws, following: Following, flag: str) -> None:
    group = aws.agent_says(RUNTIME, *CALL, session=SESSION)
    assert group
    with process(following.root, aws, flag) as followed:
        assert followed.stdout and followed.stderr
        with writing(lambda: aws.agent_says(RUNTIME, "later", session=SESSION)):
            assert any("later" in row for row in followed.stdout)
        followed.send_signal(signal.SIGINT)
        assert followed.wait(60) == ExitCode.OK
        assert "Traceback" not in followed.stderr.read()


def test_lines_on_a_terminal_are_styled_and_broken_between_words(
    aws: Aws, following: Following
) -> None:
    aws.agent_says(RUNTIME, *CALL, "long " * 60, session=SESSION)
    terminal = pexpect.spawn(
        sys.executable, ["-m", "voicecore", "logs", "--follow"], cwd=following.root,
        env=os.environ | aws.environment | {"TERM": "xterm-256color"}, encoding="utf-8",
        dimensions=(24, 80), timeout=30,
    )  # fmt: skip
    terminal.expect("\x1b\\[36myou")
    terminal.expect(r"(long[ \r\n]+){59}long")
    terminal.sendintr()
    terminal.expect(pexpect.EOF)
    assert "Traceback" not in (terminal.before or "")
    terminal.close()
    assert terminal.exitstatus == ExitCode.OK


@contextmanager
def writing(write: Callable[[], object]) -> Iterator[None]:
    """Write every 0.2 seconds while the block runs."""
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(0.2):
            write()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@contextmanager
def cutting(port: int, seconds: float) -> Iterator[str]:
    """Yield the URL of a proxy to the stand-in that closes each connection after some seconds."""

    def pump(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)

    def serve(caller: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", port)) as standin, caller:
            for way in ((caller, standin), (standin, caller)):
                threading.Thread(target=pump, args=way, daemon=True).start()
            time.sleep(seconds)
            for end in (caller, standin):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


def test_live_tail_continues_after_a_lost_connection(
    aws: Aws, following: Following, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws.agent_says(RUNTIME, "of before", session=SESSION)
    following.polls = [lambda: None, lambda: None]
    numbers = iter(range(1000))
    with cutting(int(aws.url.rpartition(":")[2]), 4) as relay:
        monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", relay)
        with writing(lambda: aws.agent_says(RUNTIME, f"{next(numbers)}", session=SESSION)):
            followed = following.run(follow=False, live=True, since="1m")
    before, *rest = texts_of(followed)
    assert before == "of before"
    shown = [int(text) for text in rest]
    assert shown == sorted(set(shown))
    assert max(b - a for a, b in pairwise(shown)) > 1  # lines between two sessions are missed
    assert "AWS does not answer" in followed.stderr
    assert "AWS answers again" in followed.stderr
    expect_granted(aws, Deployer(following.root), "logs-live")


@pytest.mark.parametrize("flags", [[], ["--json"], ["--follow"]])
def test_closed_pipe_ends_logs_quietly(aws: Aws, following: Following, flags: list[str]) -> None:
    aws.agent_says(RUNTIME, *CALL * 200, session=SESSION)
    with process(following.root, aws, *flags) as followed:
        assert followed.stdout and followed.stderr
        assert followed.stdout.readline()
        followed.stdout.close()
        with writing(lambda: aws.agent_says(RUNTIME, "more", session=SESSION)):
            followed.wait(60)
        errors = followed.stderr.read()
        assert "Traceback" not in errors and "Exception" not in errors
