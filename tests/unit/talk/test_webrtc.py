"""The client over WebRTC, against an agent that is a peer on this machine."""

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

from tests.standins import site
from tests.standins.talk.session_server import KEY, rtvi, tone
from voicecore.console.errors import VoicecoreError
from voicecore.talk.audio import pcm
from voicecore.talk.audio.replay_buffer import SpeechBlock
from voicecore.talk.channel import Connected, Delivery, Disconnected, HungUp, IcePath, Note
from voicecore.talk.session_client import IceServer, OfferRefused, SessionClient
from voicecore.talk.transports import pipecat_frames
from voicecore.talk.transports.connection import ConnectionLost, IceOptions
from voicecore.talk.transports.rtvi import BotThinking
from voicecore.talk.transports.webrtc import GRANTS, WebRTCConnection

RATE = 48_000
SAMPLES = RATE // 50
NOWHERE = IceServer(("turn:127.0.0.1:9?transport=tcp",), "user", "wrong")


class Voice(MediaStreamTrack):
    """The agent's voice: `to_say`, then silence."""

    kind = "audio"

    def __init__(self, mute: bool) -> None:
        super().__init__()
        self.to_say = b""
        self._mute = mute
        self._frames = 0
        self._began = asyncio.get_running_loop().time()

    async def recv(self) -> AudioFrame:
        if self._mute:
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
    """A session server and an agent in one; its fields may change at any time."""

    refusal: tuple[int, str] | None = None
    confirms: bool = True
    """False if no event shows that it received a message."""
    mute: bool = False
    """True if it sends no packet of audio."""
    answer: dict[str, Any] | None = None
    """Answer to an offer, instead of a good one."""
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
            return web.json_response(
                {"error": {"code": code, "message": "the reason"}}, status=status
            )
        self.offers.append(offer := await request.json())
        if self.answer is not None:
            return web.json_response(self.answer)
        peer = self.peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.voice = Voice(self.mute)
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
        """Break the connection, as a network failure does."""
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
            if self.confirms:
                self.say(rtvi("bot-llm-started"))

    async def _listen(self, track: MediaStreamTrack) -> None:
        with suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                assert isinstance(frame, AudioFrame)
                self.heard += bytes(frame.planes[0])[: 4 * frame.samples]


@dataclass
class Call:
    """A connection under test, and what it has delivered."""

    connection: WebRTCConnection
    deliveries: list[Delivery] = field(default_factory=list)
    running: asyncio.Task[None] = field(init=False)

    async def until(self, condition: Callable[[], object], seconds: float = 60) -> None:
        async with asyncio.timeout(seconds):
            while not condition():
                if self.running.done():
                    await self.running
                await asyncio.sleep(0.01)

    async def connected(self, times: int = 1, seconds: float = 60) -> None:
        await self.until(lambda: len(self.all(Connected)) >= times, seconds)

    def all(self, kind: type[Any]) -> list[Any]:
        return [delivery for delivery in self.deliveries if isinstance(delivery, kind)]

    @property
    def audio(self) -> bytes:
        return b"".join(frame.pcm for frame in self.all(pipecat_frames.Audio))


@asynccontextmanager
async def serving(agent: Agent) -> AsyncIterator[None]:
    app = web.Application()
    app.router.add_post("/start", agent.start)
    app.router.add_post("/sessions/{id}/api/offer", agent.offer)
    served = await site.started(app)
    agent.url = served.url
    try:
        yield
    finally:
        await served.stop()


@asynccontextmanager
async def calling(agent: Agent, options: IceOptions | None = None) -> AsyncIterator[Call]:
    async with serving(agent), aiohttp.ClientSession() as http:
        server = SessionClient(http, agent.url, KEY, "webrtc", GRANTS)
        call: Call
        call = Call(WebRTCConnection(server, lambda item: call.deliveries.append(item), options))
        call.running = asyncio.create_task(call.connection.run())
        try:
            yield call
        finally:
            call.running.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await call.running


