"""`voicecore logs`, from the stand-in of AWS and from the files of `voicecore dev`."""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pexpect
import pytest

from tests.cloud.deploying import Deployer
from tests.cloud.permissions import expect_granted
from tests.conftest import Result, Voicecore
from tests.standins.aws import Aws
from tests.standins.aws.services import logs as standin
from voicecore.commands import logs
from voicecore.console.context import Context
from voicecore.console.errors import ExitCode
from voicecore.console.output import Output
from voicecore.options.logs import LogsOptions

RUNTIME = "line_dev-abcdefghij"
SESSION = "3f9c2a71-0000-4000-8000-000000000001"
OTHER = "77777777-0000-4000-8000-000000000002"


def written(event: str, session: str = SESSION, level: str = "INFO", **fields: Any) -> str:
    """Return a line as the logs.py of a generated agent writes it."""
    head = {"time": f"{datetime.now(UTC).isoformat()}", "level": level, "event": event}
    return json.dumps({**head, "session_id": session, **fields})


CALL = (
    written("session_started", transport="websocket"),
    written("user_said", turn=1, text="What time is it?"),
    written(
        "latency", turn=1, total_ms=812.0,
        stages=[{"key": "transcription", "ms": 300.0}, {"key": "first_request", "ms": 400.0}],
    ),
    written("agent_said", turn=1, text="Five o'clock.", interrupted=False),
    written("log", message="Connected to something", logger="pipecat"),
    written("log", level="WARNING", message="Slow answer", logger="pipecat"),
    written("session_ended", reason="hung up", seconds=12.0, turns=1),
)  # fmt: skip


@pytest.fixture
def line(voicecore: Voicecore, tmp_path: Path) -> Callable[..., Result]:
    """Run `voicecore logs` in a project named line."""
    assert voicecore("init", "line", "--pipeline", "nova-sonic", "--yes").code == 0
    return lambda *flags, **more: voicecore("logs", *flags, cwd=tmp_path / "line", **more)


def texts_of(result: Result) -> list[str]:
    """Return the text of each line printed with --json."""
    assert result.code == ExitCode.OK, result.stderr
    rows = [json.loads(row) for row in result.stdout.splitlines()]
    events = [row.get("event", row) for row in rows]
    return [event.get("text") or event.get("message") or event["event"] for event in events]


def test_call_is_shown_in_words(aws: Aws, line: Callable[..., Result]) -> None:
    aws.agent_says(RUNTIME, *CALL, session=SESSION)
    shown = line().stdout.splitlines()
    assert [row[8:] for row in shown] == [
        "  3f9c2a71      session started over websocket",
        "  3f9c2a71   1  you    What time is it?",
        "  3f9c2a71   1  812 ms  STT 300 · LLM 400 · agent 112",
        "  3f9c2a71   1  agent  Five o'clock.",
        "  3f9c2a71      Slow answer",
        "  3f9c2a71      session ended: hung up, 1 turns in 12 s",
    ]


def test_json_lines_have_session_and_stream(aws: Aws, line: Callable[..., Result]) -> None:
    at = datetime(2026, 11, 20, 23, 59, 59, 5000, tzinfo=UTC)
    aws.agent_says(RUNTIME, *CALL, "Traceback (most recent call last):", session=SESSION, at=at)
    rows = [json.loads(row) for row in line("--json", "--since", "2026-11-20").stdout.splitlines()]
    assert len(rows) == len(CALL) + 1
    assert rows[1]["time"] == "2026-11-20T23:59:59.005Z"
    assert rows[1]["session"] == SESSION
    assert rows[1]["stream"].startswith(f"2026/11/20/[runtime-logs-{SESSION}]")
    assert rows[1]["event"]["text"] == "What time is it?"
    assert rows[-1]["text"] == "Traceback (most recent call last):"


