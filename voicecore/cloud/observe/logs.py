"""What deployed agents write, read from CloudWatch Logs: what there is, and what comes."""

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
    is_throttled,
    translate_error,
)
from voicecore.aws.known_failures import find_known_failure
from voicecore.aws.polling import Sleep
from voicecore.aws.session import Aws
from voicecore.cloud.deploy import agentcore, inventory
from voicecore.cloud.deploy.agentcore import DEFAULT_ENDPOINT, Runtime
from voicecore.cloud.deploy.cloudformation import CloudFormation, Live
from voicecore.contract.agent_log import LogEntry, is_output_stream
from voicecore.project import aws_names

LONGEST_SESSION = timedelta(hours=8)
"""For so long AgentCore lets a session live (bedrock-agentcore-limits), in one stream."""

LATE = timedelta(minutes=2)
"""Lines that reach CloudWatch so much later than they were written are still followed."""

_DAYS_MAX = timedelta(days=31)

POLL = 2.0
"""Seconds between two looks for new lines."""


@dataclass(frozen=True)
class LogSource:
    """A stage's logs: whose, and in which groups."""

    project: str
    stage: str
    session: str = ""
    """Only sessions whose id begins so."""
    server: bool = False
    """Whether it is the session server's that are meant, not the agent's."""

    def groups(self, aws: Aws) -> list[str]:
        """The stage's log groups that exist, of past runtimes as well."""
        if self.server:
            found = inventory.server_log_group(aws, self.project, self.stage)
            return [found] if found else []
        return [group.name for group in inventory.log_groups(aws, self.project, self.stage)]

    def current_groups(self, aws: Aws) -> list[str]:
        """Those of them that the runtime of today writes to; all (10) where that is not known."""
        if self.server:
            return self.groups(aws)
        stack = self.stack(aws)
        runtime_id = stack.outputs.get("RuntimeId", "") if stack else ""
        endpoints = (DEFAULT_ENDPOINT, aws_names.endpoint_name_for(self.stage))
        wanted = {aws_names.log_group_for(runtime_id, endpoint) for endpoint in endpoints}
        groups = self.groups(aws)
        return [group for group in groups if group in wanted] or groups[:_TAILED_MAX]

    def stack(self, aws: Aws) -> Live | None:
        """The stack of what is asked about, if it is deployed."""
        cloud = CloudFormation(aws.client("cloudformation"), "voicecore logs")
        name = aws_names.server_for if self.server else aws_names.stack_name_for
        return cloud.find(name(self.project, self.stage))


class Interruption(StrEnum):
    """What may go wrong for a while, and is waited out by who follows."""

    OFFLINE = "AWS does not answer. Waiting for it."
    BUSY = "AWS is asked too often in this account. Trying on."
    LOGIN = "The AWS credentials have expired. Waiting for new ones; log in again elsewhere."


def interruption_in(error: ClientError | BotoCoreError) -> Interruption | None:
    """The trouble that `error` is of; None if waiting would not help."""
    if isinstance(error, ClientError):
        if is_throttled(error):
            return Interruption.BUSY
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if status >= 500 or isinstance(error, EventStreamError):
            return Interruption.OFFLINE
    match translate_error(error, ""):
        case AwsUnreachable():
            return Interruption.OFFLINE
        case CredentialsRefused():
            return Interruption.LOGIN
        case _:
            return None


def filter_queries(session: str, since: datetime, until: datetime) -> list[dict[str, str]]:
    """What FilterLogEvents must be asked, beside group and time, to find all that is wanted.

    A session's own streams are found by their names, which begin with the UTC date on which they
    were begun; the streams of older containers have no session in their names, but the agent's
    JSON lines have. Without a session everything is asked for, since no prefix fits all dates; so
    it is where there would be more questions than answers.
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
    """CloudWatch's filter for JSON lines of sessions whose id begins so."""
    begins = json.dumps(f"{session}*")
    return f"{{ ($.session_id = {begins}) || ($.sessionId = {begins}) }}"


def read(
    client: Any, groups: Iterable[str], session: str, since: datetime, until: datetime
) -> Iterator[LogEntry]:
    """The lines of these groups between two times, oldest first, each once."""
    found = heapq.merge(
        *(
            _asked(client, group, question, since, until)
            for group in groups
            for question in filter_queries(session, since, until)
        ),
        key=lambda entry: entry.time,
    )
    alike: set[str] = set()
    moment: datetime | None = None
    for entry in found:
        if entry.time != moment:
            moment, alike = entry.time, set()
        if entry.id not in alike:
            alike.add(entry.id)
            yield entry


