"""`voicecore stop`: stop sessions of the deployed agent."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

from voicecore.aws.errors import translated_errors
from voicecore.aws.task_group import TaskGroup
from voicecore.cloud.observe.sessions import LoggedSession
from voicecore.commands.logs import parse_since
from voicecore.commands.sessions.list import line_of
from voicecore.commands.sessions.stage import StageSessions, read_sessions
from voicecore.console.command_line import typed
from voicecore.console.confirm import confirm
from voicecore.console.context import Context
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.options.sessions.stop import StopOptions
from voicecore.project import aws_names

_AT_ONCE = 20
"""Requests at once, of the 200 per second that AgentCore takes (bedrock-agentcore-limits)."""


class BadSelection(VoicecoreError):
    """The options select no session, or more than one way."""


class SessionUnknown(VoicecoreError):
    """The log tells no session with this ID."""


def run(context: Context, options: StopOptions) -> ExitCode:
    """Select sessions, show them, ask, and stop them."""
    if bool(options.session) + options.all + bool(options.older) != 1:
        raise BadSelection(
            "Select the sessions to stop in one way: a session ID, --all or --older.",
            "To list them, run:  voicecore sessions",
            ExitCode.USAGE,
        )
    again, now = typed("stop", options), datetime.now(UTC)
    before = parse_since(options.older, now, "--older") if options.older else now
    with translated_errors(again, options.profile), TaskGroup() as tasks:
        stage = read_sessions(context, options, again)
        chosen = select(stage, options.session, before)
        if chosen and not options.session:
            context.output.lines(line_of(stage, each) for each in chosen)
            question = f"Stop {len(chosen)} session{'s' * (len(chosen) > 1)} and end their calls?"
            confirm(context, options, question, "no session was stopped", again)
        stopped = 0
        for start in range(0, len(chosen), _AT_ONCE):
            part = chosen[start : start + _AT_ONCE]
            asked = [tasks.start(partial(stage.stop, each)) for each in part]
            stopped += sum(tasks.result(each) for each in asked)
    _report(context, options, chosen, stopped)
    return ExitCode.OK


def select(stage: StageSessions, named: str | None, before: datetime) -> list[LoggedSession]:
    """Return the sessions to stop: the one named, or the older ones. Raises SessionUnknown."""
    if named:
        return [_named(stage, named)]
    return [each for each in stage.open if each.started <= before]


def _named(stage: StageSessions, prefix: str) -> LoggedSession:
    """Return the session with this prefix, also one that has ended."""
    matching = [each for each in stage.found if each.id.startswith(prefix)]
    if len(matching) == 1:
        return matching[0]
    flag = aws_names.stage_flag(stage.deployment.stage.name)
    found = (
        f"{len(matching)} sessions begin with {prefix!r}"
        if matching
        else f"There is no session {prefix}"
    )
    raise SessionUnknown(
        f"{found} in the agent's log of the last 8 hours.",
        f"To list them, run:  voicecore sessions --ended{flag}",
        ExitCode.USAGE,
    )


def _report(
    context: Context, options: StopOptions, chosen: Sequence[LoggedSession], stopped: int
) -> None:
    ended = len(chosen) - stopped
    if options.json:
        ids = [each.id for each in chosen]
        context.output.json({"sessions": ids, "stopped": stopped, "ended_before": ended})
    elif not chosen:
        context.output.say("No open session matches; nothing was stopped.")
    else:
        had_ended = f" {ended} had ended already." if ended else ""
        what = "1 session" if stopped == 1 else f"{stopped} sessions"
        context.output.say(f"Stopped {what}.{had_ended}")
