"""Owns the options of `voicecore status`."""

from dataclasses import dataclass
from typing import Annotated

from voicecore.console.command_line import Option
from voicecore.options import Json, ProfileName, ProjectFolder, RegionName, stage_names


@dataclass(frozen=True, eq=False, repr=False)
class StatusOptions:
    """Show what is deployed, its health and its cost.

    Costs are estimated from list prices, deployed resources and the usage that AgentCore measured;
    models and traffic appear only on the AWS bill. For phone providers, shows the addresses to
    enter there.

    \b
    Examples:
      voicecore status
      voicecore status --stage prod --drift
      voicecore status --all
      voicecore status --json | jq '.stages[].runtime.status'
    """

    project: ProjectFolder = None
    stage: Annotated[
        str | None,
        Option(
            "Show only this stage.  [default: all]",
            short="-s",
            metavar="NAME",
            completions=stage_names,
        ),
    ] = None
    all: Annotated[
        bool, Option("Show every voicecore project in the account, in every region.")
    ] = False
    drift: Annotated[bool, Option("Let CloudFormation detect drift; takes a while.")] = False
    region: RegionName = None
    profile: ProfileName = None
    json: Json = False
