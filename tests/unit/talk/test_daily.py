"""The client in a Daily room: against a stand-in of Daily, and with the real library."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.standins.daily.callers import caller_server, load_standin
from tests.standins.talk.session_server import KEY, rtvi, tone
from voicecore.talk.audio import pcm
from voicecore.talk.audio.replay_buffer import SpeechBlock
from voicecore.talk.channel import Connected, Delivery, Disconnected, HungUp
from voicecore.talk.session_client import SessionClient, SessionRefused
from voicecore.talk.transports import pipecat_frames
from voicecore.talk.transports import rtvi as protocol
from voicecore.talk.transports.daily import (
    GRANTS,
    DailyConnection,
    RoomRefused,
    is_audible,
    reason_in,
)

pytestmark = pytest.mark.slow

TALK = [sys.executable, "-m", "voicecore", "talk", "--transport", "daily", "--text", "--json"]


@dataclass
class Agent:
    """The agent in its rooms, as the stand-in of Daily calls it."""

    heard: bytearray = field(default_factory=bytearray)
    messages: list[dict[str, Any]] = field(default_factory=list)
    room: Any = None

    def say(self, sound: bytes, rate: int) -> None:
        assert rate == pcm.SPEECH_RATE
        self.heard += sound

    def tell(self, event: str, *arguments: Any) -> None:
        if event == "on_app_message":
            self.messages.append(arguments[0])
            if arguments[0]["type"] == "client-ready":
                self.write(rtvi("bot-ready"))

    def write(self, message: dict[str, Any]) -> None:
        for caller in list(self.room.callers.values()):
            caller.read(message)

    def events(self, event: str, *arguments: Any) -> None:
        """Let the caller's library report an event."""
        [caller] = self.room.callers.values()
        caller.tell(event, *arguments)


@dataclass
class RoomServer:
    """A session server with its agent and a stand-in of Daily."""

    cloud: Any
    library: ModuleType
    agent: Agent = field(default_factory=Agent)
    refusal: tuple[int, str] | None = None
    room: str = ""
    """URL of the room for every session; empty: a new room for each."""
    requests: list[str] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    url: str = ""

    async def start(self, request: web.Request) -> web.Response:
        self.requests.append((await request.json())["transport"])
        if self.refusal:
            status, code = self.refusal
            return web.json_response({"error": {"code": code, "message": "no"}}, status=status)
        url = self.room or f"https://lab.daily.co/room{len(self.requests)}"
        if not self.room:
            name = url.rpartition("/")[2]
            self.agent.room = self.cloud.rooms[name] = self.cloud.Room({}, agent=self.agent)
            self.cloud.tokens[name] = {"room_name": name, "exp": 1e12}
        token = url.rpartition("/")[2]
        return web.json_response(
            {"sessionId": "s" * 36, "token": "t", "roomUrl": url, "roomToken": token}
        )

    async def stop(self, request: web.Request) -> web.Response:
        self.requests.append("stop")
        return web.Response(status=204)

    @asynccontextmanager
    async def call(self) -> AsyncIterator[tuple[DailyConnection, asyncio.Task[None]]]:
        """Hold a call until the block ends."""
        async with aiohttp.ClientSession() as http:
            client = SessionClient(http, self.url, KEY, "daily", GRANTS)
            call = DailyConnection(client, self.deliveries.append, self.library)
            running = asyncio.create_task(call.run())
            try:
                yield call, running
            finally:
                running.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await running
                await call.stop()

    async def until(self, kind: type[Any], count: int = 1) -> None:
        await eventually(
            lambda: sum(isinstance(delivery, kind) for delivery in self.deliveries) >= count
        )


