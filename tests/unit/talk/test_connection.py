"""The connection to a session: what is lost with a broken one, and what is not."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import aiohttp
import numpy as np
import pytest

from tests.standins.talk.session_server import KEY, StandIn
from voicecore.talk.audio.replay_buffer import Block
from voicecore.talk.session_client import KeyRefused, ServerDown, SessionRefused, SessionServer
from voicecore.talk.transports import rtvi
from voicecore.talk.transports.connection import (
    Connected,
    ConnectionLost,
    Disconnected,
    HungUp,
    News,
)
from voicecore.talk.transports.websocket import Connection


@dataclass
class Line:
    """A connection under test, and what it has delivered."""

    connection: Connection
    news: list[News] = field(default_factory=list)
    quiet: bool = False
    ending: asyncio.Task[None] | None = None

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(15):
            while not condition():
                if self.ending and self.ending.done():
                    await self.ending
                await asyncio.sleep(0.005)

    def count(self, kind: type) -> int:
        return sum(isinstance(item, kind) for item in self.news)


@asynccontextmanager
async def calling(agent: StandIn, key: str = KEY, stream: float = 3600) -> AsyncIterator[Line]:
    async with aiohttp.ClientSession() as http:
        line: Line
        connection = Connection(
            http,
            SessionServer(http, agent.url, key),
            lambda item: line.news.append(item),
            lambda: line.quiet,
            stream,
        )
        line = Line(connection)
        line.ending = asyncio.create_task(connection.run())
        try:
            yield line
        finally:
            line.ending.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await line.ending


def blocks(count: int, start: int = 0, voiced: bool = True) -> list[Block]:
    """Blocks that are all different, so that none can be lost or doubled unseen."""
    made: list[Block] = []
    for n in range(start, start + count):
        samples = np.full(320, 1000 + n, "<i2") if voiced else np.full(320, n % 50, "<i2")
        made.append(Block(samples.tobytes(), voiced))
    return made


def sound_of(said: list[Block]) -> bytes:
    return b"".join(block.sound for block in said)


def run(test: Coroutine[None, None, None]) -> None:
    asyncio.run(test)


def test_what_is_said_arrives_in_order_and_in_real_time_frames() -> None:
    async def test() -> None:
        async with StandIn(turns=False) as agent, calling(agent) as line:
            await line.until(lambda: line.count(Connected) == 1)
            said = blocks(50)
            for block in said:
                line.connection.say(block)
                await asyncio.sleep(0.002)
            await line.until(lambda: len(agent.heard[0].audio) == len(sound_of(said)))
            assert bytes(agent.heard[0].audio) == sound_of(said)
            assert max(agent.heard[0].frame_sizes) < 4096

    run(test())


@pytest.mark.parametrize("how", ["cut", "drop"])
def test_a_broken_connection_loses_not_one_sample(how: str) -> None:
    async def test() -> None:
        async with StandIn(turns=False) as agent, calling(agent) as line:
            await line.until(lambda: line.count(Connected) == 1)
            said = blocks(200)
            for n, block in enumerate(said):
                line.connection.say(block)
                await asyncio.sleep(0.002)
                if n == 80:
                    await agent.cut() if how == "cut" else agent.drop()
            await line.until(lambda: line.count(Connected) == 2)
            again = agent.heard[1]
            await line.until(lambda: len(again.audio) == len(sound_of(said)))
            # The turn was not finished: the new connection gets all of it, once.
            assert bytes(again.audio) == sound_of(said)
            assert again.session == agent.heard[0].session
            assert agent.starts[1]["token"] == f"token-of-{again.session}"
            assert isinstance(line.news[1], Disconnected)
            assert not line.news[1].planned

    run(test())


def test_a_finished_turn_is_not_said_again() -> None:
    async def test() -> None:
        async with StandIn(turns=False) as agent, calling(agent) as line:
            await line.until(lambda: line.count(Connected) == 1)
            turn, pause, following = blocks(50), blocks(20, 50, voiced=False), blocks(10, 70)
            for block in turn + pause:
                line.connection.say(block)
            await line.until(lambda: len(agent.heard[0].audio) == len(sound_of(turn + pause)))
            line.connection.turn_finished()
            await agent.cut()
            for block in following:
                line.connection.say(block)
            await line.until(lambda: line.count(Connected) == 2)
            await line.until(lambda: agent.heard[1].audio.endswith(following[-1].sound))
            again = bytes(agent.heard[1].audio)
            assert turn[-1].sound not in again
            assert again.endswith(sound_of(following))

    run(test())


def test_a_backlog_is_sent_within_the_limits_of_agentcore() -> None:
    async def test() -> None:
        async with StandIn(turns=False) as agent, calling(agent) as line:
            await line.until(lambda: line.count(Connected) == 1)
            said = blocks(150)
            loop = asyncio.get_running_loop()
            begun = loop.time()
            for block in said:
                line.connection.say(block)
            await line.until(lambda: len(agent.heard[0].audio) == len(sound_of(said)))
            assert bytes(agent.heard[0].audio) == sound_of(said)
            assert len(agent.heard[0].frame_sizes) / (loop.time() - begun) < 250
            assert max(agent.heard[0].frame_sizes) < 32 * 1024

    run(test())


def test_before_the_stream_ends_a_quiet_moment_is_used() -> None:
    async def test() -> None:
        async with StandIn() as agent, calling(agent, stream=1.2) as line:
            await line.until(lambda: line.count(Connected) == 1)
            line.quiet = True
            loop = asyncio.get_running_loop()
            begun = loop.time()
            await line.until(lambda: line.count(Connected) == 2)
            assert 0.9 < loop.time() - begun < 1.3  # 5/6 of 1.2 s, and the handshake
            planned = [item for item in line.news if isinstance(item, Disconnected)]
            assert [item.planned for item in planned] == [True]

    run(test())


def test_without_a_quiet_moment_it_happens_before_the_end_all_the_same() -> None:
    async def test() -> None:
        async with StandIn() as agent, calling(agent, stream=1.0) as line:
            await line.until(lambda: line.count(Disconnected) == 1)
            assert [i.planned for i in line.news if isinstance(i, Disconnected)] == [True]

    run(test())


def test_typed_text_survives_a_cut() -> None:
    async def test() -> None:
        async with StandIn() as agent, calling(agent) as line:
            await line.until(lambda: line.count(Connected) == 1)
            await agent.cut()
            line.connection.type("hello")
            await line.until(lambda: line.count(Connected) == 2)
            await line.until(lambda: agent.heard[1].texts == ["hello"])

    run(test())


def test_an_agent_that_hangs_up_ends_the_conversation() -> None:
    async def test() -> None:
        async with StandIn() as agent, calling(agent) as line:
            await line.until(lambda: line.count(Connected) == 1)
            await agent.cut(code=1000)
            assert line.ending
            await line.ending
            assert isinstance(line.news[-1], HungUp)

    run(test())


def test_a_server_that_fails_for_a_moment_is_asked_again() -> None:
    async def test() -> None:
        async with StandIn() as agent, calling(agent) as line:
            await line.until(lambda: line.count(Connected) == 1)
            agent.refuse_starts = 2
            await agent.cut()
            await line.until(lambda: line.count(Connected) == 2)

    run(test())


def test_a_server_that_stays_away_is_given_up_with_a_reason() -> None:
    async def test() -> None:
        async with StandIn() as agent, calling(agent) as line:
            await line.until(lambda: line.count(Connected) == 1)
            agent.refuse_starts = 1000
            await agent.cut()
            assert line.ending
            with pytest.raises(ConnectionLost, match="could not be made again"):
                await line.ending

    run(test())


def test_a_wrong_key_is_named_with_the_place_of_the_right_one() -> None:
    async def test() -> None:
        async with StandIn() as agent, calling(agent, key="wrong") as line:
            assert line.ending
            with pytest.raises(KeyRefused, match="401") as error:
                await line.ending
            assert "server/.env" in (error.value.hint or "")

    run(test())


def test_no_server() -> None:
    async def test() -> None:
        async with calling(StandIn(url="http://127.0.0.1:9")) as line:
            assert line.ending
            with pytest.raises(ServerDown, match="does not answer"):
                await line.ending

    run(test())


def test_a_session_is_stopped_only_by_who_holds_its_token() -> None:
    async def test() -> None:
        async with StandIn() as agent, aiohttp.ClientSession() as http:
            server = SessionServer(http, agent.url, KEY)
            session = await server.start()
            stranger = type(session)(session.id, "guessed", session.ws_url)
            with pytest.raises(SessionRefused, match="not your session"):
                await server.stop(stranger)
            await server.stop(session)
            assert agent.stopped == [session.id]

    run(test())


def test_events_of_the_agent_are_delivered() -> None:
    async def test() -> None:
        async with StandIn(greeting="Hello", reply_ms=80) as agent, calling(agent) as line:
            await line.until(lambda: line.count(rtvi.BotStopped) == 1)
            assert line.count(rtvi.BotSays) == 1

    run(test())
