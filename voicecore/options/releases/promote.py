"""Owns the options of `voicecore promote`."""

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
    version_names,
)
from voicecore.project.defaults import DEFAULT_STAGE


@dataclass(frozen=True, eq=False, repr=False)
class PromoteOptions:
    """Move callers to the newest version of the agent.

    `voicecore deploy --no-promote` makes it, and prints the command to talk to it before. Calls in
    progress keep their version.

    \b
    Examples:
      voicecore promote
      voicecore promote 4 --stage prod
      voicecore promote --dry-run
    """

    version: Annotated[
        str | None,
        Argument(
            "Version to promote, such as 4.  [default: the newest]",
            metavar="VERSION",
            completions=version_names,
        ),
    ] = None
    project: ProjectFolder = None
    stage: StageName = DEFAULT_STAGE
    region: RegionName = None
    profile: ProfileName = None
    dry_run: Annotated[bool, Option("Show what would move; change nothing.")] = False
    yes: SkipConfirmation = False
    json: Json = False
