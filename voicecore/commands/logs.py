"""Owns `voicecore logs`: the logs of agent and session server, in AWS or of `voicecore dev`."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from functools import partial
from typing import Any

from voicecore.aws import session
from voicecore.aws.errors import translated_errors
from voicecore.aws.login import AwsLogin
from voicecore.aws.polling import Sleep
from voicecore.cloud.observe import logs
from voicecore.cloud.observe.empty_log import inspect_empty_log, reason_for
from voicecore.cloud.observe.logs import LogSource, WaitReason
from voicecore.cloud.stacks.deployment import deployment_of
from voicecore.console.command_line import typed
from voicecore.console.context import Context
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.console.output import Line, Output, Span
from voicecore.contract import agent_log
from voicecore.contract.agent_log import LogEntry, LogFilter
from voicecore.local import log_reader
from voicecore.options.logs import LogsOptions
from voicecore.project import aws_names
from voicecore.project.project import Project, load_project

SINCE = "1h"
SINCE_OF_SESSION = "1d"
"""Defaults of --since, without and with --session."""


class BadSince(VoicecoreError):
    """--since is not a time."""


class NoLogs(VoicecoreError):
    """The stage is not deployed and has no logs."""


def run(context: Context, options: LogsOptions, sleep: Sleep = time.sleep) -> ExitCode:
    """Print logged lines; with --follow or --live also new ones, until Ctrl-C."""
    project = load_project(context.cwd / (options.project or ""))
    session.check_region(options.region)
    printer = LogPrinter(context.output, options)
    default = SINCE_OF_SESSION if options.session else SINCE
    since = parse_since(options.since or default, datetime.now(UTC))
    try:
        if options.local:
            _print_local(context, options, project, printer, since, sleep)
        else:
            with translated_errors(typed("logs", options), options.profile):
                _print_remote(context, options, project, printer, since, sleep)
    except KeyboardInterrupt:
        if not (options.follow or options.live):
            raise
    return ExitCode.OK


# ---- logs in AWS


def _print_remote(
    context: Context,
    options: LogsOptions,
    project: Project,
    printer: LogPrinter,
    since: datetime,
    sleep: Sleep,
) -> None:
    stage = deployment_of(project, options.stage).stage

    def connect() -> session.Aws:
        login = AwsLogin(options.profile, context.interactive)
        return login.connect(options.region or stage.region)

    aws = connect()
    session.check_account(aws.identity, stage.account)
    source = LogSource(project.owner, stage.name, options.session, options.server)
    title = f"the server of {project.name}" if options.server else project.name
    title = f"{title} · {stage.name} in account {aws.account}, {aws.region}"
    source.require_own(aws)
    groups = source.groups(aws)
    if not groups and source.stack(aws) is None:
        raise _no_logs(title, source)
    past = logs.read(
        aws.client("logs"), groups, options.session, since, logs.aws_now(aws) + logs.LATE
    )
    if options.follow or options.live:
        context.output.note(f"Following {title}. Press Ctrl-C to stop.")
        if not groups:
            _explain(context.output, aws, source, since, filtered=False)
        if options.live:
            printer.print(past if options.since else ())
            poll = logs.live_tail(source, partial(_report_sampled, context.output))
        else:
            poll = logs.follow(source, since)
        renew = connect if _can_renew(context.env, options) else None
        report = partial(_report_wait, context.output)
        printer.print(logs.keep_polling(poll, aws, renew, report, sleep))
    printer.print(past)
    if not printer.printed:
        filtered = bool(options.session or options.filter or options.level)
        _explain(context.output, aws, source, since, filtered)


def _no_logs(title: str, source: LogSource) -> NoLogs:
    server = " --server" * source.server
    return NoLogs(
        f"There are no logs: {title} is not deployed.",
        f"Deploy it:  voicecore deploy{server}{aws_names.stage_flag(source.stage)}\n"
        f"Logs of `voicecore dev`:  voicecore logs --local{server}",
        ExitCode.NOT_DEPLOYED,
    )


def _can_renew(env: Mapping[str, str], options: LogsOptions) -> bool:
    """Return True when new credentials can replace expired ones in this process."""
    return bool(options.profile) or "AWS_ACCESS_KEY_ID" not in env


def _report_wait(output: Output, reason: WaitReason | None) -> None:
    if reason:
        output.warn(str(reason))
    else:
        output.note("AWS answers again.")


def _report_sampled(output: Output) -> None:
    output.warn("More than 500 lines a second: Live Tail shows a part of them. All:  --follow")


def _explain(
    output: Output, aws: session.Aws, source: LogSource, since: datetime, filtered: bool
) -> None:
    reason = reason_for(inspect_empty_log(aws, source), since, filtered)
    output.say(reason.message)
    for line in reason.hint.splitlines():
        output.note(f"  {line}")


# ---- logs of `voicecore dev`


def _print_local(
    context: Context,
    options: LogsOptions,
    project: Project,
    printer: LogPrinter,
    since: datetime,
    sleep: Sleep,
) -> None:
    if options.live:
        raise VoicecoreError(
            "--live works in AWS only.",
            "Follow the local logs:  voicecore logs --local --follow",
            ExitCode.USAGE,
        )
    folder = log_reader.log_folder(project.local)
    of = log_reader.server_files if options.server else log_reader.agent_files
    if options.follow:
        context.output.note(f"Following {folder}. Press Ctrl-C to stop.")
        printer.print(log_reader.follow(folder, since, sleep, of))
    printer.print(log_reader.read(folder, since, of))
    if not printer.printed:
        last = log_reader.last_write(folder, of)
        context.output.note(
            f"No line since {_local_time(since)} matches; the last line is from "
            f"{_local_time(last)}."
            if last
            else "Nothing was logged here yet. Call the agent once:  voicecore talk"
        )


def _local_time(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"


# ---- output


class LogPrinter:
    """Prints the lines that match the options, and counts them."""

    def __init__(self, output: Output, options: LogsOptions) -> None:
        self._output = output
        self._json = options.json
        self._filter = LogFilter(options.session, options.filter, options.level or "")
        self._routine = options.json or bool(options.level or options.filter)
        self._noted = False
        self.printed = 0

    def print(self, entries: Iterable[LogEntry]) -> None:
        """Print the entries that match."""
        for entry in entries:
            if not self._filter.passes(entry):
                continue
            if not self._routine and agent_log.is_routine(entry.text):
                continue
            self.printed += 1
            if self._json:
                self._output.event(log_document(entry))
            else:
                self._output.record(log_line(entry, datetime.now(UTC)))
                self._note_hidden_transcript(entry)

    def _note_hidden_transcript(self, entry: LogEntry) -> None:
        if not self._noted and agent_log.hides_transcript(entry.text):
            self._noted = True
            self._output.note("LOG_TRANSCRIPTS=false in agent/.env: transcripts are not logged.")


def log_line(entry: LogEntry, now: datetime, zone: tzinfo | None = None) -> Line:
    """Return an entry as people read it: time in `zone` (default: local), session, turn, text."""
    event = agent_log.parse_event(entry.text) or {}
    turn = event.get("turn")
    text = agent_log.display_line(entry.text)
    return [
        Span(f"{_stamp(entry.time, now, zone)}  ", "dim"),
        Span(f"{entry.session[:_SESSION_SHOWN]:<{_SESSION_SHOWN}} ", "cyan dim"),
        Span(f"{turn if isinstance(turn, int) else '':>3}  ", "dim"),
        *(Span(str(span.text), span.style) for span in text),
    ]


def log_document(entry: LogEntry) -> dict[str, Any]:
    """Return an entry as a JSON document, with the agent's own JSON as `event`."""
    event = agent_log.json_fields(entry.text)
    return {
        "time": entry.time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "session": entry.session or None,
        "stream": entry.stream,
        **({"event": event} if event else {"text": entry.text}),
    }


