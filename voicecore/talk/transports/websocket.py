"""Owns the client over WebSocket: sends speech, receives frames, replaces broken connections."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import aiohttp
from yarl import URL

from voicecore.catalog.transports.websocket import TRANSPORT
from voicecore.console.proxies import proxy_for
from voicecore.talk.agents.source import SessionSource
from voicecore.talk.audio.replay_buffer import ReplayBuffer, SpeechBlock
from voicecore.talk.channel import ChannelFactory, Deliver
from voicecore.talk.first_done import first_done
from voicecore.talk.no_answer import why_no_answer
from voicecore.talk.session_client import ServerUnreachable, SessionClient, StartedSession
from voicecore.talk.transports import pipecat_frames, rtvi
from voicecore.talk.transports.connection import (
    MESSAGE_MAX,
    ClientSetup,
    ConnectionEnd,
    SessionConnection,
    closing,
)
from voicecore.talk.wire.choice import NewWire, UnknownProtocol, of_first
from voicecore.talk.wire.pipecat import ProtobufWire
from voicecore.talk.wire.wire import Data, Wire

STREAM_SECONDS = 3600.0
"""AgentCore ends every stream after 60 minutes (AWS quotas: streaming maximum duration)."""
_FIRST_CHANCE, _LAST_CHANCE = 5 / 6, 0.97
"""Shares of a stream's life: after the first, a quiet moment is used to reconnect; after the
second, it is not waited for any longer."""

_REPLAY_BLOCKS, _REPLAY_PAUSE = 1, 0.010
"""Blocks per frame and seconds between frames of a replay: twice real time, and 100 of the 250
frames/s that AgentCore allows. Not faster: until an agent decides that speech has begun, it keeps
only the last second of audio, so a faster replay would lose the beginning."""

_FIRST_SECONDS = 1.5
"""An agent that speaks first does so by then; the others wait for the client."""

_CODES_OF_NETWORKS = (None, aiohttp.WSCloseCode.GOING_AWAY, aiohttp.WSCloseCode.ABNORMAL_CLOSURE)
"""Close codes that say nothing about the agent."""

GRANTS = ("wsUrl", "ws_url")
"""Fields of a session server's answer that allow a connection."""


def channel_for(setup: ClientSetup) -> ChannelFactory:
    """Return a factory of channels to the agent over WebSocket."""
    server = SessionClient(setup.http, setup.url, setup.key, TRANSPORT.name, GRANTS)
    return lambda deliver, quiet: WebSocketConnection(
        setup.http, server, deliver, quiet, setup.stream_seconds
    )


