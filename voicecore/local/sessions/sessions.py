"""The sessions that live: one agent process each, started, watched and ended here."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager

from voicecore.console.errors import VoicecoreError
from voicecore.local.gateway.errors import Refused, agent_failed, conflict, not_found, quota
from voicecore.local.gateway.limits import PING_INTERVAL, STOP_GRACE
from voicecore.local.gateway.websocket_proxy import Close
from voicecore.local.sessions.agent_process import AgentProcess
from voicecore.local.sessions.clock import Clock
from voicecore.local.sessions.events import RuntimeEvent, SessionState, SessionStatus
from voicecore.local.sessions.lifecycle import (
    EndReason,
    Lifecycle,
    Ping,
    Vitals,
    idle_since,
    is_busy,
    next_deadline,
    ping_advice,
    stamp_on_clock,
    verdict,
)
from voicecore.local.sessions.warm_pool import Pool

_WAIT_MIN = 0.02  # real seconds between two looks at a session, at whatever time scale
_SHUTDOWN_GRACE = 3.0  # real seconds; who pressed Ctrl-C waits for this


class Session:
    """One live session: its process, its traffic and its last pings."""

    def __init__(self, session_id: str, clock: Clock) -> None:
        self.id = session_id
        self.agent: AgentProcess | None = None
        self.stop_asked: asyncio.Future[EndReason] = asyncio.get_running_loop().create_future()
        self.ending = False
        self.advice: str | None = None
        self.pings: deque[Ping] = deque(maxlen=4)
        self._clock = clock
        self._started = self._last_traffic = clock.now()
        self._stamped: float | None = None
        self._missed_pings = 0
        self._open_requests = 0
        self._connections: set[asyncio.Future[Close]] = set()

    def begin(self) -> None:
        """Start the session's clocks: its process is healthy now."""
        self._started = self._last_traffic = self._clock.now()

    def touch(self) -> None:
        """Note traffic now."""
        self._last_traffic = self._clock.now()

    @contextmanager
    def request(self) -> Generator[None]:
        """Count a call to /invocations while it is open."""
        self._open_requests += 1
        self.touch()
        try:
            yield
        finally:
            self._open_requests -= 1
            self.touch()

    @contextmanager
    def connection(self) -> Generator[asyncio.Future[Close]]:
        """Count a WebSocket while it is open; the future is set when the session ends."""
        ended: asyncio.Future[Close] = asyncio.get_running_loop().create_future()
        self._connections.add(ended)
        self.touch()
        try:
            yield ended
        finally:
            self._connections.discard(ended)
            self.touch()

    def close_connections(self, close: Close) -> None:
        """Close every open WebSocket."""
        for ended in self._connections:
            if not ended.done():
                ended.set_result(close)

    def observe(self, ping: Ping | None) -> None:
        """Take an answer to /ping, or its absence."""
        if ping is None:
            self._missed_pings += 1
            return
        self._missed_pings = 0
        self.pings.append(ping)
        self._stamped = stamp_on_clock(
            ping.stamp, time.time(), self._clock.now(), self._clock.scale
        )

    def vitals(self) -> Vitals:
        """Return what the rules of the lifecycle need."""
        return Vitals(
            started=self._started,
            last_traffic=self._last_traffic,
            open_requests=self._open_requests,
            ping=self.pings[-1] if self.pings else None,
            stamped=self._stamped,
            missed_pings=self._missed_pings,
        )

    def status(self) -> SessionStatus:
        """Return the session as it is shown."""
        vitals, now, agent = self.vitals(), self._clock.now(), self.agent
        return SessionStatus(
            id=self.id,
            state=self._state(vitals),
            version=agent.version if agent else 0,
            age=now - self._started,
            idle=0.0 if is_busy(vitals) else now - idle_since(vitals),
            busy=vitals.ping is not None and vitals.ping.busy,
            connections=len(self._connections),
            turns=agent.turns if agent else 0,
            pid=agent.pid if agent else None,
            log=str(agent.log_path) if agent and agent.log_path else None,
            advice=self.advice,
        )

    def _state(self, vitals: Vitals) -> SessionState:
        if self.ending:
            return "Stopping"
        if self.agent is None or not self.agent.healthy:
            return "Starting"
        return "Active" if is_busy(vitals) or self._connections else "Idle"


