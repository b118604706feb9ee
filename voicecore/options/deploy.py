"""Owns the options of `voicecore deploy`."""

from dataclasses import dataclass
from typing import Annotated, Literal

from voicecore.console.command_line import Option
from voicecore.options import (
    Json,
    ProfileName,
    ProjectFolder,
    RegionName,
    SkipConfirmation,
    StageName,
    transport_names,
)
from voicecore.project.defaults import DEFAULT_STAGE


def check_names() -> list[str]:
    """Return the preflight checks."""
    from voicecore.cloud.preflight.check_names import CHECK_NAMES

    return list(CHECK_NAMES)


@dataclass(frozen=True, eq=False, repr=False)
class DeployOptions:
    """Deploy the agent to AWS.

    Shows account, region, plan and cost first, and asks. Safe to run again at any time: what is
    up to date is left alone, and a deploy that was interrupted is finished.

    \b
    Examples:
      voicecore deploy
      voicecore deploy --dry-run
      voicecore deploy --server
      voicecore deploy --stage prod --message "kinder voice" --yes
      voicecore deploy --no-promote
      voicecore deploy --builder codebuild
      voicecore deploy --export template --format json
    """

    project: ProjectFolder = None
    transport: Annotated[
        str | None,
        Option(
            "Deploy only this one of the project's transports.",
            short="-t",
            metavar="NAME",
            choices=transport_names,
        ),
    ] = None
    stage: StageName = DEFAULT_STAGE
    region: RegionName = None
    profile: ProfileName = None
    ha: Annotated[
        bool, Option("One NAT gateway per availability zone in the network that deploy creates.")
    ] = False
    server: Annotated[
        bool,
        Option("Also deploy the session server: on Lambda, or on ECS if it carries phone calls."),
    ] = False
    skip_check: Annotated[
        tuple[str, ...],
        Option(
            "Skip this preflight check, which is wrong here: {choices}; repeatable.",
            metavar="NAME",
            choices=check_names,
            commas=True,
        ),
    ] = ()
    message: Annotated[
        str, Option("Reason for the change, stored with the version.", short="-m", metavar="TEXT")
    ] = ""
    no_promote: Annotated[
        bool,
        Option("Make a version that no caller reaches until `voicecore promote`."),
    ] = False
    builder: Annotated[
        Literal["buildx", "direct", "codebuild"] | None,
        Option(
            "buildx (Docker), direct (no Docker) or codebuild (in AWS).  "
            "[default: buildx if Docker is running, else direct; codebuild for packages without "
            "an arm64 wheel]"
        ),
    ] = None
    dry_run: Annotated[bool, Option("Show the plan and its cost; change nothing.")] = False
    export: Annotated[
        Literal["template"] | None,
        Option("Write templates, IAM policies and a README to cloudformation/."),
    ] = None
    format: Annotated[
        Literal["yaml", "json"],
        Option("Format of the templates that --export writes."),
    ] = "yaml"
    yes: SkipConfirmation = False
    json: Json = False
