"""Owns the state of one live session: its process, traffic, connections and last pings."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

from voicecore.contract.ping import PingAnswer
from voicecore.local.sessions.agent_process import AgentProcess
from voicecore.local.sessions.clock import Clock
from voicecore.local.sessions.events import SessionState, SessionStatus
from voicecore.local.sessions.lifecycle import (
    EndReason,
    SessionActivity,
    idle_since,
    is_busy,
    stamp_on_clock,
)


@dataclass(frozen=True, slots=True)
class CloseReason:
    """Code and text with which a WebSocket is closed, the same for both sides."""

    code: int
    reason: str


class LiveSession:
    """One live session, from its first request until its process has ended."""

    def __init__(self, session_id: str, clock: Clock) -> None:
        self.id = session_id
        self.agent: AgentProcess | None = None
        self.stop_asked: asyncio.Future[EndReason] = asyncio.get_running_loop().create_future()
        self.ending = False
        self.advice: str | None = None
        self.pings: deque[PingAnswer] = deque(maxlen=4)
        self._clock = clock
        self._started = self._last_traffic = clock.now()
        self._status_changed: float | None = None
        self._missed_pings = 0
        self._open_requests = 0
        self._connections: set[asyncio.Future[CloseReason]] = set()

    def begin(self) -> None:
        """Start the session's timers: its process is healthy now."""
        self._started = self._last_traffic = self._clock.now()

    def touch(self) -> None:
        """Record traffic."""
        self._last_traffic = self._clock.now()

    @contextmanager
    def request(self) -> Generator[None]:
        """Count a call to /invocations while the block runs."""
        self._open_requests += 1
        self.touch()
        try:
            yield
        finally:
            self._open_requests -= 1
            self.touch()

    @contextmanager
    def connection(self) -> Generator[asyncio.Future[CloseReason]]:
        """Count a WebSocket while the block runs; the future is set when the session ends."""
        ended: asyncio.Future[CloseReason] = asyncio.get_running_loop().create_future()
        self._connections.add(ended)
        self.touch()
        try:
            yield ended
        finally:
            self._connections.discard(ended)
            self.touch()

    def close_connections(self, close: CloseReason) -> None:
        """Close every open WebSocket."""
        for ended in self._connections:
            if not ended.done():
                ended.set_result(close)

    def record_ping(self, ping: PingAnswer | None) -> None:
        """Record an answer to /ping, or a missed one."""
        if ping is None:
            self._missed_pings += 1
            return
        self._missed_pings = 0
        self.pings.append(ping)
        self._status_changed = stamp_on_clock(
            ping.stamp, time.time(), self._clock.now(), self._clock.scale
        )

    def activity(self) -> SessionActivity:
        """Return the times and counts from which the lifecycle rules decide."""
        return SessionActivity(
            started=self._started,
            last_traffic=self._last_traffic,
            open_requests=self._open_requests,
            ping=self.pings[-1] if self.pings else None,
            status_changed=self._status_changed,
            missed_pings=self._missed_pings,
        )

    def status(self) -> SessionStatus:
        """Return the session's status for the screen and the status document."""
        activity, now, agent = self.activity(), self._clock.now(), self.agent
        return SessionStatus(
            id=self.id,
            state=self._state(activity),
            version=agent.version if agent else 0,
            age=now - self._started,
            idle=0.0 if is_busy(activity) else now - idle_since(activity),
            busy=activity.ping is not None and activity.ping.busy,
            connections=len(self._connections),
            turns=agent.turns if agent else 0,
            pid=agent.pid if agent else None,
            log=str(agent.log_path) if agent and agent.log_path else None,
            advice=self.advice,
        )

    def _state(self, activity: SessionActivity) -> SessionState:
        if self.ending:
            return "Stopping"
        if self.agent is None or not self.agent.healthy:
            return "Starting"
        return "Active" if is_busy(activity) or self._connections else "Idle"
