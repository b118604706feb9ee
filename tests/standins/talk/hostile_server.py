"""A session server and agent that attack the client: any bytes, at any length, without end.

Its sockets are real and its HTTP is aiohttp's; what it says is the test's. It is as faithful as an
attacker has to be: the handshake and `bot-ready` are right, so that the client listens.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from aiohttp import web

from tests.standins import site
from tests.standins.talk.session_server import rtvi
from voicecore.talk.transports import pipecat_frames


def frame(kind: int, **fields: bytes | int) -> bytes:
    """Return the protobuf of a Pipecat frame, whose fields may hold anything.

    kind: 2 is audio (3 audio, 4 rate, 5 channels), 4 is a message (1 data).
    """
    body = b"".join(_field(int(name[1:]), value) for name, value in fields.items())
    return _field(kind, body)


def message(text: str | bytes) -> bytes:
    """Return a message frame with this text, JSON or not."""
    return frame(4, _1=text if isinstance(text, bytes) else text.encode())


def audio(pcm: bytes, rate: int, channels: int = 1) -> bytes:
    """Return an audio frame."""
    return frame(2, _3=pcm, _4=rate, _5=channels)


def _field(number: int, value: bytes | int) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


@dataclass
class HostileServer:
    """Serves while its `async with` block runs."""

    status: int = 200
    start: bytes | None = None
    """Body of the answer to /start; None for a good one."""
    endless_start: bytes = b""
    """Sent as the body of the answer to /start, again and again."""
    messages: Sequence[bytes] = ()
    """WebSocket messages after `bot-ready`."""
    flood: Sequence[bytes] = ()
    """WebSocket messages that follow, again and again, as fast as the client takes them."""
    close: tuple[int, bytes] | None = None
    """Close code and reason after the messages."""
    stops: bool = True
    """False if DELETE is never answered."""
    sent: int = 0
    """Number of messages of the flood that were sent."""
    url: str = ""
    _over: asyncio.Event = field(default_factory=asyncio.Event)

    async def __aenter__(self) -> HostileServer:
        app = web.Application()
        app.router.add_post("/start", self._start)
        app.router.add_delete("/sessions/{id}", self._stop)
        app.router.add_get("/ws", self._ws)
        self._site = await site.started(app, shutdown_seconds=0.1)
        self.port, self.url = self._site.port, self._site.url
        return self

    async def __aexit__(self, *_: object) -> None:
        self._over.set()
        await self._site.stop()

    async def _start(self, request: web.Request) -> web.StreamResponse:
        if self.endless_start:
            response = web.StreamResponse(headers={"Content-Type": "application/json"})
            await response.prepare(request)
            with suppress(ConnectionError):
                while not self._over.is_set():
                    await response.write(self.endless_start)
                    self.sent += 1
            return response
        good = {"sessionId": "s" * 33, "token": "t", "wsUrl": f"ws://127.0.0.1:{self.port}/ws"}
        body = json.dumps(good).encode() if self.start is None else self.start
        return web.Response(body=body, status=self.status, content_type="application/json")

    async def _stop(self, request: web.Request) -> web.Response:
        if not self.stops:
            await self._over.wait()
        return web.Response(status=204)

    async def _ws(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.receive()
        await socket.send_bytes(pipecat_frames.encode(pipecat_frames.Message(rtvi("bot-ready"))))
        with suppress(ConnectionError):
            for each in self.messages:
                await socket.send_bytes(each)
            while self.flood and not self._over.is_set():
                for each in self.flood:
                    await socket.send_bytes(each)
                    self.sent += 1
            if self.close:
                await socket.close(code=self.close[0], message=self.close[1])
            async for _ in socket:
                pass
        return socket
