"""Owns `voicecore traces`: it reads spans, here or from AWS, and shows the calls that they tell of.

If there is nothing to show, it says why, and what to type.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from voicecore.aws import session
from voicecore.aws.errors import translated_errors
from voicecore.aws.login import AwsLogin
from voicecore.cloud.observe import traces as stored
from voicecore.cloud.observe import transaction_search
from voicecore.cloud.observe.logs import LogSource
from voicecore.cloud.stacks.deployment import deployment_of
from voicecore.commands.logs import parse_since
from voicecore.commands.traces import view
from voicecore.console.command_line import typed
from voicecore.console.context import Context
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.contract.traced_calls import TracedCall, TurnFilter, calls_of
from voicecore.local import log_reader, trace_reader
from voicecore.local.processes.venv import writes_traces
from voicecore.options.traces import TracesOptions
from voicecore.project import aws_names
from voicecore.project.project import Project, load_project


class BadFilter(VoicecoreError):
    """--slow is not a time, or --turn needs another argument."""


class NoTraces(VoicecoreError):
    """There is no trace of the session, or no trace at all."""


class AmbiguousSession(VoicecoreError):
    """Several sessions begin with the given ID."""


def run(context: Context, options: TracesOptions) -> ExitCode:
    """Show the calls, or the turns of one."""
    project = load_project(context.cwd / (options.project or ""))
    session.check_region(options.region)
    since = parse_since(options.since, datetime.now(UTC))
    only = TurnFilter(options.turn, parse_slow(options.slow), options.errors)
    if options.turn is not None and not options.session:
        raise BadFilter(
            "--turn shows a turn of one call, and no call is given.",
            f"List the calls:  {typed('traces', TracesOptions(local=options.local))}",
            ExitCode.USAGE,
        )
    if options.local:
        calls = _local_calls(project, since)
    else:
        with translated_errors(typed("traces", options), options.profile):
            calls = _stored_calls(context, options, project, since)
    if options.session:
        _show_call(context, options, only, _call_of(options, project, calls))
    else:
        _show_calls(context, options, [call for call in calls if only.passes_call(call)])
    return ExitCode.OK


# ---- output


def _show_calls(context: Context, options: TracesOptions, calls: list[TracedCall]) -> None:
    if options.json:
        context.output.json({"calls": [view.call_document(call) for call in calls]})
        return
    if not calls:
        context.output.note(f"No call since {options.since} matches.")
        return
    for line in view.call_rows(calls):
        context.output.record(line)
    newest = replace(options, session=calls[-1].session[:8], slow="", errors=False)
    context.output.note(f"Show a call:  {typed('traces', newest)}")


def _show_call(
    context: Context, options: TracesOptions, only: TurnFilter, call: TracedCall
) -> None:
    numbers = [turn.number for turn in call.turns]
    if options.turn is not None and options.turn not in numbers:
        known = ", ".join(map(str, dict.fromkeys(numbers))) or "none"
        unfinished = "" if call.is_whole else " A turn is traced when the next one begins."
        raise NoTraces(
            f"The trace of {call.session[:8]} has no turn {options.turn}; its turns: {known}."
            f"{unfinished}",
            "Show all turns: leave out --turn.",
        )
    turns = [turn for turn in call.turns if only.passes(turn)]
    if options.json:
        document = view.call_document(call)
        document["turns"] = [view.turn_document(turn) for turn in turns]
        context.output.json(document)
        return
    for line in view.call_lines(call, only):
        context.output.record(line)
    if not turns and only != TurnFilter():
        context.output.note(f"None of its {len(call.turns)} turns matches.")
    if not call.is_whole:
        context.output.note(
            "This call has not ended, or its agent was killed: its last turn may be missing."
        )


def parse_slow(text: str) -> float | None:
    """Return the seconds that --slow means; None without it. Raises BadFilter."""
    if not text:
        return None
    found = re.fullmatch(r"(\d{1,6}(?:\.\d{1,6})?)\s*(ms|s)", text.strip())
    if found is None:
        raise BadFilter(
            f"--slow {text!r} is not a time.", "A time:  --slow 800ms or 1.5s", ExitCode.USAGE
        )
    return float(found[1]) / (1000 if found[2] == "ms" else 1)


# ---- the call that is meant


def _call_of(options: TracesOptions, project: Project, calls: Sequence[TracedCall]) -> TracedCall:
    given = options.session or ""
    found = [call for call in calls if call.session.startswith(given)]
    exact = [call for call in found if call.session == given]
    if len(exact or found) == 1:
        return (exact or found)[0]
    if found:
        names = "\n".join(call.session for call in found[-5:])
        raise AmbiguousSession(
            f"{len(found)} sessions begin with {given!r}.",
            f"Give more of the ID. The newest:\n{names}",
            ExitCode.USAGE,
        )
    earlier = typed("traces", options, "--since", "1w") if options.since == "1d" else ""
    raise NoTraces(
        f"There is no trace of a session {given!r} since {options.since}{_why(options, project)}",
        f"Look further back:  {earlier}\n" * bool(earlier)
        + f"List the calls:  voicecore traces{' --local' * options.local}",
    )


def _why(options: TracesOptions, project: Project) -> str:
    """Return why a local session that has a log has no trace; a full stop if it has no log."""
    folder = log_reader.log_folder(project.local)
    logged = options.local and any(
        f"[runtime-logs-{options.session}" in path.name for path in log_reader.agent_files(folder)
    )
    if not logged:
        return "."
    return (
        ", but a log: it is still in its first turn, was killed in it, or is from before this "
        "agent wrote traces."
    )


# ---- the calls


def _local_calls(project: Project, since: datetime) -> list[TracedCall]:
    """Return the calls of `voicecore dev`. Raises NoTraces, which says why nothing was traced."""
    calls = calls_of(trace_reader.read(trace_reader.trace_folder(project.local), since))
    if not calls:
        raise _no_local_traces(project)
    return calls


def _no_local_traces(project: Project) -> NoTraces:
    program = project.agent_program
    if not program.generated:
        return NoTraces(
            "The agent of this project was not made by voicecore, and does not write traces.",
            "Trace it with OpenTelemetry in its own code; in AWS:  voicecore docs operate",
        )
    if not writes_traces(program):
        return NoTraces(
            "The agent of this project is from before traces: its pyproject.toml has no group "
            "`traces`.",
            "Update its files, then call it:  voicecore update",
        )
    return NoTraces(
        "No call was traced here in this time.",
        "Call the agent once:  voicecore talk\n"
        "Calls of before:  voicecore traces --local --since 1w",
    )


def _stored_calls(
    context: Context, options: TracesOptions, project: Project, since: datetime
) -> list[TracedCall]:
    """Return the calls that AWS has. Raises NoTraces, which says why it has none."""
    stage = deployment_of(project, options.stage).stage
    login = AwsLogin(options.profile, context.interactive)
    aws = login.connect(options.region or stage.region, stage.account)
    source = LogSource(project.owner, stage.name)
    source.require_own(aws)
    calls = calls_of(stored.read(aws, source, since))
    if not calls:
        raise _no_stored_traces(aws, source, project)
    return calls


def _no_stored_traces(aws: session.Aws, source: LogSource, project: Project) -> NoTraces:
    stage = aws_names.stage_flag(source.stage)
    if not source.groups(aws) and source.stack(aws) is None:
        return NoTraces(
            f"There are no traces: stage {source.stage} of {project.name} is not deployed.",
            f"Deploy it:  voicecore deploy{stage}\n"
            "Calls on this machine:  voicecore traces --local",
            ExitCode.NOT_DEPLOYED,
        )
    if not project.observability.traces:
        return NoTraces(
            "There are no traces: they are off in voicecore.toml.",
            "Add the table [observability] with  traces = true  to voicecore.toml, then:\n"
            f"voicecore deploy{stage}",
        )
    collection = transaction_search.state_of(aws)
    if fix := transaction_search.fix_for(aws, collection):
        return NoTraces(
            f"There are no traces: CloudWatch's Transaction Search is {collection} in "
            f"{aws.region}.",
            fix,
        )
    return NoTraces(
        "There are no traces of this time.",
        f"Call the agent once:  voicecore talk --remote{stage}\n"
        "If it has had calls since you set traces = true, deploy it with that setting:\n"
        f"voicecore deploy{stage}",
    )
