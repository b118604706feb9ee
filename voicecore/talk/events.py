"""Owns the events of a call, as a person or a program is shown them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from voicecore.talk.channel import Connected, Disconnected, HungUp, IcePath, Note
from voicecore.talk.transports import rtvi
from voicecore.talk.view.latency import MeasuredTurn, TurnTotals


class EndedBy(StrEnum):
    """Party that ended the call."""

    SCRIPT = "script"
    """Everything in the script was said."""
    USER = "user"
    AGENT = "agent"


@dataclass(frozen=True)
class UserSaid:
    """The agent understood this."""

    text: str


@dataclass(frozen=True)
class AgentSaid:
    """The agent said this; `turn` is the number of the turn that it answers."""

    text: str
    interrupted: bool
    turn: int | None


@dataclass(frozen=True)
class UserSpoke:
    """The user spoke, over a channel that carries no words."""

    seconds: float


@dataclass(frozen=True)
class AgentSpoke:
    """The agent spoke, over a channel that carries no words."""

    seconds: float
    interrupted: bool
    turn: int | None


@dataclass(frozen=True)
class TurnMeasured:
    """The latency of a turn is known."""

    turn: MeasuredTurn


@dataclass(frozen=True)
class KeyPressed:
    """The user pressed a key of the telephone."""

    key: str


@dataclass(frozen=True)
class SessionNotStopped:
    """The session may still run, and is billed while it does."""

    session: str
    reason: str


@dataclass(frozen=True)
class CallEnded:
    """The call is over; `files` were written."""

    by: EndedBy
    seconds: float
    totals: TurnTotals
    files: Sequence[Path]


CallEvent = (
    Connected
    | Disconnected
    | HungUp
    | Note
    | IcePath
    | rtvi.AgentError
    | rtvi.ToolCall
    | rtvi.Sound
    | UserSaid
    | AgentSaid
    | UserSpoke
    | AgentSpoke
    | TurnMeasured
    | KeyPressed
    | SessionNotStopped
    | CallEnded
)
