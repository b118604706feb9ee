"""Owns the options of `voicecore init`."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

from voicecore.console.command_line import Argument, Option
from voicecore.options import (
    Json,
    Providers,
    SkipPrompts,
    region_names,
    transport_names,
)


def pipeline_names() -> list[str]:
    """Return the pipelines of the catalog."""
    from voicecore.catalog.pipelines import GENERATED

    return list(GENERATED)


def service_names(stage: str) -> list[str]:
    """Return the services that a pipeline stage, such as "stt", can use."""
    from voicecore.catalog.pipelines import GENERATED

    pipelines = GENERATED.values()
    return [service.name for each in pipelines for service in each.stages.get(stage, ())]


@dataclass(frozen=True, eq=False, repr=False)
class InitOptions:
    """Create a project: agent, session server and tests.

    Asks for what the options leave open, on a terminal. The default pipeline needs no account.

    \b
    Examples:
      voicecore init
      voicecore init support-line --pipeline offline --yes
      voicecore init line --pipeline cascade --stt deepgram --region us-west-2
      voicecore init line --pipeline cascade --llm amazon.nova-pro-v1:0
      voicecore init support-line --transport telephony --provider twilio
      voicecore init --list-options | jq .pipelines
    """

    name: Annotated[
        str | None, Argument("Name of the project and of its folder.", metavar="NAME")
    ] = None
    transports: Annotated[
        tuple[str, ...],
        Option(
            "How callers reach the agent: {choices}; repeatable.",
            name="--transport",
            short="-t",
            metavar="NAME",
            choices=transport_names,
        ),
    ] = ()
    providers: Providers = ()
    pipeline: Annotated[
        str | None,
        Option("How speech becomes speech: {choices}.", metavar="NAME", choices=pipeline_names),
    ] = None
    region: Annotated[
        str | None,
        Option("AWS region to deploy to later.", metavar="NAME", choices=region_names),
    ] = None
    stt: Annotated[
        str | None,
        Option(
            "Speech-to-text service of a cascade: {choices}.",
            metavar="NAME",
            choices=partial(service_names, "stt"),
        ),
    ] = None
    llm: Annotated[
        str | None,
        Option(
            "Language model of a cascade: {choices}, or the ID of a text model of Amazon Bedrock.",
            metavar="NAME",
            choices=partial(service_names, "llm"),
        ),
    ] = None
    tts: Annotated[
        str | None,
        Option(
            "Text-to-speech service of a cascade: {choices}.",
            metavar="NAME",
            choices=partial(service_names, "tts"),
        ),
    ] = None
    speech_to_speech: Annotated[
        str | None,
        Option(
            "Speech-to-speech model: {choices}.",
            metavar="NAME",
            choices=partial(service_names, "speech_to_speech"),
        ),
    ] = None
    directory: Annotated[
        Path | None,
        Option("Parent of the project folder.  [default: current folder]", metavar="DIR"),
    ] = None
    yes: SkipPrompts = False
    force: Annotated[
        bool, Option("Write into an existing folder, after showing the changes.", once=True)
    ] = False
    dry_run: Annotated[bool, Option("Show what would be written; write nothing.")] = False
    json: Json = False
    list_options: Annotated[
        bool, Option("Print everything that can be chosen, as JSON.", once=True)
    ] = False
