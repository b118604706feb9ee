"""`voicecore sessions`: list the sessions of the deployed agent."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from voicecore.aws.errors import translated_errors
from voicecore.cloud.deploy import prices
from voicecore.cloud.observe.sessions import LoggedSession
from voicecore.commands.sessions.stage import StageSessions, read_sessions
from voicecore.commands.status import local_time, plain
from voicecore.console.command_line import typed
from voicecore.console.context import Context
from voicecore.console.errors import ExitCode
from voicecore.console.output import Line, Span, dollars
from voicecore.options.sessions.list import SessionsOptions
from voicecore.project import aws_names


def run(context: Context, options: SessionsOptions) -> ExitCode:
    """List open sessions, or all of the last 8 hours."""
    again = typed("sessions", options)
    with translated_errors(again, options.profile):
        stage = read_sessions(context, options, again)
    shown = stage.found if options.ended else stage.open
    if options.json:
        documents = [_document(stage, each) for each in shown]
        context.output.json({"stage": options.stage, "sessions": documents})
        return ExitCode.OK
    for each in shown:
        context.output.record(line_of(stage, each))
    _explain(context, options, stage)
    return ExitCode.OK


def line_of(stage: StageSessions, each: LoggedSession) -> Line:
    """Return a line about a session for people."""
    turns = "1 turn" if each.turns == 1 else f"{each.turns} turns"
    state = f"ended {local_time(each.ended)} {each.reason}".rstrip() if each.ended else "open"
    quiet = "  quiet; to stop it, run:  voicecore stop " + each.id
    flag = aws_names.stage_flag(stage.deployment.stage.name)
    return [
        Span(each.id),
        Span(f"  {lasting(each.age(stage.now)):>8}"),
        Span(f"  {each.transport or '?':<9}  {turns:>8}  {dollars(_dollars(stage, each)):>6}  "),
        Span(state, "dim" if each.ended else "green"),
        Span(f"{quiet}{flag}" if _is_quiet(stage, each) else "", "yellow"),
    ]


def lasting(duration: timedelta) -> str:
    """Return a duration in its two largest units."""
    minutes, seconds = divmod(int(duration.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} m" if hours else f"{minutes} m {seconds} s"


def _explain(context: Context, options: SessionsOptions, stage: StageSessions) -> None:
    for row in _notes(options, stage):
        context.output.note(row)


def _notes(options: SessionsOptions, stage: StageSessions) -> Iterator[str]:
    flag = aws_names.stage_flag(options.stage)
    if not stage.found:
        yield f"No session in the last 8 hours. To see why, run:  voicecore logs{flag}"
    elif not stage.open and not options.ended:
        yield f"No open session. To list those that ended, run:  voicecore sessions --ended{flag}"
    elif stage.open:
        yield "Costs are estimates from list prices and the length of each session."


def _dollars(stage: StageSessions, each: LoggedSession) -> float:
    minutes = each.age(stage.now).total_seconds() / 60
    return minutes * sum(item.dollars or 0 for item in prices.cost_per_minute(stage.deployment))


def _is_quiet(stage: StageSessions, each: LoggedSession) -> bool:
    return each.is_quiet(stage.now, timedelta(seconds=stage.deployment.stage.idle_timeout))


def _document(stage: StageSessions, each: LoggedSession) -> dict[str, object]:
    return {
        "session": each.id,
        "state": "ended" if each.ended else "open",
        "started": plain(each.started),
        "ended": plain(each.ended),
        "reason": each.reason or None,
        "seconds": round(each.age(stage.now).total_seconds()),
        "transport": each.transport or None,
        "turns": each.turns,
        "quiet": _is_quiet(stage, each),
        "dollars": round(_dollars(stage, each), 4),
    }
