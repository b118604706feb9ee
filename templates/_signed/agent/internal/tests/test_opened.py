"""A URL of the session server works in the process that the server has opened, and no other."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import Iterator

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from .running_agent import RunningAgent, running

PREFIX = "X-Amzn-Bedrock-AgentCore-Runtime-"
SESSION = {f"{PREFIX}Session-Id": "a-session-of-a-test-with-34-letters"}
OPENED = SESSION | {f"{PREFIX}Custom-Opened": "1"}


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAgent]:
    """A new process, which no session server has opened; the first test opens it."""
    with running(tmp_path_factory.mktemp("agent") / "log") as agent:
        yield agent


def open_session(agent: RunningAgent, transport: str) -> object:
    """Open the session, as the session server does before it hands out a URL."""
    return ask(agent, {"type": "open", "data": {"transport": transport}})


def ask(agent: RunningAgent, document: object) -> object:
    """Return the answer to a request of the session server."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{agent.port}/invocations",
        json.dumps(document).encode(),
        {"Content-Type": "application/json", **SESSION},
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)


async def refusal(agent: RunningAgent, headers: dict[str, str], seconds: float) -> int:
    """Connect; return the HTTP status or the close code of a refusal, 0 without one."""
    url = f"ws://127.0.0.1:{agent.port}/ws"
    try:
        async with asyncio.timeout(seconds), connect(url, additional_headers=headers) as socket:
            while True:
                await socket.recv()
    except TimeoutError:
        return 0
    except InvalidStatus as refused:
        return refused.response.status_code
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else 1006


def test_url_of_before_the_end_is_refused(agent: RunningAgent) -> None:
    # It is a new process of the session: the end has ended the one of before.
    assert asyncio.run(refusal(agent, OPENED, 20)) == 4404
    assert agent.events("connection_refused")
    assert open_session(agent, "websocket") == {"status": "open"}
    assert asyncio.run(refusal(agent, OPENED, 1)) != 4404


def test_session_server_learns_whether_there_is_a_call(agent: RunningAgent) -> None:
    async def until(calls: int) -> None:
        while await asyncio.to_thread(ask, agent, {"type": "state"}) != {
            "status": "ok",
            "calls": calls,
        }:
            await asyncio.sleep(0.05)

    async def call() -> None:
        async with asyncio.timeout(20):
            await until(calls=0)
            async with connect(f"ws://127.0.0.1:{agent.port}/ws", additional_headers=SESSION):
                await until(calls=1)

    asyncio.run(call())


def test_caller_cannot_choose_another_transport(agent: RunningAgent) -> None:
    open_session(agent, "pigeon")
    # The header that the session server itself sends with phone calls.
    for transport in ("websocket", "telephony"):
        headers = OPENED | {f"{PREFIX}Custom-Transport": transport}
        assert asyncio.run(refusal(agent, headers, 20)) == 403
