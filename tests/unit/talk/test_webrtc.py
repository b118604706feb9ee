"""The connection over WebRTC, held against an agent that is a peer on this machine."""

from __future__ import annotations

import asyncio
import fractions
import functools
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import numpy as np
import pytest
from aiohttp import web
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame

from tests.standins.talk.session_server import KEY, rtvi, tone
from voicecore.talk.audio import pcm
from voicecore.talk.audio.replay_buffer import Block
from voicecore.talk.session_client import IceServer, OfferRefused, SessionServer
from voicecore.talk.transports import pipecat_frames
from voicecore.talk.transports.connection import (
    Connected,
    ConnectionLost,
    Disconnected,
    HungUp,
    News,
    Path,
)
from voicecore.talk.transports.webrtc import Connection, Way

RATE = 48_000
SAMPLES = RATE // 50
NOWHERE = IceServer(("turn:127.0.0.1:9?transport=tcp",), "nobody", "nothing")


class Voice(MediaStreamTrack):
    """What the agent says: silence, until it is given something."""

    kind = "audio"

    def __init__(self, dumb: bool) -> None:
        super().__init__()
        self.to_say = b""
        self._dumb = dumb
        self._frames = 0
        self._began = asyncio.get_running_loop().time()

    async def recv(self) -> AudioFrame:
        if self._dumb:
            await asyncio.Event().wait()
        due = self._began + self._frames / 50
        await asyncio.sleep(due - asyncio.get_running_loop().time())
        block, self.to_say = self.to_say[: 2 * SAMPLES], self.to_say[2 * SAMPLES :]
        frame = AudioFrame("s16", "mono", SAMPLES)
        frame.planes[0].update(block.ljust(2 * SAMPLES, b"\0"))
        frame.sample_rate, frame.pts = RATE, self._frames * SAMPLES
        frame.time_base = fractions.Fraction(1, RATE)
        self._frames += 1
        return frame


