"""Mends of moto's CloudWatch Logs: filters, empty pages, a live tail that lives; agents that log.

Syntax of filters: CloudWatch Logs User Guide, FilterAndPatternSyntax: terms (all, ?any, -none,
"quoted"), and conditions on JSON joined by && or ||. Regular expressions are not imitated.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from moto.backends import get_backend

from tests.standins.aws.clock import Stopped
from tests.standins.aws.cloud import Call, Cloud
from tests.standins.models.refusal import Refused

_ABSENT = "The specified log group does not exist."
_TICK = 1.0  # seconds between a live tail's updates


@dataclass(frozen=True)
class Line:
    """A log event and where it is."""

    stream: str
    at: int  # milliseconds since 1970
    message: str
    ingested: int
    id: str


def filter_events(cloud: Cloud, call: Call) -> dict[str, Any]:
    p = call.params
    names, prefix = p.get("logStreamNames"), p.get("logStreamNamePrefix")
    if names and prefix:
        message = "LogStreamNames and LogStreamNamePrefix cannot both be given."
        raise Refused("InvalidParameterException", message)
    group = _group(call, p.get("logGroupName") or p["logGroupIdentifier"])
    fits = pattern(p.get("filterPattern", ""))
    found = [
        line
        for line in _lines(group)
        if (not names or line.stream in names)
        and line.stream.startswith(prefix or "")
        and p.get("startTime", 0) <= line.at <= p.get("endTime", line.at)
        and fits(line.message)
    ]
    start, size = int(p.get("nextToken", "0").partition("/")[0]), p.get("limit", 10000)
    if cloud.faults.page_is_empty():
        return {"events": [], "searchedLogStreams": [], "nextToken": _token(start)}
    page = found[start : start + size]
    answer: dict[str, Any] = {
        "events": [
            {
                "logStreamName": line.stream,
                "timestamp": line.at,
                "message": line.message,
                "ingestionTime": line.ingested,
                "eventId": line.id,
            }
            for line in page
        ],
        "searchedLogStreams": [],
    }
    return answer | ({"nextToken": _token(start + size)} if start + size < len(found) else {})


def _token(start: int) -> str:
    return f"{start}/{uuid.uuid4()}"  # never the same twice: paginators take that for a circle


def live_tail(cloud: Cloud, call: Call) -> dict[str, Any]:
    p = call.params
    for each in p["logGroupIdentifiers"]:
        if not each.startswith("arn:") or each.endswith(":*"):
            message = "The log group identifiers must be ARNs without a trailing ':*'"
            raise Refused("InvalidParameterException", message)
        _group(call, each.rpartition(":log-group:")[2])
    wanted = [g.rpartition(":log-group:")[2] for g in p["logGroupIdentifiers"]]
    fits = pattern(p.get("logEventFilterPattern", ""))
    prefixes = tuple(p.get("logStreamNamePrefixes", [])) or ("",)
    names = p.get("logStreamNames")

    def lines() -> Iterator[tuple[str, Line]]:
        for name in wanted:
            group = _backend(call).groups.get(name)
            for line in _lines(group) if group else []:
                if line.stream.startswith(prefixes) and (not names or line.stream in names):
                    yield name, line

    seen = {(line.stream, line.id) for _, line in lines()}

    def news() -> list[dict[str, Any]]:
        found = []
        for name, line in lines():
            if (line.stream, line.id) in seen:
                continue
            seen.add((line.stream, line.id))
            if fits(line.message):
                found.append(
                    {
                        "logStreamName": line.stream,
                        "logGroupIdentifier": f"{call.account}:{name}",
                        "message": line.message,
                        "timestamp": line.at,
                        "ingestionTime": line.ingested,
                    }
                )
        return found

    def events() -> Iterator[dict[str, Any]]:
        begin = {"logGroupIdentifiers": p["logGroupIdentifiers"], "sessionId": str(uuid.uuid4())}
        yield {"sessionStart": begin}
        while True:
            try:
                cloud.clock.sleep(_TICK)
            except Stopped:
                return
            with cloud.lock:
                results = news()
            update = {"sessionMetadata": {"sampled": False}, "sessionResults": results}
            yield {"sessionUpdate": update}

    return {"responseStream": events()}


def says(
    cloud: Cloud,
    account: str,
    region: str,
    group: str,
    stream: str,
    messages: tuple[str, ...],
    at: datetime | None,
) -> None:
    """Writes lines as a runtime does: the group and the stream are made at the first line."""
    with cloud.lock:
        backend = get_backend("logs")[account][region]
        if group not in backend.groups:
            backend.create_log_group(group, {})
        found = backend.groups[group]
        if stream not in found.streams:
            backend.create_log_stream(group, stream)
        when = int((at or cloud.clock.now()).timestamp() * 1000)
        # Not by PutLogEvents: it refuses what is older than 14 days, and tests look back.
        found.streams[stream].put_log_events(
            [{"timestamp": when, "message": message} for message in messages]
        )
        for event in found.streams[stream].events[-len(messages) :]:
            event.ingestion_time = _now(cloud)
            event.event_id = uuid.uuid4().int % 10**18


def _now(cloud: Cloud) -> int:
    return int(cloud.clock.now().timestamp() * 1000)


def _backend(call: Call) -> Any:
    return get_backend("logs")[call.account][call.region]


def _group(call: Call, name: str) -> Any:
    name = name.rpartition(":log-group:")[2].removesuffix(":*")
    if name not in _backend(call).groups:
        raise Refused("ResourceNotFoundException", _ABSENT)
    return _backend(call).groups[name]


def _lines(group: Any) -> list[Line]:
    """All lines of a group, oldest first."""
    found = [
        Line(name, event.timestamp, event.message, event.ingestion_time, str(event.event_id))
        for name, stream in group.streams.items()
        for event in stream.events
    ]
    return sorted(found, key=lambda line: line.at)


def pattern(text: str) -> Callable[[str], bool]:
    """A filter pattern as a test of messages. Raises Refused when it is none."""
    text = text.strip()
    if not text:
        return lambda message: True
    if text.startswith("{"):
        if not text.endswith("}"):
            raise Refused("InvalidParameterException", "Invalid character(s) in term")
        return _json_pattern(text[1:-1])
    terms = re.findall(r'([-?]?)(?:"([^"]*)"|(\S+))', text)
    words = [(sign, quoted or bare) for sign, quoted, bare in terms]
    wanted = [word for sign, word in words if sign == ""]
    barred = [word for sign, word in words if sign == "-"]
    either = [word for sign, word in words if sign == "?"]

    def fits(message: str) -> bool:
        return (
            all(word in message for word in wanted)
            and not any(word in message for word in barred)
            and (not either or any(word in message for word in either))
        )

    return fits


_CONDITION = re.compile(
    r"\$(?P<path>(?:\.\w+|\[\d+\])+)\s*(?:(?P<is>IS|NOT EXISTS)\s*(?P<what>NULL|TRUE|FALSE)?"
    r"|(?P<op>=|!=|<=|>=|<|>)\s*(?P<value>\"[^\"]*\"|[^\s&|()]+))"
)


def _json_pattern(text: str) -> Callable[[str], bool]:
    either = [
        [_condition(part) for part in clause.split("&&")]
        for clause in text.replace("(", " ").replace(")", " ").split("||")
    ]

    def fits(message: str) -> bool:
        try:
            parsed = json.loads(message)
        except ValueError:
            return False
        return any(all(holds(parsed) for holds in clause) for clause in either)

    return fits


def _condition(text: str) -> Callable[[Any], bool]:
    found = _CONDITION.fullmatch(text.strip())
    if found is None:
        raise Refused("InvalidParameterException", f"Invalid filter pattern: {text.strip()}")
    path = re.findall(r"\w+", found["path"])
    if found["is"] == "NOT EXISTS":
        return lambda value: _at(value, path) is _NOTHING
    if found["is"]:
        wanted = {"NULL": None, "TRUE": True, "FALSE": False}[found["what"]]
        return lambda value: _at(value, path) is wanted
    operator, operand = found["op"], found["value"]

    def holds(value: Any) -> bool:
        actual = _at(value, path)
        if actual is _NOTHING:
            return False
        if operand.startswith('"') or not re.fullmatch(r"-?[\d.]+", operand):
            wanted = re.escape(operand.strip('"')).replace(r"\*", ".*")
            same = re.fullmatch(wanted, str(actual), re.DOTALL) is not None
            return same if operator == "=" else not same
        if not isinstance(actual, int | float):
            return operator == "!="
        number = float(operand)
        return {
            "=": actual == number,
            "!=": actual != number,
            "<": actual < number,
            ">": actual > number,
            "<=": actual <= number,
            ">=": actual >= number,
        }[operator]

    return holds


_NOTHING = object()


def _at(value: Any, path: list[str]) -> Any:
    for part in path:
        if isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        elif isinstance(value, dict) and part in value:
            value = value[part]
        else:
            return _NOTHING
    return value


HANDLERS = {
    ("logs", "FilterLogEvents"): filter_events,
    ("logs", "StartLiveTail"): live_tail,
}
