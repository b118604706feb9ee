"""A stand-in of a session server that takes calls: /phone/PROVIDER, and the media socket.

It greets with a tone, detects speech by level and keys up to #, clears when the caller speaks, and
answers with a tone, in the frames that Pipecat's serializers write.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web

from tests.standins import site
from tests.standins.talk.session_server import tone
from voicecore.catalog.phones.record import MULAW
from voicecore.talk.audio import pcm
from voicecore.talk.telephone.g711 import LAWS

END_OF_TURN_MS = 300
ANSWERS = {
    "twilio": '<Response><Connect><Stream url="{url}"><Parameter name="k" value="v"/></Stream>'
    "</Connect></Response>",
    "telnyx": '<Response><Connect><Stream url="{url}" bidirectionalMode="rtp"/></Connect>'
    "</Response>",
    "plivo": '<Response><Stream bidirectional="true" keepCallAlive="true" '
    'contentType="audio/x-mulaw;rate=8000">{url}</Stream></Response>',
    "exotel": '{{"url": "{url}"}}',
    "vonage": '[{{"action": "connect", "endpoint": [{{"type": "websocket", "uri": "{url}", '
    '"content-type": "audio/l16;rate=16000", "headers": {{"call_id": "c"}}}}]}}]',
}


@dataclass
class PhoneServerStandIn:
    """Serves while its `async with` block runs."""

    answer: str | None = None
    """Answer to a call, instead of connecting it; {url} stands for its media socket."""
    status: int = 200
    greets: bool = True
    reply_ms: int = 600
    keys_ms: int = 200
    """Length of its reply to keys that end with #."""
    thinks_ms: int = 0
    """Time before that reply, at whose begin it clears what it was playing, as agents do."""
    hangs_up_after: int = 0
    """Number of answers after which it sends a mark, waits for it, and closes."""
    flood: Sequence[str] = ()
    """Messages to send at once, before it closes the socket."""
    webhooks: list[tuple[str, dict[str, str], dict[str, Any]]] = field(default_factory=list)
    """Method, headers and fields of each request."""
    handshakes: list[dict[str, str]] = field(default_factory=list)
    received: list[Any] = field(default_factory=list)
    """All messages of all sockets, as objects or bytes."""
    sizes: set[int] = field(default_factory=set)
    """Sizes of the audio messages that came, in bytes."""
    url: str = ""

    async def __aenter__(self) -> PhoneServerStandIn:
        self._received = asyncio.Event()
        app = web.Application()
        app.router.add_route("*", "/phone/{provider}", self._ring)
        app.router.add_get("/phone/{provider}/media/token", self._media)
        self._site = await site.started(app)
        self.url = self._site.url
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._site.stop()

    def events(self, name: str) -> list[Any]:
        """Return the messages of one event that came."""
        return [m for m in self.received if isinstance(m, dict) and m.get("event") == name]

    def receive(self, message: Any) -> None:
        """Keep a message."""
        self.received.append(message)
        self._received.set()

    async def receives(self, count: int) -> list[Any]:
        """Wait for this many messages; return the first of them."""
        async with asyncio.timeout(60):
            while len(self.received) < count:
                self._received.clear()
                await self._received.wait()
        return self.received[:count]

    async def _ring(self, request: web.Request) -> web.Response:
        provider = request.match_info["provider"]
        fields = dict(request.query) if request.method == "GET" else dict(await request.post())
        self.webhooks.append((request.method, dict(request.headers), fields))
        url = f"{self.url.replace('http', 'ws', 1)}/phone/{provider}/media/token"
        answer = ANSWERS[provider] if self.answer is None else self.answer
        return web.Response(text=answer.format(url=url), status=self.status)

    async def _media(self, request: web.Request) -> web.WebSocketResponse:
        self.handshakes.append(dict(request.headers))
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        for message in self.flood:
            await socket.send_str(message)
        if self.flood:
            await socket.close()
            return socket
        await _PhoneAgent(self, socket, request.match_info["provider"]).run()
        return socket


