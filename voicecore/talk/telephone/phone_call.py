"""The telephone: rings a server as a provider does, and holds the media socket that it answers."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any, cast
from urllib.parse import urlsplit, urlunsplit

import aiohttp
from yarl import URL

from voicecore.console.errors import VoicecoreError
from voicecore.talk.audio.replay_buffer import Block
from voicecore.talk.first_done import first
from voicecore.talk.session_client import ServerDown
from voicecore.talk.telephone import webhooks
from voicecore.talk.telephone.call_control import Connect, Dial, HangUp, Say, read_answer
from voicecore.talk.telephone.g711 import Line
from voicecore.talk.telephone.media_frames import (
    KEYPAD,
    WIRES,
    BadFrame,
    Clear,
    Count,
    Mark,
    Play,
    Press,
    Request,
    Stream,
    Wire,
)
from voicecore.talk.telephone.webhooks import Credentials, PhoneCall
from voicecore.talk.transports import connection, pipecat_frames
from voicecore.talk.transports.connection import Connected, ConnectionLost, Deliver, HungUp, Note

_ANSWER_SECONDS = 15.0
"""Twilio waits so long for the answer to its webhook; the others do not wait longer."""
_GOODBYE_SECONDS = 2.0
_CLOSE_TIMEOUT = cast("Any", aiohttp.ClientWSTimeout)(ws_close=_GOODBYE_SECONDS)


class NotTaken(VoicecoreError):
    """The server does not want the call."""


class Leg:
    """One media socket, held as its provider holds it.

    `take` is told all that the server sends: what it asks for, or why the provider refuses it.
    """

    def __init__(
        self,
        wire: Wire,
        stream: Stream,
        socket: aiohttp.ClientWebSocketResponse,
        take: Callable[[Request | BadFrame], None],
    ) -> None:
        self._wire, self._stream, self._socket, self._take = wire, stream, socket, take
        self._loop = asyncio.get_running_loop()
        self._pending = bytearray()
        self._outbox: deque[str | bytes] = deque()
        self._work = asyncio.Event()
        self._messages, self._chunks = 1, 0
        self._heard_until = 0.0  # when the caller has heard all that was sent
        self._marks: deque[tuple[str, asyncio.TimerHandle]] = deque()

    async def open(self) -> None:
        """Say what comes before any sound."""
        for text in self._wire.opening(self._stream):
            await self._socket.send_str(text)

    def say(self, sound: bytes) -> None:
        """Send sound, in the encoding of the wire."""
        self._pending += sound
        size = self._wire.bytes_per_ms * self._wire.chunk_ms
        while len(self._pending) >= size:
            chunk = bytes(self._pending[:size])
            del self._pending[:size]
            self._post(self._wire.media(self._stream, self._count(), chunk))
            self._chunks += 1

    def press(self, key: str) -> None:
        """Send a key."""
        self._post(self._wire.key(self._stream, self._count(), key))

    async def hold(self) -> None:
        """Carry both ways until the socket closes; its close code is the socket's."""
        await first(self._receive(), self._send())

    async def hang_up(self) -> None:
        """End the stream, as the caller does; nothing happens where the server has ended it."""
        for _, timer in self._marks:
            timer.cancel()
        if not self._socket.closed:
            stop = self._wire.stop(self._stream, self._count())
            if stop:
                await self._socket.send_str(stop)
            await self._socket.close()

    def _count(self) -> Count:
        return Count(self._messages + 1, self._chunks, self._chunks * self._wire.chunk_ms)

    def _post(self, message: str | bytes) -> None:
        self._messages += 1
        self._outbox.append(message)
        self._work.set()

    async def _send(self) -> None:
        try:
            while True:
                while self._outbox:
                    message = self._outbox.popleft()
                    if isinstance(message, str):
                        await self._socket.send_str(message)
                    else:
                        await self._socket.send_bytes(message)
                self._work.clear()
                await self._work.wait()
        except (aiohttp.ClientError, OSError):
            # The receiver is about to learn why: only it gets the peer's close code.
            await self._loop.create_future()

    async def _receive(self) -> None:
        kinds = (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY)
        while (message := await self._socket.receive()).type in kinds:
            try:
                request = self._wire.read(self._stream, message.data)
            except BadFrame as bad:
                self._take(bad)
            else:
                self._follow(request)
                self._take(request)

    def _follow(self, request: Request) -> None:
        now = self._loop.time()
        match request:
            case Play(sound):
                seconds = len(sound) / self._wire.bytes_per_ms / 1000
                self._heard_until = max(now, self._heard_until) + seconds
            case Mark(name):
                timer = self._loop.call_at(max(now, self._heard_until), self._reached)
                self._marks.append((name, timer))
            case Clear():
                self._heard_until = now
                self._clear()
            case Press():
                pass

    def _reached(self) -> None:
        name, _ = self._marks.popleft()
        self._post(self._wire.played(self._stream, self._count(), name))

    def _clear(self) -> None:
        for _, timer in self._marks:
            timer.cancel()
        while self._marks and self._wire.marks_when_cleared:
            self._reached()
        self._marks.clear()
        cleared = self._wire.cleared(self._stream, self._count())
        if cleared:
            self._post(cleared)