Poll = Callable[[Aws], Iterator[LogEntry | None]]
"""Gives what is new; None, when AWS has answered without anything new."""


def follow(source: LogSource, since: datetime) -> Poll:
    """Looks for the lines since then, and each further time for those that came."""
    begin, seen = since, dict[str, datetime]()

    def look(aws: Aws) -> Iterator[LogEntry | None]:
        nonlocal begin, seen
        now = aws_now(aws)
        groups = source.groups(aws)
        for entry in read(aws.client("logs"), groups, source.session, begin, now + LATE):
            if entry.id not in seen:
                seen[entry.id] = entry.time
                yield entry
        begin = max(begin, now - LATE)
        seen = {id: moment for id, moment in seen.items() if moment >= begin}
        yield None

    return look


def live_tail(source: LogSource, sampled: Callable[[], None]) -> Poll:
    """Looks by CloudWatch's Live Tail, which costs by the minute, until that ends a session.

    Lines that come between two sessions are not seen. `sampled` is called when CloudWatch leaves
    lines out, which it does above 500 a second.
    """

    def look(aws: Aws) -> Iterator[LogEntry | None]:
        groups = source.current_groups(aws)
        yield None
        if groups:
            yield from _tailed(aws, groups, source.session, sampled)

    return look


def keep_polling(
    look: Poll,
    aws: Aws,
    renew: Callable[[], Aws] | None,
    tell: Callable[[Interruption | None], None],
    pause: Sleep = time.sleep,
) -> Iterator[LogEntry]:
    """What looking gives, again and again, for ever.

    What goes wrong for a while is told once and waited out; None is told when it is over. `renew`
    connects by whatever credentials there are by then; without it those that have expired end it.
    Raises botocore's errors for what waiting would not help.
    """
    trouble: Interruption | None = None
    while True:
        try:
            if trouble is Interruption.LOGIN and renew:
                aws = renew()
            for entry in look(aws):
                if trouble:
                    trouble = None
                    tell(None)
                if entry:
                    yield entry
        except (ClientError, BotoCoreError) as error:
            new = interruption_in(error)
            if new is None or (new is Interruption.LOGIN and renew is None):
                raise
            if new is not trouble:
                trouble = new
                tell(new)
        pause(POLL)


def aws_now(aws: Aws) -> datetime:
    """The time by AWS's clock."""
    return datetime.now(UTC) - aws.identity.skew


@dataclass(frozen=True)
class EmptyLog:
    """What is known of a stage of which there is nothing to show."""

    stack: Live | None
    runtime: Runtime | None
    groups: bool
    last: datetime | None
    """When it last wrote, as far as CloudWatch knows."""
    stage: str = aws_names.DEFAULT_STAGE
    server: bool = False


def inspect_empty_log(aws: Aws, source: LogSource) -> EmptyLog:
    """Look why there may be nothing to show."""
    stack = source.stack(aws)
    runtime_id = stack.outputs.get("RuntimeId") if stack else None
    groups = source.groups(aws)
    client = aws.client("logs")
    return EmptyLog(
        stack,
        agentcore.find(aws.client("bedrock-agentcore-control"), runtime_id) if runtime_id else None,
        bool(groups),
        max((moment for group in groups if (moment := _last(client, group))), default=None),
        source.stage,
        source.server,
    )


@dataclass(frozen=True)
class EmptyLogReason:
    """Why there is nothing to show, and what helps."""

    message: str
    hint: str


