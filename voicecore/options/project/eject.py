"""Owns the options of `voicecore eject`."""

from dataclasses import dataclass
from typing import Annotated

from voicecore.console.command_line import Argument, Option
from voicecore.options import Json, ProjectFolder, SkipPrompts


def _parts() -> list[str]:
    from voicecore.scaffold.render import EJECTABLE

    return list(EJECTABLE)


@dataclass(frozen=True, eq=False, repr=False)
class EjectOptions:
    """Write the source of the browser page to client/.

    A project has the built page only, in server/internal/page/. Existing files are never
    overwritten.

    \b
    Examples:
      voicecore eject client
      voicecore eject client --dry-run
    """

    part: Annotated[
        str,
        Argument("Part to eject: {choices}.", metavar="PART", choices=_parts),
    ]
    project: ProjectFolder = None
    yes: SkipPrompts = False
    dry_run: Annotated[bool, Option("List the files; write nothing.")] = False
    json: Json = False
