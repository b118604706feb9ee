"""Owns the options of `voicecore add`."""

from dataclasses import dataclass
from typing import Annotated

from voicecore.console.command_line import Argument, Option
from voicecore.options import Json, ProjectFolder, Providers, SkipPrompts, transport_names


@dataclass(frozen=True, eq=False, repr=False)
class AddOptions:
    """Add a transport to the project and keep your own changes.

    Shows every change before it is made. What the bot says and does stays as it is. If you have
    edited a line that has to change, nothing is written and the change to make is printed.

    \b
    Examples:
      voicecore add webrtc
      voicecore add webrtc --dry-run
      voicecore add telephony --provider vonage
    """

    transport: Annotated[
        str,
        Argument("Transport to add: {choices}.", metavar="TRANSPORT", choices=transport_names),
    ]
    providers: Providers = ()
    project: ProjectFolder = None
    yes: SkipPrompts = False
    dry_run: Annotated[bool, Option("Show what would change; write nothing.")] = False
    json: Json = False
