"""The media bridge: a provider's socket on one side, the agent's on the other, frames unchanged.

A provider cannot sign for AgentCore, so we stand between them. The provider's socket lasts as long
as the call; the agent's for 60 minutes at most, and is made anew, in the same session.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from enum import Enum
from typing import Any, cast

import aiohttp
from starlette.websockets import WebSocket, WebSocketDisconnect
from yarl import URL

from ..agentcore import AgentCore
from . import phone_audio
from .provider import BadStart, Frame, Provider, Stream

# A provider speaks at once; who does not, speaks no protocol of theirs.
FIRST_SECONDS = 5
# An agent has 30 s to start.
CONNECT_SECONDS = 40
# Frames that wait for the agent: 30 s of them. If there are more, the provider is to wait.
WAITING = 1500
# What has waited goes at twice the speed of speech. AgentCore takes 250 frames a second, but an
# agent decides that speech has begun while more of it passes, and keeps but the last second of it.
PER_SECOND, AT_ONCE = 100, 10
# Kept since the agent last spoke, to be said again should the connection break before it answers.
RECENT = 1500
# Parts of a connection's 60 minutes after which a quiet moment is used, and none is waited for.
FIRST_CHANCE, LAST_CHANCE = 5 / 6, 0.97
# Seconds before each try to connect.
BACKOFF = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)
STABLE_SECONDS = 5.0
# What AgentCore says when it is worth to ask again: it is being made or ended, or too much is.
BUSY = (409, 429, 500, 502, 503, 504)
# What Starlette says when somebody has gone.
CLOSED = (RuntimeError, WebSocketDisconnect)
# For what was said last to be heard, before the call is ended.
GOODBYE_SECONDS = 30
# The same, and the words of apology before it, where the server ends.
LAST_WORDS_SECONDS = 10


CLOSE_TIMEOUT = cast("Any", aiohttp.ClientWSTimeout)(ws_close=2.0)  # attrs hides its parameters


class Unreachable(Exception):
    """There is no agent to speak to; the message says why."""


class Ending(Enum):
    """Who ended it: the call, or only a connection."""

    CALLER = "the caller"
    AGENT = "the agent"
    SERVER = "us: the server ends"
    CUT = "nobody"


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
        self._stream = Stream("", "", "", 0)
        self._opening: list[Frame] = []
        self._heard: asyncio.Queue[Frame] = asyncio.Queue(WAITING)
        self._recent: deque[tuple[Frame, bool]] = deque(maxlen=RECENT)
        self._piece_seconds = 0.02
        self._playing_until = 0.0
        self._listening: asyncio.Task[None] | None = None
        self._until: float | None = None
        self._limit: asyncio.Timeout | None = None

    async def open(self, call_id: str) -> None:
        """Read how the provider begins. Raises BadStart if that is not as it should be."""
        try:
            async with asyncio.timeout(FIRST_SECONDS):
                self._stream = await self._begin()
        except TimeoutError:
            raise BadStart(f"no start within {FIRST_SECONDS} s") from None
        if self._stream.call_id != call_id:
            raise BadStart("another call's")
        wanted = (self._provider.encoding, self._provider.rate)
        if (self._stream.encoding, self._stream.rate) != wanted:
            raise BadStart(f"sound in {self._stream.encoding} at {self._stream.rate} Hz")
        self._listening = asyncio.create_task(self._listen())

    def end_at(self, when: float) -> None:
        """Let the call last no longer than that, by the loop's time."""
        self._until = when
        if self._limit is not None:
            self._limit.reschedule(when)

    async def carry(self) -> Ending:
        """Carry what both say until one of them ends the call. Raises Unreachable."""
        try:
            async with asyncio.timeout_at(self._until) as self._limit:
                return await self._carry()
        except TimeoutError:
            return Ending.SERVER
        finally:
            self._limit = None

    async def _carry(self) -> Ending:
        loop, tries, met = asyncio.get_running_loop(), 0, False
        while True:
            begun = loop.time()
            try:
                ending = await self._hold()
                if ending is not Ending.CUT:
                    return ending
                met, why = True, "the connection broke"
            except aiohttp.WSServerHandshakeError as error:
                why = f"HTTP {error.status}"
                if not met and error.status not in BUSY:
                    raise Unreachable(why) from error
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                why = type(error).__name__
            tries = 0 if loop.time() - begun > STABLE_SECONDS else tries + 1
            if tries == len(BACKOFF):
                raise Unreachable(why)
            if await self._gone_within(BACKOFF[tries]):
                return Ending.CALLER

    async def apologise(self) -> None:
        """Tell the caller that there is nobody to speak to."""
        words = phone_audio.apology(self._provider.encoding, self._provider.rate)
        width = 1 if self._provider.encoding == "ulaw" else 2
        step = self._provider.rate * self._provider.piece_ms // 1000 * width
        for start in range(0, len(words) - step + 1, step):  # whole pieces: it ends in silence
            await self._send(self._provider.say(self._stream, words[start : start + step]))

    async def finish(self) -> None:
        """Wait until the caller has heard all that was said."""
        await self._send(self._provider.mark(self._stream, "goodbye"))
        patience = asyncio.get_running_loop().time() + GOODBYE_SECONDS
        if self._until:
            patience = min(patience, self._until + LAST_WORDS_SECONDS)
        with suppress(TimeoutError):
            async with asyncio.timeout_at(patience):
                while not await self._gone_within(0):
                    frame = await self._next()
                    if frame is None or self._provider.passed(frame, "goodbye"):
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
            if stream := self._provider.started(frame):
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
            await self._heard.put(frame)

    async def _gone_within(self, seconds: float) -> bool:
        """Whether the caller hangs up within this time."""
        assert self._listening
        await asyncio.wait({self._listening}, timeout=seconds)
        return self._listening.done()

    async def _next(self) -> Frame | None:
        """What the provider sends next; None if it has gone."""
        assert self._listening
        getting = asyncio.create_task(self._heard.get())
        try:
            await asyncio.wait({getting, self._listening}, return_when=asyncio.FIRST_COMPLETED)
            return getting.result() if getting.done() else None
        finally:
            getting.cancel()

    async def _hold(self) -> Ending:
        """One connection to the agent, from handshake to end."""
        assert self._listening
        connecting = asyncio.create_task(self._connect())
        try:
            await asyncio.wait({connecting, self._listening}, return_when=asyncio.FIRST_COMPLETED)
            if not connecting.done():
                return Ending.CALLER
            agent = await connecting
        finally:
            connecting.cancel()
        begun = asyncio.get_running_loop().time()
        ways = [self._to_agent(agent), self._from_agent(agent, begun), self._renew()]
        tasks = [asyncio.create_task(way) for way in ways]
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
            url = await self._agentcore.websocket_url(self._session_id, "telephony")
            return await self._http.ws_connect(
                # Signed to the letter: nothing of it may be decoded and encoded again.
                URL(url, encoded=True),
                heartbeat=20,  # notices a dead network
                timeout=CLOSE_TIMEOUT,
                compress=0,
            )

    async def _to_agent(self, agent: Any) -> Ending:
        pace = Pace()
        try:
            for frame in self._said_before():
                await pace.wait()
                await send(agent, frame)
            while True:
                frame = await self._heard.get()
                self._remember(frame)
                await pace.wait()
                await send(agent, frame)
        except (aiohttp.ClientError, OSError):
            # Whoever receives is about to learn why.
            return await asyncio.get_running_loop().create_future()

    async def _from_agent(self, agent: Any, begun: float) -> Ending:
        loop = asyncio.get_running_loop()
        async for message in agent:
            frame = message.data
            await self._send(frame)
            if played := self._seconds(frame):
                if self._playing_until < loop.time():
                    self._recent.clear()  # it begins to speak: what was said so far is answered
                self._playing_until = max(self._playing_until, loop.time()) + played
            elif "clear" in str(frame)[:40]:  # it was interrupted
                self._playing_until = 0
        young = loop.time() - begun < LAST_CHANCE * self._stream_seconds
        return Ending.AGENT if agent.close_code == 1000 and young else Ending.CUT

    async def _renew(self) -> Ending:
        """End the connection before AgentCore does, in a moment when nobody speaks."""
        loop = asyncio.get_running_loop()
        due = loop.time() + LAST_CHANCE * self._stream_seconds
        await asyncio.sleep(FIRST_CHANCE * self._stream_seconds)
        while loop.time() < due and not self._quiet(loop.time()):
            await asyncio.sleep(0.05)
        return Ending.CUT

    def _quiet(self, now: float) -> bool:
        return self._playing_until < now and not self._unanswered()

    def _said_before(self) -> Iterator[Frame]:
        """What a new connection begins with: the call's start, and what was not answered yet."""
        again = self._unanswered()
        self._recent.clear()
        self._recent.extend(again)
        yield from (*self._opening, *(frame for frame, _ in again))

    def _remember(self, frame: Frame) -> None:
        """Keep what the caller says, and whether there is anything in it: words, or a key."""
        provider, heard = self._provider, self._provider.sound(frame)
        key = isinstance(frame, str) and 'dtmf"' in frame
        if heard:
            self._piece_seconds = phone_audio.seconds(heard, provider.encoding, provider.rate)
        if heard or key:
            self._recent.append((frame, key or phone_audio.is_loud(heard, provider.encoding)))

    def _unanswered(self) -> list[tuple[Frame, bool]]:
        recent = list(self._recent)
        loud = [is_loud for _, is_loud in recent]
        return recent[phone_audio.unanswered(loud, self._piece_seconds)]

    def _seconds(self, frame: Frame) -> float:
        heard = self._provider.sound(frame)
        return phone_audio.seconds(heard, self._provider.encoding, self._provider.rate)

    async def _send(self, frame: Frame) -> None:
        with suppress(*CLOSED):  # the caller has gone, as the listener will tell
            if isinstance(frame, str):
                await self._socket.send_text(frame)
            else:
                await self._socket.send_bytes(frame)


class Pace:
    """Lets frames through no faster than an agent can listen."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()  # asking for it takes a system call in Python 3.11
        self._left, self._since = float(AT_ONCE), self._loop.time()

    async def wait(self) -> None:
        """Wait, if need be, until one more is allowed."""
        now = self._loop.time()
        self._left = min(AT_ONCE, self._left + (now - self._since) * PER_SECOND)
        self._since = now
        self._left -= 1
        if self._left < 0:
            await asyncio.sleep(-self._left / PER_SECOND)


async def send(agent: Any, frame: Frame) -> None:
    """Send a frame to the agent, as text or bytes as it came."""
    if isinstance(frame, str):
        await agent.send_str(frame)
    else:
        await agent.send_bytes(frame)
