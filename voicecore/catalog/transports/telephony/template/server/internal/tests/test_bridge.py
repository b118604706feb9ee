"""The bridge holds a call over many connections to its agent; an hour of it takes no time here."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import AsyncIterator, Callable, Coroutine
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from ..telephony.bridge import BACKOFF, Bridge, Ending, Unreachable
from ..telephony.phone_audio import Format
from ..telephony.provider import Stream

HOUR = 3600.0
SOUND = Format("ulaw", 8000)


class SimulatedTime(asyncio.SelectorEventLoop):
    """A loop whose time moves on when nothing else can happen."""

    def __init__(self) -> None:
        self._now = 0.0

        class Selector(selectors.SelectSelector):
            def select(_, timeout: float | None = None) -> Any:
                self._now += timeout or 0
                return super().select(0)

        super().__init__(Selector())

    def time(self) -> float:
        return self._now


def simulated(work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    with asyncio.Runner(loop_factory=SimulatedTime) as runner:
        return runner.run(work())


class Agent:
    """A connection to an agent, which lasts a while and ends with a code."""

    def __init__(self, seconds: float, code: int) -> None:
        self._seconds, self._code = seconds, code
        self.close_code: int | None = None
        self.is_closed = False

    async def __aiter__(self) -> AsyncIterator[SimpleNamespace]:
        yield SimpleNamespace(data="a frame")
        await asyncio.sleep(self._seconds)
        self.close_code = self._code

    async def send_str(self, frame: str) -> None:
        pass

    async def close(self) -> None:
        self.is_closed = True


class Line:
    """A caller who hangs up after a while, its provider, and the way to the agent."""

    def __init__(self, *connections: Agent | int, hangs_up_after: float = 10 * HOUR) -> None:
        self._connections, self._hangs_up_after = list(connections), hangs_up_after
        self.agents = [each for each in connections if isinstance(each, Agent)]
        self._starts = ["start"]

    async def receive(self) -> dict[str, str]:
        if self._starts:
            return {"type": "websocket.receive", "text": self._starts.pop()}
        await asyncio.sleep(self._hangs_up_after)
        return {"type": "websocket.disconnect"}

    async def send_text(self, frame: str) -> None:
        pass

    def stream_start(self, frame: str) -> Stream:
        return Stream("MZ1", "CA1", SOUND, SOUND)

    def audio_of(self, frame: str) -> bytes:
        return bytes(8000)  # a second

    async def websocket_url(self, session: str, **query: str) -> str:
        return "wss://agent.example/ws"

    async def ws_connect(self, *_: object, **options: object) -> Agent:
        next_one = self._connections.pop(0)
        if isinstance(next_one, Agent):
            return next_one
        request: Any = SimpleNamespace(real_url="")
        raise aiohttp.WSServerHandshakeError(request, (), status=next_one)

    async def carry(self, stream_seconds: float = HOUR) -> tuple[Ending, float]:
        """Return which side ended the call, and after how many seconds."""
        line: Any = self
        bridge = Bridge(line, line, line, line, "session", stream_seconds)
        await bridge.open("CA1")
        return await bridge.carry(), asyncio.get_running_loop().time()


def test_connection_is_renewed_before_agentcore_ends_it() -> None:
    line = Line(Agent(10 * HOUR, 1000), Agent(60, 1000))
    ending, seconds = simulated(line.carry)
    assert ending is Ending.AGENT
    assert HOUR * 5 / 6 <= seconds - 60 < HOUR


def test_end_by_agentcore_is_no_hang_up_of_the_agent() -> None:
    # The agent speaks, so the bridge renews only in the last 3 % of a connection.
    line = Line(Agent(0.975, 1000), Agent(0.5, 1000))
    ending, seconds = simulated(lambda: line.carry(stream_seconds=1))
    assert (ending, round(seconds, 3)) == (Ending.AGENT, 0.975 + BACKOFF[1] + 0.5)


def test_every_connection_to_the_agent_is_closed() -> None:
    broken, last = Agent(60, 1006), Agent(HOUR, 1000)
    line = Line(broken, last, hangs_up_after=120)
    assert simulated(line.carry)[0] is Ending.CALLER
    assert broken.is_closed and last.is_closed


def test_attempts_are_counted_again_after_a_stable_connection() -> None:
    almost = [503] * (len(BACKOFF) - 1)
    line = Line(*almost, Agent(60, 1006), *almost, Agent(60, 1000))
    assert simulated(line.carry)[0] is Ending.AGENT


def test_agent_that_breaks_at_once_is_given_up() -> None:
    line = Line(*(Agent(0, 1006) for _ in BACKOFF))
    with pytest.raises(Unreachable, match="the connection broke"):
        simulated(line.carry)


@pytest.mark.parametrize(("status", "attempts"), [(404, 1), (503, len(BACKOFF))])
def test_only_a_busy_agentcore_is_asked_again(status: int, attempts: int) -> None:
    line = Line(*[status] * attempts)
    with pytest.raises(Unreachable, match=f"HTTP {status}"):
        simulated(line.carry)
