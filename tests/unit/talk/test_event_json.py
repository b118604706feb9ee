"""The JSON events of `voicecore talk --json`: names, order and rounding of their fields."""

import json
from pathlib import Path

import pytest

from voicecore.talk.channel import Connected, Disconnected, HungUp, IcePath, Note
from voicecore.talk.events import (
    AgentSaid,
    AgentSpoke,
    CallEnded,
    CallEvent,
    EndedBy,
    KeyPressed,
    SessionNotStopped,
    TurnMeasured,
    UserSaid,
    UserSpoke,
)
from voicecore.talk.transports.rtvi import AgentError, AgentLatency, AgentStage, Sound, ToolCall
from voicecore.talk.view.event_json import event_json
from voicecore.talk.view.latency import MeasuredTurn, TurnTotals

PATH = IcePath("host a:1", "relay b:2", 12.3, (("host a:1", "relay b:2", "succeeded"),))
TURN = MeasuredTurn(2, 640.04, AgentLatency(2, 600, (AgentStage("transcription", "STT", 600),)))
ENDED = CallEnded(EndedBy.SCRIPT, 12.34, TurnTotals(2, 640.04, 900), [Path("a.wav")])

DOCUMENTS: list[tuple[CallEvent, str]] = [
    (Connected(resumed=False), '{"event": "connected"}'),
    (Connected(resumed=True), '{"event": "reconnected"}'),
    (
        Disconnected("gone", planned=False),
        '{"event": "reconnecting", "reason": "gone", "planned": false}',
    ),
    (HungUp(), '{"event": "agent_hung_up"}'),
    (Note("hello"), '{"event": "note", "text": "hello"}'),
    (
        PATH,
        '{"event": "path", "local": "host a:1", "remote": "relay b:2", "ms": 12.3, '
        '"tried": [["host a:1", "relay b:2", "succeeded"]]}',
    ),
    (
        AgentError("no credit", fatal=True),
        '{"event": "error", "message": "no credit", "fatal": true}',
    ),
    (ToolCall("clock", 3.4), '{"event": "tool_call", "name": "clock", "ms": 3.4}'),
    (
        Sound("too_short", "Say more."),
        '{"event": "sound", "outcome": "too_short", "message": "Say more."}',
    ),
    (UserSaid("Hi"), '{"event": "user_said", "text": "Hi"}'),
    (
        AgentSaid("Hello", interrupted=False, turn=None),
        '{"event": "agent_said", "text": "Hello", "interrupted": false}',
    ),
    (
        AgentSaid("Noon.", interrupted=True, turn=1),
        '{"event": "agent_said", "text": "Noon.", "interrupted": true, "turn": 1}',
    ),
    (UserSpoke(1.54), '{"event": "user_spoke", "seconds": 1.5}'),
    (
        AgentSpoke(0.26, interrupted=False, turn=1),
        '{"event": "agent_spoke", "seconds": 0.3, "interrupted": false, "turn": 1}',
    ),
    (
        TurnMeasured(TURN),
        '{"event": "latency", "turn": 2, "total_ms": 640.0, "agent_ms": 600, "stages": '
        '[{"key": "STT", "ms": 600.0}, {"key": "transport", "ms": 40.0}]}',
    ),
    (
        TurnMeasured(MeasuredTurn(1, 100)),
        '{"event": "latency", "turn": 1, "total_ms": 100, "agent_ms": null, "stages": []}',
    ),
    (KeyPressed("#"), '{"event": "key", "key": "#"}'),
    (
        SessionNotStopped("s", "no answer"),
        '{"event": "session_not_stopped", "session": "s", "reason": "no answer"}',
    ),
    (
        ENDED,
        '{"event": "ended", "by": "script", "seconds": 12.3, "turns": 2, "median_ms": 640.0, '
        '"worst_ms": 900, "files": ["a.wav"]}',
    ),
]


@pytest.mark.parametrize(("event", "document"), DOCUMENTS, ids=lambda value: type(value).__name__)
def test_writes_an_event_as_json(event: CallEvent, document: str) -> None:
    assert json.dumps(event_json(event)) == document
