"""Owns the options of `voicecore upgrade-base`."""

from dataclasses import dataclass
from typing import Annotated

from voicecore.console.command_line import Argument, Option
from voicecore.options import Json, ProjectFolder


@dataclass(frozen=True, eq=False, repr=False)
class UpgradeBaseOptions:
    """Pin agent/Dockerfile to the newest build of its base image.

    \b
    Examples:
      voicecore upgrade-base
      voicecore upgrade-base public.ecr.aws/docker/library/python:3.14-slim-trixie
    """

    image: Annotated[
        str | None,
        Argument("Base image to use.  [default: the current one]", metavar="IMAGE"),
    ] = None
    project: ProjectFolder = None
    dry_run: Annotated[bool, Option("Show the newest base image; change nothing.")] = False
    json: Json = False
