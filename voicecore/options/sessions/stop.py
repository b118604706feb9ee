"""Owns the options of `voicecore stop`."""

from dataclasses import dataclass
from typing import Annotated

from voicecore.console.command_line import Argument, Option
from voicecore.options import (
    Json,
    ProfileName,
    ProjectFolder,
    RegionName,
    SkipConfirmation,
    StageName,
)
from voicecore.project.defaults import DEFAULT_STAGE


@dataclass(frozen=True, eq=False, repr=False)
class StopOptions:
    """Stop sessions of the deployed agent and end their calls.

    \b
    Examples:
      voicecore stop 3f9c2a71
      voicecore stop --older 2h --stage prod
      voicecore stop --all --yes
    """

    session: Annotated[
        str | None,
        Argument("Session ID or its prefix, as `voicecore sessions` shows it.", metavar="SESSION"),
    ] = None
    project: ProjectFolder = None
    stage: StageName = DEFAULT_STAGE
    all: Annotated[bool, Option("Stop every open session of the stage.")] = False
    older: Annotated[
        str | None,
        Option("Stop open sessions that are older than this (90s, 10m, 2h).", metavar="TIME"),
    ] = None
    region: RegionName = None
    profile: ProfileName = None
    yes: SkipConfirmation = False
    json: Json = False
