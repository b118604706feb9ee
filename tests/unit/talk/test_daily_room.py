"""The connection through a room: against the stand-in of Daily, and with the real library."""

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
from voicecore.talk.audio.replay_buffer import Block
from voicecore.talk.session_client import SessionRefused, SessionServer
from voicecore.talk.transports import pipecat_frames
from voicecore.talk.transports import rtvi as protocol
from voicecore.talk.transports.connection import Connected, Disconnected, HungUp, News
from voicecore.talk.transports.daily import Connection, NoRoom, reason_in, sounds

pytestmark = pytest.mark.slow

TALK = [sys.executable, "-m", "voicecore", "talk", "--transport", "daily", "--text", "--json"]


@dataclass
class Agent:
    """The agent's seat in its rooms, as the cloud tells it what happens there."""

    heard: bytearray = field(default_factory=bytearray)
    messages: list[dict[str, Any]] = field(default_factory=list)
    room: Any = None

    def say(self, sound: bytes, rate: int) -> None:
        assert rate == pcm.SPEECH_RATE
        self.heard += sound

    def tell(self, event: str, *told: Any) -> None:
        if event == "on_app_message":
            self.messages.append(told[0])
            if told[0]["type"] == "client-ready":
                self.write(rtvi("bot-ready"))

    def write(self, message: dict[str, Any]) -> None:
        for caller in list(self.room.callers.values()):
            caller.read(message)

    def events(self, event: str, *told: Any) -> None:
        """Let the caller's library tell this."""
        [caller] = self.room.callers.values()
        caller.tell(event, *told)


@dataclass
class Lab:
    """A session server, its agent, and Daily."""

    cloud: Any
    library: ModuleType
    agent: Agent = field(default_factory=Agent)
    refusal: tuple[int, str] | None = None
    room: str = ""
    """The room that is named, if not a new one for each start."""
    asked: list[str] = field(default_factory=list)
    news: list[News] = field(default_factory=list)
    url: str = ""

    async def start(self, request: web.Request) -> web.Response:
        self.asked.append((await request.json())["transport"])
        if self.refusal:
            status, code = self.refusal
            return web.json_response({"error": {"code": code, "message": "no"}}, status=status)
        url = self.room or f"https://lab.daily.co/room{len(self.asked)}"
        if not self.room:
            name = url.rpartition("/")[2]
            self.agent.room = self.cloud.rooms[name] = self.cloud.Room({}, agent=self.agent)
            self.cloud.tokens[name] = {"room_name": name, "exp": 1e12}
        token = url.rpartition("/")[2]
        return web.json_response(
            {"sessionId": "s" * 36, "token": "t", "roomUrl": url, "roomToken": token}
        )

    async def stop(self, request: web.Request) -> web.Response:
        self.asked.append("stop")
        return web.Response(status=204)

    @asynccontextmanager
    async def call(self) -> AsyncIterator[tuple[Connection, asyncio.Task[None]]]:
        """A call that is being held until the block ends."""
        async with aiohttp.ClientSession() as http:
            server = SessionServer(http, self.url, KEY, "daily")
            call = Connection(server, self.news.append, self.library)
            holding = asyncio.create_task(call.run())
            try:
                yield call, holding
            finally:
                holding.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await holding
                await call.stop()

    async def until(self, kind: type[Any], count: int = 1) -> None:
        await eventually(lambda: sum(isinstance(news, kind) for news in self.news) >= count)


