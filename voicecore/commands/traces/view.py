"""Owns how calls, turns and their parts are shown, in words and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from statistics import median
from typing import Any

from voicecore.console.output import Line, Span
from voicecore.contract.trace_spans import TraceSpan
from voicecore.contract.traced_calls import TracedCall, TracedTurn, TurnFilter, wait_of

_SESSION_SHOWN = 8  # characters of the session's ID
_BAR = 24  # columns of a turn's time
_NAME = 26


def call_rows(calls: list[TracedCall], zone: tzinfo | None = None) -> Iterator[Line]:
    """Yield a line for each call: when, how long, turns, latency, tokens, outcome."""
    yield [
        Span(
            f"{'session':<{_SESSION_SHOWN}}  {'began':<19}  {'lasted':>8}  {'turns':>5}  "
            f"{'median':>7}  {'slowest':>7}  {'tokens':>7}  outcome",
            "dim",
        )
    ]
    for call in calls:
        began = datetime.fromtimestamp(call.start, UTC).astimezone(zone)
        answers, waits = sum(turn.number > 0 for turn in call.turns), call.latencies
        yield [
            Span(f"{call.session[:_SESSION_SHOWN]:<{_SESSION_SHOWN}}  ", "cyan"),
            Span(f"{began:%Y-%m-%d %H:%M:%S}  {_lasted(call.end - call.start):>8}  {answers:>5}  "),
            Span(f"{_wait(median(waits) if waits else None):>7}  "),
            Span(f"{_wait(max(waits, default=None)):>7}  {sum(call.tokens) or '':>7}  "),
            *_outcome(call),
        ]


def _outcome(call: TracedCall) -> Line:
    whole = Span(call.reason or "ended", "dim")
    state = whole if call.is_whole else Span("not ended, or killed", "yellow")
    if call.error is None:
        return [state]
    return [state, Span(f"  failed: {call.error or 'no reason given'}", "red")]


def call_lines(call: TracedCall, only: TurnFilter, zone: tzinfo | None = None) -> Iterator[Line]:
    """Yield a call as a tree: its turns that match, and their parts."""
    began = datetime.fromtimestamp(call.start, UTC).astimezone(zone)
    read, written = call.tokens
    facts = (
        call.transport and f"over {call.transport}",
        f"{began:%Y-%m-%d %H:%M:%S}",
        _lasted(call.end - call.start),
        f"{read:,} tokens in, {written:,} out" if read or written else "",
    )
    yield [Span(call.session, "bold cyan"), Span(f"  {' · '.join(filter(None, facts))}", "dim")]
    yield _outcome(call)
    for turn in filter(only.passes, call.turns):
        yield []
        yield from _turn_lines(turn, call)
    if only == TurnFilter() and call.others:
        yield []
        yield [Span("outside of turns", "bold")]
        for span in call.others:
            offset = f"+{span.start - call.start:.2f} s"
            yield [Span(f"  {span.name:<{_NAME}}"), Span(f"{offset:>10}  {_seconds(span)}", "dim")]


def _turn_lines(turn: TracedTurn, call: TracedCall) -> Iterator[Line]:
    waited = f"answered after {turn.latency:.2f} s" if turn.latency is not None else ""
    cut = "interrupted" if turn.span.attributes.get("turn.was_interrupted") else ""
    facts = " · ".join(filter(None, (f"+{turn.span.start - call.start:.2f} s", waited, cut)))
    yield [Span(f"turn {turn.number}", "bold"), Span(f"  {facts}", "dim")]
    if said := turn.span.attributes.get("transcript"):
        yield [Span("  you    ", "cyan"), Span(str(said))]
    for part in turn.parts:
        yield _part_line(part, turn)
        if part.error:
            yield [Span(f"    {part.error}", "red")]
    if turn.span.error is not None:
        yield [Span(f"  failed: {turn.span.error or 'no reason given'}", "red")]
    if said := turn.span.attributes.get("output"):
        yield [Span("  agent  ", "green"), Span(str(said))]
    if left_out := turn.span.number("turn.parts_left_out"):
        yield [Span(f"  {left_out:.0f} further parts were not kept", "dim")]


def _part_line(part: TraceSpan, turn: TracedTurn) -> Line:
    slowest = part is turn.slowest
    style = "red" if part.error is not None else "yellow" if slowest else ""
    return [
        Span(f"  {part.name:<{_NAME}.{_NAME}} ", style),
        Span(_bar(part, turn.span), style or "dim"),
        Span(f" {_seconds(part):>8}", style),
        Span(f"  {details}" if (details := _details(part)) else "", "dim"),
        Span("  ◀ slowest" if slowest else "", style),
    ]


def _bar(part: TraceSpan, turn: TraceSpan) -> str:
    """Return where in its turn a part lies, as a bar of fixed width."""
    whole = turn.seconds or 1.0
    first = min(_BAR - 1, int(max(0.0, part.start - turn.start) / whole * _BAR))
    length = max(1, min(_BAR - first, round(part.seconds / whole * _BAR)))
    return f"{' ' * first}{'━' * length}{' ' * (_BAR - first - length)}"


def _details(part: TraceSpan) -> str:
    first, attributes = part.number("metrics.ttfb"), part.attributes
    read, written = (part.number(f"gen_ai.usage.{side}_tokens") for side in ("input", "output"))
    details = (
        f"first output {first:.2f} s" if first is not None else "",
        f"{read or 0:.0f} tokens in, {written or 0:.0f} out" if read or written else "",
        str(attributes.get("gen_ai.tool.call.arguments", "")),
        "interrupted" if attributes.get("interrupted") else "",
    )
    return " · ".join(filter(None, details))


def _seconds(span: TraceSpan) -> str:
    return f"{span.seconds:.2f} s"


def _wait(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.2f} s"


def _lasted(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02}"
    return f"{minutes}:{rest:02} min" if minutes else f"{rest} s"


# ---- JSON


def call_document(call: TracedCall) -> dict[str, Any]:
    """Return what the list shows of a call."""
    read, written = call.tokens
    return {
        "session": call.session,
        "began": _iso(call.start),
        "ended": _iso(call.end) if call.is_whole else None,
        "transport": call.transport or None,
        "reason": call.reason or None,
        "turns": sum(turn.number > 0 for turn in call.turns),
        "latency_seconds": list(call.latencies),
        "tokens": {"input": read, "output": written},
        "error": call.error,
    }


def turn_document(turn: TracedTurn) -> dict[str, Any]:
    """Return a turn with its parts; `wait_seconds` is what a part made the user wait."""
    attributes = turn.span.attributes
    return {
        "turn": turn.number,
        "began": _iso(turn.span.start),
        "seconds": _rounded(turn.span.seconds),
        "latency_seconds": turn.latency,
        "interrupted": bool(attributes.get("turn.was_interrupted")),
        "user": attributes.get("transcript"),
        "agent": attributes.get("output"),
        "error": turn.error,
        "parts": [
            {
                "name": part.name,
                "offset_seconds": _rounded(part.start - turn.span.start),
                "seconds": _rounded(part.seconds),
                "wait_seconds": _rounded(wait_of(part)),
                "slowest": part is turn.slowest,
                "error": part.error,
                "attributes": dict(part.attributes),
            }
            for part in turn.parts
        ],
    }


def _iso(seconds: float) -> str:
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _rounded(seconds: float) -> float:
    return round(seconds, 4)