@dataclass
class Agent:
    """A session server and an agent in one. The flags may be changed at any time."""

    refusal: tuple[int, str] | None = None
    deaf: bool = False
    """Whether it shows no sign of having got a message."""
    dumb: bool = False
    """Whether it sends no packet of sound."""
    offers: list[dict[str, Any]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    heard: bytearray = field(default_factory=bytearray)
    url: str = ""

    async def start(self, _: web.Request) -> web.Response:
        session = {"sessionId": "s" * 36, "token": "t", "iceConfig": {"iceServers": []}}
        return web.json_response(session)

    async def offer(self, request: web.Request) -> web.Response:
        assert request.headers["X-Session-Token"] == "t"
        if self.refusal:
            status, code = self.refusal
            return web.json_response({"error": {"code": code, "message": "said so"}}, status=status)
        self.offers.append(offer := await request.json())
        peer = self.peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.voice = Voice(self.dumb)
        peer.addTrack(self.voice)
        peer.on("datachannel", self._opened)
        peer.on("track", lambda track: asyncio.ensure_future(self._listen(track)))
        await peer.setRemoteDescription(RTCSessionDescription(offer["sdp"], "offer"))
        await peer.setLocalDescription(await peer.createAnswer())
        answer = {"sdp": peer.localDescription.sdp, "type": "answer", "pc_id": "me"}
        return web.json_response(answer)

    def say(self, message: dict[str, Any]) -> None:
        self.channel.send(json.dumps(message))

    def vanish(self) -> None:
        """Be gone without a word, as when a network fails."""
        for transceiver in self.peer.getTransceivers():
            for protocol in transceiver.receiver.transport.transport._connection._protocols:
                protocol.transport.abort()

    def _opened(self, channel: Any) -> None:
        self.channel = channel
        channel.on("message", self._read)

    def _read(self, text: str) -> None:
        if text.startswith("ping"):
            return
        message = json.loads(text)
        if message["type"] == "client-ready":
            self.say(rtvi("bot-ready"))
        elif message["type"] == "send-text":
            self.texts.append(message["data"]["content"])
            if not self.deaf:
                self.say(rtvi("bot-llm-started"))

    async def _listen(self, track: MediaStreamTrack) -> None:
        with suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                assert isinstance(frame, AudioFrame)
                self.heard += bytes(frame.planes[0])[: 4 * frame.samples]


@dataclass
class Line:
    connection: Connection
    news: list[News] = field(default_factory=list)

    async def until(self, condition: Callable[[], object], seconds: float = 15) -> None:
        async with asyncio.timeout(seconds):
            while not condition():
                if self.ending.done():
                    await self.ending
                await asyncio.sleep(0.01)

    async def connected(self, times: int = 1, seconds: float = 15) -> None:
        await self.until(lambda: len(self.all(Connected)) >= times, seconds)

    def all(self, kind: type[Any]) -> list[Any]:
        return [item for item in self.news if isinstance(item, kind)]

    @property
    def sound(self) -> bytes:
        return b"".join(audio.pcm for audio in self.all(pipecat_frames.Audio))


@asynccontextmanager
async def serving(agent: Agent) -> AsyncIterator[None]:
    app = web.Application()
    app.router.add_post("/start", agent.start)
    app.router.add_post("/sessions/{id}/api/offer", agent.offer)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    agent.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield
    finally:
        await runner.cleanup()


@asynccontextmanager
async def calling(agent: Agent, way: Way | None = None) -> AsyncIterator[Line]:
    async with serving(agent), aiohttp.ClientSession() as http:
        server = SessionServer(http, agent.url, KEY, "webrtc")
        line: Line
        line = Line(Connection(server, lambda item: line.news.append(item), way))
        line.ending = asyncio.create_task(line.connection.run())
        try:
            yield line
        finally:
            line.ending.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await line.ending


def awaited(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Runs a test that is a coroutine."""

    @functools.wraps(test)
    def run(*arguments: Any, **named: Any) -> None:
        asyncio.run(test(*arguments, **named))

    return run


def loudness(sound: bytes) -> float:
    return pcm.rms(sound[len(sound) // 4 : 3 * len(sound) // 4])


def speak(line: Line, ms: int) -> None:
    sound = tone(ms, rate=pcm.SPEECH_RATE)
    size = 2 * pcm.SPEECH_BLOCK
    for at in range(0, len(sound), size):
        line.connection.say(Block(sound[at : at + size], voiced=True))


@awaited
async def test_sound_goes_both_ways_and_the_path_is_told() -> None:
    agent = Agent()
    async with calling(agent) as line:
        await line.connected()
        [path] = line.all(Path)
        assert path.local.startswith("host ") and path.remote.startswith("host ")
        assert (path.local, path.remote, "succeeded") in path.tried
        speak(line, 400)
        agent.voice.to_say = tone(400, rate=RATE)
        await line.until(lambda: len(agent.heard) > 4 * RATE // 2)
        await line.until(lambda: len(line.sound) > 2 * RATE // 2)
        heard = np.frombuffer(bytes(agent.heard), "<i2")
        assert np.abs(heard).max() > 3000
        assert {(audio.rate, audio.channels) for audio in line.all(pipecat_frames.Audio)} == {
            (RATE, 1)
        }


@awaited
async def test_silence_is_delivered_only_for_a_while() -> None:
    agent = Agent()
    async with calling(agent) as line:
        await line.connected()
        agent.voice.to_say = tone(100, rate=RATE)
        await line.until(lambda: loudness(line.sound) > 0)
        await asyncio.sleep(1)
        count = len(line.all(pipecat_frames.Audio))
        await asyncio.sleep(0.5)
        assert len(line.all(pipecat_frames.Audio)) == count


@awaited
async def test_a_lost_path_is_replaced_and_nothing_that_was_said_is_lost() -> None:
    agent = Agent(deaf=True)
    async with calling(agent) as line:
        await line.connected()
        await line.until(lambda: agent.heard)
        line.connection.type("hello")
        speak(line, 400)
        await line.until(lambda: agent.texts)
        agent.vanish()
        await line.connected(times=2)
        [lost] = line.all(Disconnected)
        assert "nothing came from the agent for 3 s" in lost.reason
        assert [c.resumed for c in line.all(Connected)] == [False, True]
        assert [(o["pc_id"], o["restart_pc"]) for o in agent.offers] == [
            (None, False),
            ("me", True),
        ]
        await line.until(lambda: agent.texts == ["hello", "hello"])
        agent.heard.clear()
        await line.until(lambda: len(agent.heard) > 4 * RATE // 2)
        assert np.abs(np.frombuffer(bytes(agent.heard), "<i2")).max() > 3000


@awaited
async def test_a_path_that_is_lost_before_the_first_sound_is_replaced() -> None:
    agent = Agent(dumb=True)
    async with calling(agent) as line:
        await line.connected()
        agent.dumb = False
        await line.connected(times=2, seconds=30)
        [lost] = line.all(Disconnected)
        assert "nothing came from the agent for 10 s" in lost.reason


@awaited
async def test_what_the_agent_has_got_is_not_sent_again() -> None:
    agent = Agent()
    async with calling(agent) as line:
        await line.connected()
        line.connection.type("hello")
        await line.until(lambda: agent.texts)
        agent.voice.to_say = tone(100, rate=RATE)
        await line.until(lambda: len(line.news) > 4)
        agent.vanish()
        await line.connected(times=2)
        await asyncio.sleep(0.5)
        assert agent.texts == ["hello"]


@awaited
async def test_the_agent_may_hang_up() -> None:
    agent = Agent()
    async with calling(agent) as line:
        await line.connected()
        agent.say({"type": "signalling", "message": {"type": "renegotiate"}})
        agent.say({"type": "signalling", "message": {"type": "peerLeft"}})
        await line.until(lambda: line.all(HungUp))
        await line.ending
    async with calling(agent) as line:
        await line.connected()
        await agent.peer.close()
        await line.until(lambda: line.all(HungUp))


@pytest.mark.parametrize(
    ("refusal", "hint"),
    [((503, "no_relay"), "voicecore turn check"), ((400, "bad_offer"), "voicecore dev")],
)
@awaited
async def test_a_refusal_is_told(refusal: tuple[int, str], hint: str) -> None:
    agent = Agent(refusal=refusal)
    async with calling(agent) as line:
        with pytest.raises(OfferRefused, match=rf"\({refusal[0]}\): said so") as raised:
            await line.connected()
        assert hint in (raised.value.hint or "")


@awaited
async def test_without_a_relay_it_goes_directly_unless_told_not_to() -> None:
    agent = Agent()
    async with calling(agent, Way(servers=(NOWHERE,))) as line:
        await line.connected()
    async with calling(agent, Way(relay_only=True, servers=(NOWHERE,))) as line:
        with pytest.raises(ConnectionLost, match=r"turn:127\.0\.0\.1:9\?transport=tcp"):
            await line.connected()
    async with calling(agent, Way(relay_only=True)) as line:
        with pytest.raises(ConnectionLost, match="no TURN server is configured"):
            await line.connected()
