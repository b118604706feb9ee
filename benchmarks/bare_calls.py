"""Calls to an agent's own port, without a session server. The caller says what it is given."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from fractions import Fraction
from typing import Any

import aiohttp
import numpy as np
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame

from benchmarks import voice
from voicecore.talk.audio.clips import open_clip
from voicecore.talk.transports import pipecat_frames, rtvi

RATE = 16_000
PIECE_SECONDS = 0.02
PIECE = round(RATE * PIECE_SECONDS)
HISS = 10  # of a microphone in a quiet room, RMS of 16-bit samples: -70 dBFS


class Call:
    """A call: what the caller says next, and which RTVI messages came when."""

    def __init__(self) -> None:
        self.says = silence()
        self.told: list[tuple[float, str]] = []
        """Times (time.monotonic) and types of messages."""

    async def say(self, sound: Iterator[bytes], seconds: float) -> None:
        """Say this for some seconds, then nothing."""
        self.says = sound
        await asyncio.sleep(seconds)
        self.says = silence()

    def note(self, message: dict[str, Any]) -> None:
        """Take note of a message."""
        self.told.append((time.monotonic(), message.get("type", "")))

    def count(self, kind: str) -> int:
        """Return the number of messages of this type."""
        return sum(told == kind for _, told in self.told)


@asynccontextmanager
async def by_websocket(port: int) -> AsyncIterator[Call]:
    """Hold a call over /ws."""
    call, url = Call(), f"ws://127.0.0.1:{port}/ws"
    async with aiohttp.ClientSession() as http, http.ws_connect(url, compress=0) as socket:
        ready = pipecat_frames.Message(rtvi.client_ready())
        await socket.send_bytes(pipecat_frames.encode(ready))

        async def speak() -> None:
            async for piece in in_real_time(call):
                await socket.send_bytes(pipecat_frames.encode(pipecat_frames.Audio(piece, RATE)))

        async def listen() -> None:
            async for message in socket:
                frame = pipecat_frames.decode(message.data)
                if isinstance(frame, pipecat_frames.Message):
                    call.note(frame.body)

        async with both(speak(), listen()):
            yield call


@asynccontextmanager
async def by_webrtc(port: int) -> AsyncIterator[Call]:
    """Hold a call over WebRTC, whose offer goes to /invocations."""
    call, peer = Call(), RTCPeerConnection()
    peer.addTrack(Microphone(call))
    channel = peer.createDataChannel("chat")
    opened: asyncio.Event = asyncio.Event()
    tracks: asyncio.Queue[MediaStreamTrack] = asyncio.Queue()
    channel.on("open", opened.set)
    channel.on("message", lambda text: call.note(rtvi_in(text)))
    peer.on("track", tracks.put_nowait)
    await peer.setLocalDescription(await peer.createOffer())

    async def answer() -> None:
        """Take the answer; Pipecat's example talks as long as its response is read."""
        offer = {"sdp": peer.localDescription.sdp, "type": "offer"}
        headers = {"X-Amzn-Bedrock-AgentCore-Runtime-Session-Id": str(uuid.uuid4())}
        body = {"type": "offer", "data": offer}
        url, forever = f"http://127.0.0.1:{port}/invocations", aiohttp.ClientTimeout(None)
        async with (
            aiohttp.ClientSession(timeout=forever) as http,
            http.post(url, json=body, headers=headers) as response,
        ):
            async for line in response.content:
                text = line.decode().removeprefix("data:").strip()
                if answered := json.loads(text or "{}").get("answer"):
                    await peer.setRemoteDescription(
                        RTCSessionDescription(answered["sdp"], answered["type"])
                    )

    async def listen() -> None:
        track = await tracks.get()
        with suppress(MediaStreamError):
            while True:
                await track.recv()

    async with both(answer(), listen()):
        async with asyncio.timeout(60):
            await opened.wait()
        channel.send(json.dumps(rtvi.client_ready()))
        yield call
    await peer.close()


class Microphone(MediaStreamTrack):
    """Says in real time what the caller says."""

    kind = "audio"

    def __init__(self, call: Call) -> None:
        super().__init__()
        self._pieces = in_real_time(call)
        self._at = 0

    async def recv(self) -> AudioFrame:
        """Return the next 20 ms."""
        samples = np.frombuffer(await anext(self._pieces), "<i2").reshape(1, -1)
        frame = AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, self._at, Fraction(1, RATE)
        self._at += PIECE
        return frame


def rtvi_in(text: str | bytes) -> dict[str, Any]:
    """Return the message in a text of the data channel; {} for a ping."""
    body = json.loads(text) if str(text).startswith("{") else {}
    return body if isinstance(body, dict) else {}


@asynccontextmanager
async def both(*works: Any) -> AsyncIterator[None]:
    """Run these meanwhile; raise what they raise."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work) for work in works]
        yield
        for task in tasks:
            task.cancel()


async def in_real_time(call: Call) -> AsyncIterator[bytes]:
    """Yield what the caller says, 20 ms at a time."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        yield next(call.says)
        due += PIECE_SECONDS
        await asyncio.sleep(max(0.0, due - loop.time()))


def silence() -> Iterator[bytes]:
    """Yield the hiss of a quiet room."""
    rng = np.random.default_rng(0)
    while True:
        yield rng.normal(0, HISS, PIECE).astype("<i2").tobytes()


def questions(pause: float) -> Iterator[bytes]:
    """Yield questions, each followed by so many seconds of silence, again and again."""
    spoken = [clip(name) for name in voice.QUESTIONS[:4]]
    while True:
        for question in spoken:
            yield from question
            for piece, _ in zip(silence(), range(round(pause / PIECE_SECONDS)), strict=False):
                yield piece


def clip(name: str) -> list[bytes]:
    """Return a sample, which begins with its first sound, in pieces of 20 ms."""
    sound = b"".join(block.audio for block in open_clip(voice.SAMPLES / f"{name}.wav").blocks())
    begin = int(np.argmax(np.abs(np.frombuffer(sound, "<i2")) > 500)) * 2
    pieces = [sound[at : at + 2 * PIECE] for at in range(begin, len(sound), 2 * PIECE)]
    return [piece for piece in pieces if len(piece) == 2 * PIECE]
