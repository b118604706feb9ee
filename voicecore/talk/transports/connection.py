"""What holds a conversation with an agent, whatever it goes over, and what it tells."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.talk.audio.replay_buffer import Block
from voicecore.talk.session_client import ServerDown, Session, SessionServer
from voicecore.talk.transports import pipecat_frames, rtvi

_BACKOFF = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)
"""Seconds before each try to reconnect."""
_STABLE_SECONDS = 5.0
"""A connection that lived this long was a good one: the tries start anew."""
READY_SECONDS = 45.0
"""AgentCore gives an agent 30 s to start; the rest is for the network and the pipeline."""


class ConnectionLost(VoicecoreError):
    """The connection broke and could not be made again."""


class AgentMute(VoicecoreError):
    """The connection stands, but the agent never said that it is ready."""

    def __init__(self) -> None:
        super().__init__(
            f"The agent took the call but was not ready after {READY_SECONDS:.0f} s.",
            "Its log says what it is doing; `voicecore dev` in another terminal shows it.",
        )


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


@dataclass(frozen=True)
class Note:
    """Something happened to the call that nobody said."""

    text: str


@dataclass(frozen=True)
class Path:
    """The way that the sound takes, and the others that were tried; `ms` since the agent's answer.

    Each end is a kind of candidate and an address, as "relay 203.0.113.7:50112".
    """

    local: str
    remote: str
    ms: float
    tried: tuple[tuple[str, str, str], ...] = ()
    """Pairs of candidates, and how each ended."""


News = (
    pipecat_frames.Audio
    | pipecat_frames.Interruption
    | rtvi.Event
    | Connected
    | Disconnected
    | HungUp
    | Note
    | Path
)
Deliver = Callable[[News], None]


@dataclass(frozen=True)
class Ending:
    """Why one connection ended, and how the conversation goes on."""

    reason: str
    by_agent: bool = False
    refused: bool = False
    """AgentCore itself did not let us in."""
    next: Session | None = None
    """Made while the old connection still stood, so that the gap is one handshake long."""


class Channel(ABC):
    """What carries one conversation. `deliver` is called for everything that arrives."""

    greeting_seconds: ClassVar[float] = 2.0
    """An agent that has not begun to greet so long after Connected waits to be spoken to."""

    def __init__(self, deliver: Deliver) -> None:
        self._deliver = deliver
        self.session: Session | None = None

    @abstractmethod
    async def run(self) -> None:
        """Hold the conversation until the agent hangs up; cancel it to hang up yourself."""

    @abstractmethod
    def say(self, block: Block) -> None:
        """Send BLOCK_MS of what the user says."""

    @abstractmethod
    def type(self, text: str) -> None:
        """Send what the user typed."""

    def press(self, key: str) -> bool:
        """Press a key of a telephone; False where there is none."""
        return False

    @abstractmethod
    def turn_finished(self) -> None:
        """The agent has understood what was said."""

    @abstractmethod
    async def stop(self) -> None:
        """End what is paid for, after run. Raises what its server raises."""


class Connection(Channel):
    """One conversation over as many connections as it takes, of one session."""

    def __init__(self, server: SessionServer, deliver: Deliver) -> None:
        super().__init__(deliver)
        self._server = server
        self._outbox: deque[dict[str, Any]] = deque()
        self._was_ready = False

    async def stop(self) -> None:
        """Stop the session. Raises ServerDown, KeyRefused or SessionRefused."""
        if self.session:
            await self._server.stop(self.session)

    @abstractmethod
    async def _hold(self, session: Session, resumed: bool) -> Ending:
        """One connection, from handshake to end."""

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
