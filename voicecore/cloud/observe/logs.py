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

from voicecore.aws.errors import allowing, code_of, is_throttled
from voicecore.aws.known_failures import failure_in
from voicecore.aws.polling import Pause
from voicecore.aws.session import Aws, CredentialsRefused, Unreachable, refusal_of
from voicecore.cloud.resources import agentcore, inventory
from voicecore.cloud.resources.agentcore import DEFAULT_ENDPOINT, Runtime
from voicecore.cloud.resources.cloudformation import CloudFormation
from voicecore.cloud.resources.deployed_stack import DeployedStack
from voicecore.contract.agent_log import Entry, is_printed
from voicecore.project import aws_names

LONGEST_SESSION = timedelta(hours=8)
"""For so long AgentCore lets a session live (bedrock-agentcore-limits), in one stream."""

LATE = timedelta(minutes=2)
"""Lines that reach CloudWatch so much later than they were written are still followed."""

_DAYS_MAX = timedelta(days=31)

POLL = 2.0
"""Seconds between two looks for new lines."""


@dataclass(frozen=True)
class Source:
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

    def stack(self, aws: Aws) -> DeployedStack | None:
        """The stack of what is asked about, if it is deployed."""
        cloud = CloudFormation(aws.client("cloudformation"), "voicecore logs")
        name = aws_names.server_for if self.server else aws_names.stack_name_for
        return cloud.find(name(self.project, self.stage))


class Trouble(StrEnum):
    """What may go wrong for a while, and is waited out by who follows."""

    OFFLINE = "AWS does not answer. Waiting for it."
    BUSY = "AWS is asked too often in this account. Trying on."
    LOGIN = "The AWS credentials have expired. Waiting for new ones; log in again elsewhere."


def trouble_in(error: ClientError | BotoCoreError) -> Trouble | None:
    """The trouble that `error` is of; None if waiting would not help."""
    if isinstance(error, ClientError):
        if is_throttled(error):
            return Trouble.BUSY
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if status >= 500 or isinstance(error, EventStreamError):
            return Trouble.OFFLINE
    match refusal_of(error, ""):
        case Unreachable():
            return Trouble.OFFLINE
        case CredentialsRefused():
            return Trouble.LOGIN
        case _:
            return None


def questions(session: str, since: datetime, until: datetime) -> list[dict[str, str]]:
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
        {"filterPattern": pattern_of(session)},
    ]


def pattern_of(session: str) -> str:
    """CloudWatch's filter for JSON lines of sessions whose id begins so."""
    begins = json.dumps(f"{session}*")
    return f"{{ ($.session_id = {begins}) || ($.sessionId = {begins}) }}"


