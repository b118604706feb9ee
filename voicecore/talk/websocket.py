"""The held-open connection to the agent: what is said goes out, frames come in, cuts are mended."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import aiohttp
from yarl import URL

from voicecore.errors import ExitCode, VoicecoreError
from voicecore.talk import frames, pcm, rtvi
from voicecore.talk.ring import Block, Ring
from voicecore.talk.session import ServerDown, Session, SessionServer
from voicecore.talk.tasks import first

STREAM_SECONDS = 3600.0
"""AgentCore ends every stream after 60 minutes (AWS quotas: streaming maximum duration)."""
_FIRST_CHANCE, _LAST_CHANCE = 5 / 6, 0.97
"""Parts of the stream's life after which a quiet moment is used, and none is waited for."""

_REPLAY_BLOCKS, _REPLAY_PAUSE = 1, 0.010
"""Twice real time, and 100 of the 250 frames/s that AgentCore allows. No faster: an agent decides
that speech has begun while more of it passes, and keeps only the last second until then."""

_BACKOFF = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)
"""Seconds before each try to reconnect."""
_STABLE_SECONDS = 5.0
"""A connection that lived this long was a good one: the tries start anew."""
_CLOSE_TIMEOUT = cast("Any", aiohttp.ClientWSTimeout)(ws_close=2.0)  # attrs hides its parameters
_READY_SECONDS = 45.0
"""AgentCore gives an agent 30 s to start; the rest is for the network and the pipeline."""


class ConnectionLost(VoicecoreError):
    """The connection broke and could not be made again."""


class AgentMute(VoicecoreError):
    """The connection stands, but the agent never said that it is ready."""


@dataclass(frozen=True)
class Connected:
    """The agent is ready; resumed: on a connection that replaces another."""

    resumed: bool


@dataclass(frozen=True)
class Disconnected:
    """The connection is gone and will be made again; planned: we closed it in time."""

    reason: str
    planned: bool


@dataclass(frozen=True)
class HungUp:
    """The agent ended the call."""


News = frames.Audio | frames.Interruption | rtvi.Event | Connected | Disconnected | HungUp


@dataclass(frozen=True)
class _Ending:
    """Why one connection ended, and how the conversation goes on."""

    reason: str
    by_agent: bool = False
    refused: bool = False
    """AgentCore itself did not let us in."""
    next: Session | None = None
    """Made while the old connection still stood, so that the gap is one handshake long."""


