"""Owns the options of `voicecore adopt`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from voicecore.console.command_line import Argument, Option
from voicecore.options import Json, SkipPrompts, region_names


def file_names() -> list[str]:
    """Return what adopt can write besides voicecore.toml."""
    from voicecore.adopt.report import Missing

    return [missing.value for missing in Missing]


@dataclass(frozen=True, eq=False, repr=False)
class AdoptOptions:
    """Take over an agent that you have.

    Reports on its folder, then writes voicecore.toml. None of your files is changed, and no code of
    yours is run. What the agent lacks is written only if you ask for it.

    \b
    Examples:
      voicecore adopt --dry-run
      voicecore adopt path/to/agent
      voicecore adopt --entry app/main.py --add dockerfile --yes
    """

    folder: Annotated[
        Path | None, Argument("Folder of the agent.  [default: current folder]", metavar="DIR")
    ] = None
    entry: Annotated[
        str | None,
        Option("Module that serves the agent, if there are several.", metavar="FILE"),
    ] = None
    add: Annotated[
        tuple[str, ...],
        Option(
            "What to write besides voicecore.toml: {choices}; repeatable.",
            metavar="NAME",
            choices=file_names,
            commas=True,
        ),
    ] = ()
    name: Annotated[
        str | None, Option("Name of the project.  [default: the folder's]", metavar="NAME")
    ] = None
    region: Annotated[
        str | None,
        Option("AWS region to deploy to later.", metavar="NAME", choices=region_names),
    ] = None
    force: Annotated[
        bool, Option("Write voicecore.toml again; a copy of it is kept.", once=True)
    ] = False
    dry_run: Annotated[bool, Option("Show the report; write nothing.")] = False
    yes: SkipPrompts = False
    json: Json = False
