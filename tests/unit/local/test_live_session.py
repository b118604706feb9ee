"""The state of one session: its traffic, its pings and connections, and its status."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from tests.standins.runtime.agents import AgentDouble
from voicecore.contract.ping import PingAnswer
from voicecore.local.sessions.clock import Clock
from voicecore.local.sessions.live_session import CloseReason, LiveSession


class ManualClock(Clock):
    """A clock that moves when a test says so."""

    seconds = 100.0

    def now(self) -> float:
        return self.seconds


def in_loop(test: Callable[[LiveSession, ManualClock], Coroutine[Any, Any, None]]) -> Any:
    """Run a test in an event loop, with a session that has no agent yet."""

    async def run() -> None:
        clock = ManualClock()
        await test(LiveSession("one", clock), clock)

    def whole() -> None:
        asyncio.run(run())

    whole.__name__, whole.__doc__ = test.__name__, test.__doc__
    return whole


def with_agent(session: LiveSession, **more: Any) -> None:
    agent: Any = AgentDouble(healthy=True, version=3, turns=7, pid=42, **more)
    session.agent = agent


@in_loop
async def test_session_starts_without_an_agent(session: LiveSession, clock: ManualClock) -> None:
    status = session.status()
    assert (status.id, status.state, status.version, status.turns) == ("one", "Starting", 0, 0)
    assert (status.pid, status.log, status.connections, status.busy) == (None, None, 0, False)
    with_agent(session)
    assert session.agent
    session.agent.healthy = False
    assert session.status().state == "Starting"


@in_loop
async def test_status_names_the_process(session: LiveSession, clock: ManualClock) -> None:
    with_agent(session, log_path=Path("/log"))
    status = session.status()
    assert (status.state, status.version, status.turns) == ("Idle", 3, 7)
    assert (status.pid, status.log) == (42, "/log")
    with_agent(session)
    assert session.status().log is None


@in_loop
async def test_times_begin_when_the_agent_is_healthy(
    session: LiveSession, clock: ManualClock
) -> None:
    clock.seconds = 130
    session.begin()
    clock.seconds = 150
    status = session.status()
    assert (status.age, status.idle) == (20, 20)
    session.touch()
    clock.seconds = 155
    assert (session.status().age, session.status().idle) == (25, 5)


@in_loop
async def test_open_request_makes_a_session_active(
    session: LiveSession, clock: ManualClock
) -> None:
    with_agent(session)
    clock.seconds = 110
    with session.request(), session.request():
        assert session.activity().open_requests == 2
        assert session.activity().last_traffic == 110
        clock.seconds = 120
        status = session.status()
        assert (status.state, status.idle) == ("Active", 0)
    assert session.activity().open_requests == 0
    assert (session.activity().last_traffic, session.status().state) == (120, "Idle")


@in_loop
async def test_connection_makes_a_session_active_until_it_closes(
    session: LiveSession, clock: ManualClock
) -> None:
    with_agent(session)
    clock.seconds = 110
    with session.connection() as ended, session.connection() as gone:
        assert (session.status().state, session.status().connections) == ("Active", 2)
        assert session.activity().last_traffic == 110
        clock.seconds = 120
        gone.set_result(CloseReason(1000, "hung up"))
        session.close_connections(CloseReason(1001, "session ended"))
        assert (ended.result().code, gone.result().code) == (1001, 1000)
    assert (session.status().connections, session.activity().last_traffic) == (0, 120)


@in_loop
async def test_ending_session_is_stopping(session: LiveSession, clock: ManualClock) -> None:
    with_agent(session)
    session.ending = True
    assert session.status().state == "Stopping"


@in_loop
async def test_only_the_last_pings_count(session: LiveSession, clock: ManualClock) -> None:
    with_agent(session)
    assert session.activity().ping is None
    session.record_ping(None)
    assert session.activity().missed_pings == 1
    stamp = int(time.time()) - 11
    for number in range(6):
        session.record_ping(PingAnswer(busy=number == 5, stamp=stamp))
    assert session.activity().missed_pings == 0
    assert session.activity().status_changed == pytest.approx(90, abs=2)
    assert len(session.pings) == 4
    assert (session.status().busy, session.status().idle, session.status().state) == (
        True,
        0,
        "Active",
    )
    session.record_ping(PingAnswer(busy=False, stamp=None))
    assert (session.status().busy, session.status().state) == (False, "Idle")
