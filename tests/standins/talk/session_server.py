"""A stand-in of session server and agent in one: /start, DELETE, and a /ws that answers speech.

It detects speech by level and answers each utterance with a tone of known length and pitch. It can
cut its connections, refuse, or stay silent. It keeps what it received, connection by connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from aiohttp import WSCloseCode, WSMsgType, web

from tests.standins import site
from voicecore.talk.transports import pipecat_frames

KEY = "a-test-key"
RATE = 24_000
CHUNK_MS = 40
END_OF_TURN_MS = 300


def tone(ms: int, hertz: float = 440.0, rate: int = RATE, level: float = 0.3) -> bytes:
    t = np.arange(rate * ms // 1000) / rate
    return (np.sin(2 * math.pi * hertz * t) * level * 32767).astype("<i2").tobytes()


def rtvi(kind: str, data: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"label": "rtvi-ai", "type": kind, "id": "1", "data": data or {}}


@dataclass
class Heard:
    """Audio and messages of one connection."""

    session: str
    audio: bytearray = field(default_factory=bytearray)
    frame_sizes: list[int] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)


@dataclass
class AgentStandIn:
    """Serves while its `async with` block runs; its fields may change at any time."""

    greeting: str | None = None
    answers: bool = True
    replies: bool = True
    """False if it does not answer what is typed."""
    reply_ms: int = 600
    reply_hertz: float = 440.0
    voice: bytes | None = None
    """Its voice instead of a tone: PCM at RATE."""
    think_ms: int = 60
    ready: bool = True
    turns: bool = True
    """False if it does not detect turns."""
    refuse_starts: int = 0
    """Number of the next /start requests that fail."""
    refuse_status: int | None = None
    """HTTP status of these; None to close the connection."""
    heard: list[Heard] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    starts: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""
    public: str = ""
    """Where callers are sent to speak, such as wss://agent.example; empty: to itself."""

    async def __aenter__(self) -> AgentStandIn:
        self._sockets: list[web.WebSocketResponse] = []
        app = web.Application()
        app.router.add_post("/start", self._start)
        app.router.add_delete("/sessions/{id}", self._stop)
        app.router.add_get("/ws", self._ws)
        self._site = await site.started(app)
        self.port, self.url = self._site.port, self._site.url
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._site.stop()

    async def report(self, error: str) -> None:
        """Report an error over all connections."""
        message = pipecat_frames.Message(rtvi("error", {"error": error, "fatal": False}))
        for socket in self._sockets:
            await socket.send_bytes(pipecat_frames.encode(message))

    async def cut(self, code: int = WSCloseCode.GOING_AWAY) -> None:
        """Close all connections, as AgentCore does after an hour."""
        for socket in self._sockets:
            await socket.close(code=code)

    def drop(self) -> None:
        """Break all connections, as a network failure does."""
        for socket in self._sockets:
            transport = socket._req.transport if socket._req else None
            if transport:
                transport.abort()

    async def _start(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return web.json_response({"detail": "unknown key"}, status=401)
        if self.refuse_starts:
            self.refuse_starts -= 1
            if self.refuse_status:
                error = {"code": "aws_busy", "message": "AWS is busy."}
                return web.json_response({"error": error}, status=self.refuse_status)
            assert request.transport
            request.transport.abort()
            return web.Response()
        body = await request.json()
        self.starts.append(body)
        session = body.get("sessionId") or f"stand-in-session-{len(self.starts):017}"
        url = f"{self.public or f'ws://127.0.0.1:{self.port}'}/ws?session={session}"
        return web.json_response(
            {"sessionId": session, "token": f"token-of-{session}", "wsUrl": url, "expiresIn": 300}
        )

    async def _stop(self, request: web.Request) -> web.Response:
        session = request.match_info["id"]
        if request.headers.get("X-Session-Token") != f"token-of-{session}":
            return web.json_response({"detail": "not your session"}, status=403)
        self.stopped.append(session)
        return web.Response(status=204)

    async def _ws(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        resumed = any(h.session == request.query["session"] for h in self.heard)
        heard = Heard(request.query["session"])
        self.heard.append(heard)
        self._sockets.append(socket)
        connection = _AgentConnection(self, socket, heard, resumed)
        try:
            async for message in socket:
                if message.type is WSMsgType.BINARY:
                    await connection.receive(message.data)
        finally:
            self._sockets.remove(socket)
            await connection.end()
        return socket


class _AgentConnection:
    """The agent's side of one connection."""

    def __init__(
        self,
        agent: AgentStandIn,
        socket: web.WebSocketResponse,
        heard: Heard,
        resumed: bool,
    ) -> None:
        self._agent, self._socket, self._heard, self._resumed = agent, socket, heard, resumed
        self._voiced_ms = self._quiet_ms = 0
        self._speaking: asyncio.Task[None] | None = None
        self._turn = 0

    async def receive(self, data: bytes) -> None:
        match pipecat_frames.decode(data):
            case pipecat_frames.Audio(pcm, rate, _):
                assert rate == 16_000
                self._heard.audio += pcm
                self._heard.frame_sizes.append(len(data))
                if self._agent.turns:
                    for start in range(0, len(pcm), 640):
                        await self._hear(pcm[start : start + 640])
            case pipecat_frames.Message(body) if body["type"] == "client-ready":
                if self._agent.ready:
                    await self._send_message(rtvi("bot-ready", {"version": "2.2.0"}))
                    if self._agent.greeting and not self._resumed:
                        self._answer(self._agent.greeting, latency=False)
            case pipecat_frames.Message(body) if body["type"] == "send-text":
                text = body["data"]["content"]
                self._heard.texts.append(text)
                await self._interrupt()
                if self._agent.replies:
                    self._answer(f"You typed: {text}")
            case other:
                raise AssertionError(f"unexpected frame of a client: {other}")

    async def _hear(self, block: bytes) -> None:
        samples = struct.unpack(f"<{len(block) // 2}h", block)
        voiced = math.sqrt(sum(s * s for s in samples) / len(samples)) > 300
        if voiced:
            if not self._voiced_ms:
                await self._send_message(rtvi("user-started-speaking"))
                await self._interrupt()
            self._voiced_ms += self._quiet_ms + 20
            self._quiet_ms = 0
        elif self._voiced_ms:
            self._quiet_ms += 20
            if self._quiet_ms >= END_OF_TURN_MS:
                said = f"an utterance of {self._voiced_ms} ms"
                self._voiced_ms = self._quiet_ms = 0
                await self._send_message(
                    rtvi("user-transcription", {"text": said, "final": True, "user_id": ""})
                )
                await self._send_message(rtvi("user-stopped-speaking"))
                if self._agent.answers:
                    self._answer(f"I heard {said}.")

    def _answer(self, text: str, latency: bool = True) -> None:
        self._speaking = asyncio.create_task(self._say(text, latency))

    async def _say(self, text: str, latency: bool) -> None:
        loop = asyncio.get_running_loop()
        await self._send_message(rtvi("bot-llm-started"))
        await asyncio.sleep(self._agent.think_ms / 1000)
        await self._send_message(rtvi("bot-started-speaking"))
        if latency:
            self._turn += 1
            stages = [
                {"key": "endpointing_wait", "label": "endpointing wait", "ms": END_OF_TURN_MS},
                {"key": "llm_inference", "label": "LLM", "ms": self._agent.think_ms},
            ]
            total = END_OF_TURN_MS + self._agent.think_ms
            await self._send_message(
                rtvi("server-message",
                     {"type": "latency", "turn": self._turn, "total_ms": total, "stages": stages})
            )  # fmt: skip
        await self._send_message(
            rtvi("bot-output", {"text": text, "segment_id": hash(text) & 0xFFFF})
        )
        sound = self._agent.voice or tone(self._agent.reply_ms, self._agent.reply_hertz)
        size, due = 2 * RATE * CHUNK_MS // 1000, loop.time()
        for start in range(0, len(sound), size):
            await self._send(pipecat_frames.Audio(sound[start : start + size], RATE))
            due += CHUNK_MS / 1000
            await asyncio.sleep(max(0, due - loop.time()))
        await self._send_message(rtvi("bot-stopped-speaking"))
        self._speaking = None

    async def _interrupt(self) -> None:
        if self._speaking:
            self._speaking.cancel()
            self._speaking = None
            await self._send(pipecat_frames.Interruption())
            await self._send_message(rtvi("bot-interrupted"))
            await self._send_message(rtvi("bot-stopped-speaking"))

    async def _send_message(self, message: dict[str, Any]) -> None:
        await self._send(pipecat_frames.Message(json.loads(json.dumps(message))))

    async def _send(self, frame: pipecat_frames.Frame) -> None:
        with contextlib.suppress(ConnectionError):
            await self._socket.send_bytes(pipecat_frames.encode(frame))

    async def end(self) -> None:
        if self._speaking:
            self._speaking.cancel()
