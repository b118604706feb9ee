"""Owns the format of the agent's log, one JSON object per line: parsing, filtering, display."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from voicecore.console import json_text
from voicecore.console.output import Line, Span
from voicecore.contract.latency_stages import in_seconds, sum_by_stage

LEVELS = ("debug", "info", "warning", "error")

HEARD = "heard"
"""`outcome` of a `sound` event, for a stretch of the caller's sound whose words were recognized.

The others are too_quiet, too_short, not_speech, not_recognized and dropped. `message` says in one
line what became of the stretch and what to do. The event is also an RTVI server message.
"""

# AgentCore names streams with and without the session (developer guide, observability-configure).
_AGENT_STREAM = re.compile(r"\d{4}/\d{2}/\d{2}/\[runtime-logs(?:-(?P<session>[^\]]+))?\]")
# A session server on Lambda (developer guide, monitoring-cloudwatchlogs-view).
_LAMBDA_STREAM = re.compile(r"\d{4}/\d{2}/\d{2}/\[(\$LATEST|\d+)\]")
# A session server on ECS: prefix and container are those of cloud/stacks/ecs_tasks.
_ECS_STREAM = re.compile(r"server/server/[0-9a-f]+")
# Lines that Lambda itself writes.
_LAMBDA_LINE = re.compile(r"(INIT_)?START |END RequestId: |REPORT RequestId: ")


@dataclass(frozen=True)
class LogEntry:
    """One line of a log, and its stream."""

    time: datetime
    stream: str
    text: str
    id: str = ""
    """CloudWatch's event ID; empty if it gives none."""

    @property
    def session(self) -> str:
        """The session's ID, from the line itself or its stream's name; empty if unknown."""
        fields = json_fields(self.text)
        own = fields.get("session_id") or fields.get("sessionId")
        named = _AGENT_STREAM.match(self.stream)
        return str(own or (named and named["session"]) or "")


@dataclass(frozen=True)
class LogFilter:
    """Which lines to show; an empty field matches every line."""

    session: str = ""
    """Prefix of the session's ID."""
    text: str = ""
    """Text in the raw line; case is ignored."""
    level: str = ""
    """Minimum level, one of LEVELS."""

    def passes(self, entry: LogEntry) -> bool:
        """Return True when the entry matches; one without a level (a traceback) has any level."""
        level = json_fields(entry.text).get("level")
        return (
            entry.session.startswith(self.session)
            and self.text.casefold() in entry.text.casefold()
            and (level is None or _severity(str(level)) >= _severity(self.level))
        )


def is_output_stream(stream: str) -> bool:
    """Return True for a log stream with output of agents or servers; other streams are traces."""
    known = (_AGENT_STREAM, _LAMBDA_STREAM, _ECS_STREAM)
    return any(pattern.match(stream) for pattern in known)


def written_at(text: str) -> datetime | None:
    """Return the time in the line; None if it has none, or one without a zone."""
    try:
        time = datetime.fromisoformat(str(json_fields(text).get("time")))
    except ValueError:
        return None
    return time if time.tzinfo else None


def hides_transcript(text: str) -> bool:
    """Return True for a turn without its text, as LOG_TRANSCRIPTS=false logs it."""
    event = parse_event(text) or {}
    return event.get("event") in ("user_said", "agent_said") and "text" not in event


def display_line(text: str) -> Line:
    """Return a line of an agent's log as people read it.

    A line of another shape (a traceback, a print, an event of the bot's own) is returned as it is.
    """
    event = parse_event(text)
    try:
        return _display_event(event, text) if event else [Span(text)]
    except (TypeError, ValueError, AttributeError):
        return [Span(text)]  # an event with one of our names and other fields


def _display_event(event: dict[str, Any], text: str) -> Line:
    match event.get("event"):
        case "ready":
            seconds, peak = event.get("seconds", 0), event.get("peak_mb", 0)
            return [Span(f"agent ready after {seconds:.1f} s, {peak:.0f} MB", "dim")]
        case "session_started" | "session_resumed" as name:
            verb = "resumed" if event.get("resumed") else name.removeprefix("session_")
            return [Span(f"session {verb} over {event.get('transport', '?')}", "dim")]
        case "user_said":
            return [Span("you    ", "cyan"), Span(event.get("text", "(not logged)"))]
        case "agent_said":
            cut = [Span(" (interrupted)", "dim")] if event.get("interrupted") else []
            return [Span("agent  ", "green"), Span(event.get("text", "(not logged)")), *cut]
        case "latency":
            return [Span(_latency(event), "dim")]
        case "tool_call":
            return [Span(f"tool {event.get('name')}  {event.get('ms', 0):.0f} ms", "magenta")]
        case "blocked":
            name, seconds = event.get("name"), event.get("seconds", 0)
            advice = "use await asyncio.sleep or asyncio.to_thread"
            return [Span(f"{name} blocked the agent for {seconds:.0f} s; {advice}", "yellow")]
        case "session_ended":
            seconds, turns = event.get("seconds", 0), event.get("turns", 0)
            reason = event.get("reason", "ended")
            counted = "1 turn" if turns == 1 else f"{turns} turns"
            return [Span(f"session ended: {reason}, {counted} in {seconds:.0f} s", "dim")]
        case "sound":
            style = "dim" if event.get("outcome") == HEARD else "yellow"
            return [Span(str(event.get("message", text)), style)]
        case "session_stopped":
            return [Span("session stopped by its caller", "dim")]
        case _:
            message = str(event.get("message") or _in_words(event) or text)
            return [Span(message, _STYLES.get(str(event.get("level")), "dim"))]


_HEAD = ("time", "level", "event", "session_id")
"""Fields of every event."""
_STYLES = {"WARNING": "yellow", "ERROR": "red", "CRITICAL": "bold red"}


def parse_event(text: str) -> dict[str, Any] | None:
    """Return the event in an agent's line; None for any other line."""
    fields = json_fields(text)
    return fields if "event" in fields else None


def json_fields(text: str) -> dict[str, Any]:
    """Return the JSON object in a line, an agent's or another's; empty if there is none."""
    if not text.startswith("{"):
        return {}
    try:
        document = json_text.parse(text)
    except ValueError:
        return {}
    return cast("dict[str, Any]", document) if isinstance(document, dict) else {}


def is_routine(text: str) -> bool:
    """Return True for lines that are not shown by default: routine ones, and what others repeat."""
    event = parse_event(text)
    if event is None:
        return _LAMBDA_LINE.match(text) is not None
    if event["event"] == "sound":
        return event.get("outcome") == HEARD  # user_said follows
    return event["event"] == "log" and event.get("level") in ("DEBUG", "INFO")


def _severity(level: str) -> int:
    # Levels that the standard library lacks, like loguru's SUCCESS, count as INFO.
    return logging.getLevelNamesMapping().get(level.upper(), logging.INFO) if level else 0


def _in_words(event: dict[str, Any]) -> str:
    """Return an event of the session server's, or of the bot's own; empty if it has nested data."""
    fields = {name: value for name, value in event.items() if name not in _HEAD}
    if any(isinstance(value, dict | list) for value in fields.values()):
        return ""
    words = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in fields.items())
    return f"{event['event']}".replace("_", " ") + f": {words}" * bool(words)


def _latency(event: dict[str, Any]) -> str:
    stages = cast("list[dict[str, Any]]", event.get("stages", []))
    pairs = ((stage.get("key", ""), stage.get("ms", 0)) for stage in stages)
    total = event.get("total_ms", 0)
    return in_seconds(total, sum_by_stage(pairs, total).items())
