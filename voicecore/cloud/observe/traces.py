"""Owns reading a stage's spans from CloudWatch.

X-Ray writes the spans of an agent to the stream `spans` of its own log groups, or, of runtimes of
before July 2026, to the group aws/spans that all programs of the account share
(developer guide, observability-configure).
"""

# botocore has no types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from voicecore.aws.errors import ignoring
from voicecore.aws.session import Aws
from voicecore.cloud.observe.logs import LATE, LogSource, aws_now
from voicecore.cloud.resources.agentcore import DEFAULT_ENDPOINT
from voicecore.contract.trace_spans import TraceSpan, parse_span
from voicecore.project import aws_names

_STREAM = "spans"
_MISSING = "ResourceNotFoundException"


def read(aws: Aws, source: LogSource, since: datetime) -> Iterator[TraceSpan]:
    """Yield the spans of the stage's agent that were written since then."""
    client, groups, until = aws.client("logs"), source.groups(aws), aws_now(aws) + LATE
    for group in groups:
        yield from _spans(client, group, since, until, logStreamNamePrefix=_STREAM)
    if runtimes := _runtimes(groups, source.stage):
        # One of these terms must be in the line: it names the runtime in its resource.
        pattern = " ".join(f'?"{runtime}"' for runtime in runtimes)
        yield from _spans(client, aws_names.SPAN_GROUP, since, until, filterPattern=pattern)


def _runtimes(groups: Iterable[str], stage: str) -> list[str]:
    """Return the IDs of the runtimes that these log groups are of."""
    ends = [f"-{name}" for name in (DEFAULT_ENDPOINT, aws_names.endpoint_name_for(stage))]
    names = (group.rpartition("/")[2] for group in groups)
    found = (name.removesuffix(end) for name in names for end in ends if name.endswith(end))
    return list(dict.fromkeys(found))


def _spans(
    client: Any, group: str, since: datetime, until: datetime, **query: str
) -> Iterator[TraceSpan]:
    pages = client.get_paginator("filter_log_events").paginate(
        logGroupName=group,
        startTime=int(since.timestamp() * 1000),
        endTime=int(until.timestamp() * 1000),
        **query,
    )
    with ignoring(_MISSING):  # no span was ever written
        for page in pages:
            for event in page["events"]:
                if span := parse_span(event["message"]):
                    yield span
