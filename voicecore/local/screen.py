"""Owns what `voicecore dev` prints: the screen, and one line for each event."""

from __future__ import annotations

from collections.abc import Sequence

from voicecore.console.output import Line, Span, cropped, wrapped
from voicecore.contract.agent_log import display_line, is_routine, parse_event
from voicecore.local.sessions.events import (
    LogLine,
    RuntimeEvent,
    RuntimeStatus,
    SessionStatus,
    SpareStatus,
)

_STATE_STYLES = {"Active": "green", "Idle": "yellow", "Starting": "cyan", "Stopping": "dim"}
_NO_SESSIONS = "  none yet; talk to the agent from another terminal:  voicecore talk"
_FIXED_LINES = 10  # all lines of the screen except sessions and log lines


def screen(
    status: RuntimeStatus,
    server: str,
    page: str | None,
    notes: Sequence[str],
    width: int,
    height: int,
) -> list[Line]:
    """Return the screen, in at most `height` lines of at most `width` characters.

    The page's URL is never cut, but continues on the next line: a part of it would be useless.
    """
    rows = max(1, (height - _FIXED_LINES) // 2)
    sessions = [_session(session, width) for session in status.sessions[-rows:]]
    hidden = len(status.sessions) - len(sessions)
    head: list[Line] = [
        [Span("AgentCore Runtime ", "bold"), Span(status.url), *_scale(status)],
        [Span("session server    ", "bold"), Span(server or "none")],
        *_page(page, width),
        *([Span(f"  {part}")] for note in notes for part in wrapped(note, width - 2)),
        *_spare(status.spare, width),
        [],
        [Span(f"Sessions  {len(status.sessions)}", "bold"), *_more(hidden)],
        *(sessions or [[Span(_NO_SESSIONS)]]),
        [],
    ]
    texts = [line.text for line in status.lines if not is_chatter(line)]
    lines = [display_line(text) for text in texts[-max(1, height - len(head) - 1) :]]
    return [*head, *lines, [Span("Press Ctrl-C to stop", "dim")]]


def event_line(event: RuntimeEvent) -> Line:
    """Return one event as one line, for output without a screen."""
    session = [Span(f"{short(event.session_id)}  ", "dim")] if event.session_id else []
    match event.kind:
        case "log":
            return [*session, *display_line(event.text)]
        case "failed" | "refused":
            hint = [Span(f"  {event.hint}")] if event.hint else []
            return [Span("✗ ", "red"), *session, Span(event.text), *hint]
        case "advice":
            return [Span("! ", "yellow"), *session, Span(event.text)]
        case _:
            return [Span("• "), *session, Span(event.text)]


def is_chatter(line: LogLine) -> bool:
    """Return whether a line of output is not news: routine, or that the spare process is ready."""
    event = parse_event(line.text) or {}
    return is_routine(line.text) or (event.get("event") == "ready" and line.session_id is None)


def short(session_id: str) -> str:
    """Return the first characters of a session ID, enough to distinguish it."""
    return session_id[:8]


def _scale(status: RuntimeStatus) -> list[Span]:
    return [] if status.time_scale == 1 else [Span(f"  time × {status.time_scale:g}", "magenta")]


def _more(hidden: int) -> list[Span]:
    return [Span(f"  ({hidden} older not shown)", "dim")] if hidden else []


def _spare(spare: SpareStatus, width: int) -> list[Line]:
    title = Span("agent             ", "bold")
    match spare.state:
        case "ready":
            parts = wrapped(spare.warning or "", width - 2)
            return [
                [title, Span("warm", "green"), Span(f", version {spare.version}")],
                *([Span(f"  {part}", "yellow")] for part in parts),
            ]
        case "failed":
            texts = [(spare.problem or "", "red"), (spare.hint or "", "")]
            rows = [(row, style) for text, style in texts for row in wrapped(text, width - 2)]
            return [
                [title, Span("failed to start", "red"), Span("; save a file to retry", "dim")],
                *([Span(f"  {row}", style)] for row, style in rows),
            ]
        case _:
            return [[title, Span("starting", "cyan"), Span(f", version {spare.version}")]]


def _page(page: str | None, width: int) -> list[Line]:
    if not page:
        return []
    indented = [f"  {page}"] if len(page) + 2 <= width else wrapped(page, width)
    return [[Span("talk in the browser", "bold")], *([Span(row)] for row in indented)]


def _session(session: SessionStatus, width: int) -> Line:
    turns = "turn" if session.turns == 1 else "turns"
    row = [
        Span(f"  {short(session.id)}  "),
        Span(f"{session.state:<8}", _STATE_STYLES[session.state]),
        Span(f"  v{session.version}  {_duration(session.age):>7}  {session.turns} {turns}"),
    ]
    used = sum(len(span.text) for span in row)
    if session.advice and width - used > 4:
        row.append(Span(cropped(f"  {session.advice}", width - used), "yellow"))
    return row


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