def reason_for(silence: EmptyLog, since: datetime, narrowed: bool) -> EmptyLogReason:
    """Why nothing was found since then; `narrowed`: by session, text or level."""
    runtime, last = silence.runtime, silence.last
    of_stage = aws_names.stage_flag(silence.stage)
    if last and last >= since:
        if narrowed:
            return EmptyLogReason(
                "No line is like that.", "Ask for less, or for longer:  --since 1d"
            )
        who = "server" if silence.server else "agent"
        return EmptyLogReason(f"The {who} has written nothing new.", "Wait for more:  --follow")
    if last:
        return EmptyLogReason(
            f"Nothing was written since {since.astimezone():%Y-%m-%d %H:%M}; "
            f"the last line is of {last.astimezone():%Y-%m-%d %H:%M}.",
            f"See it:  --since {last - timedelta(minutes=10):%Y-%m-%dT%H:%MZ}",
        )
    if silence.stack is None:
        return EmptyLogReason("It is not deployed.", f"Deploy it:  voicecore deploy{of_stage}")
    if silence.server:
        return EmptyLogReason(
            "The server has written nothing yet: nobody has asked it for anything.",
            f"See how it is:  voicecore status{of_stage}",
        )
    if runtime is None:
        return EmptyLogReason(
            f"Its stack is {silence.stack.status} and has no runtime.",
            f"Go on with it:  voicecore deploy{of_stage}",
        )
    if runtime.reason or runtime.status.endswith("_FAILED"):
        known = find_known_failure(runtime.reason)
        return EmptyLogReason(
            f"Its runtime is {runtime.status}: {runtime.reason or 'AWS does not say why'}",
            known.fix if known else "See more:  voicecore status",
        )
    missing = "has no lines yet" if silence.groups else "does not exist yet"
    return EmptyLogReason(
        f"The log {missing}: AgentCore starts a container with the first call.",
        f"Speak to the agent once:  voicecore talk --remote{of_stage}\n"
        "If somebody has, its role may not write logs:  voicecore status --drift",
    )


def _asked(
    client: Any, group: str, question: Mapping[str, str], since: datetime, until: datetime
) -> Iterator[LogEntry]:
    # The paginator goes on as long as there is a nextToken, past pages without events.
    pages = client.get_paginator("filter_log_events").paginate(
        logGroupName=group,
        startTime=_milliseconds(since),
        endTime=_milliseconds(until),
        **question,
    )
    with ignoring(_ABSENT):  # it was deleted meanwhile
        for page in pages:
            for event in page["events"]:
                if is_output_stream(event["logStreamName"]):
                    yield _entry(event)


_ABSENT = "ResourceNotFoundException"


_TAILED_MAX = 10  # log groups in one session (StartLiveTail)
_TIMED_OUT = "SessionTimeoutException"  # after three hours (StartLiveTail)


def _tailed(
    aws: Aws, groups: Iterable[str], session: str, sampled: Callable[[], None]
) -> Iterator[LogEntry]:
    prefix = f"arn:{aws.identity.partition}:logs:{aws.region}:{aws.account}:log-group"
    for update in _updates(aws.client("logs"), [f"{prefix}:{group}" for group in groups]):
        if update.get("sessionMetadata", {}).get("sampled"):
            sampled()
        for line in update.get("sessionResults", ()):
            entry = _entry(line)
            if is_output_stream(entry.stream) and entry.session.startswith(session):
                yield entry


def _updates(client: Any, groups: list[str]) -> Iterator[Mapping[str, Any]]:
    """What one session of Live Tail sends, until AWS ends it."""
    try:
        with closing(
            client.start_live_tail(logGroupIdentifiers=groups)["responseStream"]
        ) as stream:
            for event in stream:
                yield event.get("sessionUpdate", {})
    except EventStreamError as error:
        if code_of(error) != _TIMED_OUT:
            raise
    # botocore lets pass what its stream raises when the line is cut.
    except (HTTPError, ParserError) as error:
        raise ConnectionClosedError(endpoint_url="CloudWatch's Live Tail") from error


def _entry(event: Mapping[str, Any]) -> LogEntry:
    return LogEntry(
        datetime.fromtimestamp(event["timestamp"] / 1000, UTC),
        event["logStreamName"],
        event["message"].rstrip("\r\n"),
        event.get("eventId", ""),
    )


def _last(client: Any, group: str) -> datetime | None:
    """When an agent last wrote to the group; CloudWatch may learn it up to an hour later."""
    streams: list[dict[str, Any]] = []
    with ignoring(_ABSENT):
        streams = client.describe_log_streams(
            logGroupName=group, orderBy="LastEventTime", descending=True
        )["logStreams"]
    times = [
        stream["lastEventTimestamp"]
        for stream in streams
        if is_output_stream(stream["logStreamName"]) and "lastEventTimestamp" in stream
    ]
    return datetime.fromtimestamp(max(times) / 1000, UTC) if times else None


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