async def eventually(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what others do, in other threads too
            await asyncio.sleep(0.01)


@asynccontextmanager
async def served(lab: Lab) -> AsyncIterator[Lab]:
    app = web.Application()
    app.router.add_post("/start", lab.start)
    app.router.add_delete("/sessions/{id}", lab.stop)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    lab.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield lab
    finally:
        await runner.cleanup()


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    cloud = load_standin("daily_cloud")
    daily = cloud.Cloud()
    daily.Room = cloud.Room
    with caller_server(cloud, daily) as line:
        monkeypatch.setenv("DAILY_CLOUD", line)
        yield Lab(daily, load_standin("standin/daily"))


def test_a_call(lab: Lab) -> None:
    async def test() -> None:
        async with served(lab), lab.call() as (call, holding):
            await lab.until(Connected)
            assert [message["type"] for message in lab.agent.messages] == ["client-ready"]
            said = tone(200, rate=pcm.SPEECH_RATE)
            for start in range(0, len(said), 2 * pcm.SPEECH_BLOCK):
                call.say(Block(said[start : start + 2 * pcm.SPEECH_BLOCK], voiced=True))
            await eventually(lambda: lab.agent.heard == said)
            [caller] = lab.agent.room.callers.values()
            answer = tone(200)
            caller.hear(bytes(2 * pcm.VOICE_RATE) + answer, pcm.VOICE_RATE)
            await eventually(lambda: heard().endswith(answer))
            assert len(heard()) < 2 * pcm.VOICE_RATE  # a second of silence is not sat out
            call.type("hello")
            await eventually(lambda: len(lab.agent.messages) == 2)
            assert lab.agent.messages[1]["data"] == {"content": "hello"}
            lab.agent.write(rtvi("bot-llm-started"))
            await lab.until(protocol.BotThinking)
            lab.agent.events("on_participant_left", {"id": "somebody"}, "leftCall")
            lab.agent.events("on_participant_left", {"id": "agent"}, "leftCall")
            await holding
            assert isinstance(lab.news[-1], HungUp)
        assert lab.asked == ["daily", "stop"]
        assert not lab.agent.room.callers

    def heard() -> bytes:
        return b"".join(news.pcm for news in lab.news if isinstance(news, pipecat_frames.Audio))

    asyncio.run(test())


def test_who_hangs_up_leaves_the_room_and_ends_the_session(lab: Lab) -> None:
    async def test() -> None:
        async with served(lab):
            async with lab.call():
                await lab.until(Connected)
                assert lab.agent.room.callers
            assert not lab.agent.room.callers
        assert lab.asked == ["daily", "stop"]

    asyncio.run(test())


def test_a_room_that_is_closed_ends_the_call(lab: Lab) -> None:
    async def test() -> None:
        async with served(lab), lab.call() as (_, holding):
            await lab.until(Connected)
            lab.agent.events("on_call_state_updated", "left")
            await holding
            assert isinstance(lab.news[-1], HungUp)

    asyncio.run(test())


def test_a_room_that_is_lost_is_replaced(lab: Lab) -> None:
    async def test() -> None:
        async with served(lab), lab.call():
            await lab.until(Connected)
            lab.agent.events("on_error", "signalling channel has closed.")
            await lab.until(Connected, 2)
        connected = [news for news in lab.news if isinstance(news, Connected | Disconnected)]
        assert connected == [
            Connected(resumed=False),
            Disconnected("signalling channel has closed", planned=False),
            Connected(resumed=True),
        ]

    asyncio.run(test())


def test_silence_is_left_out_where_the_library_is_behind(lab: Lab) -> None:
    async def test() -> None:
        async with served(lab), lab.call() as (call, _):
            await lab.until(Connected)
            for _ in range(100):
                call.say(Block(pcm.SILENT_BLOCK))
            last = tone(20, rate=pcm.SPEECH_RATE)
            call.say(Block(last, voiced=True))
            await eventually(lambda: lab.agent.heard.endswith(last))
            assert len(lab.agent.heard) < 30 * len(last)

    asyncio.run(test())


def test_a_room_that_is_refused_is_told_with_dailys_reason(lab: Lab) -> None:
    lab.room = "https://lab.daily.co/gone"

    async def test() -> None:
        async with served(lab), lab.call() as (_, holding):
            with pytest.raises(NoRoom, match=r"entered: The meeting .* does not exist\.$"):
                await holding
        assert lab.asked == ["daily", "stop"]

    asyncio.run(test())


@pytest.mark.parametrize(
    ("refusal", "hint"),
    [
        ((503, "no_daily_key"), "DAILY_API_KEY="),
        ((503, "daily_key_refused"), "DAILY_API_KEY="),
        ((422, "unknown_transport"), "voicecore add"),
    ],
)
def test_a_server_that_has_no_rooms_is_told(lab: Lab, refusal: tuple[int, str], hint: str) -> None:
    lab.refusal = refusal

    async def test() -> None:
        async with served(lab), lab.call() as (_, holding):
            with pytest.raises(SessionRefused) as refused:
                await holding
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
def test_who_is_heard(participant: dict[str, Any], heard: bool) -> None:
    assert sounds(participant) == heard


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
def test_what_an_error_says(error: str, reason: str) -> None:
    assert reason_in(error) == reason


# With the real library, and a room that nobody has made.


async def talk(lab: Lab, argv: list[str] = TALK) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        *argv, "--url", lab.url, env={**os.environ, "SESSION_API_KEY": KEY},
        stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe,
    )  # fmt: skip


