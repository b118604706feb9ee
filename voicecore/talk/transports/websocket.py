"""The held-open connection to the agent: what is said goes out, frames come in, cuts are mended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import aiohttp
from yarl import URL

from voicecore.talk.audio import pcm
from voicecore.talk.audio.replay_buffer import Block, Ring
from voicecore.talk.first_done import first
from voicecore.talk.session_client import ServerDown, Session, SessionServer
from voicecore.talk.transports import connection, pipecat_frames, rtvi
from voicecore.talk.transports.connection import (
    READY_SECONDS,
    AgentMute,
    Connected,
    Deliver,
    Ending,
)

STREAM_SECONDS = 3600.0
"""AgentCore ends every stream after 60 minutes (AWS quotas: streaming maximum duration)."""
_FIRST_CHANCE, _LAST_CHANCE = 5 / 6, 0.97
"""Parts of the stream's life after which a quiet moment is used, and none is waited for."""

_REPLAY_BLOCKS, _REPLAY_PAUSE = 1, 0.010
"""Twice real time, and 100 of the 250 frames/s that AgentCore allows. No faster: an agent decides
that speech has begun while more of it passes, and keeps only the last second until then."""

_CLOSE_TIMEOUT = cast("Any", aiohttp.ClientWSTimeout)(ws_close=2.0)  # attrs hides its parameters


class Connection(connection.Connection):
    """One conversation over as many WebSockets as it takes.

    Holds the socket, the ring of what was said, and the session. `deliver` is called for
    everything that arrives; `quiet` says whether nobody would notice a reconnect now.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        server: SessionServer,
        deliver: Deliver,
        quiet: Callable[[], bool],
        stream_seconds: float = STREAM_SECONDS,
    ) -> None:
        super().__init__(server, deliver)
        self._http, self._quiet = http, quiet
        self._stream_seconds = stream_seconds
        self._ring = Ring()
        self._work = asyncio.Event()

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

    async def _hold(self, session: Session, resumed: bool) -> Ending:
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
                await socket.send_bytes(
                    pipecat_frames.encode(pipecat_frames.Message(rtvi.client_ready()))
                )
                return await first(
                    self._receive(socket, ready, resumed, born),
                    self._send(socket, ready),
                    self._renew(session, born),
                )
        except aiohttp.WSServerHandshakeError as error:
            # 424 is how AgentCore passes on that the agent failed.
            refused = 400 <= error.status < 500 and error.status != 424
            return Ending(f"the handshake was refused with HTTP {error.status}", refused=refused)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return Ending(str(error) or type(error).__name__)

    async def _receive(
        self,
        socket: aiohttp.ClientWebSocketResponse,
        ready: asyncio.Event,
        resumed: bool,
        born: float,
    ) -> Ending:
        while True:
            message = await socket.receive()
            if message.type is aiohttp.WSMsgType.BINARY:
                match pipecat_frames.decode(message.data):
                    case pipecat_frames.Message(body):
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
                return Ending(f"closed with code {socket.close_code}{text}", by_agent)

    async def _send(self, socket: aiohttp.ClientWebSocketResponse, ready: asyncio.Event) -> Ending:
        # An agent drops sound that comes before it is ready: the ring keeps it so long.
        try:
            # Not wait_for: before Python 3.12 it may swallow the cancellation that ends us.
            async with asyncio.timeout(READY_SECONDS):
                await ready.wait()
        except TimeoutError:
            raise AgentMute from None
        try:
            while True:
                while self._outbox:
                    await socket.send_bytes(
                        pipecat_frames.encode(pipecat_frames.Message(self._outbox[0]))
                    )
                    self._outbox.popleft()
                if self._ring.waiting:
                    sound = self._ring.take(_REPLAY_BLOCKS)
                    await socket.send_bytes(
                        pipecat_frames.encode(pipecat_frames.Audio(sound, pcm.SPEECH_RATE))
                    )
                if self._ring.waiting:
                    await asyncio.sleep(_REPLAY_PAUSE)
                elif not self._outbox:
                    self._work.clear()
                    await self._work.wait()
        except (aiohttp.ClientError, OSError):
            # The receiver is about to learn why: only it gets the peer's close code.
            return await asyncio.get_running_loop().create_future()

    async def _renew(self, session: Session, born: float) -> Ending:
        """Ends when the stream is about to reach its limit, with the session of the next one."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(_FIRST_CHANCE * self._stream_seconds)
        while True:
            due = loop.time() >= born + _LAST_CHANCE * self._stream_seconds
            if due or self._quiet():
                try:
                    next_session = await self._server.resume(session)
                    return Ending("a stream lasts 60 minutes", next=next_session)
                except ServerDown as error:
                    if due:
                        return Ending(error.message)
            await asyncio.sleep(0.05)