def test_old_and_new_stream_names_are_read_over_midnight(
    aws: Aws, line: Callable[..., Result]
) -> None:
    """A stream is named after the UTC day on which it began; its call may continue after it."""
    night = datetime(2026, 11, 20, 23, 50, tzinfo=UTC)
    aws.agent_says(RUNTIME, written("log", message="old before"), "OLD: no JSON", at=night)
    aws.agent_says(RUNTIME, "NEW: no JSON", session=SESSION, at=night + timedelta(minutes=1))
    group = f"/aws/bedrock-agentcore/runtimes/{RUNTIME}-DEFAULT"
    streams = aws.client("logs").describe_log_streams(logGroupName=group)["logStreams"]
    for name in (stream["logStreamName"] for stream in streams):
        text, minutes = ("in new", 30) if SESSION in name else ("in old", 40)
        at = night + timedelta(minutes=minutes)
        put(aws, group, name, at, written("user_said", text=text))
    aws.agent_says(RUNTIME, written("user_said", OTHER, text="by dev"), session=OTHER,
                   endpoint="dev", at=night + timedelta(minutes=20))  # fmt: skip
    late = texts_of(line("--json", "--since", "2026-11-20T23:55Z"))
    assert late == ["by dev", "in new", "in old"]
    mine = texts_of(line("--json", "--since", "2026-11-20T23:00Z", "--session", SESSION[:8]))
    assert mine == ["old before", "NEW: no JSON", "in new", "in old"]


def put(aws: Aws, group: str, stream: str, at: datetime, *texts: str) -> None:
    standin.write_lines(aws.cloud, aws.caller.account, aws.region, group, stream, texts, at)


def test_empty_pages_do_not_end_the_search(aws: Aws, line: Callable[..., Result]) -> None:
    aws.agent_says(RUNTIME, *CALL, session=SESSION)
    aws.faults.empty_pages(3)
    assert "What time is it?" in line().stdout


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--filter", "what TIME"], ["What time is it?"]),
        (["--level", "warning"], ["Slow answer", "raw"]),
        (["--session", SESSION[:4], "--filter", "something"], ["Connected to something"]),
        (["--session", "7777"], ["Hello."]),
    ],
)
def test_flags_select_lines(
    aws: Aws, line: Callable[..., Result], flags: list[str], expected: list[str]
) -> None:
    aws.agent_says(RUNTIME, *CALL, "raw", session=SESSION)
    aws.agent_says(RUNTIME, written("user_said", OTHER, turn=1, text="Hello."), session=OTHER)
    assert texts_of(line("--json", *flags)) == expected


def test_traces_are_not_shown(aws: Aws, line: Callable[..., Result]) -> None:
    group = aws.agent_says(RUNTIME, *CALL, session=SESSION)
    put(aws, group, "otel-rt-logs", datetime.now(UTC), '{"spanId": "1"}')
    assert "spanId" not in line("--json").stdout


def test_transcripts_may_be_absent(aws: Aws, line: Callable[..., Result]) -> None:
    aws.agent_says(RUNTIME, written("user_said", turn=1), written("user_said", turn=2))
    shown = line()
    assert shown.stdout.count("(not logged)") == 2
    assert shown.stderr.count("LOG_TRANSCRIPTS=false") == 1


def test_terminal_escapes_of_callers_are_removed(aws: Aws, line: Callable[..., Result]) -> None:
    aws.agent_says(RUNTIME, written("user_said", text="\x1b]0;owned\x07hi"), "\x1b[2Jraw")
    assert "\x1b" not in line().stdout


# Why there are no lines.


def test_logs_of_a_stage_that_is_not_deployed(aws: Aws, line: Callable[..., Result]) -> None:
    for flags in ([], ["--follow"], ["--live"]):
        nothing = line(*flags)
        assert nothing.code == ExitCode.NOT_DEPLOYED
        assert "line · dev in account 123456789012, us-east-1 is not deployed" in nothing.stderr
        assert "voicecore deploy" in nothing.stderr
    without = line("--server")
    assert without.code == ExitCode.NOT_DEPLOYED
    assert "the server of line · dev" in without.stderr
    assert "voicecore deploy --server" in without.stderr


def test_logs_of_a_stage_without_calls(aws: Aws, deployer: Deployer, voicecore: Voicecore) -> None:
    assert deployer.deploy().code == ExitCode.OK
    nothing = voicecore("logs", cwd=deployer.root)
    assert nothing.code == ExitCode.OK
    assert "AgentCore starts a container with the first call" in nothing.stderr
    assert "voicecore talk --remote" in nothing.stderr


def test_logs_of_a_stage_without_recent_lines(aws: Aws, line: Callable[..., Result]) -> None:
    at = datetime.now(UTC) - timedelta(days=2)
    aws.agent_says(RUNTIME, *CALL, session=SESSION, at=at)
    nothing = line()
    assert (nothing.code, nothing.stdout) == (ExitCode.OK, "")
    assert f"the last line is from {at.astimezone():%Y-%m-%d %H:%M}" in nothing.stderr
    since = nothing.stderr.split("--since ")[1].split()[0]
    assert "What time is it?" in line("--since", since).stdout


