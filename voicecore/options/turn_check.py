"""Owns the options of `voicecore turn check`."""

from dataclasses import dataclass
from typing import Annotated

from voicecore.console.command_line import Option
from voicecore.options import Json, ProjectFolder, stage_names


def turn_source_names() -> list[str]:
    """Return the TURN sources of the catalog."""
    from voicecore.catalog.turn_sources import SOURCES

    return list(SOURCES)


@dataclass(frozen=True, eq=False, repr=False)
class TurnCheckOptions:
    """Allocate a relay at every TURN source, as the agent does.

    Shows for each URL how long it took, the relay's address and when the credentials expire; or
    why it failed: wrong credentials, blocked UDP, an untrusted certificate.

    \b
    Examples:
      voicecore turn check
      voicecore turn check --source cloudflare --source twilio
      voicecore turn check --stage prod
    """

    project: ProjectFolder = None
    sources: Annotated[
        tuple[str, ...],
        Option(
            "TURN source to check: {choices}; repeatable.  [default: those set in agent/.env]",
            name="--source",
            metavar="NAME",
            choices=turn_source_names,
        ),
    ] = ()
    stage: Annotated[
        str | None,
        Option(
            "Stage whose KVS channels are used.  [default: dev, if KVS is a source]",
            metavar="NAME",
            completions=stage_names,
        ),
    ] = None
    json: Json = False
