"""Owns the options of `voicecore sessions`."""

from dataclasses import dataclass
from typing import Annotated

from voicecore.console.command_line import Option
from voicecore.options import Json, ProfileName, ProjectFolder, RegionName, StageName
from voicecore.project.defaults import DEFAULT_STAGE


@dataclass(frozen=True, eq=False, repr=False)
class SessionsOptions:
    """List the sessions of the deployed agent, newest first.

    AgentCore lists no sessions, so they are read from the agent's log of the last 8 hours, the
    longest life of a session. Lines reach the log within seconds.

    \b
    Examples:
      voicecore sessions
      voicecore sessions --ended --stage prod
      voicecore sessions --json | jq '.sessions[] | select(.quiet)'
    """

    project: ProjectFolder = None
    stage: StageName = DEFAULT_STAGE
    ended: Annotated[bool, Option("Also list sessions that have ended.")] = False
    region: RegionName = None
    profile: ProfileName = None
    json: Json = False
