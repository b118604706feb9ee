"""Owns the table of live sessions: it starts, watches and ends the agent process of each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from voicecore.console.errors import VoicecoreError
from voicecore.contract.ping import ping_advice
from voicecore.local.api_errors import (
    RequestRefused,
    agent_failed,
    conflict,
    not_found,
    quota_exceeded,
)
from voicecore.local.limits import PING_INTERVAL, STOP_GRACE
from voicecore.local.sessions.agent_process import AgentProcess, StoppedBeforeStart
from voicecore.local.sessions.clock import Clock
from voicecore.local.sessions.events import RuntimeEvent, SessionStatus
from voicecore.local.sessions.lifecycle import (
    EndReason,
    Lifecycle,
    end_reason,
    next_deadline,
)
from voicecore.local.sessions.live_session import CloseReason, LiveSession
from voicecore.local.sessions.warm_pool import WarmPool

_WAIT_MIN = 0.02  # real seconds between two checks of a session, at any time scale
_SHUTDOWN_GRACE = 3.0  # real seconds; the user waits this long after Ctrl-C


class SessionTable:
    """All live sessions; requests with the same session ID reach the same process."""

    def __init__(
        self,
        pool: WarmPool,
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
        self._live: dict[str, LiveSession] = {}
        self._starting: dict[str, asyncio.Task[VoicecoreError | None]] = {}
        self._watching: set[asyncio.Task[None]] = set()
        self._grace = STOP_GRACE
        self._closing = False

    async def obtain(self, session_id: str) -> LiveSession:
        """Return the session; start it if it is new.

        Raises RequestRefused: 409 while it ends, 402 above the limit, 424 if the agent does not
        start.
        """
        session = self._live.get(session_id)
        if session is None:
            session = self._begin(session_id)
        if session.ending or session.stop_asked.done():
            raise RequestRefused(
                conflict(
                    f"Session {session_id} is being terminated.",
                    "Retry in a moment (boto3 does) or use a new session ID.",
                )
            )
        starting = self._starting.get(session_id)
        # shielded: a caller who hangs up must not cancel a start that others wait for
        if starting and (error := await asyncio.shield(starting)):
            raise RequestRefused(agent_failed(error.message, error.hint or "")) from error
        return session

    def stop(self, session_id: str) -> None:
        """Begin to end the session. Raises RequestRefused: 404 if unknown, 409 if it is ending."""
        session = self._live.get(session_id)
        if session is None:
            raise RequestRefused(
                not_found(
                    f"Session {session_id} not found.", "It has already ended or never started."
                )
            )
        if session.ending or session.stop_asked.done():
            raise RequestRefused(
                conflict(f"Session {session_id} is being terminated.", "No action is needed.")
            )
        session.stop_asked.set_result(EndReason.STOPPED)

    def status(self) -> tuple[SessionStatus, ...]:
        """Return the status of all sessions, oldest first."""
        return tuple(session.status() for session in tuple(self._live.values()))

    async def close(self) -> None:
        """End every session and refuse new ones: clients that lose a session retry at once."""
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

    def _begin(self, session_id: str) -> LiveSession:
        if self._closing:
            raise RequestRefused(
                conflict("The runtime is stopping.", "Start it again:  voicecore dev")
            )
        if len(self._live) >= self._limit:
            raise RequestRefused(quota_exceeded("maxVms limit exceeded", _why_full(self._limit)))
        session = self._live[session_id] = LiveSession(session_id, self._clock)
        task = self._starting[session_id] = asyncio.create_task(self._start(session))
        task.add_done_callback(lambda _: self._starting.pop(session_id, None))
        return session

    async def _start(self, session: LiveSession) -> VoicecoreError | None:
        try:
            agent = session.agent = await self._pool.take(session.stop_asked)
            agent.bind(session.id)
            await agent.wait_healthy(until=session.stop_asked)
        except VoicecoreError as error:
            if session.agent:
                await session.agent.stop(grace=0)
            del self._live[session.id]
            if isinstance(error, StoppedBeforeStart):
                self._on_event(RuntimeEvent("ended", str(session.stop_asked.result()), session.id))
            else:
                self._on_event(RuntimeEvent("failed", error.message, session.id, error.hint))
            return error
        session.begin()
        watching = asyncio.create_task(self._watch(session, agent))
        self._watching.add(watching)
        watching.add_done_callback(self._watching.discard)
        self._on_event(RuntimeEvent("started", f"version {agent.version}", session.id))
        return None

    async def _watch(self, session: LiveSession, agent: AgentProcess) -> None:
        """Ping the session every 2 s, and end it according to the lifecycle rules."""
        checked = time.monotonic()
        while (reason := await self._check(session, agent)) is None:
            now = self._clock.now()
            deadline = next_deadline(session.activity(), self._lifecycle, now) - now
            next_ping = checked + PING_INTERVAL - time.monotonic()
            await asyncio.wait(
                {agent.exited, session.stop_asked},
                timeout=max(_WAIT_MIN, min(next_ping, self._clock.real(deadline))),
                return_when=asyncio.FIRST_COMPLETED,
            )
            checked = time.monotonic()
        session.ending = True
        gone = reason in (EndReason.EXITED, EndReason.UNHEALTHY)
        session.close_connections(CloseReason(1011 if gone else 1001, f"session ended: {reason}"))
        text = (await agent.crash()).message if reason is EndReason.EXITED else str(reason)
        await agent.stop(self._grace)
        del self._live[session.id]
        self._on_event(RuntimeEvent("ended", text, session.id))

    async def _check(self, session: LiveSession, agent: AgentProcess) -> EndReason | None:
        if session.stop_asked.done():
            return session.stop_asked.result()
        ping = await agent.ping()
        if agent.exited.done():
            return EndReason.EXITED
        session.record_ping(ping)
        advice = ping_advice(tuple(session.pings))
        if advice and advice != session.advice:
            self._on_event(RuntimeEvent("advice", advice, session.id))
        session.advice = advice
        return end_reason(session.activity(), self._lifecycle, self._clock.now())


def _why_full(limit: int) -> str:
    if limit == 1:
        return (
            "This is a limit of `voicecore dev`, not of AWS: the agent always listens on one port, "
            "so one session runs at a time. Let the agent listen on $PORT, or end the other one."
        )
    return (
        f"{limit} sessions are live. Stop each session at hang-up with StopRuntimeSession, and "
        "check that an idle agent answers Healthy to /ping."
    )
