"""Owns the options of `voicecore docs`."""

from dataclasses import dataclass
from typing import Annotated

from voicecore.console.command_line import Argument
from voicecore.options import Json


@dataclass(frozen=True, eq=False, repr=False)
class DocsOptions:
    """Print a page of the documentation, or the list of all.

    \b
    Examples:
      voicecore docs
      voicecore docs deploy
      voicecore docs reference/voicecore-toml
    """

    page: Annotated[
        str | None, Argument("Page to print.  [default: list the pages]", metavar="PAGE")
    ] = None
    json: Json = False
