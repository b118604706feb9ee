"""Sessions of the local runtime: their counts, starts that fail, and the end of the runtime."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tests.standins.runtime.agents import AgentDouble, PoolDouble
from voicecore.contract.ping import PingAnswer
from voicecore.local.api_errors import RequestRefused
from voicecore.local.sessions.agent_process import AgentCrashed
from voicecore.local.sessions.clock import Clock
from voicecore.local.sessions.events import RuntimeEvent
from voicecore.local.sessions.lifecycle import Lifecycle
from voicecore.local.sessions.live_session import LiveSession
from voicecore.local.sessions.session_table import SessionTable


def in_loop(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Run a test in an event loop."""

    def run() -> None:
        asyncio.run(test())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


def make_table(events: list[RuntimeEvent], *agents: AgentDouble) -> SessionTable:
    pool: Any = PoolDouble(list(agents))
    return SessionTable(pool, Clock(), Lifecycle(), limit=9, on_event=events.append)


@in_loop
async def test_only_pings_missed_in_a_row_count() -> None:
    session = LiveSession("one", Clock())
    for ping in (None, None, PingAnswer(busy=False, stamp=None), None):
        session.record_ping(ping)
    assert session.activity().missed_pings == 1


@in_loop
async def test_request_counts_until_it_ends() -> None:
    session = LiveSession("one", Clock())
    with pytest.raises(ConnectionError), session.request():
        assert session.activity().open_requests == 1
        raise ConnectionError
    assert session.activity().open_requests == 0


@in_loop
async def test_caller_who_hangs_up_does_not_cancel_a_start_that_others_wait_for() -> None:
    agent = AgentDouble()
    table = make_table([], agent)
    first, second = (asyncio.create_task(table.obtain("one")) for _ in range(2))
    await asyncio.sleep(0)  # both wait
    first.cancel()
    await asyncio.wait({first})
    agent.health.set_result(None)
    assert (await second).id == "one"
    await table.close()


@in_loop
async def test_agent_that_does_not_become_healthy_is_ended() -> None:
    agent, events = AgentDouble(), list[RuntimeEvent]()
    table = make_table(events, agent)
    agent.health.set_exception(AgentCrashed("The agent ended with exit code 1: no module"))
    with pytest.raises(RequestRefused) as raised:
        await table.obtain("one")
    assert raised.value.error.status == 424
    assert agent.stopped == [0]
    assert table.status() == ()
    assert [event.kind for event in events] == ["failed"]


@in_loop
async def test_session_that_ends_takes_no_request_and_no_second_stop() -> None:
    agent = AgentDouble()
    agent.health.set_result(None)
    table = make_table([], agent)
    await table.obtain("one")
    table.stop("one")
    with pytest.raises(RequestRefused) as raised:
        await table.obtain("one")
    assert raised.value.error.status == 409
    for session, status in (("one", 409), ("two", 404)):
        with pytest.raises(RequestRefused) as raised:
            table.stop(session)
        assert raised.value.error.status == status
    await table.close()


class SlowToStop(AgentDouble):
    """An agent that is still there for a while after its end was noticed."""

    def __init__(self) -> None:
        super().__init__()
        self.stopping, self.gone = asyncio.Event(), asyncio.Event()

    async def crash(self) -> AgentCrashed:
        return AgentCrashed("The agent ended with exit code 1")

    async def stop(self, grace: float) -> None:
        await super().stop(grace)
        self.stopping.set()
        await self.gone.wait()


@in_loop
async def test_session_whose_agent_crashed_takes_no_request_until_it_is_gone() -> None:
    agent = SlowToStop()
    agent.health.set_result(None)
    table = make_table([], agent)
    await table.obtain("one")
    agent.exited.set_result(1)
    await agent.stopping.wait()
    assert [status.state for status in table.status()] == ["Stopping"]
    with pytest.raises(RequestRefused) as raised:
        await table.obtain("one")
    assert raised.value.error.status == 409
    agent.gone.set()
    await table.close()
    assert table.status() == ()


@in_loop
async def test_stopping_runtime_starts_no_session() -> None:
    agents = AgentDouble(), AgentDouble()
    for agent in agents:
        agent.health.set_result(None)
    table = make_table([], *agents)
    await table.obtain("one")
    await table.close()
    with pytest.raises(RequestRefused) as raised:
        await table.obtain("two")
    assert "is stopping" in raised.value.error.message
    assert [len(agent.stopped) for agent in agents] == [1, 0]
