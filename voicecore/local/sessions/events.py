"""Owns the runtime's events and its status snapshot."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from voicecore.local.sessions.warm_pool import SpareState

EventKind = Literal["ready", "failed", "reloaded", "started", "ended", "refused", "advice", "log"]
SessionState = Literal["Starting", "Active", "Idle", "Stopping"]


@dataclass(frozen=True, slots=True)
class RuntimeEvent:
    """One event as text; `log` is a line that an agent wrote."""

    kind: EventKind
    text: str
    session_id: str | None = None
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class SessionStatus:
    """One session. `age` and `idle` are seconds of the runtime's (scaled) clock."""

    id: str
    state: SessionState
    version: int
    age: float
    idle: float
    busy: bool
    connections: int
    turns: int
    pid: int | None
    log: str | None
    advice: str | None


@dataclass(frozen=True, slots=True)
class SpareStatus:
    """The spare process. `problem` is the reason why it failed, `warning` is about its safety."""

    state: SpareState
    version: int
    problem: str | None
    hint: str | None
    warning: str | None = None


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of output; without a session ID it comes from the spare process."""

    session_id: str | None
    text: str


@dataclass(frozen=True, slots=True)
class RuntimeStatus:
    """The whole runtime at one moment."""

    project: str
    url: str
    arn: str
    region: str
    time_scale: float
    version: int
    spare: SpareStatus
    sessions: tuple[SessionStatus, ...]
    lines: tuple[LogLine, ...]
    troubles: tuple[RuntimeEvent, ...] = ()
    """The last refusals and failures, in which a refused caller finds its reason."""

    def document(self) -> dict[str, Any]:
        """Return the JSON document of `GET /_voicecore/status`."""
        return asdict(self)
