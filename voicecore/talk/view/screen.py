"""Owns the screen of a call: a pure function from its state to lines, for 80 by 24 characters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from voicecore.console.output import Line, Span, columns, cropped, wrapped
from voicecore.contract.latency_stages import in_seconds
from voicecore.talk.view.latency import MeasuredTurn, TurnTotals, totals_of
from voicecore.talk.view.transcript import Utterance

_BARS = " ▁▂▃▄▅▆▇█"
_FLOOR_DB, _CEILING_DB = -60.0, -10.0
_METER_WIDTH = 16
_INDENT = 9

YOU = f"{'you':<{_INDENT}}"
"""Label of a line that the user says or types."""

_STYLES = {"you": "bold cyan", "agent": "bold green", "note": "dim"}


@dataclass(frozen=True)
class CallView:
    """The state of a call to show; levels are in dB below full scale, newest last."""

    title: str
    status: str
    seconds: float
    user_levels: Sequence[float]
    agent_levels: Sequence[float]
    said: Sequence[Utterance]
    turns: Sequence[MeasuredTurn]
    hint: str


def render(view: CallView, width: int, height: int) -> list[Line]:
    """Return the screen; if the transcript is too long, its oldest lines are cut."""
    head: list[Line] = [
        _spread(
            [Span("voicecore talk", "bold"), Span(f"  {view.title}")],
            [Span(view.status, "dim"), Span(f"  {clock(view.seconds)}")],
            width,
        ),
        _spread(
            [Span("you    ", "cyan"), Span(meter(view.user_levels), "cyan")],
            [Span("agent  ", "green"), Span(meter(view.agent_levels), "green")],
            width,
        ),
        [],
    ]
    foot: list[Line] = [
        [],
        _spread([Span(view.hint, "dim")], [Span(summary(totals_of(view.turns)), "dim")], width),
    ]
    room = max(0, height - len(head) - len(foot) - 1)  # one line for the cursor
    body: list[Line] = []
    for said in reversed(view.said):  # those that are cut are not even wrapped
        if len(body) >= room:
            break
        body = [*utterance(said, view.turns, width), *body]
    return [*head, *(body[-room:] if room else []), *foot]


def utterance(said: Utterance, turns: Sequence[MeasuredTurn], width: int) -> list[Line]:
    """Return one entry of the transcript; an answer has its latency below it."""
    text = f"{said.text} (interrupted)".lstrip() if said.interrupted else said.text
    name = "·" if said.speaker == "note" else said.speaker
    style = "dim" if said.speaker == "note" else ""
    rows = wrapped(text, max(20, width - _INDENT)) or [""]
    lines: list[Line] = [[Span(f"{name:<{_INDENT}}", _STYLES[said.speaker]), Span(rows[0], style)]]
    lines += [[Span(" " * _INDENT), Span(row, style)] for row in rows[1:]]
    if said.turn is not None and said.turn <= len(turns):
        figures = wrapped(timing(turns[said.turn - 1]), max(20, width - _INDENT))
        lines += [[Span(" " * _INDENT), Span(row, "dim")] for row in figures]
    return lines


def timing(turn: MeasuredTurn) -> str:
    """Return a turn's latency and its parts, in seconds; no part breaks over two lines."""
    text = in_seconds(turn.total_ms, ((part.name, part.ms) for part in turn.parts))
    return " · ".join(part.replace(" ", "\xa0") for part in text.split(" · "))


def summary(totals: TurnTotals) -> str:
    """Return number, median and worst latency of all turns."""
    if totals.median_ms is None or totals.worst_ms is None:
        return "no turns yet"
    turns = "1 turn" if totals.turns == 1 else f"{totals.turns} turns"
    median, worst = totals.median_ms / 1000, totals.worst_ms / 1000
    return f"{turns} · median {median:.2f} s · worst {worst:.2f} s"


def meter(levels: Sequence[float]) -> str:
    """Return the last levels as bars, the newest at the right."""
    scale = (len(_BARS) - 1) / (_CEILING_DB - _FLOOR_DB)
    bars = (
        _BARS[round(min(max(level - _FLOOR_DB, 0), _CEILING_DB - _FLOOR_DB) * scale)]
        for level in levels[-_METER_WIDTH:]
    )
    return "".join(bars).rjust(_METER_WIDTH)


def clock(seconds: float) -> str:
    """Return minutes and seconds, and hours if there are any."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute:02}:{second:02}"


def _spread(left: Sequence[Span], right: Sequence[Span], width: int) -> Line:
    """Return one line with both at their edges; the left part is cut if it does not fit."""
    room = max(0, width - sum(columns(span.text) for span in right) - 2)
    kept: list[Span] = []
    for span in left:
        kept.append(Span(cropped(span.text, room), span.style))
        room -= columns(kept[-1].text)
    return [*kept, Span(" " * (room + 2)), *right]
