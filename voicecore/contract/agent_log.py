"""What a generated agent writes, one JSON object a line: told apart, and put into words."""

from __future__ import annotations

import json
import logging
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from voicecore.console.output import Line, Span
from voicecore.contract.latency_stages import sum_by_stage

LEVELS = ("debug", "info", "warning", "error")

# AgentCore's two namings, with and without the session (developer guide, observability-configure).
_STREAM = re.compile(r"\d{4}/\d{2}/\d{2}/\[runtime-logs(?:-(?P<session>[^\]]+))?\]")
# Lambda's, where its servers run (developer guide, monitoring-cloudwatchlogs-view), and what it
# writes itself.
_LAMBDA_STREAM = re.compile(r"\d{4}/\d{2}/\d{2}/\[(\$LATEST|\d+)\]")
# ECS's, by the prefix and the container that cloud/stacks/ecs_server names.
_TASK_STREAM = re.compile(r"server/server/[0-9a-f]+")
_LAMBDA_CHATTER = re.compile(r"(INIT_)?START |END RequestId: |REPORT RequestId: ")


@dataclass(frozen=True)
class LogEntry:
    """One line of a log, and where it was found."""

    time: datetime
    stream: str
    text: str
    id: str = ""
    """CloudWatch's own; empty where it gives none."""

    @property
    def session(self) -> str:
        """The session it belongs to, by its own words or its stream's name; empty if unknown."""
        fields = json_fields(self.text)
        own = fields.get("session_id") or fields.get("sessionId")
        named = _STREAM.match(self.stream)
        return str(own or (named and named["session"]) or "")


@dataclass(frozen=True)
class LogFilter:
    """Which lines are wanted; what is empty lets everything through."""

    session: str = ""
    """The beginning of its id."""
    text: str = ""
    """In the line as it was written, in whatever case."""
    level: str = ""
    """The lowest of LEVELS that is wanted."""

    def passes(self, entry: LogEntry) -> bool:
        """Whether `entry` is wanted. A line without a level may be a traceback, and passes any."""
        level = json_fields(entry.text).get("level")
        return (
            entry.session.startswith(self.session)
            and self.text.casefold() in entry.text.casefold()
            and (level is None or _severity(str(level)) >= _severity(self.level))
        )


def is_output_stream(stream: str) -> bool:
    """Whether a log stream holds what agents or servers print; the others are traces."""
    known = (_STREAM, _LAMBDA_STREAM, _TASK_STREAM)
    return any(pattern.match(stream) for pattern in known)


def written_at(text: str) -> datetime | None:
    """When the line was written, by its own words."""
    try:
        time = datetime.fromisoformat(str(json_fields(text).get("time")))
    except ValueError:
        return None
    return time if time.tzinfo else None


def hides_transcript(text: str) -> bool:
    """Whether the line tells that somebody spoke but not what, as LOG_TRANSCRIPTS=false asks."""
    event = parse_event(text) or {}
    return event.get("event") in ("user_said", "agent_said") and "text" not in event


def display_line(text: str) -> Line:
    """The line `text` of an agent's log as a person would say it.

    A line of any other shape (a traceback, a print, an event of the bot's own) is itself.
    """
    event = parse_event(text)
    try:
        return _words_of(event, text) if event else [Span(text)]
    except (TypeError, ValueError, AttributeError):
        return [Span(text)]  # it has our event's name, and something else in it


def _words_of(event: dict[str, Any], text: str) -> Line:
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
            return [Span(f"{event.get('total_ms', 0):.0f} ms  ", "bold"), *_stages(event)]
        case "tool_call":
            return [Span(f"tool {event.get('name')}  {event.get('ms', 0):.0f} ms", "magenta")]
        case "session_ended":
            seconds, turns = event.get("seconds", 0), event.get("turns", 0)
            reason = event.get("reason", "ended")
            return [Span(f"session ended: {reason}, {turns} turns in {seconds:.0f} s", "dim")]
        case "session_stopped":
            return [Span("session stopped by its caller", "dim")]
        case _:
            message = str(event.get("message", text))
            return [Span(message, _STYLES.get(str(event.get("level")), "dim"))]


_STYLES = {"WARNING": "yellow", "ERROR": "red", "CRITICAL": "bold red"}


def parse_event(text: str) -> dict[str, Any] | None:
    """The JSON object that `text` is, if it is an agent's line."""
    fields = json_fields(text)
    return fields if "event" in fields else None


def json_fields(text: str) -> dict[str, Any]:
    """The JSON object that `text` is, an agent's or another's; empty if it is none."""
    if not text.startswith("{"):
        return {}
    try:
        document = json.loads(text)
    except ValueError:
        return {}
    return cast("dict[str, Any]", document) if isinstance(document, dict) else {}


def _severity(level: str) -> int:
    # Of what no library's logging names, as loguru's SUCCESS, the nearest below is meant.
    return logging.getLevelNamesMapping().get(level.upper(), logging.INFO) if level else 0


def is_routine(text: str) -> bool:
    """Whether a line is a library's or Lambda's daily business, which no screen has room for."""
    event = parse_event(text)
    if event is None:
        return _LAMBDA_CHATTER.match(text) is not None
    return event["event"] == "log" and event.get("level") in _DAILY


_DAILY = ("DEBUG", "INFO")


def _stages(event: dict[str, Any]) -> list[Span]:
    stages = cast("list[dict[str, Any]]", event.get("stages", []))
    parts = sum_by_stage(
        ((s.get("key", ""), s.get("ms", 0)) for s in stages), event.get("total_ms", 0)
    )
    return [Span(" · ".join(f"{name} {ms:.0f}" for name, ms in parts.items()), "dim")]
