"""Owns what moto's CloudWatch Logs lacks: filter patterns, Live Tail, agents' lines, keys.

Filter patterns follow the CloudWatch Logs User Guide, FilterAndPatternSyntax: terms (all, ?any,
-none, "quoted"), and conditions on JSON joined by && or ||; regular expressions are not supported.
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

_NO_GROUP = "The specified log group does not exist."
_UPDATE_SECONDS = 1.0  # seconds between a live tail's updates


@dataclass(frozen=True)
class Line:
    """A log event and its stream."""

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
    matches = pattern(p.get("filterPattern", ""))
    found = [
        line
        for line in _lines(group)
        if (not names or line.stream in names)
        and line.stream.startswith(prefix or "")
        and p.get("startTime", 0) <= line.at <= p.get("endTime", line.at)
        and matches(line.message)
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
    # Always different: paginators take the same token twice for a loop.
    return f"{start}/{uuid.uuid4()}"


def live_tail(cloud: Cloud, call: Call) -> dict[str, Any]:
    p = call.params
    for each in p["logGroupIdentifiers"]:
        if not each.startswith("arn:") or each.endswith(":*"):
            message = "The log group identifiers must be ARNs without a trailing ':*'"
            raise Refused("InvalidParameterException", message)
        _group(call, each.rpartition(":log-group:")[2])
    wanted = [g.rpartition(":log-group:")[2] for g in p["logGroupIdentifiers"]]
    matches = pattern(p.get("logEventFilterPattern", ""))
    prefixes = tuple(p.get("logStreamNamePrefixes", [])) or ("",)
    names = p.get("logStreamNames")

    def lines() -> Iterator[tuple[str, Line]]:
        for name in wanted:
            group = _backend(call).groups.get(name)
            for line in _lines(group) if group else []:
                if line.stream.startswith(prefixes) and (not names or line.stream in names):
                    yield name, line

    seen = {(line.stream, line.id) for _, line in lines()}

    def new_lines() -> list[dict[str, Any]]:
        found = []
        for name, line in lines():
            if (line.stream, line.id) in seen:
                continue
            seen.add((line.stream, line.id))
            if matches(line.message):
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
                cloud.clock.sleep(_UPDATE_SECONDS)
            except Stopped:
                return
            with cloud.lock:
                results = new_lines()
            update = {"sessionMetadata": {"sampled": False}, "sessionResults": results}
            yield {"sessionUpdate": update}

    return {"responseStream": events()}


def write_lines(
    cloud: Cloud,
    account: str,
    region: str,
    group: str,
    stream: str,
    messages: tuple[str, ...],
    at: datetime | None,
) -> None:
    """Write lines as a runtime does: the first line creates group and stream."""
    with cloud.lock:
        backend = get_backend("logs")[account][region]
        if group not in backend.groups:
            backend.create_log_group(group, {})
        found = backend.groups[group]
        if stream not in found.streams:
            backend.create_log_stream(group, stream)
        when = int((at or cloud.clock.now()).timestamp() * 1000)
        # PutLogEvents rejects lines older than 14 days, which tests need.
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
        raise Refused("ResourceNotFoundException", _NO_GROUP)
    return _backend(call).groups[name]


def _lines(group: Any) -> list[Line]:
    """Return all lines of a group, oldest first."""
    found = [
        Line(name, event.timestamp, event.message, event.ingestion_time, str(event.event_id))
        for name, stream in group.streams.items()
        for event in stream.events
    ]
    return sorted(found, key=lambda line: line.at)


def pattern(text: str) -> Callable[[str], bool]:
    """Return a filter pattern as a predicate of messages. Raises Refused if it is invalid."""
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
    excluded = [word for sign, word in words if sign == "-"]
    any_of = [word for sign, word in words if sign == "?"]

    def matches(message: str) -> bool:
        return (
            all(word in message for word in wanted)
            and not any(word in message for word in excluded)
            and (not any_of or any(word in message for word in any_of))
        )

    return matches


_CONDITION = re.compile(
    r"\$(?P<path>(?:\.\w+|\[\d+\])+)\s*(?:(?P<is>IS|NOT EXISTS)\s*(?P<what>NULL|TRUE|FALSE)?"
    r"|(?P<op>=|!=|<=|>=|<|>)\s*(?P<value>\"[^\"]*\"|[^\s&|()]+))"
)


def _json_pattern(text: str) -> Callable[[str], bool]:
    any_of = [
        [_condition(part) for part in clause.split("&&")]
        for clause in text.replace("(", " ").replace(")", " ").split("||")
    ]

    def matches(message: str) -> bool:
        try:
            parsed = json.loads(message)
        except ValueError:
            return False
        return any(all(holds(parsed) for holds in clause) for clause in any_of)

    return matches


def _condition(text: str) -> Callable[[Any], bool]:
    found = _CONDITION.fullmatch(text.strip())
    if found is None:
        raise Refused("InvalidParameterException", f"Invalid filter pattern: {text.strip()}")
    path = re.findall(r"\w+", found["path"])
    if found["is"] == "NOT EXISTS":
        return lambda value: _at(value, path) is _MISSING
    if found["is"]:
        wanted = {"NULL": None, "TRUE": True, "FALSE": False}[found["what"]]
        return lambda value: _at(value, path) is wanted
    operator, operand = found["op"], found["value"]

    def holds(value: Any) -> bool:
        actual = _at(value, path)
        if actual is _MISSING:
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


_MISSING = object()


def _at(value: Any, path: list[str]) -> Any:
    for part in path:
        if isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        elif isinstance(value, dict) and part in value:
            value = value[part]
        else:
            return _MISSING
    return value


def create_group(cloud: Cloud, call: Call) -> dict[str, Any]:
    _check_key(call, call.params["logGroupName"], call.params.get("kmsKeyId"))
    return call.moto()


def associate_key(cloud: Cloud, call: Call) -> dict[str, Any]:
    group = _group(call, call.params["logGroupName"])
    _check_key(call, group.name, call.params["kmsKeyId"])
    group.kms_key_id = call.params["kmsKeyId"]
    return {}


def disassociate_key(cloud: Cloud, call: Call) -> dict[str, Any]:
    _group(call, call.params["logGroupName"]).kms_key_id = None
    return {}


def _check_key(call: Call, group: str, key: str | None) -> None:
    """Refuse a key that its policy does not let the service use (encrypt-log-data-kms)."""
    if key is None:
        return
    keys = get_backend("kms")[call.account][call.region].keys
    found = keys.get(key.rpartition("/")[2])
    if found is None or f"logs.{call.region}.amazonaws.com" not in found.policy:
        arn = f"arn:{call.partition}:logs:{call.region}:{call.account}:log-group:{group}"
        message = (
            "The specified KMS key does not exist or is not allowed to be used with LogGroup "
            f"'{arn}'."
        )
        raise Refused("InvalidParameterException", message)


HANDLERS = {
    ("logs", "FilterLogEvents"): filter_events,
    ("logs", "StartLiveTail"): live_tail,
    ("logs", "CreateLogGroup"): create_group,
    ("logs", "AssociateKmsKey"): associate_key,
    ("logs", "DisassociateKmsKey"): disassociate_key,
}