async def eventually(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - other threads change it
            await asyncio.sleep(0.01)


@asynccontextmanager
async def served(server: RoomServer) -> AsyncIterator[RoomServer]:
    app = web.Application()
    app.router.add_post("/start", server.start)
    app.router.add_delete("/sessions/{id}", server.stop)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[RoomServer]:
    cloud = load_standin("daily_cloud")
    daily = cloud.Cloud()
    daily.Room = cloud.Room
    with caller_server(cloud, daily) as line:
        monkeypatch.setenv("DAILY_CLOUD", line)
        yield RoomServer(daily, load_standin("standin/daily"))


def test_carries_speech_audio_and_messages(server: RoomServer) -> None:
    async def test() -> None:
        async with served(server), server.call() as (call, running):
            await server.until(Connected)
            assert [message["type"] for message in server.agent.messages] == ["client-ready"]
            said = tone(200, rate=pcm.SPEECH_RATE)
            for start in range(0, len(said), 2 * pcm.SPEECH_BLOCK):
                call.say(SpeechBlock(said[start : start + 2 * pcm.SPEECH_BLOCK], voiced=True))
            await eventually(lambda: server.agent.heard == said)
            [caller] = server.agent.room.callers.values()
            answer = tone(200)
            caller.hear(bytes(2 * pcm.VOICE_RATE) + answer, pcm.VOICE_RATE)
            await eventually(lambda: heard().endswith(answer))
            assert len(heard()) < 2 * pcm.VOICE_RATE  # a second of silence is skipped
            call.type("hello")
            await eventually(lambda: len(server.agent.messages) == 2)
            assert server.agent.messages[1]["data"] == {"content": "hello"}
            server.agent.write(rtvi("bot-llm-started"))
            await server.until(protocol.BotThinking)
            server.agent.events("on_participant_left", {"id": "another"}, "leftCall")
            server.agent.events("on_participant_left", {"id": "agent"}, "leftCall")
            await running
            assert isinstance(server.deliveries[-1], HungUp)
        assert server.requests == ["daily", "stop"]
        assert not server.agent.room.callers

    def heard() -> bytes:
        return b"".join(d.pcm for d in server.deliveries if isinstance(d, pipecat_frames.Audio))

    asyncio.run(test())


def test_hanging_up_leaves_the_room_and_stops_the_session(server: RoomServer) -> None:
    async def test() -> None:
        async with served(server):
            async with server.call():
                await server.until(Connected)
                assert server.agent.room.callers
            assert not server.agent.room.callers
        assert server.requests == ["daily", "stop"]

    asyncio.run(test())


def test_call_ends_when_the_room_is_closed(server: RoomServer) -> None:
    async def test() -> None:
        async with served(server), server.call() as (_, running):
            await server.until(Connected)
            server.agent.events("on_call_state_updated", "left")
            await running
            assert isinstance(server.deliveries[-1], HungUp)

    asyncio.run(test())


def test_replaces_a_lost_room(server: RoomServer) -> None:
    async def test() -> None:
        async with served(server), server.call():
            await server.until(Connected)
            server.agent.events("on_error", "the transport has closed.")
            await server.until(Connected, 2)
        connected = [d for d in server.deliveries if isinstance(d, Connected | Disconnected)]
        assert connected == [
            Connected(resumed=False),
            Disconnected("the transport has closed", planned=False),
            Connected(resumed=True),
        ]

    asyncio.run(test())


def test_silence_is_dropped_when_the_library_is_behind(server: RoomServer) -> None:
    async def test() -> None:
        async with served(server), server.call() as (call, _):
            await server.until(Connected)
            for _ in range(100):
                call.say(SpeechBlock(pcm.SILENT_BLOCK))
            last = tone(20, rate=pcm.SPEECH_RATE)
            call.say(SpeechBlock(last, voiced=True))
            await eventually(lambda: server.agent.heard.endswith(last))
            assert len(server.agent.heard) < 30 * len(last)

    asyncio.run(test())


def test_reports_dailys_reason_for_a_refused_room(server: RoomServer) -> None:
    server.room = "https://lab.daily.co/gone"

    async def test() -> None:
        async with served(server), server.call() as (_, running):
            with pytest.raises(RoomRefused, match=r"joined: The meeting .* does not exist\.$"):
                await running
        assert server.requests == ["daily", "stop"]

    asyncio.run(test())


@pytest.mark.parametrize(
    ("refusal", "hint"),
    [
        ((503, "no_daily_key"), "DAILY_API_KEY="),
        ((503, "daily_key_refused"), "DAILY_API_KEY="),
        ((422, "unknown_transport"), "voicecore add"),
    ],
)
def test_reports_a_server_without_rooms(
    server: RoomServer, refusal: tuple[int, str], hint: str
) -> None:
    server.refusal = refusal

    async def test() -> None:
        async with served(server), server.call() as (_, running):
            with pytest.raises(SessionRefused) as refused:
                await running
            assert hint in str(refused.value.hint)

    asyncio.run(test())


@pytest.mark.parametrize(
    ("participant", "heard"),
    [
        ({"id": "a", "media": {"microphone": {"state": "playable"}}}, True),
        ({"id": "a", "media": {"microphone": {"state": "loading"}}}, False),
        ({"info": {"isLocal": True}, "media": {"microphone": {"state": "playable"}}}, False),
        ({"id": "a"}, False),
    ],
)
def test_is_audible(participant: dict[str, Any], heard: bool) -> None:
    assert is_audible(participant) == heard


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ("You are not allowed to join this meeting.", "You are not allowed to join this meeting"),
        (
            'Connection(Api(RoomLookup(RoomInfoFetchFailed(Get(Error(Connect, Custom { error: "'
            'failed to lookup address information: Name or service not known" }))))))',
            "Daily cannot be reached from here",
        ),
    ],
)
def test_reason_in_an_error(error: str, reason: str) -> None:
    assert reason_in(error) == reason