_SESSION_SHOWN = 8  # characters of the session's ID


def _stamp(moment: datetime, now: datetime, zone: tzinfo | None) -> str:
    """Return the time of day, with the date if it is not today."""
    local = moment.astimezone(zone)
    today = local.date() == now.astimezone(zone).date()
    return f"{local:%H:%M:%S}" if today else f"{local:%Y-%m-%d %H:%M:%S}"


# ---- --since


_LONGEST_RETENTION = timedelta(days=3653)  # PutRetentionPolicy
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_since(text: str, now: datetime, flag: str = "--since") -> datetime:
    """Return the time that an option means: a duration before now, or an ISO 8601 time.

    A time without a zone is local. Nothing is earlier than CloudWatch's longest retention time.
    Raises BadSince.
    """
    oldest = now - _LONGEST_RETENTION
    if found := re.fullmatch(r"(\d{1,5})\s*([smhdw])", text.strip()):
        return max(oldest, now - timedelta(**{_UNITS[found[2]]: int(found[1])}))
    try:
        moment = datetime.fromisoformat(text.strip()).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        raise BadSince(
            f"{flag} {text!r} is not a time.",
            f"A duration:  {flag} 90s, 10m, 3h, 2d or 1w\n"
            f"A time:  {flag} 2026-11-22, 2026-11-22T14:00 or 2026-11-22T14:00Z",
            ExitCode.USAGE,
        ) from None
    return max(oldest, moment)