class Telephone(connection.Channel):
    """One call to the server at `url`, as the provider of `call` would bring it there."""

    greeting_seconds = 30.0
    """The line stands before the agent has started, for which AgentCore has so long."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        url: str,
        call: PhoneCall,
        credentials: Credentials,
        deliver: Deliver,
    ) -> None:
        super().__init__(deliver)
        self._http, self._url = http, url.rstrip("/")
        self._call, self._credentials = call, credentials
        self._public = credentials.get("PUBLIC_URL", self._url).rstrip("/")
        """What the server is called by: signatures are over that, wherever it is reached."""
        self._wire = WIRES[call.provider]
        self._line = Line(self._wire)
        self._leg: Leg | None = None
        self._complained: set[str] = set()

    def say(self, block: Block) -> None:
        """Send BLOCK_MS of what the caller says."""
        if self._leg:
            self._leg.say(self._line.said(block.sound))

    def press(self, key: str) -> bool:
        """Press a key."""
        if self._leg is None or key not in KEYPAD:
            return False
        self._leg.press(key)
        return True

    def type(self, text: str) -> None:
        """Nothing: a telephone carries no text."""

    def turn_finished(self) -> None:
        """Nothing: a telephone is not told."""

    async def stop(self) -> None:
        """Nothing: a server ends the session of a call that has ended."""

    async def run(self) -> None:
        """Hold the call until the server ends it; cancel it to hang up yourself.

        Raises ServerDown, NotTaken, AnswerRefused, NoCredentials or ConnectionLost.
        """
        for step in read_answer(self._call.provider, await self._answer()):
            match step:
                case Connect(url, parameters):
                    await self._connect(url, self._call.media(parameters))
                case Say(text):
                    self._deliver(Note(f"the provider says: {text}"))
                case Dial(number):
                    self._deliver(Note(f"the call goes on to {number}"))
                    break
                case HangUp(rejected):
                    if rejected:
                        raise self._not_taken("it rejects the call")
                    break
        self._deliver(HungUp())

    async def _answer(self) -> str:
        """What the server says to the call."""
        request = webhooks.answer_request(self._call, f"{self._public}/phone/{self._call.provider}")
        headers = webhooks.sign(self._call, request, self._credentials, time.time())
        try:
            async with self._http.request(
                request.method,
                self._here(request.address),
                data=request.body or None,
                headers={"Content-Type": request.content_type, **headers},
                timeout=aiohttp.ClientTimeout(total=_ANSWER_SECONDS),
            ) as response:
                text = await response.text()
                if response.status >= 400:
                    raise self._not_taken(f"HTTP {response.status} {text[:200]}".strip())
                return text
        except (aiohttp.ClientError, TimeoutError) as error:
            reason = str(error) or f"no answer within {_ANSWER_SECONDS:.0f} s"
            raise ServerDown(
                f"The server at {self._url} does not answer the telephone: {reason}.",
                "Start the project's own with `voicecore dev`, or leave out --url.",
            ) from error

    def _not_taken(self, reason: str) -> NotTaken:
        provider = self._call.provider
        return NotTaken(
            f"The server at {self._url} does not take {provider.capitalize()}'s call to "
            f"{self._call.called}: {reason}.",
            f"Does its project have the provider?  voicecore add telephony --provider {provider}\n"
            "Is the number among PHONE_NUMBERS in its server/.env?",
        )

    async def _connect(self, url: str, stream: Stream) -> None:
        headers = webhooks.sign_handshake(self._call, url, self._credentials, time.time())
        try:
            async with self._http.ws_connect(
                # It may be signed to the letter: nothing of it may be decoded and encoded again.
                URL(self._here(url), encoded=True),
                headers=headers,
                timeout=_CLOSE_TIMEOUT,
                max_msg_size=0,
            ) as socket:
                leg = Leg(self._wire, stream, socket, self._take)
                try:
                    await leg.open()
                    self._leg = leg
                    self._deliver(Connected(resumed=False))
                    await leg.hold()
                finally:
                    self._leg = None
                    async with asyncio.timeout(_GOODBYE_SECONDS):
                        await leg.hang_up()
        except aiohttp.WSServerHandshakeError as error:
            raise self._lost(f"its handshake was refused with HTTP {error.status}") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._lost(str(error) or type(error).__name__) from error
        if socket.close_code not in (aiohttp.WSCloseCode.OK, 1005):  # 1005: closed without a code
            raise self._lost(f"it was closed with code {socket.close_code}")

    def _lost(self, reason: str) -> ConnectionLost:
        return ConnectionLost(
            f"The call's media socket broke: {reason}.",
            "`voicecore dev` in another terminal shows what server and agent say to it.",
        )

    def _take(self, request: Request | BadFrame) -> None:
        match request:
            case Play(sound):
                self._deliver(self._line.heard(sound))
            case Clear():
                self._deliver(pipecat_frames.Interruption())
            case Press(keys):
                self._deliver(Note(f"the agent presses {keys}"))
            case Mark():
                pass
            case BadFrame():
                self._complain(str(request))

    def _complain(self, reason: str) -> None:
        if reason not in self._complained:
            self._complained.add(reason)
            provider = self._call.provider.capitalize()
            self._deliver(Note(f"{provider} refuses what the server sent: {reason}"))

    def _here(self, url: str) -> str:
        """The URL by which the server is reached, of one that names it by its public address."""
        told, public, here = urlsplit(url), urlsplit(self._public), urlsplit(self._url)
        if told.netloc != public.netloc:
            return url
        media = told.scheme in ("ws", "wss")
        scheme = here.scheme.replace("http", "ws", 1) if media else here.scheme
        return urlunsplit((scheme, here.netloc, told.path, told.query, ""))
