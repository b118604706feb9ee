"""Calls the agent over WebRTC: an offer to /invocations, and audio over UDP."""

from __future__ import annotations

import asyncio
import fractions
import json
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame, AudioResampler

from .caller import FRAME_BYTES, FRAME_SECONDS, RATE, TIMEOUT_SECONDS, Caller

SAMPLES = FRAME_BYTES // 2


class Microphone(MediaStreamTrack):
    """The caller's speech, 50 frames per second."""

    kind = "audio"

    def __init__(self, caller: Caller) -> None:
        super().__init__()
        self._caller = caller
        self._began = asyncio.get_running_loop().time()
        self._frames = 0

    async def recv(self) -> AudioFrame:
        due = self._began + self._frames * FRAME_SECONDS
        await asyncio.sleep(due - asyncio.get_running_loop().time())
        frame = AudioFrame("s16", "mono", SAMPLES)
        frame.planes[0].update(self._caller.next_frame())
        frame.sample_rate, frame.time_base = RATE, fractions.Fraction(1, RATE)
        frame.pts = self._frames * SAMPLES
        self._frames += 1
        return frame


# The session server names it in each of its requests.
ENDPOINT = "arn:aws:bedrock-agentcore:us-east-1:123456789012:runtime/line-abc/runtime-endpoint/dev"


async def invoke(port: int, session_id: str, kind: str, data: Any) -> dict[str, Any]:
    """Return the agent's answer to a request at /invocations."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/invocations",
        json.dumps({"type": kind, "data": data, "endpoint": ENDPOINT}).encode(),
        {
            "Content-Type": "application/json",
            "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id": session_id,
        },
    )

    def ask() -> dict[str, Any]:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
            return json.load(answer)

    return await asyncio.to_thread(ask)


@asynccontextmanager
async def call(port: int, session_id: str) -> AsyncIterator[Caller]:
    """Connect to the agent on `port`, in this session, until the block ends."""
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    channel = peer.createDataChannel("chat")
    opened = asyncio.Event()
    channel.on("open", lambda: opened.set())

    async def send(message: dict[str, Any]) -> None:
        channel.send(json.dumps(message))

    caller = Caller(send)
    channel.on("message", lambda text: caller.receive(json.loads(text)))
    peer.addTrack(Microphone(caller))
    listening: list[asyncio.Task[None]] = []

    @peer.on("track")
    def on_track(track: MediaStreamTrack) -> None:
        listening.append(asyncio.create_task(listen(track, caller)))

    await peer.setLocalDescription(await peer.createOffer())
    offer = {"sdp": peer.localDescription.sdp, "type": "offer"}
    try:
        answer = (await invoke(port, session_id, "offer", offer))["answer"]
        await peer.setRemoteDescription(RTCSessionDescription(answer["sdp"], answer["type"]))
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await opened.wait()
        await caller.ready()
        yield caller
    finally:
        await peer.close()
        await asyncio.gather(*listening)


async def listen(track: MediaStreamTrack, caller: Caller) -> None:
    """Keep all audio."""
    resampler = AudioResampler("s16", "mono", RATE)
    while True:
        try:
            frame = await track.recv()
        except MediaStreamError:
            return
        assert isinstance(frame, AudioFrame)
        for part in resampler.resample(frame):
            caller.spoken += part.to_ndarray().tobytes()