# With the real library, and a room that does not exist.


async def talk(server: RoomServer, argv: list[str] = TALK) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        *argv, "--url", server.url, env={**os.environ, "SESSION_API_KEY": KEY},
        stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe,
    )  # fmt: skip


def test_command_fails_if_the_room_cannot_be_joined(server: RoomServer) -> None:
    server.room = "https://daily.invalid/nowhere"

    async def test() -> None:
        async with served(server):
            process = await talk(server)
            output, errors = await process.communicate()
        error = json.loads(output)["error"]
        assert error["message"].startswith("The session's room cannot be joined: ")
        assert (process.returncode, errors) == (1, b"")
        assert server.requests == ["daily", "stop"]

    asyncio.run(test())


def test_ctrl_c_does_not_wait_for_a_room_that_cannot_be_joined(server: RoomServer) -> None:
    server.room = "https://daily.invalid/nowhere"

    async def test() -> None:
        async with served(server):
            process = await talk(server)
            await eventually(lambda: server.requests)
            process.send_signal(signal.SIGINT)
            output, errors = await process.communicate()
        assert json.loads(output)["by"] == "user"
        assert (process.returncode, errors) == (130, b"")
        assert server.requests == ["daily", "stop"]

    asyncio.run(test())


def test_hints_how_to_install_the_library(server: RoomServer) -> None:
    start = "import sys; sys.modules['daily'] = None; from voicecore.cli.app import main; main()"

    async def test() -> None:
        async with served(server):
            process = await talk(server, [sys.executable, "-c", start, *TALK[3:]])
            output, _ = await process.communicate()
        error = json.loads(output)["error"]
        assert "pip install 'voicecore-cli[talk,daily]'" in error["hint"]
        assert (process.returncode, server.requests) == (4, [])

    asyncio.run(test())


def test_real_library_has_everything_used_here() -> None:
    start = (
        "import asyncio\n"
        "from voicecore.talk.audio import pcm\n"
        "from voicecore.talk.transports import daily\n"
        "from voicecore.talk.audio.echo_canceller import EchoCanceller\n"  # another libwebrtc
        "from voicecore.talk.audio.replay_buffer import SpeechBlock\n"
        "async def main():\n"
        "    client = daily._Participant(daily.load())\n"
        "    EchoCanceller().clean(bytes(960), pcm.SILENT_BLOCK, 50)\n"
        "    assert await client.hear() == b''\n"
        "    for _ in range(5): client.say(SpeechBlock(pcm.SILENT_BLOCK))\n"
        "    while client._spoken < 5: await asyncio.sleep(0.01)\n"
        "    await client.leave()\n"
        "    print('heard, spoke and left')\n"
        "asyncio.run(main())\n"
    )

    async def test() -> None:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", start, stdout=pipe, stderr=pipe
        )
        async with asyncio.timeout(60):
            output, errors = await process.communicate()
        assert (process.returncode, output) == (0, b"heard, spoke and left\n"), errors

    asyncio.run(test())
