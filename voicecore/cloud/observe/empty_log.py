"""Owns why a stage's log has nothing to show, and what to type next."""

# botocore has no types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from voicecore.aws.known_failures import find_known_failure
from voicecore.aws.session import Aws
from voicecore.cloud.observe.logs import LogSource, last_entry_time
from voicecore.cloud.resources import agentcore
from voicecore.cloud.resources.agentcore import Runtime
from voicecore.cloud.resources.deployed_stack import DeployedStack
from voicecore.project import aws_names
from voicecore.project.defaults import DEFAULT_STAGE


@dataclass(frozen=True)
class EmptyLog:
    """The state of a stage whose log has nothing to show."""

    stack: DeployedStack | None
    runtime: Runtime | None
    has_groups: bool
    last: datetime | None
    """Time of its last line, as far as CloudWatch knows."""
    stage: str = DEFAULT_STAGE
    server: bool = False


@dataclass(frozen=True)
class EmptyLogReason:
    """The reason that there is nothing to show, and the command that helps."""

    message: str
    hint: str


def inspect_empty_log(aws: Aws, source: LogSource) -> EmptyLog:
    """Read from AWS why a log may have nothing to show."""
    stack = source.stack(aws)
    runtime_id = stack.outputs.get("RuntimeId") if stack else None
    groups = source.groups(aws)
    logs = aws.client("logs")
    times = (last_entry_time(logs, group) for group in groups)
    return EmptyLog(
        stack,
        agentcore.find(aws.client("bedrock-agentcore-control"), runtime_id) if runtime_id else None,
        bool(groups),
        max((time for time in times if time), default=None),
        source.stage,
        source.server,
    )


def reason_for(log: EmptyLog, since: datetime, filtered: bool) -> EmptyLogReason:
    """Return why nothing was found since then.

    `filtered` is True when only some lines were asked for, by session, text or level.
    """
    if log.last:
        return _no_recent_line(log, log.last, since, filtered)
    stage = aws_names.stage_flag(log.stage)
    if log.stack is None:
        return EmptyLogReason(
            "There are no logs: the stage is not deployed.", f"Deploy it:  voicecore deploy{stage}"
        )
    if log.server:
        return EmptyLogReason(
            "The session server has logged nothing yet: it has had no requests.",
            f"See its health:  voicecore status{stage}",
        )
    if log.runtime is None:
        return EmptyLogReason(
            f"There are no logs: the stack is {log.stack.status} and has no runtime.",
            f"Continue the deployment:  voicecore deploy{stage}",
        )
    if log.runtime.reason or log.runtime.status.endswith("_FAILED"):
        known = find_known_failure(log.runtime.reason)
        return EmptyLogReason(
            f"Its runtime is {log.runtime.status}: {log.runtime.reason or 'AWS does not say why'}",
            known.fix if known else "See more:  voicecore status",
        )
    missing = "has no lines yet" if log.has_groups else "does not exist yet"
    return EmptyLogReason(
        f"The log {missing}: AgentCore starts a container with the first call.",
        f"Call the agent once:  voicecore talk --remote{stage}\n"
        "If it has had calls, its role may not write logs:  voicecore status --drift",
    )


def _no_recent_line(
    log: EmptyLog, last: datetime, since: datetime, filtered: bool
) -> EmptyLogReason:
    if last < since:
        return EmptyLogReason(
            f"Nothing was logged since {since.astimezone():%Y-%m-%d %H:%M}; "
            f"the last line is from {last.astimezone():%Y-%m-%d %H:%M}.",
            f"Show it:  --since {last - timedelta(minutes=10):%Y-%m-%dT%H:%MZ}",
        )
    if filtered:
        return EmptyLogReason("No line matches.", "Filter less, or start earlier:  --since 1d")
    name = "session server" if log.server else "agent"
    return EmptyLogReason(f"The {name} has logged nothing new.", "Wait for more:  --follow")
