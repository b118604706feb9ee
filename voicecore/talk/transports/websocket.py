"""Owns the client over WebSocket: sends speech, receives frames, replaces broken connections."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import aiohttp
from yarl import URL

from voicecore.catalog.transports.websocket import TRANSPORT
from voicecore.console.proxies import proxy_for
from voicecore.talk.audio import pcm
from voicecore.talk.audio.replay_buffer import ReplayBuffer, SpeechBlock
from voicecore.talk.channel import ChannelFactory, Connected, Deliver
from voicecore.talk.first_done import first_done
from voicecore.talk.session_client import ServerUnreachable, SessionClient, StartedSession
from voicecore.talk.transports import pipecat_frames, rtvi
from voicecore.talk.transports.connection import (
    MESSAGE_MAX,
    READY_SECONDS,
    AgentNotReady,
    ClientSetup,
    ConnectionEnd,
    SessionConnection,
    closing,
)

STREAM_SECONDS = 3600.0
"""AgentCore ends every stream after 60 minutes (AWS quotas: streaming maximum duration)."""
_FIRST_CHANCE, _LAST_CHANCE = 5 / 6, 0.97
"""Shares of a stream's life: after the first, a quiet moment is used to reconnect; after the
second, it is not waited for any longer."""

_REPLAY_BLOCKS, _REPLAY_PAUSE = 1, 0.010
"""Blocks per frame and seconds between frames of a replay: twice real time, and 100 of the 250
frames/s that AgentCore allows. Not faster: until an agent decides that speech has begun, it keeps
only the last second of audio, so a faster replay would lose the beginning."""

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

    `quiet` returns True while a reconnect would go unnoticed.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        server: SessionClient,
        deliver: Deliver,
        quiet: Callable[[], bool],
        stream_seconds: float = STREAM_SECONDS,
    ) -> None:
        super().__init__(server, deliver)
        self._http, self._quiet = http, quiet
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
                    proxy=proxy_for(session.ws_url),
                    heartbeat=20,  # notices a dead network, and resets AgentCore's idle timer
                    max_msg_size=MESSAGE_MAX,
                ) as socket,
                closing(socket),
            ):
                await socket.send_bytes(
                    pipecat_frames.encode(pipecat_frames.Message(rtvi.client_ready()))
                )
                return await first_done(
                    self._receive(socket, ready, resumed, opened),
                    self._send(socket, ready),
                    self._renew(session, opened),
                )
        except aiohttp.WSServerHandshakeError as error:
            # With 424 AgentCore passes on that the agent failed.
            refused = 400 <= error.status < 500 and error.status != 424
            reason = f"the handshake was refused with HTTP {error.status}"
            return ConnectionEnd(reason, refused=refused)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            # ValueError of a host that no DNS has
            return ConnectionEnd(str(error) or type(error).__name__)

    async def _receive(
        self,
        socket: aiohttp.ClientWebSocketResponse,
        ready: asyncio.Event,
        resumed: bool,
        opened: float,
    ) -> ConnectionEnd:
        while True:
            await asyncio.sleep(0)  # a flood must not keep Ctrl-C and the audio waiting
            message = await socket.receive()
            if message.type is aiohttp.WSMsgType.BINARY:
                try:
                    frame = pipecat_frames.decode(message.data)
                except pipecat_frames.BadFrame as bad:
                    self._ignore(bad)
                    continue
                is_message = isinstance(frame, pipecat_frames.Message)
                event = rtvi.parse(frame.body) if is_message else frame
                if isinstance(event, rtvi.BotReady):
                    ready.set()
                    self._was_ready = True
                    self._deliver(Connected(resumed))
                elif event is not None:
                    self._receive_event(event)
            elif message.type is not aiohttp.WSMsgType.TEXT:  # closing, closed, or an error
                age = asyncio.get_running_loop().time() - opened
                by_agent = (
                    socket.close_code == aiohttp.WSCloseCode.OK
                    and age < _LAST_CHANCE * self._stream_seconds
                )
                is_error = message.type is aiohttp.WSMsgType.ERROR
                why = message.data if is_error else message.extra
                text = f" ({why})" if why else ""
                told = socket.close_code not in _CODES_OF_NETWORKS
                reason = f"closed with code {socket.close_code}{text}"
                return ConnectionEnd(reason, by_agent, told=told)

    async def _send(
        self, socket: aiohttp.ClientWebSocketResponse, ready: asyncio.Event
    ) -> ConnectionEnd:
        # An agent drops audio that arrives before it is ready: until then the buffer keeps it.
        try:
            # Not wait_for: before Python 3.12 it may swallow the cancellation that ends us.
            async with asyncio.timeout(READY_SECONDS):
                await ready.wait()
        except TimeoutError:
            raise AgentNotReady from None
        try:
            while True:
                while self._outbox:
                    message = pipecat_frames.Message(self._outbox.take())
                    await socket.send_bytes(pipecat_frames.encode(message))
                if self._replay.waiting:
                    audio = self._replay.take(_REPLAY_BLOCKS)
                    await socket.send_bytes(
                        pipecat_frames.encode(pipecat_frames.Audio(audio, pcm.SPEECH_RATE))
                    )
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