def test_filter_that_matches_nothing(aws: Aws, line: Callable[..., Result]) -> None:
    aws.agent_says(RUNTIME, *CALL, session=SESSION)
    assert "No line matches" in line("--filter", "elephants").stderr


def test_invalid_time_is_refused(aws: Aws, line: Callable[..., Result]) -> None:
    refused = line("--since", "yesterday")
    assert refused.code == ExitCode.USAGE
    assert "--since 90s, 10m, 3h, 2d or 1w" in refused.stderr
    assert not list(aws.journal)


def test_unknown_region_is_refused(
    aws: Aws, line: Callable[..., Result], voicecore: Voicecore
) -> None:
    typo = ("--region", "us-est-1")
    for refused in (line(*typo), voicecore("status", "--all", *typo)):
        assert refused.code == ExitCode.USAGE
        assert "Did you mean 'us-east-1'?" in refused.stderr
    assert not list(aws.journal)


# Following.


@dataclass
class Following:
    """Follows the log, and presses Ctrl-C after a number of polls."""

    root: Path
    polls: list[Callable[[], object]] = field(default_factory=list)

    def run(self, env: dict[str, str] | None = None, **options: Any) -> Result:
        """Follow; run one of `polls` after each poll of AWS, and end after the last."""
        steps = iter(self.polls)

        def pause(seconds: float) -> None:
            step = next(steps, None)
            if step is None:
                raise KeyboardInterrupt
            step()

        stdout, stderr = io.StringIO(), io.StringIO()
        context = Context(
            cwd=self.root, env=env or {}, output=Output(stdout, stderr), interactive=False
        )
        given = replace(LogsOptions(follow=True, json=True), **options)
        code = logs.run(context, given, pause)
        return Result(int(code), stdout.getvalue(), stderr.getvalue())


@pytest.fixture
def following(line: object, tmp_path: Path) -> Following:
    return Following(tmp_path / "line")


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


def test_missing_permission_is_reported(aws: Aws, line: Callable[..., Result]) -> None:
    aws.agent_says(RUNTIME, *CALL, session=SESSION)
    aws.faults.deny("logs:FilterLogEvents")
    for flags in ([], ["--follow"]):
        refused = line(*flags)
        assert refused.code == ExitCode.AWS_REFUSED
        assert '"Action": "logs:FilterLogEvents"' in refused.stderr


@contextmanager
def process(root: Path, aws: Aws, *flags: str) -> Iterator["subprocess.Popen[str]"]:
    started = subprocess.Popen(
        [sys.executable, "-m", "voicecore", "logs", *flags],
        cwd=root, env=os.environ | aws.environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield started
    finally:
        started.kill()
        started.wait()


@pytest.mark.parametrize("flag", ["--follow", "--live"])
def test_ctrl_c_ends_logs_cleanly(aws: Aws, following: Following, flag: str) -> None:
    group = aws.agent_says(RUNTIME, *CALL, session=SESSION)
    assert group
    with process(following.root, aws, flag) as followed:
        assert followed.stdout and followed.stderr
        with writing(lambda: aws.agent_says(RUNTIME, "later", session=SESSION)):
            assert any("later" in row for row in followed.stdout)
        followed.send_signal(signal.SIGINT)
        assert followed.wait(20) == ExitCode.OK
        assert "Traceback" not in followed.stderr.read()


def test_lines_on_a_terminal_are_styled_and_not_cut(aws: Aws, following: Following) -> None:
    aws.agent_says(RUNTIME, *CALL, "long " * 60, session=SESSION)
    terminal = pexpect.spawn(
        sys.executable, ["-m", "voicecore", "logs", "--follow"], cwd=following.root,
        env=os.environ | aws.environment | {"TERM": "xterm-256color"}, encoding="utf-8",
        dimensions=(24, 80), timeout=30,
    )  # fmt: skip
    terminal.expect("\x1b\\[36myou")
    terminal.expect_exact("long " * 59)
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
            followed.wait(20)
        errors = followed.stderr.read()
        assert "Traceback" not in errors and "Exception" not in errors


# Local logs.


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
