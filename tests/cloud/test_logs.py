"""`voicecore logs` shows lines, or says why it has nothing to show."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from tests.cloud.deploying import Deployer
from tests.cloud.log_lines import CALL, OTHER, RUNTIME, SESSION, put, texts_of, written
from tests.conftest import Result, Voicecore
from tests.standins.aws import Aws
from voicecore.console.errors import ExitCode


def test_call_is_shown_in_words(aws: Aws, line: Callable[..., Result]) -> None:
    aws.agent_says(RUNTIME, *CALL, session=SESSION)
    shown = line().stdout.splitlines()
    assert [row[8:] for row in shown] == [
        "  3f9c2a71      session started over websocket",
        "  3f9c2a71   1  you    What time is it?",
        "  3f9c2a71   1  0.81 s · STT 0.30 · LLM 0.40 · agent 0.11",
        "  3f9c2a71   1  agent  Five o'clock.",
        "  3f9c2a71      Slow answer",
        "  3f9c2a71      session ended: hung up, 1 turn in 12 s",
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


def test_missing_permission_is_reported(aws: Aws, line: Callable[..., Result]) -> None:
    aws.agent_says(RUNTIME, *CALL, session=SESSION)
    aws.faults.deny("logs:FilterLogEvents")
    for flags in ([], ["--follow"]):
        refused = line(*flags)
        assert refused.code == ExitCode.AWS_REFUSED
        assert '"Action": "logs:FilterLogEvents"' in refused.stderr
