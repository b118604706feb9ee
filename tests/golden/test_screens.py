import json
from dataclasses import replace

import pytest

from tests.golden import assert_golden, text_of
from voicecore.contract import agent_log
from voicecore.local.screen import event_line, screen
from voicecore.local.sessions.events import (
    LogLine,
    RuntimeEvent,
    RuntimeStatus,
    SessionStatus,
    SpareStatus,
)

SERVER = "http://127.0.0.1:7860"
PAGE = f"{SERVER}/#invite.1795399999.c29tZXNpZ25hdHVyZW9mMTY"
SESSION = "1f0c5a52-6d0e-4b8e-9f57-0a9a3a3c1d11"


def logged(event: str, **fields: object) -> str:
    head = {"time": "2026-11-22T12:00:00.000Z", "level": "INFO", "event": event}
    return json.dumps(head | {"session_id": SESSION} | fields)


CONVERSATION = [
    logged("session_started", transport="websocket", resumed=False),
    logged("user_said", turn=1, text="What is twelve times seven?"),
    logged("agent_said", turn=1, text="Twelve times seven is 84.", interrupted=False),
    logged(
        "latency",
        turn=1,
        total_ms=982.4,
        stages=[
            {"key": "endpointing_wait", "label": "endpointing wait", "ms": 200.0},
            {"key": "transcription", "label": "transcription", "ms": 420.1},
            {"key": "speech_synthesis", "label": "speech synthesis", "ms": 362.3},
        ],
    ),
    logged("tool_call", turn=2, name="opening_hours", arguments={"day": "sunday"}, ms=1.2),
    logged("agent_said", turn=2, text="On Sunday we are", interrupted=True),
    logged("sound", outcome="too_quiet", message="0.4 s of speech were too quiet: -61 dBFS."),
    logged("sound", outcome="heard", message="heard 1.2 s of speech"),
    logged("user_said", turn=3),
    logged("ready", seconds=3.21, peak_mb=251),
    logged("log", level="WARNING", message="the disk is nearly full", logger="os"),
    logged("session_ended", reason="client disconnected", seconds=42.4, turns=3),
    logged("call_ended", provider="twilio", by="the caller", seconds=26.6),
    logged("table_full"),
    "Traceback (most recent call last):",
    '{"not": "ours"}',
]

STATUS = RuntimeStatus(
    project="/home/ada/support-line",
    url="http://127.0.0.1:8080",
    arn="arn:aws:bedrock-agentcore:us-east-1:000000000000:runtime/support_line_local-local00000",
    region="us-east-1",
    time_scale=1.0,
    version=2,
    spare=SpareStatus("ready", 2, None, None),
    sessions=(
        SessionStatus(SESSION, "Active", 1, 3725.0, 0.1, True, 1, 12, 4711, None, None),
        SessionStatus(
            "2e77d1c0-0000-4000-8000-000000000000", "Idle", 2, 61.0, 30.0, False, 0, 1, 4712, None,
            "/ping says HealthyBusy without time_of_last_update: AgentCore ends the session.",
        ),
    ),
    lines=tuple(LogLine(SESSION, line) for line in CONVERSATION),
)  # fmt: skip


def test_log_lines() -> None:
    assert_golden("log.txt", text_of(agent_log.display_line(line) for line in CONVERSATION))


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("dev.txt", STATUS),
        ("dev-empty.txt", replace(STATUS, sessions=(), lines=(), time_scale=60.0)),
        (
            "dev-failed.txt",
            replace(
                STATUS,
                sessions=(),
                lines=(),
                spare=SpareStatus(
                    "failed",
                    3,
                    "The agent ended with exit code 1: ModuleNotFoundError: No module named 'x'",
                    "Log: .voicecore/logs/2026/11/22/[runtime-logs]1",
                ),
            ),
        ),
    ],
)
def test_dev_screen(name: str, status: RuntimeStatus) -> None:
    assert_golden(name, text_of(screen(status, SERVER, PAGE, (), 80, 24)))


def test_dev_screen_without_page() -> None:
    assert "browser" not in text_of(screen(STATUS, SERVER, None, (), 80, 24))


def test_screen_tells_that_there_is_no_server_and_how_to_use_the_host_name_of_aws() -> None:
    note = "bedrock-agentcore.us-east-1.amazonaws.com leads to this runtime in the session server"
    text = text_of(screen(STATUS, "", None, [note], 80, 24))
    assert "session server    none" in text
    assert all(word in text for word in note.split())
    assert all(len(line) <= 80 for line in text.splitlines())


def test_dev_screen_fits_80_by_24() -> None:
    many = replace(STATUS, sessions=STATUS.sessions * 20, lines=STATUS.lines * 20)
    lines = screen(many, SERVER, PAGE, (), 80, 24)
    assert len(lines) <= 24
    assert "older not shown" in text_of(lines)
    sessions = [line for line in text_of(lines).splitlines() if "Active" in line or "Idle" in line]
    assert all(len(line) <= 80 for line in sessions)


def test_events_as_lines() -> None:
    events = [
        RuntimeEvent("ready", "version 1 is warm"),
        RuntimeEvent("started", "session started", SESSION),
        RuntimeEvent("log", CONVERSATION[1], SESSION),
        RuntimeEvent("advice", "/ping sends text", SESSION),
        RuntimeEvent("refused", "403 the URL has expired", None, "Ask /start for a new one."),
        RuntimeEvent("failed", "The agent ended with exit code 1: x", hint="Log: here"),
    ]
    assert_golden("events.txt", text_of(event_line(event) for event in events))
