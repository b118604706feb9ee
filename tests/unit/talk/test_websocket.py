"""The client over WebSocket: what survives a broken connection."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import aiohttp
import numpy as np
import pytest

from tests.standins.talk.session_server import KEY, AgentStandIn
from voicecore.talk.audio.replay_buffer import SpeechBlock
from voicecore.talk.channel import Connected, Delivery, Disconnected, HungUp
from voicecore.talk.session_client import (
    KeyRefused,
    ServerUnreachable,
    SessionClient,
    SessionRefused,
)
from voicecore.talk.transports import rtvi
from voicecore.talk.transports.connection import ConnectionLost
from voicecore.talk.transports.websocket import GRANTS, WebSocketConnection


@dataclass
class Call:
    """A connection under test, and what it has delivered."""

    connection: WebSocketConnection
    deliveries: list[Delivery] = field(default_factory=list)
    quiet: bool = False
    running: asyncio.Task[None] | None = None

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not condition():
                if self.running and self.running.done():
                    await self.running
                await asyncio.sleep(0.005)

    def count(self, kind: type) -> int:
        return sum(isinstance(delivery, kind) for delivery in self.deliveries)


@asynccontextmanager
async def calling(agent: AgentStandIn, key: str = KEY, stream: float = 3600) -> AsyncIterator[Call]:
    async with aiohttp.ClientSession() as http:
        call: Call
        connection = WebSocketConnection(
            http,
            SessionClient(http, agent.url, key, "websocket", GRANTS),
            lambda item: call.deliveries.append(item),
            lambda: call.quiet,
            stream,
        )
        call = Call(connection)
        call.running = asyncio.create_task(connection.run())
        try:
            yield call
        finally:
            call.running.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await call.running


def blocks(count: int, start: int = 0, voiced: bool = True) -> list[SpeechBlock]:
    """Return blocks that all differ, so that a lost or doubled one is noticed."""
    result: list[SpeechBlock] = []
    for n in range(start, start + count):
        samples = np.full(320, 1000 + n, "<i2") if voiced else np.full(320, n % 50, "<i2")
        result.append(SpeechBlock(samples.tobytes(), voiced))
    return result


def audio_of(said: list[SpeechBlock]) -> bytes:
    return b"".join(block.audio for block in said)


def run(test: Coroutine[None, None, None]) -> None:
    asyncio.run(test)


def test_speech_arrives_in_order_and_in_small_frames() -> None:
    async def test() -> None:
        async with AgentStandIn(turns=False) as agent, calling(agent) as call:
            await call.until(lambda: call.count(Connected) == 1)
            said = blocks(50)
            for block in said:
                call.connection.say(block)
                await asyncio.sleep(0.002)
            await call.until(lambda: len(agent.heard[0].audio) == len(audio_of(said)))
            assert bytes(agent.heard[0].audio) == audio_of(said)
            assert max(agent.heard[0].frame_sizes) < 4096

    run(test())


@pytest.mark.parametrize("how", ["cut", "drop"])
def test_broken_connection_loses_no_sample(how: str) -> None:
    async def test() -> None:
        async with AgentStandIn(turns=False) as agent, calling(agent) as call:
            await call.until(lambda: call.count(Connected) == 1)
            said = blocks(200)
            for n, block in enumerate(said):
                call.connection.say(block)
                await asyncio.sleep(0.002)
                if n == 80:
                    await agent.cut() if how == "cut" else agent.drop()
            await call.until(lambda: call.count(Connected) == 2)
            again = agent.heard[1]
            await call.until(lambda: len(again.audio) == len(audio_of(said)))
            # The turn was not finished: the new connection carries all of it, once.
            assert bytes(again.audio) == audio_of(said)
            assert again.session == agent.heard[0].session
            assert agent.starts[1]["token"] == f"token-of-{again.session}"
            assert isinstance(call.deliveries[1], Disconnected)
            assert not call.deliveries[1].planned

    run(test())


def test_finished_turn_is_not_sent_again() -> None:
    async def test() -> None:
        async with AgentStandIn(turns=False) as agent, calling(agent) as call:
            await call.until(lambda: call.count(Connected) == 1)
            turn, pause, following = blocks(50), blocks(20, 50, voiced=False), blocks(10, 70)
            for block in turn + pause:
                call.connection.say(block)
            await call.until(lambda: len(agent.heard[0].audio) == len(audio_of(turn + pause)))
            call.connection.turn_finished()
            await agent.cut()
            for block in following:
                call.connection.say(block)
            await call.until(lambda: call.count(Connected) == 2)
            await call.until(lambda: agent.heard[1].audio.endswith(following[-1].audio))
            again = bytes(agent.heard[1].audio)
            assert turn[-1].audio not in again
            assert again.endswith(audio_of(following))

    run(test())


def test_backlog_is_sent_within_the_limits_of_agentcore() -> None:
    async def test() -> None:
        async with AgentStandIn(turns=False) as agent, calling(agent) as call:
            await call.until(lambda: call.count(Connected) == 1)
            said = blocks(150)
            loop = asyncio.get_running_loop()
            begun = loop.time()
            for block in said:
                call.connection.say(block)
            await call.until(lambda: len(agent.heard[0].audio) == len(audio_of(said)))
            assert bytes(agent.heard[0].audio) == audio_of(said)
            assert len(agent.heard[0].frame_sizes) / (loop.time() - begun) < 250
            assert max(agent.heard[0].frame_sizes) < 32 * 1024

    run(test())


def test_quiet_moment_is_used_to_renew_the_stream() -> None:
    async def test() -> None:
        async with AgentStandIn() as agent, calling(agent, stream=1.2) as call:
            await call.until(lambda: call.count(Connected) == 1)
            call.quiet = True
            loop = asyncio.get_running_loop()
            begun = loop.time()
            await call.until(lambda: call.count(Connected) == 2)
            assert loop.time() - begun > 0.9  # not before 5/6 of 1.2 s
            planned = [d for d in call.deliveries if isinstance(d, Disconnected)]
            assert [delivery.planned for delivery in planned] == [True]

    run(test())


def test_stream_is_renewed_before_its_end_without_a_quiet_moment() -> None:
    async def test() -> None:
        async with AgentStandIn() as agent, calling(agent, stream=1.0) as call:
            await call.until(lambda: call.count(Disconnected) == 1)
            assert [d.planned for d in call.deliveries if isinstance(d, Disconnected)] == [True]

    run(test())


def test_typed_text_survives_a_broken_connection() -> None:
    async def test() -> None:
        async with AgentStandIn() as agent, calling(agent) as call:
            await call.until(lambda: call.count(Connected) == 1)
            await agent.cut()
            call.connection.type("hello")
            await call.until(lambda: call.count(Connected) == 2)
            await call.until(lambda: agent.heard[1].texts == ["hello"])

    run(test())


def test_line_that_a_broken_connection_swallowed_is_sent_again() -> None:
    async def test() -> None:
        async with AgentStandIn(answers=False, replies=False) as agent, calling(agent) as call:
            await call.until(lambda: call.count(Connected) == 1)
            call.connection.type("hello")
            await call.until(lambda: agent.heard[0].texts == ["hello"])
            await agent.cut(code=1008)
            await call.until(lambda: call.count(Connected) == 2)
            await call.until(lambda: agent.heard[1].texts == ["hello"])

    run(test())


def test_call_ends_when_the_agent_fails_twice_for_the_same_reason() -> None:
    async def test() -> None:
        async with AgentStandIn() as agent, calling(agent) as call:
            for n in (1, 2):
                await call.until(lambda n=n: call.count(Connected) == n)
                await agent.cut(code=1011)
            assert call.running
            with pytest.raises(ConnectionLost, match="two connections for the same reason"):
                await call.running
            assert call.count(Disconnected) == 1

    run(test())


def test_call_survives_a_network_that_fails_again_and_again() -> None:
    async def test() -> None:
        async with AgentStandIn() as agent, calling(agent) as call:
            for n in (1, 2, 3):
                await call.until(lambda n=n: call.count(Connected) == n)
                agent.drop()
            await call.until(lambda: call.count(Connected) == 4)

    run(test())


def test_call_ends_when_the_agent_hangs_up() -> None:
    async def test() -> None:
        async with AgentStandIn() as agent, calling(agent) as call:
            await call.until(lambda: call.count(Connected) == 1)
            await agent.cut(code=1000)
            assert call.running
            await call.running
            assert isinstance(call.deliveries[-1], HungUp)

    run(test())


@pytest.mark.parametrize("status", [None, 502, 503])
def test_retries_a_server_that_fails_for_a_moment(status: int | None) -> None:
    async def test() -> None:
        async with AgentStandIn(refuse_status=status) as agent, calling(agent) as call:
            await call.until(lambda: call.count(Connected) == 1)
            agent.refuse_starts = 2
            await agent.cut()
            await call.until(lambda: call.count(Connected) == 2)

    run(test())


@pytest.mark.slow
def test_gives_up_on_a_server_that_keeps_failing() -> None:
    async def test() -> None:
        async with AgentStandIn() as agent, calling(agent) as call:
            await call.until(lambda: call.count(Connected) == 1)
            agent.refuse_starts = 1000
            await agent.cut()
            assert call.running
            with pytest.raises(ConnectionLost, match="could not be restored"):
                await call.running

    run(test())


def test_reports_refused_key_and_where_the_key_is_set() -> None:
    async def test() -> None:
        async with AgentStandIn() as agent, calling(agent, key="wrong") as call:
            assert call.running
            with pytest.raises(KeyRefused, match="401") as error:
                await call.running
            assert "server/.env" in (error.value.hint or "")

    run(test())


def test_reports_unreachable_server() -> None:
    async def test() -> None:
        async with calling(AgentStandIn(url="http://127.0.0.1:9")) as call:
            assert call.running
            with pytest.raises(ServerUnreachable, match="does not answer"):
                await call.running

    run(test())


def test_session_is_stopped_with_its_token_only() -> None:
    async def test() -> None:
        async with AgentStandIn() as agent, aiohttp.ClientSession() as http:
            server = SessionClient(http, agent.url, KEY, "websocket", GRANTS)
            session = await server.start()
            stranger = type(session)(session.id, "guessed", session.ws_url)
            with pytest.raises(SessionRefused, match="not your session"):
                await server.stop(stranger)
            await server.stop(session)
            assert agent.stopped == [session.id]

    run(test())


def test_delivers_events_of_the_agent() -> None:
    async def test() -> None:
        async with AgentStandIn(greeting="Hello", reply_ms=80) as agent, calling(agent) as call:
            await call.until(lambda: call.count(rtvi.BotStopped) == 1)
            assert call.count(rtvi.BotOutput) == 1

    run(test())
