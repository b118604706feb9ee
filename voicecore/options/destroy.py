"""Owns the options of `voicecore destroy`."""

from dataclasses import dataclass
from typing import Annotated

from voicecore.console.command_line import Option
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
class DestroyOptions:
    """Delete a stage and everything deploy created for it.

    Shows first what is deleted and what is kept, and asks. Checks afterwards that nothing is left.

    \b
    Examples:
      voicecore destroy
      voicecore destroy --network
      voicecore destroy --network --wait --yes
      voicecore destroy --only-network
      voicecore destroy --stage prod
    """

    project: ProjectFolder = None
    stage: StageName = DEFAULT_STAGE
    network: Annotated[bool, Option("Also delete the network shared by all stages.")] = False
    only_network: Annotated[
        bool, Option("Delete only the network; refused while a stage uses it.")
    ] = False
    only_server: Annotated[bool, Option("Delete only the session server.")] = False
    wait: Annotated[
        bool, Option("Wait until AgentCore releases the network, which takes up to 8 hours.")
    ] = False
    region: RegionName = None
    profile: ProfileName = None
    yes: SkipConfirmation = False
    json: Json = False
