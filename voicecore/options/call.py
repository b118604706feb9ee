"""Owns the options of `voicecore call`."""

from dataclasses import dataclass
from typing import Annotated

from voicecore.console.command_line import Argument, Option
from voicecore.options import (
    ApiKeyVariable,
    Json,
    ProjectFolder,
    SkipConfirmation,
    provider_names,
)


@dataclass(frozen=True, eq=False, repr=False)
class CallOptions:
    """Place an outbound phone call.

    The phone provider charges for it and a real phone rings, so the command asks first. Follows
    the call until it ends; Ctrl-C hangs up.

    \b
    Examples:
      voicecore call +14155550100
      voicecore call +14155550100 --yes --url https://phone.example.com
    """

    number: Annotated[str, Argument("Number to call, such as +14155550100.", metavar="NUMBER")]
    provider: Annotated[
        str | None,
        Option(
            "Phone provider: {choices}.  [default: the project's first]",
            metavar="NAME",
            choices=provider_names,
        ),
    ] = None
    project: ProjectFolder = None
    url: Annotated[
        str | None,
        Option(
            "URL of the session server that places the call.  [default: that of `voicecore dev`]",
            metavar="URL",
        ),
    ] = None
    api_key_env: ApiKeyVariable = "SESSION_API_KEY"
    yes: SkipConfirmation = False
    json: Json = False
