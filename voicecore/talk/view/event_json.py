"""Owns the JSON form of a call's events, as `voicecore talk --json` prints them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from voicecore.talk.channel import Connected, Disconnected, HungUp, IcePath, Note
from voicecore.talk.events import (
    AgentSaid,
    AgentSpoke,
    CallEnded,
    CallEvent,
    KeyPressed,
    SessionNotStopped,
    TurnMeasured,
    UserSaid,
    UserSpoke,
)
from voicecore.talk.transports import rtvi
from voicecore.talk.view.latency import MeasuredTurn


def event_json(event: CallEvent) -> dict[str, Any]:
    """Return the JSON document of an event."""
    match event:
        case Connected(resumed):
            return {"event": "reconnected" if resumed else "connected"}
        case Disconnected(reason, planned):
            return {"event": "reconnecting", "reason": reason, "planned": planned}
        case HungUp():
            return {"event": "agent_hung_up"}
        case Note(text):
            return {"event": "note", "text": text}
        case IcePath():
            return {"event": "path", **asdict(event)}
        case rtvi.AgentError(message, fatal):
            return {"event": "error", "message": message, "fatal": fatal}
        case rtvi.ToolCall(name, ms):
            return {"event": "tool_call", "name": name, "ms": ms}
        case rtvi.Sound(outcome, message):
            return {"event": "sound", "outcome": outcome, "message": message}
        case UserSaid(text):
            return {"event": "user_said", "text": text}
        case AgentSaid(text, interrupted, turn):
            said = {"event": "agent_said", "text": text, "interrupted": interrupted}
            return said | _numbered(turn)
        case UserSpoke(seconds):
            return {"event": "user_spoke", "seconds": round(seconds, 1)}
        case AgentSpoke(seconds, interrupted, turn):
            spoke = {"seconds": round(seconds, 1), "interrupted": interrupted}
            return {"event": "agent_spoke", **spoke, **_numbered(turn)}
        case TurnMeasured(turn):
            return _latency(turn)
        case KeyPressed(key):
            return {"event": "key", "key": key}
        case SessionNotStopped(session, reason):
            return {"event": "session_not_stopped", "session": session, "reason": reason}
        case CallEnded():
            return _ended(event)


def _numbered(turn: int | None) -> dict[str, int]:
    return {"turn": turn} if turn else {}


def _latency(turn: MeasuredTurn) -> dict[str, Any]:
    return {
        "event": "latency",
        "turn": turn.number,
        "total_ms": round(turn.total_ms, 1),
        "agent_ms": round(turn.agent.total_ms, 1) if turn.agent else None,
        "stages": [{"key": part.name, "ms": round(part.ms, 1)} for part in turn.parts],
    }


def _ended(event: CallEnded) -> dict[str, Any]:
    return {
        "event": "ended",
        "by": event.by.value,
        "seconds": round(event.seconds, 1),
        "turns": event.totals.turns,
        "median_ms": _rounded(event.totals.median_ms),
        "worst_ms": _rounded(event.totals.worst_ms),
        "files": [str(path) for path in event.files],
    }


def _rounded(ms: float | None) -> float | None:
    return None if ms is None else round(ms, 1)
