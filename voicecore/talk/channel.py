"""Owns the channel that carries one call, and its deliveries."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from voicecore.talk.audio.replay_buffer import SpeechBlock
from voicecore.talk.session_client import StartedSession
from voicecore.talk.transports import pipecat_frames, rtvi


@dataclass(frozen=True)
class Connected:
    """The agent is ready."""

    resumed: bool
    """True when this connection replaces another."""
    reports: bool = True
    """False if the agent does not report what it hears."""


@dataclass(frozen=True)
class Disconnected:
    """The connection ended and is being replaced."""

    reason: str
    planned: bool
    """True when this end closed it in time, before a limit."""


@dataclass(frozen=True)
class HungUp:
    """The agent ended the call."""


@dataclass(frozen=True)
class Note:
    """Something happened to the call that is not speech."""

    text: str


@dataclass(frozen=True)
class IcePath:
    """The candidate pair that carries the audio, and all pairs that were tried.

    Each end is a kind of candidate and an address, as "relay 203.0.113.7:50112".
    """

    local: str
    remote: str
    ms: float
    """Time from the agent's answer to the connection."""
    tried: tuple[tuple[str, str, str], ...] = ()
    """Local end, remote end and state of each pair."""


Delivery = (
    pipecat_frames.Audio
    | pipecat_frames.Interruption
    | rtvi.RtviEvent
    | Connected
    | Disconnected
    | HungUp
    | Note
    | IcePath
)
"""Anything that arrives over a channel."""
Deliver = Callable[[Delivery], None]


class Channel(ABC):
    """Carries one call. Calls `deliver` for everything that arrives."""

    greeting_seconds: ClassVar[float] = 2.0
    """An agent that has not begun to greet this long after Connected waits for the user."""

    def __init__(self, deliver: Deliver) -> None:
        self._deliver = deliver
        self.session: StartedSession | None = None

    @property
    def session_id(self) -> str:
        """ID of the session; empty until there is one."""
        return self.session.id if self.session else ""

    @abstractmethod
    async def run(self) -> None:
        """Hold the call until the agent hangs up; cancel this to hang up."""

    @abstractmethod
    def say(self, block: SpeechBlock) -> None:
        """Send BLOCK_MS of the user's voice."""

    @abstractmethod
    def type(self, text: str) -> None:
        """Send a line that the user typed."""

    def press(self, key: str) -> bool:
        """Press a key of a telephone; return False if the channel has no such key."""
        return False

    @abstractmethod
    def turn_finished(self) -> None:
        """Take note that the agent has understood what was said."""

    @abstractmethod
    async def stop(self) -> None:
        """End the session after `run`, because it is billed. Raises what its server raises."""


ChannelFactory = Callable[[Deliver, Callable[[], bool]], Channel]
"""Makes a channel that delivers to the first argument.

The second returns True while a reconnect would go unnoticed.
"""