def read(
    client: Any, groups: Iterable[str], session: str, since: datetime, until: datetime
) -> Iterator[Entry]:
    """The lines of these groups between two times, oldest first, each once."""
    found = heapq.merge(
        *(
            _asked(client, group, question, since, until)
            for group in groups
            for question in questions(session, since, until)
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


Look = Callable[[Aws], Iterator[Entry | None]]
"""Gives what is new; None, when AWS has answered without anything new."""


def follow(source: Source, since: datetime) -> Look:
    """Looks for the lines since then, and each further time for those that came."""
    begin, seen = since, dict[str, datetime]()

    def look(aws: Aws) -> Iterator[Entry | None]:
        nonlocal begin, seen
        now = now_in(aws)
        groups = source.groups(aws)
        for entry in read(aws.client("logs"), groups, source.session, begin, now + LATE):
            if entry.id not in seen:
                seen[entry.id] = entry.time
                yield entry
        begin = max(begin, now - LATE)
        seen = {id: moment for id, moment in seen.items() if moment >= begin}
        yield None

    return look


def live(source: Source, sampled: Callable[[], None]) -> Look:
    """Looks by CloudWatch's Live Tail, which costs by the minute, until that ends a session.

    Lines that come between two sessions are not seen. `sampled` is called when CloudWatch leaves
    lines out, which it does above 500 a second.
    """

    def look(aws: Aws) -> Iterator[Entry | None]:
        groups = source.current_groups(aws)
        yield None
        if groups:
            yield from _tailed(aws, groups, source.session, sampled)

    return look


def patiently(
    look: Look,
    aws: Aws,
    renew: Callable[[], Aws] | None,
    tell: Callable[[Trouble | None], None],
    pause: Pause = time.sleep,
) -> Iterator[Entry]:
    """What looking gives, again and again, for ever.

    What goes wrong for a while is told once and waited out; None is told when it is over. `renew`
    connects by whatever credentials there are by then; without it those that have expired end it.
    Raises botocore's errors for what waiting would not help.
    """
    trouble: Trouble | None = None
    while True:
        try:
            if trouble is Trouble.LOGIN and renew:
                aws = renew()
            for entry in look(aws):
                if trouble:
                    trouble = None
                    tell(None)
                if entry:
                    yield entry
        except (ClientError, BotoCoreError) as error:
            new = trouble_in(error)
            if new is None or (new is Trouble.LOGIN and renew is None):
                raise
            if new is not trouble:
                trouble = new
                tell(new)
        pause(POLL)


def now_in(aws: Aws) -> datetime:
    """The time by AWS's clock."""
    return datetime.now(UTC) - aws.identity.skew


@dataclass(frozen=True)
class Silence:
    """What is known of a stage of which there is nothing to show."""

    stack: DeployedStack | None
    runtime: Runtime | None
    groups: bool
    last: datetime | None
    """When it last wrote, as far as CloudWatch knows."""
    stage: str = aws_names.DEFAULT_STAGE
    server: bool = False


def silence_of(aws: Aws, source: Source) -> Silence:
    """Look why there may be nothing to show."""
    stack = source.stack(aws)
    runtime_id = stack.outputs.get("RuntimeId") if stack else None
    groups = source.groups(aws)
    client = aws.client("logs")
    return Silence(
        stack,
        agentcore.find(aws.client("bedrock-agentcore-control"), runtime_id) if runtime_id else None,
        bool(groups),
        max((moment for group in groups if (moment := _last(client, group))), default=None),
        source.stage,
        source.server,
    )


@dataclass(frozen=True)
class Reason:
    """Why there is nothing to show, and what helps."""

    message: str
    hint: str


def reason_for(silence: Silence, since: datetime, narrowed: bool) -> Reason:
    """Why nothing was found since then; `narrowed`: by session, text or level."""
    runtime, last = silence.runtime, silence.last
    of_stage = aws_names.stage_flag(silence.stage)
    if last and last >= since:
        if narrowed:
            return Reason("No line is like that.", "Ask for less, or for longer:  --since 1d")
        who = "server" if silence.server else "agent"
        return Reason(f"The {who} has written nothing new.", "Wait for more:  --follow")
    if last:
        return Reason(
            f"Nothing was written since {since.astimezone():%Y-%m-%d %H:%M}; "
            f"the last line is of {last.astimezone():%Y-%m-%d %H:%M}.",
            f"See it:  --since {last - timedelta(minutes=10):%Y-%m-%dT%H:%MZ}",
        )
    if silence.stack is None:
        return Reason("It is not deployed.", f"Deploy it:  voicecore deploy{of_stage}")
    if silence.server:
        return Reason(
            "The server has written nothing yet: nobody has asked it for anything.",
            f"See how it is:  voicecore status{of_stage}",
        )
    if runtime is None:
        return Reason(
            f"Its stack is {silence.stack.status} and has no runtime.",
            f"Go on with it:  voicecore deploy{of_stage}",
        )
    if runtime.reason or runtime.status.endswith("_FAILED"):
        known = failure_in(runtime.reason)
        return Reason(
            f"Its runtime is {runtime.status}: {runtime.reason or 'AWS does not say why'}",
            known.fix if known else "See more:  voicecore status",
        )
    missing = "has no lines yet" if silence.groups else "does not exist yet"
    return Reason(
        f"The log {missing}: AgentCore starts a container with the first call.",
        f"Speak to the agent once:  voicecore talk --remote{of_stage}\n"
        "If somebody has, its role may not write logs:  voicecore status --drift",
    )


def _asked(
    client: Any, group: str, question: Mapping[str, str], since: datetime, until: datetime
) -> Iterator[Entry]:
    # The paginator goes on as long as there is a nextToken, past pages without events.
    pages = client.get_paginator("filter_log_events").paginate(
        logGroupName=group,
        startTime=_milliseconds(since),
        endTime=_milliseconds(until),
        **question,
    )
    with allowing(_ABSENT):  # it was deleted meanwhile
        for page in pages:
            for event in page["events"]:
                if is_printed(event["logStreamName"]):
                    yield _entry(event)


_ABSENT = "ResourceNotFoundException"


_TAILED_MAX = 10  # log groups in one session (StartLiveTail)
_TIMED_OUT = "SessionTimeoutException"  # after three hours (StartLiveTail)


def _tailed(
    aws: Aws, groups: Iterable[str], session: str, sampled: Callable[[], None]
) -> Iterator[Entry]:
    prefix = f"arn:{aws.identity.partition}:logs:{aws.region}:{aws.account}:log-group"
    for update in _updates(aws.client("logs"), [f"{prefix}:{group}" for group in groups]):
        if update.get("sessionMetadata", {}).get("sampled"):
            sampled()
        for line in update.get("sessionResults", ()):
            entry = _entry(line)
            if is_printed(entry.stream) and entry.session.startswith(session):
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


def _entry(event: Mapping[str, Any]) -> Entry:
    return Entry(
        datetime.fromtimestamp(event["timestamp"] / 1000, UTC),
        event["logStreamName"],
        event["message"].rstrip("\r\n"),
        event.get("eventId", ""),
    )


def _last(client: Any, group: str) -> datetime | None:
    """When an agent last wrote to the group; CloudWatch may learn it up to an hour later."""
    streams: list[dict[str, Any]] = []
    with allowing(_ABSENT):
        streams = client.describe_log_streams(
            logGroupName=group, orderBy="LastEventTime", descending=True
        )["logStreams"]
    times = [
        stream["lastEventTimestamp"]
        for stream in streams
        if is_printed(stream["logStreamName"]) and "lastEventTimestamp" in stream
    ]
    return datetime.fromtimestamp(max(times) / 1000, UTC) if times else None


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
