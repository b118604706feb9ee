"""`voicecore versions`: list the versions of a stage, and show which one callers reach."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict

from voicecore.aws.errors import translated_errors
from voicecore.aws.task_group import TaskGroup
from voicecore.cloud.releases.history import StageVersion, StageVersions
from voicecore.commands.releases.stage import open_stage
from voicecore.commands.status import local_time, plain, short_digest
from voicecore.console.command_line import typed
from voicecore.console.context import Context
from voicecore.console.errors import ExitCode
from voicecore.console.output import Line, Output, Span
from voicecore.options.releases.versions import VersionsOptions
from voicecore.project import aws_names


def run(context: Context, options: VersionsOptions) -> ExitCode:
    """List the versions, newest first."""
    again = typed("versions", options)
    with translated_errors(again, options.profile), TaskGroup() as tasks:
        stage = open_stage(context, options, tasks, again)
        found = stage.read()
    if options.json:
        live = found.live.version.number if found.live else None
        documents = [document_of(each) for each in found.versions]
        context.output.json(stage.document | {"live": live, "versions": documents})
        return ExitCode.OK
    for line in (stage.title, *lines_of(found.versions)):
        context.output.record(line)
    explain(context.output, found)
    return ExitCode.OK


def lines_of(versions: Iterable[StageVersion]) -> Iterator[Line]:
    """Yield a line per version for people."""
    for each in versions:
        version = each.version
        commit = f"  {version.commit}" if version.commit else ""
        by = f"  by {version.by}" if version.by else ""
        yield [
            Span(f"  {each.name:<4} "),
            Span("live  " if each.live else "      ", "green"),
            Span(local_time(version.time)),
            Span(f"  {short_digest(version.image)}{commit}{by}", "dim"),
            Span(f"  {version.message}" if version.message else ""),
            Span(f"  {each.problem}" if each.problem else "", "yellow"),
        ]


def document_of(each: StageVersion) -> dict[str, object]:
    """Return a version for programs."""
    return plain(asdict(each.version)) | {
        "live": each.live,
        "agentcore_version": each.runtime.version if each.runtime else None,
        "problem": each.problem or None,
    }


def explain(output: Output, found: StageVersions) -> None:
    """Tell where callers are, unless they reach the newest version as the stack says."""
    flag = aws_names.stage_flag(found.stage)
    endpoint = f"endpoint {aws_names.endpoint_name_for(found.stage)}"
    if not found.versions:
        output.say(f"No versions are kept. To make one, run:  voicecore deploy{flag}")
    if not found.reached:
        output.warn(f"The {endpoint} was deleted by hand. To restore it:  voicecore deploy{flag}")
        return
    if found.moved_by_hand:
        output.warn(
            f"The {endpoint} was moved by hand: AgentCore's version {found.reached} takes calls, "
            f"and the stack says {found.said.version}."
        )
        if found.live:
            name = found.live.name
            output.note(f"To keep callers at {name}, run:  voicecore promote {name}{flag}")
    if found.live is None:
        output.say(f"Callers reach AgentCore's version {found.reached}, which is not in the list.")
    if found.versions and not found.versions[0].live and not found.versions[0].problem:
        newest = found.versions[0].name
        output.note(f"To move callers to {newest}, run:  voicecore promote {newest}{flag}")
