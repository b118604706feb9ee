"""Owns the media bridge: it forwards frames unchanged between the provider and the agent.

A provider cannot sign requests to AgentCore, so this server stands between them. The provider's
socket lasts as long as the call; the agent's lasts 60 minutes at most, and is renewed in the same
session.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from enum import Enum
from sys import getsizeof
from typing import Any, cast

import aiohttp
from starlette.websockets import WebSocket, WebSocketDisconnect
from yarl import URL

from ..agentcore import AgentCore
from ..proxies import proxy_for
from . import phone_audio
from .phone_audio import Format
from .provider import BadStart, Frame, Provider, Stream

# A provider sends its start at once.
START_SECONDS = 5
# An agent has 30 s to start.
CONNECT_SECONDS = 40
# Frames that wait for the agent: 30 s of the shortest, of 10 ms. After that, the provider waits.
MAX_WAITING = 3000
# The same in bytes; the best audio of a provider has 32 kB/s.
WAITING_BYTES = 1_048_576
# Waiting frames go at twice the speed of speech: an agent that gets more than this while it detects
# speech keeps only the last second. AgentCore accepts 250 frames per second.
SPEED, FRAMES_PER_SECOND, BURST_SECONDS = 2, 200, 0.1
# Frames kept since the agent last spoke, to send again if the connection breaks before it answers.
MAX_RECENT = 3000
# Fractions of a connection's 60 minutes: from the first on it is renewed in a pause, from the
# second on at once.
RENEW_IN_PAUSE, RENEW_NOW = 5 / 6, 0.97
# Seconds before each attempt to connect.
BACKOFF = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)
STABLE_SECONDS = 5.0
# AgentCore's statuses that are worth a retry: the session is being created or ended, or throttled.
RETRYABLE = (409, 429, 500, 502, 503, 504)
# Starlette's errors after the other side has gone.
CLOSED = (OSError, RuntimeError, WebSocketDisconnect)
# For the last words to be played before the call ends.
GOODBYE_SECONDS = 30
# The same, after the apology of a server that stops.
LAST_WORDS_SECONDS = 10

CLOSE_TIMEOUT = cast("Any", aiohttp.ClientWSTimeout)(ws_close=2.0)  # attrs hides its parameters


class Unreachable(Exception):
    """The agent cannot be reached; the message says why."""


class Undecodable(Exception):
    """The caller's audio has a format that cannot be decoded; the message names it."""


class Ending(Enum):
    """The side that ended the call; or none, if only a connection ended."""

    CALLER = "the caller"
    AGENT = "the agent"
    SERVER = "the server: it is stopping"
    CUT = "no side"