class _PhoneAgent:
    """The agent's side of one media socket."""

    def __init__(
        self, server: PhoneServerStandIn, socket: web.WebSocketResponse, provider: str
    ) -> None:
        self.server, self.socket, self.provider = server, socket, provider
        self.rate = 16_000 if provider == "vonage" else 8000
        self.stream = ""
        self.voiced = self.quiet = self.answers = 0
        self.speaking: asyncio.Task[None] | None = None

    async def run(self) -> None:
        async for message in self.socket:
            if message.type is WSMsgType.BINARY:
                self.server.receive(message.data)
                await self._hear(message.data)
                continue
            body = json.loads(message.data)
            self.server.receive(body)
            match body["event"]:
                case "start" | "websocket:connected":
                    start = body.get("start", {})
                    keys = ("streamSid", "streamId", "stream_sid")
                    self.stream = next((start[key] for key in keys if key in start), "")
                    if self.server.greets:
                        self._speak(400)
                case "media":
                    sound = base64.b64decode(body["media"]["payload"])
                    await self._hear(sound)
                case "mark" | "playedStream" | "websocket:notify":
                    await self.socket.close()
                case "dtmf" | "websocket:dtmf" if "#" in message.data:
                    await self._interrupt()
                    self._speak(self.server.keys_ms, self.server.thinks_ms)
                case _:
                    pass
        if self.speaking:
            self.speaking.cancel()

    async def _hear(self, sound: bytes) -> None:
        self.server.sizes.add(len(sound))
        if self.provider in ("twilio", "telnyx", "plivo"):
            sound = LAWS[MULAW].decode(sound)
        step = 2 * self.rate // 50
        for n in range(0, len(sound), step):
            if pcm.rms(sound[n : n + step]) > 300:
                if not self.voiced:
                    await self._interrupt()
                self.voiced, self.quiet = self.voiced + 20, 0
            elif self.voiced:
                self.quiet += 20
                if self.quiet >= END_OF_TURN_MS:
                    self.voiced = self.quiet = 0
                    self.answers += 1
                    self._speak(self.server.reply_ms)

    def _speak(self, ms: int, after_ms: int = 0) -> None:
        self.speaking = asyncio.create_task(self._say(ms, after_ms))

    async def _say(self, ms: int, after_ms: int) -> None:
        await asyncio.sleep(after_ms / 1000)
        sound = tone(ms, rate=self.rate)
        chunk = 2 * self.rate * (20 if self.provider == "vonage" else 40) // 1000
        with contextlib.suppress(ConnectionError):
            for n in range(0, len(sound), chunk):
                await self._play(sound[n : n + chunk])
                await asyncio.sleep(chunk / 2 / self.rate)
            if self.answers and self.answers == self.server.hangs_up_after:
                await self._mark()

    async def _play(self, sound: bytes) -> None:
        if self.provider == "vonage":
            await self.socket.send_bytes(sound)
            return
        wire = sound if self.provider == "exotel" else LAWS[MULAW].encode(sound)
        media: dict[str, Any] = {"payload": base64.b64encode(wire).decode()}
        if self.provider == "plivo":
            media |= {"contentType": "audio/x-mulaw", "sampleRate": 8000}
        await self._send("playAudio" if self.provider == "plivo" else "media", {"media": media})

    async def _mark(self) -> None:
        if self.provider == "vonage":
            await self.socket.send_json({"action": "notify", "payload": {"mark": "bye"}})
        elif self.provider == "plivo":
            await self._send("checkpoint", {"name": "bye"})
        else:
            await self._send("mark", {"mark": {"name": "bye"}})

    async def _interrupt(self) -> None:
        if self.speaking:
            self.speaking.cancel()
        if self.provider == "vonage":
            await self.socket.send_json({"action": "clear"})
        else:
            await self._send("clearAudio" if self.provider == "plivo" else "clear", {})

    async def _send(self, event: str, body: dict[str, Any]) -> None:
        keys = {"twilio": "streamSid", "plivo": "streamId", "exotel": "stream_sid"}
        named = {keys[self.provider]: self.stream} if self.provider in keys else {}
        await self.socket.send_json({"event": event, **named, **body})
