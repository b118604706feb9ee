"""Owns the options of `voicecore traces`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from voicecore.console.command_line import Argument, Option
from voicecore.options import Json, ProfileName, ProjectFolder, RegionName, StageName
from voicecore.project.defaults import DEFAULT_STAGE


def local_sessions() -> list[str]:
    """Return the sessions that local agents have traced. Raises what reading a project may raise.

    A call in AWS is not completed: a shell should not wait for AWS.
    """
    from voicecore.contract.traced_calls import calls_of
    from voicecore.local.trace_reader import read, trace_folder
    from voicecore.project.project import load_project

    spans = read(trace_folder(load_project(Path.cwd()).local))
    return [call.session for call in reversed(calls_of(spans))]


@dataclass(frozen=True, eq=False, repr=False)
class TracesOptions:
    """Show the turns of each call, their parts and times.

    Without SESSION, lists the calls, newest last. With it, shows each turn with its parts, and
    marks the one that the caller waited longest for. A part counts until its first output.

    \b
    Examples:
      voicecore traces --local
      voicecore traces --local 3f9c2a71 --turn 2
      voicecore traces --since 2d --slow 1.5s
      voicecore traces --stage prod --errors --json
    """

    session: Annotated[
        str | None,
        Argument(
            "Session ID or its prefix.  [default: list the calls]",
            metavar="SESSION",
            completions=local_sessions,
        ),
    ] = None
    project: ProjectFolder = None
    stage: StageName = DEFAULT_STAGE
    local: Annotated[
        bool, Option("Calls of `voicecore dev` on this machine; AWS is not called.")
    ] = False
    since: Annotated[
        str,
        Option(
            "How far back to start (90s, 10m, 3h, 2d), or a time (2026-11-22T14:00Z).",
            metavar="TIME",
        ),
    ] = "1d"
    turn: Annotated[
        int | None, Option("Only this turn of SESSION; 0 is the greeting.", metavar="N", min=0)
    ] = None
    slow: Annotated[
        str,
        Option("Only turns answered after this time or later (800ms, 1.5s).", metavar="TIME"),
    ] = ""
    errors: Annotated[bool, Option("Only turns in which something failed.")] = False
    region: RegionName = None
    profile: ProfileName = None
    json: Json = False
