"""Owns the format of spans: as a local agent writes them, and as CloudWatch stores them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from voicecore.console import json_text

SESSION = "session.id"
"""Attribute of every span of a call."""
CONVERSATION, TURN = "conversation", "turn"
"""Names of the spans that hold a connection, and a turn."""


@dataclass(frozen=True)
class TraceSpan:
    """One span; times are seconds since 1970."""

    id: str
    parent: str
    """ID of the span that it is a part of; empty if there is none."""
    trace: str
    name: str
    start: float
    end: float
    attributes: Mapping[str, Any]
    error: str | None = None
    """What failed, which may be empty; None if nothing did."""

    @property
    def seconds(self) -> float:
        """The time from start to end."""
        return max(0.0, self.end - self.start)

    @property
    def session(self) -> str:
        """ID of the session that it names; empty if it names none."""
        return str(self.attributes.get(SESSION) or "")

    def number(self, attribute: str) -> float | None:
        """Return an attribute that is a number; None if it is missing or something else."""
        value = self.attributes.get(attribute)
        return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def parse_span(text: str) -> TraceSpan | None:
    """Return the span in a line; None if the line is something else, or cut off."""
    try:
        document = json_text.parse(text)
        return _local(document) if "context" in document else _stored(document)
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError):
        return None


def _local(span: dict[str, Any]) -> TraceSpan:
    """Return a span that OpenTelemetry's SDK wrote as JSON (ReadableSpan.to_json)."""
    status = span["status"]
    return TraceSpan(
        span["context"]["span_id"],
        span["parent_id"] or "",
        span["context"]["trace_id"],
        str(span["name"]),
        datetime.fromisoformat(span["start_time"]).timestamp(),
        datetime.fromisoformat(span["end_time"]).timestamp(),
        _attributes(span),
        status.get("description", "") if status["status_code"] == "ERROR" else None,
    )


def _stored(span: dict[str, Any]) -> TraceSpan:
    """Return a span as X-Ray writes it to CloudWatch Logs (`aws/spans`)."""
    status: dict[str, Any] = span.get("status") or {}
    return TraceSpan(
        span["spanId"],
        span.get("parentSpanId") or "",
        span["traceId"],
        str(span["name"]),
        int(span["startTimeUnixNano"]) / 1e9,
        int(span["endTimeUnixNano"]) / 1e9,
        _attributes(span),
        status.get("message", "") if status.get("code") == "ERROR" else None,
    )


def _attributes(span: dict[str, Any]) -> dict[str, Any]:
    attributes: object = span.get("attributes") or {}
    if not isinstance(attributes, dict):
        raise TypeError("attributes are no object")
    return cast("dict[str, Any]", attributes)
