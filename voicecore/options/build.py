"""Owns the options of `voicecore build`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from voicecore.console.command_line import Option
from voicecore.options import Json, ProjectFolder


@dataclass(frozen=True, eq=False, repr=False)
class BuildOptions:
    """Build the agent's linux/arm64 image, on any machine.

    Nothing runs under emulation: packages for arm64 are unpacked, compiled and copied. The same
    files give the same image. An image that is already in the registry is not built or pushed.

    \b
    Examples:
      voicecore build
      voicecore build --check
      voicecore build --check-code
      voicecore build --push 123456789012.dkr.ecr.us-east-1.amazonaws.com/line
      voicecore build --builder direct --push localhost:5000/line --sbom sbom.json
    """

    project: ProjectFolder = None
    builder: Annotated[
        Literal["buildx", "direct", "codebuild"] | None,
        Option(
            "buildx (Docker), direct (no Docker) or codebuild (in AWS).  "
            "[default: buildx if Docker is running, else direct]"
        ),
    ] = None
    push: Annotated[
        str | None,
        Option("Push the image to this repository, unless it is there.", metavar="REPOSITORY"),
    ] = None
    no_cache: Annotated[bool, Option("Build everything again; the image should be the same.")] = (
        False
    )
    check: Annotated[
        bool,
        Option("Run the image and check that it answers within 30 s, or 120 s on platform V2."),
    ] = False
    check_code: Annotated[
        bool,
        Option(
            "Only read agent/bot.py, for what a snapshot of AgentCore's platform V2 must not "
            "contain; build nothing."
        ),
    ] = False
    sbom: Annotated[
        Path | None,
        Option("Write the image's software bill of materials, as CycloneDX JSON.", metavar="FILE"),
    ] = None
    codebuild_role: Annotated[
        str | None,
        Option("With codebuild: IAM role to use instead of a new one.", metavar="ARN"),
    ] = None
    dry_run: Annotated[bool, Option("Show what would be built and where; build nothing.")] = False
    json: Json = False
