"""Owns the channel that uses one session over as many connections as it takes."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import aiohttp

from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.talk.agents.source import SessionSource
from voicecore.talk.channel import (
    Channel,
    Connected,
    Deliver,
    Delivery,
    Disconnected,
    HungUp,
    Note,
)
from voicecore.talk.session_client import (
    AgentUnavailable,
    IceServer,
    OfferRefused,
    ServerUnreachable,
    StartedSession,
)
from voicecore.talk.transports import pipecat_frames, rtvi
from voicecore.talk.transports.outbox import Outbox

_BACKOFF = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)
"""Seconds before each attempt to reconnect."""
_STABLE_SECONDS = 5.0
"""A connection that lived this long was good: the attempts are counted from the start again."""
MESSAGE_MAX = 1_000_000
"""Bytes of one message: 20 s of audio. Pipecat sends 2,000."""
_CLOSE_SECONDS = 1.0
"""Time for the other end to close a socket, too."""
READY_SECONDS = 45.0
"""AgentCore gives an agent 30 s to start; the rest is for the network and the pipeline."""
_UNTOLD_SECONDS = 10.0
"""An agent of others that has not said that it is ready after this time may never do."""


_SIGNS_OF_WORK = (rtvi.UserTranscription, rtvi.BotStarted, rtvi.BotOutput)
"""Events of an agent that does more than accept connections."""


class ConnectionLost(VoicecoreError):
    """The connection broke and could not be replaced."""

    session_id = ""
    """The session of the call; empty if it is not known."""


class AgentNotReady(VoicecoreError):
    """The connection is open, but the agent never reported that it is ready."""

    def __init__(self) -> None:
        super().__init__(
            f"The agent accepted the call but was not ready after {READY_SECONDS:.0f} s.",
            "Its log shows what it does; so does `voicecore dev` in another terminal.",
        )


@dataclass(frozen=True)
class IceOptions:
    """Options for the path of a WebRTC connection."""

    relay_only: bool = False
    servers: tuple[IceServer, ...] = ()
    """TURN servers to use instead of those that the session server names."""


@dataclass(frozen=True)
class ClientSetup:
    """Everything that a transport's client needs to open a channel."""

    http: aiohttp.ClientSession
    url: str
    """URL of the session server."""
    key: str
    """API key of the session server."""
    stream_seconds: float
    """Longest life of one stream to the agent."""
    ice: IceOptions = field(default_factory=IceOptions)


@dataclass(frozen=True)
class ConnectionEnd:
    """The end of one connection: its reason, and how the call continues."""

    reason: str
    by_agent: bool = False
    refused: bool = False
    """True when AgentCore itself refused the connection."""
    told: bool = False
    """True when the other end gave the reason: a new connection may end by it as well."""
    next: StartedSession | None = None
    """Session for the next connection, made before this one closed so that the gap is short."""


@asynccontextmanager
async def closing(
    socket: aiohttp.ClientWebSocketResponse, seconds: float = _CLOSE_SECONDS
) -> AsyncGenerator[None]:
    """Close the socket after the block, within these seconds.

    aiohttp's own limit is for one message: a server that goes on sending never reaches it.
    """
    try:
        yield
    finally:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await socket.close()


class SessionConnection(Channel):
    """Carries one call over as many connections to its session as it takes."""

    def __init__(self, server: SessionSource, deliver: Deliver) -> None:
        super().__init__(deliver)
        self._server = server
        self._outbox = Outbox()
        self._was_ready = self._worked = False
        self._ignored: set[str] = set()

    async def stop(self) -> None:
        """Stop the session. Raises ServerUnreachable, KeyRefused or SessionRefused."""
        if self.session:
            await self._server.stop(self.session)

    def _receive_event(self, event: Delivery) -> None:
        """Take in something the agent sent."""
        self._outbox.receive(event)
        self._worked = self._worked or isinstance(event, _SIGNS_OF_WORK)
        self._deliver(event)

    def _ignore(self, bad: pipecat_frames.BadFrame) -> None:
        """Report a frame that is ignored; one of its kind is enough."""
        if str(bad) not in self._ignored:
            self._ignored.add(str(bad))
            self._deliver(Note(f"ignored: the agent sent {bad}"))

    def _become_ready(self, ready: asyncio.Event, resumed: bool, reports: bool = True) -> None:
        """Let speech begin; `reports`: the agent reports what it hears."""
        if not ready.is_set():
            ready.set()
            self._was_ready = True
            self._deliver(Connected(resumed, reports))

    async def _until_ready(self, ready: asyncio.Event, resumed: bool) -> None:
        """Wait until the agent says that it is ready; others than ours need not say it.

        Raises AgentNotReady.
        """
        try:
            # Not wait_for: before Python 3.12 it may swallow the cancellation that ends us.
            async with asyncio.timeout(READY_SECONDS if self._server.is_ours else _UNTOLD_SECONDS):
                await ready.wait()
        except TimeoutError:
            if self._server.is_ours:
                raise AgentNotReady from None
            self._deliver(Note("the agent does not say that it is ready: it sends no RTVI"))
            self._become_ready(ready, resumed, reports=False)

    @abstractmethod
    async def _hold(self, session: StartedSession, resumed: bool) -> ConnectionEnd:
        """Hold one connection, from handshake to end."""

    async def run(self) -> None:
        """Hold the call until the agent hangs up; cancel this to hang up.

        Raises ServerUnreachable, KeyRefused or SessionRefused if no session starts,
        AgentNotReady if the agent never reports that it is ready, ConnectionLost if a connection
        cannot be made or replaced, OfferRefused if the agent refuses an offer.
        """
        try:
            await self._run()
        except (ConnectionLost, OfferRefused) as error:
            error.session_id = self.session.id if self.session else ""
            raise

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        self.session = await self._server.start()
        attempts, resumed, last_told = 0, False, ""
        while True:
            began, self._worked = loop.time(), False
            end = await self._hold(self.session, resumed)
            if end.by_agent:
                self._deliver(HungUp())
                return
            attempts = 0 if loop.time() - began > _STABLE_SECONDS else attempts + 1
            if not (resumed or self._was_ready):
                by_aws = end.refused and self._server.is_aws
                raise ConnectionLost(
                    f"Could not connect to the agent: {end.reason}.",
                    self._server.advice,
                    ExitCode.AWS_REFUSED if by_aws else ExitCode.FAILED,
                )
            told = end.reason if end.told and not self._worked else ""
            if told and told == last_told:
                raise ConnectionLost(
                    f"The agent ended two connections for the same reason: {told}.",
                    "Its log shows more; so does `voicecore dev` in another terminal.",
                )
            last_told = told
            self._deliver(Disconnected(end.reason, planned=end.next is not None))
            self.session = end.next or await self._resume(self.session, end.reason, attempts)
            resumed = True

    async def _resume(self, session: StartedSession, reason: str, attempts: int) -> StartedSession:
        for pause in _BACKOFF[attempts:]:
            await asyncio.sleep(pause)
            try:
                return await self._server.resume(session)
            except (ServerUnreachable, AgentUnavailable) as error:
                reason = error.message
        raise ConnectionLost(
            f"The connection broke and could not be restored: {reason}",
            "What was said before is in the files you asked for and in the agent's log.",
        )
