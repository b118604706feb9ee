"""Owns the options of `voicecore invite`."""

from dataclasses import dataclass
from typing import Annotated

from voicecore.console.command_line import Option
from voicecore.options import Json, ProfileName, ProjectFolder, RegionName, StageName
from voicecore.project.defaults import DEFAULT_STAGE, INVITE_HOURS


@dataclass(frozen=True, eq=False, repr=False)
class InviteOptions:
    """Print a link that lets others talk to the deployed agent.

    The link works until the invite expires or is revoked. It does not contain the session server's
    API key.

    \b
    Examples:
      voicecore invite
      voicecore invite --stage prod --hours 1
      voicecore invite --revoke 'https://…/#invite.…'
    """

    project: ProjectFolder = None
    stage: StageName = DEFAULT_STAGE
    hours: Annotated[float, Option("Hours until the invite expires.", min=0.01, max=24 * 30)] = (
        INVITE_HOURS
    )
    revoke: Annotated[
        str | None,
        Option("Revoke an invite and end its calls: its link or its ID.", metavar="INVITE"),
    ] = None
    region: RegionName = None
    profile: ProfileName = None
    json: Json = False