class WebSocketConnection(SessionConnection):
    """Carries one call over as many WebSockets as it takes.

    `quiet` returns True while a reconnect would go unnoticed. Without `wire`, what the agent sends
    first shows its protocol; if it sends nothing, Pipecat's is tried.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        server: SessionSource,
        deliver: Deliver,
        quiet: Callable[[], bool],
        stream_seconds: float = STREAM_SECONDS,
        wire: NewWire | None = ProtobufWire,
    ) -> None:
        super().__init__(server, deliver)
        self._http, self._quiet = http, quiet
        self._new_wire = wire
        self._is_guessed = False
        self._stream_seconds = stream_seconds
        self._replay = ReplayBuffer()
        self._work = asyncio.Event()

    def say(self, block: SpeechBlock) -> None:
        """Send BLOCK_MS of the user's voice; keep it until the agent has understood it."""
        self._replay.add(block)
        self._work.set()

    def type(self, text: str) -> None:
        """Send a line that the user typed."""
        self._outbox.post(rtvi.send_text(text))
        self._work.set()

    def turn_finished(self) -> None:
        """Drop what the agent has understood from the replay."""
        self._replay.turn_finished()

    async def _hold(self, session: StartedSession, resumed: bool) -> ConnectionEnd:
        """Hold one connection, from handshake to end."""
        opened = asyncio.get_running_loop().time()
        ready = asyncio.Event()
        self._replay.rewind()
        self._outbox.rewind()
        try:
            async with (
                self._http.ws_connect(
                    # The signature covers the URL as it is written: decoding it would break it.
                    URL(session.ws_url, encoded=True),
                    headers=session.headers,
                    proxy=proxy_for(session.ws_url),
                    heartbeat=20,  # notices a dead network, and resets AgentCore's idle timer
                    max_msg_size=MESSAGE_MAX,
                ) as socket,
                closing(socket),
            ):
                first: list[aiohttp.WSMessage] = []
                if self._new_wire is None:
                    self._new_wire = await self._recognized(socket, first)
                wire = self._new_wire()
                for data in wire.opening():
                    await _send(socket, data)
                if not wire.announces:
                    self._become_ready(ready, resumed, reports=False)
                return await first_done(
                    self._receive(socket, wire, first, ready, resumed, opened),
                    self._speak(socket, wire, ready, resumed),
                    self._renew(session, opened),
                )
        except aiohttp.WSServerHandshakeError as error:
            # With 424 AgentCore passes on that the agent failed.
            refused = 400 <= error.status < 500 and error.status != 424
            reason = f"the handshake was refused with HTTP {error.status}"
            return ConnectionEnd(reason, refused=refused)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            # ValueError of a host that no DNS has
            return ConnectionEnd(why_no_answer(error, session.ws_url, "")[0])

    async def _recognized(
        self, socket: aiohttp.ClientWebSocketResponse, first: list[aiohttp.WSMessage]
    ) -> NewWire:
        """Return the agent's protocol; add the message that shows it to `first`."""
        try:
            async with asyncio.timeout(_FIRST_SECONDS):
                message = await socket.receive()
        except TimeoutError:
            self._is_guessed = True
            return ProtobufWire
        first.append(message)
        if message.type in (aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT):
            return of_first(message.data)
        return ProtobufWire  # it has closed already

    async def _receive(
        self,
        socket: aiohttp.ClientWebSocketResponse,
        wire: Wire,
        first: list[aiohttp.WSMessage],
        ready: asyncio.Event,
        resumed: bool,
        opened: float,
    ) -> ConnectionEnd:
        while True:
            await asyncio.sleep(0)  # a flood must not keep Ctrl-C and the audio waiting
            message = first.pop() if first else await socket.receive()
            if message.type not in (aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT):
                return self._ended(socket, message, opened)
            self._is_guessed = False
            try:
                events = wire.read(message.data)
            except pipecat_frames.BadFrame as bad:
                self._ignore(bad)
                continue
            for event in events:
                if isinstance(event, rtvi.BotReady):
                    self._become_ready(ready, resumed)
                else:
                    self._receive_event(event)

    def _ended(
        self, socket: aiohttp.ClientWebSocketResponse, message: aiohttp.WSMessage, opened: float
    ) -> ConnectionEnd:
        """Return how the connection ended, by its last message. Raises UnknownProtocol."""
        age = asyncio.get_running_loop().time() - opened
        by_agent = (
            socket.close_code == aiohttp.WSCloseCode.OK
            and age < _LAST_CHANCE * self._stream_seconds
        )
        why = message.data if message.type is aiohttp.WSMsgType.ERROR else message.extra
        text = f" ({why})" if why else ""
        told = socket.close_code not in _CODES_OF_NETWORKS
        reason = f"closed with code {socket.close_code}{text}"
        if self._is_guessed:
            raise UnknownProtocol(f"it sent nothing, and after a frame of Pipecat it {reason}")
        return ConnectionEnd(reason, by_agent, told=told)

    async def _speak(
        self,
        socket: aiohttp.ClientWebSocketResponse,
        wire: Wire,
        ready: asyncio.Event,
        resumed: bool,
    ) -> ConnectionEnd:
        # An agent drops audio that arrives before it is ready: until then the buffer keeps it.
        await self._until_ready(ready, resumed)
        if self._is_guessed:
            raise UnknownProtocol("it sent nothing, also after a frame of Pipecat")
        try:
            while True:
                while self._outbox:
                    for data in wire.message(self._outbox.take()):
                        await _send(socket, data)
                if self._replay.waiting:
                    for data in wire.speech(self._replay.take(_REPLAY_BLOCKS)):
                        await _send(socket, data)
                if self._replay.waiting:
                    await asyncio.sleep(_REPLAY_PAUSE)
                elif not self._outbox:
                    self._work.clear()
                    await self._work.wait()
        except (aiohttp.ClientError, OSError):
            # Wait for the receiver: only it gets the close code of the other end.
            return await asyncio.get_running_loop().create_future()

    async def _renew(self, session: StartedSession, opened: float) -> ConnectionEnd:
        """End shortly before the stream reaches its limit, with the session of the next one."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(_FIRST_CHANCE * self._stream_seconds)
        while True:
            due = loop.time() >= opened + _LAST_CHANCE * self._stream_seconds
            if due or self._quiet():
                try:
                    next_session = await self._server.resume(session)
                    return ConnectionEnd("a stream lasts 60 minutes", next=next_session)
                except ServerUnreachable as error:
                    if due:
                        return ConnectionEnd(error.message)
            await asyncio.sleep(0.05)


async def _send(socket: aiohttp.ClientWebSocketResponse, data: Data) -> None:
    await (socket.send_str(data) if isinstance(data, str) else socket.send_bytes(data))
