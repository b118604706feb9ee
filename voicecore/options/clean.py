"""Owns the options of `voicecore clean`."""

from dataclasses import dataclass
from typing import Annotated

from voicecore.console.command_line import Option
from voicecore.options import Json, ProjectFolder, SkipConfirmation


@dataclass(frozen=True, eq=False, repr=False)
class CleanOptions:
    """Delete installed packages, local logs and cached images.

    Shows what there is and its size, and asks. Deletes nothing that you wrote, and nothing in AWS.
    In a project: the packages of agent and server, and the logs of `voicecore dev`. Anywhere: the
    cache of images. The next start or build makes them again.

    \b
    Examples:
      voicecore clean --dry-run
      voicecore clean --yes
    """

    project: ProjectFolder = None
    dry_run: Annotated[bool, Option("Show what would be deleted; delete nothing.")] = False
    yes: SkipConfirmation = False
    json: Json = False