class Bridge:
    """One call."""

    def __init__(
        self,
        socket: WebSocket,
        provider: Provider,
        agentcore: AgentCore,
        http: aiohttp.ClientSession,
        session_id: str,
        stream_seconds: float,
    ) -> None:
        self._socket, self._provider = socket, provider
        self._agentcore, self._http, self._session_id = agentcore, http, session_id
        self._stream_seconds = stream_seconds
        self._stream = Stream("", "", Format("", 0), Format("", 0))
        self._opening: list[Frame] = []
        self._received = FrameQueue(MAX_WAITING)
        self._recent: deque[tuple[Frame, bool]] = deque()
        self._recent_bytes = 0
        self._frame_seconds = 0.02
        self._playing_until = 0.0
        self._listening: asyncio.Task[None] | None = None
        self._until: float | None = None
        self._limit: asyncio.Timeout | None = None

    async def open(self, call_id: str) -> None:
        """Read the provider's start. Raises BadStart if it does not belong to this call."""
        try:
            async with asyncio.timeout(START_SECONDS):
                self._stream = await self._begin()
        except TimeoutError:
            raise BadStart(f"no start within {START_SECONDS} s") from None
        if self._stream.call_id != call_id:
            raise BadStart("another call's")
        self._listening = asyncio.create_task(self._listen())

    def end_at(self, when: float) -> None:
        """End the call at this time, by the loop's clock."""
        self._until = when
        if self._limit is not None:
            self._limit.reschedule(when)

    async def carry(self) -> Ending:
        """Forward frames until a side ends the call. Raises Unreachable or Undecodable."""
        heard = self._stream.heard
        if not heard.is_known:
            raise Undecodable(f"{heard.encoding} at {heard.rate} Hz")
        try:
            async with asyncio.timeout_at(self._until) as self._limit:
                return await self._carry()
        except TimeoutError:
            return Ending.SERVER
        finally:
            self._limit = None

    async def _carry(self) -> Ending:
        loop, attempts, connected = asyncio.get_running_loop(), 0, False
        while True:
            began = loop.time()
            try:
                ending = await self._hold()
                if ending is not Ending.CUT:
                    return ending
                connected, reason = True, "the connection broke"
            except aiohttp.WSServerHandshakeError as error:
                reason = f"HTTP {error.status}"
                if not connected and error.status not in RETRYABLE:
                    raise Unreachable(reason) from error
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                reason = type(error).__name__
            attempts = 0 if loop.time() - began > STABLE_SECONDS else attempts + 1
            if attempts == len(BACKOFF):
                raise Unreachable(reason)
            if await self._gone_within(BACKOFF[attempts]):
                return Ending.CALLER

    async def apologize(self) -> None:
        """Play the recorded apology to the caller."""
        played = self._stream.played
        words = phone_audio.apology(played)
        step = played.bytes_per_second * self._provider.chunk_ms // 1000
        for start in range(0, len(words) - step + 1, step):  # whole chunks: it ends in silence
            chunk = words[start : start + step]
            await self._send(self._provider.audio_frame(self._stream, chunk))

    async def finish(self) -> None:
        """Wait until the caller has heard all audio."""
        await self._send(self._provider.mark(self._stream, "goodbye"))
        deadline = asyncio.get_running_loop().time() + GOODBYE_SECONDS
        if self._until:
            deadline = min(deadline, self._until + LAST_WORDS_SECONDS)
        with suppress(TimeoutError):
            async with asyncio.timeout_at(deadline):
                while not await self._gone_within(0):
                    frame = await self._next()
                    if frame is None or self._provider.is_mark(frame, "goodbye"):
                        return

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the provider's socket."""
        if self._listening:
            self._listening.cancel()
        with suppress(*CLOSED):
            await self._socket.close(code, reason)

    async def _begin(self) -> Stream:
        for _ in range(2):
            frame = await self._receive()
            if frame is None:
                raise BadStart("it closed")
            self._opening.append(frame)
            if stream := self._provider.stream_start(frame):
                return stream
        raise BadStart("no start")

    async def _receive(self) -> Frame | None:
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            return None
        text = message.get("text")
        return message["bytes"] if text is None else text

    async def _listen(self) -> None:
        while (frame := await self._receive()) is not None:
            await self._received.put(frame)

    async def _gone_within(self, seconds: float) -> bool:
        """Return True if the caller hangs up within this time."""
        assert self._listening
        await asyncio.wait({self._listening}, timeout=seconds)
        return self._listening.done()

    async def _next(self) -> Frame | None:
        """Return the provider's next frame; None if it has closed."""
        assert self._listening
        getting = asyncio.create_task(self._received.get())
        try:
            await asyncio.wait({getting, self._listening}, return_when=asyncio.FIRST_COMPLETED)
            return getting.result() if getting.done() else None
        finally:
            getting.cancel()

    async def _hold(self) -> Ending:
        """Hold one connection to the agent, from handshake to end."""
        assert self._listening
        connecting = asyncio.create_task(self._connect())
        try:
            await asyncio.wait({connecting, self._listening}, return_when=asyncio.FIRST_COMPLETED)
            if not connecting.done():
                return Ending.CALLER
            agent = await connecting
        finally:
            connecting.cancel()
        began = asyncio.get_running_loop().time()
        parts = [self._to_agent(agent), self._from_agent(agent, began), self._renew()]
        tasks = [asyncio.create_task(part) for part in parts]
        try:
            done, _ = await asyncio.wait(
                {*tasks, self._listening}, return_when=asyncio.FIRST_COMPLETED
            )
            if self._listening in done:
                return Ending.CALLER
            return next(task for task in tasks if task in done).result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await agent.close()

    async def _connect(self) -> Any:
        async with asyncio.timeout(CONNECT_SECONDS):
            url = await self._agentcore.websocket_url(self._session_id, Transport="telephony")
            return await self._http.ws_connect(
                # Encoded, because the signature covers the exact text.
                URL(url, encoded=True),
                heartbeat=20,  # detects a dead network
                timeout=CLOSE_TIMEOUT,
                compress=0,
                proxy=proxy_for(url),
            )

    async def _to_agent(self, agent: Any) -> Ending:
        pacer = Pacer()
        try:
            for frame in self._unanswered_start():
                await pacer.wait(self._frame_seconds)
                await send(agent, frame)
            while True:
                frame = await self._received.get()
                audio = self._provider.audio_of(frame)
                if audio is None:
                    continue
                self._remember(frame, audio)
                await pacer.wait(self._stream.heard.seconds(audio))
                await send(agent, frame)
        except (aiohttp.ClientError, OSError):
            # _from_agent returns the ending.
            return await asyncio.get_running_loop().create_future()

    async def _from_agent(self, agent: Any, began: float) -> Ending:
        loop = asyncio.get_running_loop()
        async for message in agent:
            frame = message.data
            await self._send(frame)
            if played := self._seconds(frame):
                if self._playing_until < loop.time():
                    self._forget()  # it starts to speak: all before it is answered
                self._playing_until = max(self._playing_until, loop.time()) + played
            elif "clear" in str(frame)[:40]:  # it was interrupted
                self._playing_until = 0
        young = loop.time() - began < RENEW_NOW * self._stream_seconds
        return Ending.AGENT if agent.close_code == 1000 and young else Ending.CUT

    async def _renew(self) -> Ending:
        """End the connection before AgentCore does, in a pause if there is one."""
        loop = asyncio.get_running_loop()
        due = loop.time() + RENEW_NOW * self._stream_seconds
        await asyncio.sleep(RENEW_IN_PAUSE * self._stream_seconds)
        while loop.time() < due and not self._is_pause(loop.time()):
            await asyncio.sleep(0.05)
        return Ending.CUT

    def _is_pause(self, now: float) -> bool:
        return self._playing_until < now and not self._unanswered()

    def _unanswered_start(self) -> Iterator[Frame]:
        """Yield the first frames of a new connection: the call's start, and unanswered audio."""
        again = self._unanswered()
        self._forget()
        for frame, is_loud in again:
            self._keep(frame, is_loud)
        yield from (*self._opening, *(frame for frame, _ in again))

    def _remember(self, frame: Frame, audio: bytes) -> None:
        """Keep a frame of the caller, and whether it has speech or a key."""
        heard = self._stream.heard
        is_key = isinstance(frame, str) and 'dtmf"' in frame
        if audio:
            self._frame_seconds = heard.seconds(audio)
        if audio or is_key:
            self._keep(frame, is_key or heard.is_loud(audio))

    def _keep(self, frame: Frame, is_loud: bool) -> None:
        while self._recent and (
            len(self._recent) == MAX_RECENT or self._recent_bytes + getsizeof(frame) > WAITING_BYTES
        ):
            self._recent_bytes -= getsizeof(self._recent.popleft()[0])
        self._recent.append((frame, is_loud))
        self._recent_bytes += getsizeof(frame)

    def _forget(self) -> None:
        self._recent.clear()
        self._recent_bytes = 0

    def _unanswered(self) -> list[tuple[Frame, bool]]:
        recent = list(self._recent)
        loud = [is_loud for _, is_loud in recent]
        return recent[phone_audio.unanswered(loud, self._frame_seconds)]

    def _seconds(self, frame: Frame) -> float:
        return self._stream.played.seconds(self._provider.audio_of(frame) or b"")

    async def _send(self, frame: Frame) -> None:
        with suppress(*CLOSED):  # the caller has gone; _listen notices
            if isinstance(frame, str):
                await self._socket.send_text(frame)
            else:
                await self._socket.send_bytes(frame)


class FrameQueue(asyncio.Queue[Frame]):
    """A queue that is also full when its frames have too many bytes."""

    _bytes = 0

    def full(self) -> bool:
        return super().full() or self._bytes >= WAITING_BYTES

    def _put(self, item: Frame) -> None:
        self._bytes += getsizeof(item)
        super()._put(item)

    def _get(self) -> Frame:
        item = super()._get()
        self._bytes -= getsizeof(item)
        return item


class Pacer:
    """Limits frames to the speed at which an agent can listen."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()  # getting it takes a system call in Python 3.11
        self._left, self._since = BURST_SECONDS, self._loop.time()

    async def wait(self, seconds: float) -> None:
        """Wait until a frame with this much audio is allowed."""
        now = self._loop.time()
        self._left = min(BURST_SECONDS, self._left + now - self._since)
        self._since = now
        self._left -= max(seconds / SPEED, 1 / FRAMES_PER_SECOND)
        if self._left < 0:
            await asyncio.sleep(-self._left)


async def send(agent: Any, frame: Frame) -> None:
    """Send a frame to the agent, as text or bytes, as it came."""
    if isinstance(frame, str):
        await agent.send_str(frame)
    else:
        await agent.send_bytes(frame)
