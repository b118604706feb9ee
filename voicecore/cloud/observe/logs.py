"""Owns reading a stage's logs from CloudWatch: past lines, new lines, and Live Tail."""

# botocore has no types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

from __future__ import annotations

import heapq
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from botocore.eventstream import ParserError
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    EventStreamError,
)
from urllib3.exceptions import HTTPError

from voicecore.aws.errors import (
    AwsUnreachable,
    CredentialsRefused,
    code_of,
    ignoring,
    is_denied,
    is_throttled,
    translate_error,
)
from voicecore.aws.polling import Sleep
from voicecore.aws.session import Aws
from voicecore.cloud.resources import inventory
from voicecore.cloud.resources.agentcore import DEFAULT_ENDPOINT
from voicecore.cloud.resources.cloudformation import CloudFormation
from voicecore.cloud.resources.deployed_stack import DeployedStack
from voicecore.contract.agent_log import LogEntry, is_output_stream
from voicecore.project import aws_names
from voicecore.project.identity import Owner

LONGEST_SESSION = timedelta(hours=8)
"""The longest session of AgentCore (bedrock-agentcore-limits); it writes to one stream."""

LATE = timedelta(minutes=2)
"""Delay with which a line may reach CloudWatch and still be followed."""

POLL_SECONDS = 2.0
"""Seconds between two requests for new lines."""

_DAYS_MAX = timedelta(days=31)
_MISSING = "ResourceNotFoundException"


@dataclass(frozen=True)
class LogSource:
    """Which logs of a stage are read."""

    owner: Owner
    stage: str
    session: str = ""
    """Prefix of the session's ID; empty for all sessions."""
    server: bool = False
    """True for the session server's log, False for the agent's."""

    @property
    def project(self) -> str:
        """Name of the project."""
        return self.owner.project

    def require_own(self, aws: Aws) -> None:
        """Raise ForeignResource if the stage of this name is another project's."""
        try:
            self.stack(aws)
        except ClientError as error:
            # An identity that may read logs alone reads them.
            if not is_denied(error):
                raise

    def groups(self, aws: Aws) -> list[str]:
        """Return the stage's existing log groups, those of earlier runtimes included."""
        if self.server:
            found = inventory.server_log_group(aws, self.project, self.stage)
            return [found] if found else []
        return [group.name for group in inventory.log_groups(aws, self.project, self.stage)]

    def current_groups(self, aws: Aws) -> list[str]:
        """Return the groups of the current runtime; without one, up to 10 of all groups."""
        if self.server:
            return self.groups(aws)
        stack = self.stack(aws)
        runtime_id = stack.outputs.get("RuntimeId", "") if stack else ""
        endpoints = (DEFAULT_ENDPOINT, aws_names.endpoint_name_for(self.stage))
        current = {aws_names.log_group_for(runtime_id, endpoint) for endpoint in endpoints}
        groups = self.groups(aws)
        return [group for group in groups if group in current] or groups[:_LIVE_TAIL_GROUPS]

    def stack(self, aws: Aws) -> DeployedStack | None:
        """Return the deployed stack of agent or server; None if it is not deployed."""
        cloud = CloudFormation(aws.client("cloudformation"), self.owner, "voicecore logs")
        name = aws_names.server_for if self.server else aws_names.stack_name_for
        return cloud.find(name(self.project, self.stage))


# ---- past lines


def read(
    client: Any, groups: Iterable[str], session: str, since: datetime, until: datetime
) -> Iterator[LogEntry]:
    """Yield the lines of these groups between two times, oldest first, each once."""
    merged = heapq.merge(
        *(
            _filter_log_events(client, group, query, since, until)
            for group in groups
            for query in filter_queries(session, since, until)
        ),
        key=lambda entry: entry.time,
    )
    seen: set[str] = set()
    moment: datetime | None = None
    for entry in merged:
        if entry.time != moment:
            moment, seen = entry.time, set()
        if entry.id not in seen:
            seen.add(entry.id)
            yield entry


def read_matching(
    client: Any, group: str, pattern: str, since: datetime, until: datetime
) -> Iterator[LogEntry]:
    """Yield the lines of a group that match CloudWatch's filter pattern, oldest first."""
    return _filter_log_events(client, group, {"filterPattern": pattern}, since, until)


def filter_queries(session: str, since: datetime, until: datetime) -> list[dict[str, str]]:
    """Return the FilterLogEvents queries, apart from group and time, for the lines of a session.

    The names of a session's own streams start with the UTC date on which they were created. Streams
    of older containers have no session in their names, but the agent's JSON lines do. Without a
    session, or where there would be too many queries, one query asks for all lines.
    """
    if not session or until - since > _DAYS_MAX:
        return [{}]
    first = (since - LONGEST_SESSION).astimezone(UTC).date()
    days = (until.astimezone(UTC).date() - first).days
    dates = (first + timedelta(days=number) for number in range(days + 1))
    return [
        *({"logStreamNamePrefix": f"{day:%Y/%m/%d}/[runtime-logs-{session}"} for day in dates),
        {"filterPattern": session_pattern(session)},
    ]


def session_pattern(session: str) -> str:
    """Return CloudWatch's filter for JSON lines of sessions with this ID prefix."""
    prefix = json.dumps(f"{session}*")
    return f"{{ ($.session_id = {prefix}) || ($.sessionId = {prefix}) }}"


def last_entry_time(client: Any, group: str) -> datetime | None:
    """Return when the group was last written to; CloudWatch may know it up to an hour late."""
    streams: list[dict[str, Any]] = []
    with ignoring(_MISSING):
        streams = client.describe_log_streams(
            logGroupName=group, orderBy="LastEventTime", descending=True
        )["logStreams"]
    times = [
        stream["lastEventTimestamp"]
        for stream in streams
        if is_output_stream(stream["logStreamName"]) and "lastEventTimestamp" in stream
    ]
    return datetime.fromtimestamp(max(times) / 1000, UTC) if times else None