class Sessions:
    """The table of live sessions: same id, same process."""

    def __init__(
        self,
        pool: Pool,
        clock: Clock,
        lifecycle: Lifecycle,
        limit: int,
        on_event: Callable[[RuntimeEvent], None],
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._lifecycle = lifecycle
        self._limit = limit
        self._on_event = on_event
        self._live: dict[str, Session] = {}
        self._starting: dict[str, asyncio.Task[VoicecoreError | None]] = {}
        self._watching: set[asyncio.Task[None]] = set()
        self._grace = STOP_GRACE
        self._closing = False

    async def obtain(self, session_id: str) -> Session:
        """Return the session, started if it is new.

        Raises Refused: 409 while it is torn down, 402 above the limit, 424 when the agent does
        not start.
        """
        session = self._live.get(session_id)
        if session is None:
            session = self._begin(session_id)
        if session.ending or session.stop_asked.done():
            raise Refused(
                conflict(
                    f"Session {session_id} is being terminated.",
                    "Try again in a moment, or use a new session id; boto3 retries this itself.",
                )
            )
        starting = self._starting.get(session_id)
        # shielded: a caller who hangs up must not stop what others wait for
        if starting and (error := await asyncio.shield(starting)):
            raise Refused(agent_failed(error.message, error.hint or "")) from error
        return session

    def stop(self, session_id: str) -> None:
        """Begin to end the session. Raises Refused: 404 when there is none, 409 when it ends."""
        session = self._live.get(session_id)
        if session is None:
            raise Refused(
                not_found(f"Session {session_id} not found.", "It has ended, or never began.")
            )
        if session.ending or session.stop_asked.done():
            raise Refused(conflict(f"Session {session_id} is being terminated.", "It is ending."))
        session.stop_asked.set_result(EndReason.STOPPED)

    def status(self) -> tuple[SessionStatus, ...]:
        """Return all sessions, oldest first."""
        return tuple(session.status() for session in tuple(self._live.values()))

    async def close(self) -> None:
        """End every session, and begin no other: clients that lose theirs call again at once."""
        self._closing = True
        self._grace = _SHUTDOWN_GRACE
        hurried: list[AgentProcess] = []
        for session in self._live.values():
            if session.ending and session.agent:
                hurried.append(session.agent)  # it has up to 15 s of grace left
            if not session.stop_asked.done():
                session.stop_asked.set_result(EndReason.SHUTDOWN)
        await asyncio.gather(*(agent.stop(_SHUTDOWN_GRACE) for agent in hurried))
        while tasks := {*self._starting.values(), *self._watching}:
            await asyncio.wait(tasks)

    def _begin(self, session_id: str) -> Session:
        if self._closing:
            raise Refused(conflict("The runtime is stopping.", "Start it again: voicecore dev."))
        if len(self._live) >= self._limit:
            raise Refused(
                quota(
                    "maxVms limit exceeded",
                    f"{self._limit} sessions live. Stop each at hang-up with StopRuntimeSession, "
                    "and see that /ping says Healthy when nothing goes on.",
                )
            )
        session = self._live[session_id] = Session(session_id, self._clock)
        task = self._starting[session_id] = asyncio.create_task(self._start(session))
        task.add_done_callback(lambda _: self._starting.pop(session_id, None))
        return session

    async def _start(self, session: Session) -> VoicecoreError | None:
        try:
            agent = session.agent = await self._pool.take()
            agent.bind(session.id)
            await agent.wait_healthy(until=session.stop_asked)
        except VoicecoreError as error:
            if session.agent:
                await session.agent.stop(grace=0)
            del self._live[session.id]
            self._on_event(RuntimeEvent("failed", error.message, session.id, error.hint))
            return error
        session.begin()
        watching = asyncio.create_task(self._watch(session, agent))
        self._watching.add(watching)
        watching.add_done_callback(self._watching.discard)
        self._on_event(RuntimeEvent("started", f"version {agent.version}", session.id))
        return None

    async def _watch(self, session: Session, agent: AgentProcess) -> None:
        """Ping the session every 2 s, and end it when the lifecycle says so."""
        looked = time.monotonic()
        while (reason := await self._look(session, agent)) is None:
            now = self._clock.now()
            deadline = self._clock.real(next_deadline(session.vitals(), self._lifecycle, now) - now)
            next_ping = looked + PING_INTERVAL - time.monotonic()
            await asyncio.wait(
                {agent.exited, session.stop_asked},
                timeout=max(_WAIT_MIN, min(next_ping, deadline)),
                return_when=asyncio.FIRST_COMPLETED,
            )
            looked = time.monotonic()
        session.ending = True
        gone = reason in (EndReason.EXITED, EndReason.UNHEALTHY)
        session.close_connections(Close(1011 if gone else 1001, f"session ended: {reason}"))
        text = (await agent.crash()).message if reason is EndReason.EXITED else str(reason)
        await agent.stop(self._grace)
        del self._live[session.id]
        self._on_event(RuntimeEvent("ended", text, session.id))

    async def _look(self, session: Session, agent: AgentProcess) -> EndReason | None:
        if session.stop_asked.done():
            return session.stop_asked.result()
        ping = await agent.ping()
        if agent.exited.done():
            return EndReason.EXITED
        session.observe(ping)
        advice = ping_advice(tuple(session.pings))
        if advice and advice != session.advice:
            self._on_event(RuntimeEvent("advice", advice, session.id))
        session.advice = advice
        return verdict(session.vitals(), self._lifecycle, self._clock.now())
