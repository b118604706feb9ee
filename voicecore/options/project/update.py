"""Owns the options of `voicecore update`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from voicecore.console.command_line import Option
from voicecore.options import Json, ProjectFolder, SkipConfirmation


@dataclass(frozen=True, eq=False, repr=False)
class UpdateOptions:
    """Bring the generated files of the project up to date.

    Shows every change before it is made, and keeps your own edits. Lines that both you and the new
    templates changed get conflict markers, as from git, and the exit code is 1. All files are
    written or none; what they replace is kept in .voicecore/replaced/.

    \b
    Examples:
      voicecore update --dry-run
      voicecore update
      voicecore update --restore agent/Dockerfile
    """

    restore: Annotated[
        str | None,
        Option(
            "Write a generated file or folder again, as it is without your edits; change no other.",
            metavar="PATH",
        ),
    ] = None
    generated: Annotated[
        Path | None,
        Option(
            "Folder with the project as it was generated, if it has no .voicecore/generated.zip.",
            metavar="DIR",
        ),
    ] = None
    project: ProjectFolder = None
    allow_dirty: Annotated[bool, Option("Update in spite of changes that git has not.")] = False
    yes: SkipConfirmation = False
    dry_run: Annotated[bool, Option("Show what would change; write nothing.")] = False
    json: Json = False
