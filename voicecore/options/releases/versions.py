"""Owns the options of `voicecore versions`."""

from dataclasses import dataclass

from voicecore.options import Json, ProfileName, ProjectFolder, RegionName, StageName
from voicecore.project.defaults import DEFAULT_STAGE


@dataclass(frozen=True, eq=False, repr=False)
class VersionsOptions:
    """List the versions of a stage, newest first.

    Each deploy of the agent makes a version. AWS keeps the last 20, with message, commit and
    deployer; their images stay in ECR.

    \b
    Examples:
      voicecore versions
      voicecore versions --stage prod
      voicecore versions --json | jq '.versions[] | select(.live)'
    """

    project: ProjectFolder = None
    stage: StageName = DEFAULT_STAGE
    region: RegionName = None
    profile: ProfileName = None
    json: Json = False
