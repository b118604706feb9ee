"""Owns the sessions of a stage, as the agent's log tells them: no API of AgentCore lists any."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from voicecore.contract.agent_log import LogEntry, parse_event

STARTS = ("session_started", "session_resumed")
ENDS = ("session_ended", "session_stopped")
SPEECH = ("user_said", "agent_said")

PATTERN = "{ " + " || ".join(f'($.event = "{name}")' for name in (*STARTS, *ENDS, *SPEECH)) + " }"
"""CloudWatch's filter for the events that tell sessions."""


@dataclass(frozen=True)
class LoggedSession:
    """A session, from its events."""

    id: str
    started: datetime
    endpoint: str
    """Endpoint of the runtime at which it was started."""
    transport: str = ""
    turns: int = 0
    """Number of times that the caller has spoken."""
    spoken: datetime | None = None
    """Time of the last words, the caller's or the agent's."""
    ended: datetime | None = None
    reason: str = ""
    """Reason of the end, as the agent logged it."""

    def age(self, now: datetime) -> timedelta:
        """Return how long it lasts, or has lasted."""
        return (self.ended or now) - self.started

    def is_quiet(self, now: datetime, idle: timedelta) -> bool:
        """Return True when it is open, and its last words are older than this."""
        return self.ended is None and now - (self.spoken or self.started) > idle


def sessions_in(entries: Iterable[LogEntry], endpoint: str) -> list[LoggedSession]:
    """Return the sessions in the log of an endpoint, whose entries are oldest first."""
    found: dict[str, LoggedSession] = {}
    for entry in entries:
        event, id = parse_event(entry.text), entry.session
        if event and id:
            known = found.get(id) or LoggedSession(id, entry.time, endpoint)
            found[id] = _after(known, event["event"], event, entry.time)
    return list(found.values())


def _after(
    known: LoggedSession, name: str, event: dict[str, object], time: datetime
) -> LoggedSession:
    """Return the session after one of its events."""
    if name in STARTS:
        return replace(known, transport=str(event.get("transport", "")), ended=None, reason="")
    if name in ENDS:
        return replace(known, ended=time, reason=str(event.get("reason", "")))
    return replace(known, turns=known.turns + (name == "user_said"), spoken=time)
