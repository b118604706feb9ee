"""Owns the options of `voicecore rollback`."""

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
class RollbackOptions:
    """Move callers back to an earlier version of the agent.

    Takes seconds, and builds nothing. Calls in progress keep their version. Values of agent/.env,
    the role's permissions, network, TURN and session server do not go back. The next deploy moves
    callers forward again.

    \b
    Examples:
      voicecore rollback
      voicecore rollback 3 --stage prod
      voicecore rollback --dry-run
    """

    version: Annotated[
        str | None,
        Argument(
            "Version to go back to, such as 3.  [default: the one that callers reached before]",
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
