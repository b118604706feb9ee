"""Sessions are told by the agent's log."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from voicecore.cloud.observe.sessions import LoggedSession, sessions_in
from voicecore.commands.sessions.list import lasting
from voicecore.contract.agent_log import LogEntry

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


def said(minute: int, event: str, session: str = "a" * 36, **fields: object) -> LogEntry:
    text = json.dumps({"event": event, "session_id": session, **fields})
    return LogEntry(NOW + timedelta(minutes=minute), "2026/11/30/[runtime-logs]x", text)


def test_session_is_told_by_its_events() -> None:
    (one,) = sessions_in(
        [
            said(0, "session_started", transport="webrtc"),
            said(1, "user_said", text="hello"),
            said(2, "agent_said", text="hi"),
            said(3, "user_said"),
            said(4, "session_ended", reason="caller hung up"),
        ],
        "dev",
    )
    assert (one.transport, one.turns, one.reason) == ("webrtc", 2, "caller hung up")
    assert one.endpoint == "dev"
    assert one.age(NOW + timedelta(hours=1)) == timedelta(minutes=4)


def test_resumed_session_is_open_again() -> None:
    entries = [
        said(0, "session_started"), said(1, "session_ended"), said(2, "session_resumed")
    ]  # fmt: skip
    (one,) = sessions_in(entries, "dev")
    assert one.ended is None and one.reason == ""
    assert one.age(NOW + timedelta(minutes=5)) == timedelta(minutes=5)


def test_lines_without_a_session_are_ignored() -> None:
    entries = [
        said(0, "session_started", "a" * 36),
        said(0, "session_started", ""),
        LogEntry(NOW, "x", "Traceback"),
        said(1, "session_started", "b" * 36),
    ]
    assert [each.id[0] for each in sessions_in(entries, "dev")] == ["a", "b"]


@pytest.mark.parametrize(
    ("spoken", "ended", "quiet"), [(None, None, True), (10, None, False), (None, 5, False)]
)
def test_open_session_without_speech_is_quiet(
    spoken: int | None, ended: int | None, quiet: bool
) -> None:
    def at(minute: int | None) -> datetime | None:
        return None if minute is None else NOW + timedelta(minutes=minute)

    session = LoggedSession("a", NOW, "dev", spoken=at(spoken), ended=at(ended))
    now, idle = NOW + timedelta(minutes=20), timedelta(minutes=15)
    assert session.is_quiet(now, idle) == quiet


@pytest.mark.parametrize(("seconds", "text"), [(5, "0 m 5 s"), (125, "2 m 5 s"), (7260, "2 h 1 m")])
def test_duration_in_words(seconds: int, text: str) -> None:
    assert lasting(timedelta(seconds=seconds)) == text
