"""Owns what a call's spans tell: its turns, how long each part took, and which was the slowest."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from voicecore.contract.trace_spans import CONVERSATION, TURN, TraceSpan

_NO_WAIT = frozenset(("speech", "playback"))
"""Parts of a turn in which no one waits."""
_INPUT, _OUTPUT = "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"


@dataclass(frozen=True)
class TracedTurn:
    """A turn, and its parts in the order in which they began."""

    span: TraceSpan
    parts: tuple[TraceSpan, ...]

    @property
    def number(self) -> int:
        """Its number, as in the log; 0 is the greeting."""
        return int(self.span.number("turn.number") or 0)

    @property
    def latency(self) -> float | None:
        """Seconds from the end of the user's speech to the first sound of the answer."""
        return self.span.number("turn.user_bot_latency_seconds")

    @property
    def error(self) -> str | None:
        """The first error in it; None without one."""
        errors = (each.error for each in (self.span, *self.parts))
        return next((error for error in errors if error is not None), None)

    @cached_property
    def slowest(self) -> TraceSpan | None:
        """The part that the user waited longest for; None if one part or none was waited for."""
        waited = [part for part in self.parts if wait_of(part) > 0]
        return max(waited, key=wait_of) if len(waited) > 1 else None


@dataclass(frozen=True)
class TracedCall:
    """The spans of a session, over one connection or several."""

    session: str
    spans: tuple[TraceSpan, ...]

    @cached_property
    def connections(self) -> tuple[TraceSpan, ...]:
        """The spans of its connections that have ended."""
        return tuple(span for span in self.spans if span.name == CONVERSATION)

    @cached_property
    def turns(self) -> tuple[TracedTurn, ...]:
        """Its turns, in order."""
        parts: defaultdict[str, list[TraceSpan]] = defaultdict(list)
        for span in self.spans:
            parts[span.parent].append(span)
        return tuple(
            TracedTurn(span, tuple(parts[span.id])) for span in self.spans if span.name == TURN
        )

    @cached_property
    def others(self) -> tuple[TraceSpan, ...]:
        """The spans that belong to no turn, such as those that the bot's own code makes."""
        known = {part.id for turn in self.turns for part in (turn.span, *turn.parts)}
        known |= {span.id for span in self.connections}
        return tuple(span for span in self.spans if span.id not in known)

    @property
    def start(self) -> float:
        """Time of its first span."""
        return self.spans[0].start

    @property
    def end(self) -> float:
        """Time at which its last span ended."""
        return max(span.end for span in self.spans)

    @property
    def is_whole(self) -> bool:
        """False while a connection lasts, and after the agent was killed in one."""
        ended = {span.id for span in self.connections}
        return all(turn.span.parent in ended for turn in self.turns)

    @property
    def transport(self) -> str:
        """Transport of its last connection; empty if it is not known."""
        return str(self.connections[-1].attributes.get("transport", "")) if self.connections else ""

    @property
    def reason(self) -> str:
        """Reason for the end of its last connection; empty if it is not known."""
        return str(self.connections[-1].attributes.get("reason", "")) if self.connections else ""

    @property
    def tokens(self) -> tuple[int, int]:
        """Tokens that models have read and written."""
        read, written = (
            sum(int(span.number(name) or 0) for span in self.spans) for name in (_INPUT, _OUTPUT)
        )
        return read, written

    @property
    def error(self) -> str | None:
        """The first error; None without one."""
        return next((span.error for span in self.spans if span.error is not None), None)

    @property
    def latencies(self) -> tuple[float, ...]:
        """Seconds that the user waited for each answer."""
        return tuple(turn.latency for turn in self.turns if turn.latency is not None)


@dataclass(frozen=True)
class TurnFilter:
    """Which turns to show; an empty filter matches every turn."""

    number: int | None = None
    slow: float | None = None
    """Least seconds that the user waited."""
    errors: bool = False
    """True for turns in which something failed."""

    def passes(self, turn: TracedTurn) -> bool:
        """Return True when the turn matches."""
        return (
            self.number in (None, turn.number)
            and (self.slow is None or (turn.latency or 0) >= self.slow)
            and (not self.errors or turn.error is not None)
        )

    def passes_call(self, call: TracedCall) -> bool:
        """Return True when a turn of the call matches, or the call as a whole."""
        if self == TurnFilter():
            return True
        alone = self.errors and self.number is None and self.slow is None
        return any(map(self.passes, call.turns)) or (alone and call.error is not None)


def wait_of(part: TraceSpan) -> float:
    """Return the seconds that a user waits for a part: until its first output, if it has one."""
    if part.name in _NO_WAIT:
        return 0.0
    first = part.number("metrics.ttfb")
    return part.seconds if first is None else min(first, part.seconds)


def calls_of(spans: Iterable[TraceSpan]) -> list[TracedCall]:
    """Return the calls that these spans are of, in the order in which they began.

    A span that names no session belongs to the one that others of its trace name. A span that is
    given twice counts once.
    """
    found = {(span.trace, span.id): span for span in spans}
    session_of = {span.trace: span.session for span in found.values() if span.session}
    sessions: defaultdict[str, list[TraceSpan]] = defaultdict(list)
    for span in found.values():
        if session := span.session or session_of.get(span.trace):
            sessions[session].append(span)
    calls = (TracedCall(session, _in_order(spans)) for session, spans in sessions.items())
    return sorted(calls, key=lambda call: call.start)


def _in_order(spans: Sequence[TraceSpan]) -> tuple[TraceSpan, ...]:
    # Of spans that begin at the same time, the longer contains the other.
    return tuple(sorted(spans, key=lambda span: (span.start, -span.end)))
