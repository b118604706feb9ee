"""Owns the options of `voicecore logs`."""

from dataclasses import dataclass
from typing import Annotated, Literal

from voicecore.console.command_line import Option
from voicecore.options import (
    JsonEvents,
    ProfileName,
    ProjectFolder,
    RegionName,
    StageName,
)
from voicecore.project.defaults import DEFAULT_STAGE


@dataclass(frozen=True, eq=False, repr=False)
class LogsOptions:
    """Show agent logs: transcripts, latency, errors.

    Times are local; with --json they are UTC. If there are no logs, the command says why.

    \b
    Examples:
      voicecore logs
      voicecore logs --follow --stage prod
      voicecore logs --session 3f9c2a71 --level debug
      voicecore logs --since 2d --level error --json | jq .event.message
      voicecore logs --local
      voicecore logs --server --follow
    """

    project: ProjectFolder = None
    stage: StageName = DEFAULT_STAGE
    follow: Annotated[bool, Option("Print new lines as they come, until Ctrl-C.", short="-f")] = (
        False
    )
    since: Annotated[
        str | None,
        Option(
            "How far back to start (90s, 10m, 3h, 2d), or a time (2026-11-22T14:00Z).  "
            "[default: 1h; with --session 1d]",
            metavar="TIME",
        ),
    ] = None
    session: Annotated[str, Option("Session ID or its prefix.", metavar="ID")] = ""
    filter: Annotated[
        str, Option("Only lines that contain this text, ignoring case.", metavar="TEXT")
    ] = ""
    level: Annotated[
        Literal["debug", "info", "warning", "error"] | None,
        Option("Minimum level.  [default: the conversation, and warnings]"),
    ] = None
    local: Annotated[
        bool, Option("Logs of `voicecore dev` on this machine; AWS is not called.")
    ] = False
    server: Annotated[bool, Option("Logs of the session server instead of the agent.")] = False
    live: Annotated[
        bool,
        Option("Print new lines within a second, by Live Tail, which AWS bills per minute."),
    ] = False
    region: RegionName = None
    profile: ProfileName = None
    json: JsonEvents = False
