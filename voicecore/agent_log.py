"""What a generated agent writes, one JSON object a line, put into words for people."""

from __future__ import annotations

import json
from typing import Any, cast

from voicecore.output import Line, Span
from voicecore.stages import by_name


def words_of(text: str) -> Line:
    """The line `text` of an agent's log as a person would say it.

    A line of any other shape (a traceback, a print) is itself.
    """
    event = parse(text)
    if event is None:
        return [Span(text)]
    match event.get("event"):
        case "session_started":
            verb = "resumed" if event.get("resumed") else "started"
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
        case _:
            message = str(event.get("message", text))
            return [Span(message, _STYLES.get(str(event.get("level")), "dim"))]


_STYLES = {"WARNING": "yellow", "ERROR": "red", "CRITICAL": "bold red"}


def parse(text: str) -> dict[str, Any] | None:
    """The JSON object that `text` is, if it is an agent's line."""
    if not text.startswith("{"):
        return None
    try:
        document = json.loads(text)
    except ValueError:
        return None
    if not isinstance(document, dict) or "event" not in document:
        return None
    return cast("dict[str, Any]", document)


def is_chatter(text: str) -> bool:
    """Whether a line is a library's daily business, which no screen has room for."""
    event = parse(text)
    return event is not None and event["event"] == "log" and event.get("level") in _DAILY


_DAILY = ("DEBUG", "INFO")


def _stages(event: dict[str, Any]) -> list[Span]:
    stages = cast("list[dict[str, Any]]", event.get("stages", []))
    parts = by_name(((s.get("key", ""), s.get("ms", 0)) for s in stages), event.get("total_ms", 0))
    return [Span(" · ".join(f"{name} {ms:.0f}" for name, ms in parts.items()), "dim")]