class Connection:
    """One conversation over as many WebSockets as it takes.

    Holds the socket, the ring of what was said, and the session. `deliver` is called for
    everything that arrives; `quiet` says whether nobody would notice a reconnect now.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        server: SessionServer,
        deliver: Callable[[News], None],
        quiet: Callable[[], bool],
        stream_seconds: float = STREAM_SECONDS,
    ) -> None:
        self._http, self._server = http, server
        self._deliver, self._quiet = deliver, quiet
        self._stream_seconds = stream_seconds
        self._ring = Ring()
        self._outbox: deque[dict[str, Any]] = deque()
        self._work = asyncio.Event()
        self._was_ready = False
        self.session: Session | None = None

    def say(self, block: Block) -> None:
        """Send BLOCK_MS of what the user says; it is kept until the agent has understood it."""
        self._ring.add(block)
        self._work.set()

    def type(self, text: str) -> None:
        """Send what the user typed."""
        self._outbox.append(rtvi.send_text(text))
        self._work.set()

    def turn_finished(self) -> None:
        """The agent has understood what was said: it need not be said again."""
        self._ring.turn_finished()

    async def run(self) -> None:
        """Hold the conversation until the agent hangs up; cancel it to hang up yourself.

        Raises ServerDown, KeyRefused or SessionRefused if no session can be had, AgentMute if
        the agent never gets ready, ConnectionLost if a connection cannot be made or mended.
        """
        loop = asyncio.get_running_loop()
        self.session = await self._server.start()
        tries, resumed = 0, False
        while True:
            begun = loop.time()
            ending = await self._hold(self.session, resumed)
            if ending.by_agent:
                self._deliver(HungUp())
                return
            tries = 0 if loop.time() - begun > _STABLE_SECONDS else tries + 1
            if not (resumed or self._was_ready):
                raise ConnectionLost(
                    f"No connection to the agent: {ending.reason}.",
                    "`voicecore dev` in another terminal shows what the agent says to it.",
                    ExitCode.AWS_REFUSED if ending.refused else ExitCode.FAILED,
                )
            self._deliver(Disconnected(ending.reason, planned=ending.next is not None))
            self.session = ending.next or await self._resume(self.session, ending.reason, tries)
            resumed = True

    async def _resume(self, session: Session, reason: str, tries: int) -> Session:
        for pause in _BACKOFF[tries:]:
            await asyncio.sleep(pause)
            try:
                return await self._server.resume(session)
            except ServerDown as error:
                reason = error.message
        raise ConnectionLost(
            f"The connection broke and could not be made again: {reason}",
            "What was said until then is in the files you asked for, and in the agent's log.",
        )

    async def _hold(self, session: Session, resumed: bool) -> _Ending:
        """One connection, from handshake to end."""
        loop = asyncio.get_running_loop()
        born = loop.time()
        ready = asyncio.Event()
        self._ring.rewind()
        try:
            async with self._http.ws_connect(
                # Signed to the letter: nothing of it may be decoded and encoded again.
                URL(session.ws_url, encoded=True),
                heartbeat=20,  # notices a dead network, and resets AgentCore's idle timer
                timeout=_CLOSE_TIMEOUT,
                max_msg_size=0,
            ) as socket:
                await socket.send_bytes(frames.encode(frames.Message(rtvi.client_ready())))
                return await first(
                    self._receive(socket, ready, resumed, born),
                    self._send(socket, ready),
                    self._renew(session, born),
                )
        except aiohttp.WSServerHandshakeError as error:
            # 424 is how AgentCore passes on that the agent failed.
            refused = 400 <= error.status < 500 and error.status != 424
            return _Ending(f"the handshake was refused with HTTP {error.status}", refused=refused)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return _Ending(str(error) or type(error).__name__)

    async def _receive(
        self,
        socket: aiohttp.ClientWebSocketResponse,
        ready: asyncio.Event,
        resumed: bool,
        born: float,
    ) -> _Ending:
        while True:
            message = await socket.receive()
            if message.type is aiohttp.WSMsgType.BINARY:
                match frames.decode(message.data):
                    case frames.Message(body):
                        event = rtvi.parse(body)
                    case frame:
                        event = frame
                if isinstance(event, rtvi.BotReady):
                    ready.set()
                    self._was_ready = True
                    self._deliver(Connected(resumed))
                elif event is not None:
                    self._deliver(event)
            elif message.type is not aiohttp.WSMsgType.TEXT:  # closing, closed, or an error
                age = asyncio.get_running_loop().time() - born
                by_agent = (
                    socket.close_code == aiohttp.WSCloseCode.OK
                    and age < _LAST_CHANCE * self._stream_seconds
                )
                text = f" ({message.extra})" if message.extra else ""
                return _Ending(f"closed with code {socket.close_code}{text}", by_agent)

    async def _send(self, socket: aiohttp.ClientWebSocketResponse, ready: asyncio.Event) -> _Ending:
        # An agent drops sound that comes before it is ready: the ring keeps it so long.
        try:
            # Not wait_for: before Python 3.12 it may swallow the cancellation that ends us.
            async with asyncio.timeout(_READY_SECONDS):
                await ready.wait()
        except TimeoutError:
            raise AgentMute(
                f"The agent took the call but was not ready after {_READY_SECONDS:.0f} s.",
                "Its log says what it is doing; `voicecore dev` in another terminal shows it.",
            ) from None
        try:
            while True:
                while self._outbox:
                    await socket.send_bytes(frames.encode(frames.Message(self._outbox[0])))
                    self._outbox.popleft()
                if self._ring.waiting:
                    sound = self._ring.take(_REPLAY_BLOCKS)
                    await socket.send_bytes(frames.encode(frames.Audio(sound, pcm.SPEECH_RATE)))
                if self._ring.waiting:
                    await asyncio.sleep(_REPLAY_PAUSE)
                elif not self._outbox:
                    self._work.clear()
                    await self._work.wait()
        except (aiohttp.ClientError, OSError):
            # The receiver is about to learn why: only it gets the peer's close code.
            return await asyncio.get_running_loop().create_future()

    async def _renew(self, session: Session, born: float) -> _Ending:
        """Ends when the stream is about to reach its limit, with the session of the next one."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(_FIRST_CHANCE * self._stream_seconds)
        while True:
            due = loop.time() >= born + _LAST_CHANCE * self._stream_seconds
            if due or self._quiet():
                try:
                    next_session = await self._server.resume(session)
                    return _Ending("a stream lasts 60 minutes", next=next_session)
                except ServerDown as error:
                    if due:
                        return _Ending(error.message)
            await asyncio.sleep(0.05)