def awaited(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test that is a coroutine."""

    @functools.wraps(test)
    def run(*arguments: Any, **named: Any) -> None:
        asyncio.run(test(*arguments, **named))

    return run


def loudness(sound: bytes) -> float:
    return pcm.rms(sound[len(sound) // 4 : 3 * len(sound) // 4])


def speak(call: Call, ms: int) -> None:
    sound = tone(ms, rate=pcm.SPEECH_RATE)
    size = 2 * pcm.SPEECH_BLOCK
    for at in range(0, len(sound), size):
        call.connection.say(SpeechBlock(sound[at : at + size], voiced=True))


@awaited
async def test_carries_audio_both_ways_and_reports_the_path() -> None:
    agent = Agent()
    async with calling(agent) as call:
        await call.connected()
        [path] = call.all(IcePath)
        assert path.local.startswith("host ") and path.remote.startswith("host ")
        assert (path.local, path.remote, "succeeded") in path.tried
        speak(call, 400)
        agent.voice.to_say = tone(400, rate=RATE)
        await call.until(lambda: len(agent.heard) > 4 * RATE // 2)
        await call.until(lambda: len(call.audio) > 2 * RATE // 2)
        heard = np.frombuffer(bytes(agent.heard), "<i2")
        assert np.abs(heard).max() > 3000
        assert {(audio.rate, audio.channels) for audio in call.all(pipecat_frames.Audio)} == {
            (RATE, 1)
        }


@awaited
async def test_long_silence_is_not_delivered() -> None:
    agent = Agent()
    async with calling(agent) as call:
        await call.connected()
        agent.voice.to_say = tone(100, rate=RATE)
        await call.until(lambda: loudness(call.audio) > 0)
        async with asyncio.timeout(30):
            delivered = 0
            while delivered != len(call.all(pipecat_frames.Audio)):
                delivered = len(call.all(pipecat_frames.Audio))
                await asyncio.sleep(0.5)


@pytest.mark.slow
@awaited
async def test_replaces_a_lost_path_and_loses_no_speech() -> None:
    agent = Agent(confirms=False)
    async with calling(agent) as call:
        await call.connected()
        await call.until(lambda: agent.heard)
        call.connection.type("hello")
        speak(call, 400)
        await call.until(lambda: agent.texts)
        agent.vanish()
        await call.connected(times=2)
        [lost] = call.all(Disconnected)
        assert "nothing came from the agent for 3 s" in lost.reason
        assert [c.resumed for c in call.all(Connected)] == [False, True]
        assert [(o["pc_id"], o["restart_pc"]) for o in agent.offers] == [
            (None, False),
            ("me", True),
        ]
        await call.until(lambda: agent.texts == ["hello", "hello"])
        agent.heard.clear()
        await call.until(lambda: len(agent.heard) > 4 * RATE // 2)
        assert np.abs(np.frombuffer(bytes(agent.heard), "<i2")).max() > 3000


@pytest.mark.slow
@awaited
async def test_replaces_a_path_that_is_lost_before_the_first_audio() -> None:
    agent = Agent(mute=True)
    async with calling(agent) as call:
        await call.connected()
        agent.mute = False
        await call.connected(times=2)
        [lost] = call.all(Disconnected)
        assert "nothing came from the agent for 10 s" in lost.reason


@pytest.mark.slow
@awaited
async def test_received_messages_are_not_sent_again() -> None:
    agent = Agent()
    async with calling(agent) as call:
        await call.connected()
        call.connection.type("hello")
        await call.until(lambda: agent.texts)
        agent.voice.to_say = tone(100, rate=RATE)
        await call.until(lambda: len(call.deliveries) > 4)
        agent.vanish()
        await call.connected(times=2)
        await asyncio.sleep(0.5)
        assert agent.texts == ["hello"]


@awaited
async def test_call_ends_when_the_agent_hangs_up() -> None:
    agent = Agent()
    async with calling(agent) as call:
        await call.connected()
        agent.say({"type": "signalling", "message": {"type": "renegotiate"}})
        agent.say({"type": "signalling", "message": {"type": "peerLeft"}})
        await call.until(lambda: call.all(HungUp))
        await call.running
    async with calling(agent) as call:
        await call.connected()
        await agent.peer.close()
        await call.until(lambda: call.all(HungUp))


@awaited
async def test_malformed_messages_are_ignored_and_told_once() -> None:
    agent = Agent()
    async with calling(agent) as call:
        await call.connected()
        for _ in range(2):
            for odd in ("", "no JSON", b"\xff\0", "[" * 50_000, "[]", "1"):
                agent.channel.send(odd)
            for message in (1, [], {"type": []}, {}):
                agent.say({"type": "signalling", "message": message})
        agent.say(rtvi("bot-llm-started"))
        await call.until(lambda: call.all(BotThinking))
        assert [note.text for note in call.all(Note)] == [
            "ignored: the agent sent a message that is not JSON",
            "ignored: the agent sent a message that is not a JSON object",
        ]


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"sdp": "", "type": "answer"},
        {"sdp": 1, "type": "answer"},
        {"sdp": "v=0\r\nm=audio x y z\r\n", "type": "answer"},
        {"sdp": "v=0", "type": "rumor"},
    ],
)
@awaited
async def test_malformed_answer_to_an_offer_is_refused(answer: dict[str, Any]) -> None:
    agent = Agent(answer=answer)
    async with calling(agent) as call:
        with pytest.raises(VoicecoreError, match="answer to the WebRTC offer is malformed"):
            await call.connected()


@pytest.mark.parametrize(
    "url", ["turn:", "turn:[::1", "turn:127.0.0.1:99999", "turn:a..b:3478", "turn:\x1b:1"]
)
@awaited
async def test_malformed_turn_server_is_no_relay(url: str) -> None:
    servers = (IceServer((url,), "user", "secret"),)
    agent = Agent()
    async with calling(agent, IceOptions(servers=servers)) as call:
        await call.connected()
    async with calling(agent, IceOptions(relay_only=True, servers=servers)) as call:
        with pytest.raises(ConnectionLost, match="This end of the call has no TURN relay"):
            await call.connected()


@pytest.mark.parametrize(
    ("refusal", "hint"),
    [((503, "no_relay"), "voicecore turn check"), ((400, "bad_offer"), "voicecore dev")],
)
@awaited
async def test_reports_a_refused_offer(refusal: tuple[int, str], hint: str) -> None:
    agent = Agent(refusal=refusal)
    async with calling(agent) as call:
        with pytest.raises(OfferRefused, match=rf"\({refusal[0]}\): the reason") as raised:
            await call.connected()
        assert hint in (raised.value.hint or "")


@awaited
async def test_connects_without_a_relay_unless_relay_only() -> None:
    agent = Agent()
    async with calling(agent, IceOptions(servers=(NOWHERE,))) as call:
        await call.connected()
    async with calling(agent, IceOptions(relay_only=True, servers=(NOWHERE,))) as call:
        with pytest.raises(ConnectionLost, match=r"turn:127\.0\.0\.1:9\?transport=tcp"):
            await call.connected()
    async with calling(agent, IceOptions(relay_only=True)) as call:
        with pytest.raises(ConnectionLost, match="no TURN server is configured"):
            await call.connected()