def aws_now(aws: Aws) -> datetime:
    """Return the time by AWS's clock."""
    return datetime.now(UTC) - aws.identity.skew


def _filter_log_events(
    client: Any, group: str, query: Mapping[str, str], since: datetime, until: datetime
) -> Iterator[LogEntry]:
    # The paginator follows nextToken, also past pages without events.
    pages = client.get_paginator("filter_log_events").paginate(
        logGroupName=group,
        startTime=_milliseconds(since),
        endTime=_milliseconds(until),
        **query,
    )
    with ignoring(_MISSING):  # the group was deleted meanwhile
        for page in pages:
            for event in page["events"]:
                if is_output_stream(event["logStreamName"]):
                    yield _entry(event)


def _entry(event: Mapping[str, Any]) -> LogEntry:
    return LogEntry(
        datetime.fromtimestamp(event["timestamp"] / 1000, UTC),
        event["logStreamName"],
        event["message"].rstrip("\r\n"),
        event.get("eventId", ""),
    )


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


# ---- new lines

Poll = Callable[[Aws], Iterator[LogEntry | None]]
"""Yields new lines, and None when AWS has answered without any."""


class WaitReason(StrEnum):
    """A temporary problem, which following waits out."""

    OFFLINE = "AWS does not answer. Waiting for the connection."
    BUSY = "This account sends AWS too many requests. Retrying."
    LOGIN = "The AWS credentials have expired. Waiting for new ones: log in in another terminal."


def follow(source: LogSource, since: datetime) -> Poll:
    """Return a poll whose first call yields the lines since then, and each later call new lines."""
    start, seen = since, dict[str, datetime]()

    def poll(aws: Aws) -> Iterator[LogEntry | None]:
        nonlocal start, seen
        now = aws_now(aws)
        groups = source.groups(aws)
        for entry in read(aws.client("logs"), groups, source.session, start, now + LATE):
            if entry.id not in seen:
                seen[entry.id] = entry.time
                yield entry
        start = max(start, now - LATE)
        seen = {id: moment for id, moment in seen.items() if moment >= start}
        yield None

    return poll


def keep_polling(
    poll: Poll,
    aws: Aws,
    renew: Callable[[], Aws] | None,
    report: Callable[[WaitReason | None], None],
    sleep: Sleep = time.sleep,
) -> Iterator[LogEntry]:
    """Yield the lines of `poll`, again and again, for ever.

    `report` gets each reason to wait once, and None when it is over. `renew` connects with the
    credentials that are found by then; without it, expired credentials are an error. Raises
    botocore's errors that waiting does not resolve.
    """
    current: WaitReason | None = None
    while True:
        try:
            if current is WaitReason.LOGIN and renew:
                aws = renew()
            for entry in poll(aws):
                if current:
                    current = None
                    report(None)
                if entry:
                    yield entry
        except (ClientError, BotoCoreError) as error:
            new = wait_reason(error)
            if new is None or (new is WaitReason.LOGIN and renew is None):
                raise
            if new is not current:
                current = new
                report(new)
        sleep(POLL_SECONDS)


def wait_reason(error: ClientError | BotoCoreError) -> WaitReason | None:
    """Return why `error` makes following wait; None if waiting does not resolve it."""
    if isinstance(error, ClientError):
        if is_throttled(error):
            return WaitReason.BUSY
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if status >= 500 or isinstance(error, EventStreamError):
            return WaitReason.OFFLINE
    match translate_error(error):
        case AwsUnreachable():
            return WaitReason.OFFLINE
        case CredentialsRefused():
            return WaitReason.LOGIN
        case _:
            return None


# ---- Live Tail

_LIVE_TAIL_GROUPS = 10  # log groups in one session (StartLiveTail)
_SESSION_ENDED = "SessionTimeoutException"  # after three hours (StartLiveTail)


def live_tail(source: LogSource, on_sampled: Callable[[], None]) -> Poll:
    """Return a poll by CloudWatch's Live Tail, which is charged per minute, for one session.

    Lines between two sessions are not seen. `on_sampled` is called when CloudWatch leaves lines
    out, which it does above 500 per second.
    """

    def poll(aws: Aws) -> Iterator[LogEntry | None]:
        groups = source.current_groups(aws)
        yield None
        if groups:
            yield from _tail(aws, groups, source.session, on_sampled)

    return poll


def _tail(
    aws: Aws, groups: Iterable[str], session: str, on_sampled: Callable[[], None]
) -> Iterator[LogEntry]:
    prefix = f"arn:{aws.partition}:logs:{aws.region}:{aws.account}:log-group"
    for update in _updates(aws.client("logs"), [f"{prefix}:{group}" for group in groups]):
        if update.get("sessionMetadata", {}).get("sampled"):
            on_sampled()
        for line in update.get("sessionResults", ()):
            entry = _entry(line)
            if is_output_stream(entry.stream) and entry.session.startswith(session):
                yield entry


def _updates(client: Any, groups: list[str]) -> Iterator[Mapping[str, Any]]:
    """Yield the updates of one Live Tail session until AWS ends it."""
    try:
        with closing(
            client.start_live_tail(logGroupIdentifiers=groups)["responseStream"]
        ) as stream:
            for event in stream:
                yield event.get("sessionUpdate", {})
    except EventStreamError as error:
        if code_of(error) != _SESSION_ENDED:
            raise
    # botocore does not translate what its stream raises when the connection breaks.
    except (HTTPError, ParserError) as error:
        raise ConnectionClosedError(endpoint_url="CloudWatch Live Tail") from error
