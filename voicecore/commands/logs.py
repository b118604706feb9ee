"""`voicecore logs`: what agent or server say of themselves, from AWS or from `voicecore dev`."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import partial
from pathlib import Path
from typing import Any

from voicecore.aws import session
from voicecore.aws.polling import Pause
from voicecore.cloud.observe import logs
from voicecore.cloud.observe.logs import Source, Trouble
from voicecore.cloud.stacks.deployment import deployment_of
from voicecore.console.command_line import typed
from voicecore.console.context import Context
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.console.output import Line, Output, Span
from voicecore.contract import agent_log
from voicecore.contract.agent_log import Entry, Sieve
from voicecore.local import log_reader
from voicecore.project import aws_names
from voicecore.project.project import Project, load_project

SINCE = "1h"
SINCE_OF_A_SESSION = "1d"
"""How far back is looked, unless it is said."""


@dataclass(frozen=True)
class LogsOptions:
    """The flags of `voicecore logs`; None means: not said."""

    project: Path | None = None
    stage: str = aws_names.DEFAULT_STAGE
    region: str | None = None
    profile: str | None = None
    follow: bool = False
    live: bool = False
    local: bool = False
    server: bool = False
    since: str | None = None
    session: str = ""
    filter: str = ""
    level: str = ""
    json: bool = False


class BadMoment(VoicecoreError):
    """--since says no time."""


class NotDeployed(VoicecoreError):
    """The stage is not in AWS, and never wrote a log."""


class Printer:
    """Prints the lines that are wanted, and knows whether there were any."""

    def __init__(self, output: Output, options: LogsOptions) -> None:
        self._output = output
        self._json = options.json
        self._sieve = Sieve(options.session, options.filter, options.level)
        self._chatter = options.json or bool(options.level or options.filter)
        self._silent = False
        self.printed = 0

    def print(self, entries: Iterable[Entry]) -> None:
        """Print those that are wanted."""
        for entry in entries:
            if not self._sieve.passes(entry):
                continue
            if not self._chatter and agent_log.is_chatter(entry.text):
                continue
            self.printed += 1
            if self._json:
                self._output.event(document_of(entry))
            else:
                self._output.record(line_of(entry, datetime.now(UTC)))
                self._tell_of_silence(entry)

    def _tell_of_silence(self, entry: Entry) -> None:
        if not self._silent and agent_log.hides_words(entry.text):
            self._silent = True
            self._output.note("LOG_TRANSCRIPTS=false in agent/.env: what is said is not logged.")


def run(context: Context, options: LogsOptions, pause: Pause = time.sleep) -> ExitCode:
    """Print what was logged; with --follow or --live also what comes, until interrupted."""
    project = load_project(context.cwd / (options.project or ""))
    session.check_region(options.region)
    printer = Printer(context.output, options)
    since = moment_of(
        options.since or (SINCE_OF_A_SESSION if options.session else SINCE), datetime.now(UTC)
    )
    try:
        if options.local:
            return _local(context, options, project, printer, since, pause)
        with session.refusals(typed("logs", options), options.profile):
            return _remote(context, options, project, printer, since, pause)
    except KeyboardInterrupt:
        if options.follow or options.live:
            return ExitCode.OK  # it is how following ends
        raise


def _remote(
    context: Context,
    options: LogsOptions,
    project: Project,
    printer: Printer,
    since: datetime,
    pause: Pause,
) -> ExitCode:
    stage = deployment_of(project, options.stage).stage
    connect = partial(session.connect, options.region or stage.region, options.profile)
    aws = connect()
    session.check_account(aws.identity, stage.account)
    source = Source(project.name, stage.name, options.session, options.server)
    what = f"the server of {project.name}" if options.server else project.name
    where = f"{what} · {stage.name} in account {aws.account}, {aws.region}"
    groups = source.groups(aws)
    if not groups and source.stack(aws) is None:
        raise NotDeployed(
            f"There are no logs: {where} is not deployed.",
            f"Deploy it:  voicecore deploy{' --server' * options.server}"
            f"{aws_names.stage_flag(stage.name)}\n"
            f"Logs of `voicecore dev`:  voicecore logs --local{' --server' * options.server}",
            ExitCode.NOT_DEPLOYED,
        )
    now = logs.now_in(aws) + logs.LATE
    past = logs.read(aws.client("logs"), groups, options.session, since, now)
    if options.follow or options.live:
        context.output.note(f"Following {where}. Ctrl-C ends it.")
        if not groups:
            _explain(context.output, aws, source, since, False)
        if options.live:
            printer.print(past if options.since else ())
            look = logs.live(source, partial(_say_sampled, context.output))
        else:
            look = logs.follow(source, since)
        renew = connect if _renewable(context.env, options) else None
        printer.print(logs.patiently(look, aws, renew, partial(_tell, context.output), pause))
    printer.print(past)
    if not printer.printed:
        narrowed = bool(options.session or options.filter or options.level)
        _explain(context.output, aws, source, since, narrowed)
    return ExitCode.OK


def _local(
    context: Context,
    options: LogsOptions,
    project: Project,
    printer: Printer,
    since: datetime,
    pause: Pause,
) -> ExitCode:
    if options.live:
        raise VoicecoreError(
            "--live is a service of AWS.",
            "Follow what runs here:  voicecore logs --local --follow",
            ExitCode.USAGE,
        )
    folder = log_reader.log_folder(project.local)
    of = log_reader.server_files if options.server else log_reader.agent_files
    if options.follow:
        context.output.note(f"Following {folder}. Ctrl-C ends it.")
        printer.print(log_reader.follow(folder, since, pause, of))
    printer.print(log_reader.read(folder, since, of))
    if not printer.printed:
        found = log_reader.last_write(folder, of)
        context.output.note(
            f"Nothing like that was logged since {_local_time(since)}; "
            f"the last line is of {_local_time(found)}."
            if found
            else "Nothing was logged here yet. Speak to the agent once:  voicecore talk"
        )
    return ExitCode.OK


_LONGEST_KEPT = timedelta(days=3653)  # PutRetentionPolicy
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def moment_of(text: str, now: datetime) -> datetime:
    """The time that `text` means: so long before now, or a time as ISO 8601 writes it.

    A time without a zone is this machine's; none is before what CloudWatch may keep. Raises
    BadMoment for what is neither.
    """
    oldest = now - _LONGEST_KEPT
    if found := re.fullmatch(r"(\d{1,5})\s*([smhdw])", text.strip()):
        return max(oldest, now - timedelta(**{_UNITS[found[2]]: int(found[1])}))
    try:
        moment = datetime.fromisoformat(text.strip()).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        raise BadMoment(
            f"--since {text!r} is no time.",
            "So long ago:  --since 90s, 10m, 3h, 2d or 1w\n"
            "Since a time:  --since 2026-11-22, 2026-11-22T14:00 or 2026-11-22T14:00Z",
            ExitCode.USAGE,
        ) from None
    return max(oldest, moment)


def line_of(entry: Entry, now: datetime, zone: tzinfo | None = None) -> Line:
    """A line of a log for people: when (in `zone`, or this machine's), session, turn, words."""
    event = agent_log.parse(entry.text) or {}
    turn = event.get("turn")
    return [
        Span(f"{_stamp(entry.time, now, zone)}  ", "dim"),
        Span(f"{entry.session[:_SESSION_SHOWN]:<{_SESSION_SHOWN}} ", "cyan dim"),
        Span(f"{turn if isinstance(turn, int) else '':>3}  ", "dim"),
        *(Span(_printable(str(span.text)), span.style) for span in agent_log.words_of(entry.text)),
    ]


def document_of(entry: Entry) -> dict[str, Any]:
    """A line of a log for programs: with the agent's own JSON, where it is some."""
    event = agent_log.fields_of(entry.text)
    return {
        "time": entry.time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "session": entry.session or None,
        "stream": entry.stream,
        **({"event": event} if event else {"text": entry.text}),
    }


_SESSION_SHOWN = 8


def _stamp(moment: datetime, now: datetime, zone: tzinfo | None) -> str:
    """The time of day; with the date where it is not today's."""
    there = moment.astimezone(zone)
    today = there.date() == now.astimezone(zone).date()
    return f"{there:%H:%M:%S}" if today else f"{there:%Y-%m-%d %H:%M:%S}"


def _printable(text: str) -> str:
    """The text without what would command a terminal: callers may say anything."""
    return "".join(c if c.isprintable() or c in "\n\t" else "�" for c in text)


def _renewable(env: Mapping[str, str], options: LogsOptions) -> bool:
    """Whether credentials that have expired may be followed by others in this process."""
    return bool(options.profile) or "AWS_ACCESS_KEY_ID" not in env


def _tell(output: Output, trouble: Trouble | None) -> None:
    if trouble:
        output.warn(str(trouble))
    else:
        output.note("AWS answers again.")


def _say_sampled(output: Output) -> None:
    output.warn("More than 500 lines a second: Live Tail shows a part. All:  --follow")


def _explain(
    output: Output, aws: session.Aws, source: Source, since: datetime, narrowed: bool
) -> None:
    reason = logs.reason_for(logs.silence_of(aws, source), since, narrowed)
    output.say(reason.message)
    for line in reason.hint.splitlines():
        output.note(f"  {line}")


def _local_time(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"