def test_a_room_that_cannot_be_entered_ends_the_command(lab: Lab) -> None:
    lab.room = "https://voicecore-tests.daily.co/nowhere"

    async def test() -> None:
        async with served(lab):
            process = await talk(lab)
            output, errors = await process.communicate()
        error = json.loads(output)["error"]
        assert error["message"].startswith("The room of the session cannot be entered: ")
        assert (process.returncode, errors) == (1, b"")
        assert lab.asked == ["daily", "stop"]

    asyncio.run(test())


def test_ctrl_c_does_not_wait_for_a_room_that_cannot_be_entered(lab: Lab) -> None:
    lab.room = "https://voicecore-tests.daily.co/nowhere"

    async def test() -> None:
        async with served(lab):
            process = await talk(lab)
            await eventually(lambda: lab.asked)
            process.send_signal(signal.SIGINT)
            output, errors = await process.communicate()
        assert json.loads(output)["by"] == "user"
        assert (process.returncode, errors) == (130, b"")
        assert lab.asked == ["daily", "stop"]

    asyncio.run(test())


def test_without_the_library_it_is_told_how_to_install_it(lab: Lab) -> None:
    start = "import sys; sys.modules['daily'] = None; from voicecore.cli.app import main; main()"

    async def test() -> None:
        async with served(lab):
            process = await talk(lab, [sys.executable, "-c", start, *TALK[3:]])
            output, _ = await process.communicate()
        error = json.loads(output)["error"]
        assert "pip install 'voicecore[talk,daily]'" in error["hint"]
        assert (process.returncode, lab.asked) == (4, [])

    asyncio.run(test())


def test_the_real_library_has_what_is_used_of_it() -> None:
    start = (
        "import asyncio\n"
        "from voicecore.talk.audio import pcm\n"
        "from voicecore.talk.transports import daily as daily_room\n"
        "from voicecore.talk.audio.echo_canceller import EchoCanceller\n"  # another libwebrtc
        "from voicecore.talk.audio.replay_buffer import Block\n"
        "async def main():\n"
        "    seat = daily_room._Seat(daily_room.load())\n"
        "    EchoCanceller().clean(bytes(960), pcm.SILENT_BLOCK, 50)\n"
        "    assert await seat.hear() == b''\n"
        "    for _ in range(5): seat.say(Block(pcm.SILENT_BLOCK))\n"
        "    while seat._spoken < 5: await asyncio.sleep(0.01)\n"
        "    await seat.leave()\n"
        "    print('heard, spoke and left')\n"
        "asyncio.run(main())\n"
    )

    async def test() -> None:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", start, stdout=pipe, stderr=pipe
        )
        async with asyncio.timeout(30):
            output, errors = await process.communicate()
        assert (process.returncode, output) == (0, b"heard, spoke and left\n"), errors

    asyncio.run(test())
