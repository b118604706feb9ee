"""Owns the options of `voicecore talk`."""

import shlex
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

from voicecore.console.command_line import Option
from voicecore.options import (
    ApiKeyVariable,
    JsonEvents,
    ProjectFolder,
    provider_names,
    stage_names,
    transport_names,
)
from voicecore.project.defaults import DEFAULT_STAGE


def _device_names(kind: str) -> list[str]:
    from voicecore.talk.audio.devices import list_devices

    return [shlex.quote(device.name) for device in getattr(list_devices(), kind)]


def _protocol_names() -> list[str]:
    from voicecore.talk.wire.choice import WIRES

    return list(WIRES)


@dataclass(frozen=True, eq=False, repr=False)
class TalkOptions:
    """Talk to the agent from this terminal.

    Starts `voicecore dev` if none is running. Connects as a deployed client does: through the
    session server, then over a presigned WebSocket URL or WebRTC. With --url or --arn, talks to
    agents that voicecore did not make. Use a headset, or rely on the echo canceller. Speak over
    the agent and it stops. Ctrl-C hangs up.

    \b
    Examples:
      voicecore talk
      voicecore talk --text
      voicecore talk --input question.wav --record conversation.wav
      voicecore talk --remote --stage prod
      voicecore talk --phone twilio --dtmf 12#
      voicecore talk --url http://localhost:7860
      voicecore talk --url ws://localhost:8080/ws --protocol sonic
      voicecore talk --list-devices
    """

    project: ProjectFolder = None
    input: Annotated[
        tuple[Path, ...],
        Option("Play a sound file instead of the microphone; repeatable.", metavar="FILE"),
    ] = ()
    output: Annotated[Path | None, Option("Write the agent's speech to a file.", metavar="WAV")] = (
        None
    )
    record: Annotated[
        Path | None,
        Option("Record both sides: you on the left, the agent on the right.", metavar="WAV"),
    ] = None
    text: Annotated[bool, Option("Type instead of speaking.")] = False
    microphone: Annotated[
        str | None,
        Option(
            "Microphone, or part of its name.",
            metavar="NAME",
            completions=partial(_device_names, "microphones"),
        ),
    ] = None
    speaker: Annotated[
        str | None,
        Option(
            "Speaker, or part of its name.",
            metavar="NAME",
            completions=partial(_device_names, "speakers"),
        ),
    ] = None
    list_devices: Annotated[bool, Option("List microphones and speakers.")] = False
    no_aec: Annotated[bool, Option("Turn echo cancellation off, as for headphones.")] = False
    remote: Annotated[bool, Option("Talk to the agent in AWS.")] = False
    stage: Annotated[
        str,
        Option(
            "Stage to call, with --remote.", short="-s", metavar="NAME", completions=stage_names
        ),
    ] = DEFAULT_STAGE
    arn: Annotated[
        str | None,
        Option(
            "ARN of the runtime to call: with --remote through the project's session server, else "
            "by URLs that this command signs.",
            metavar="ARN",
        ),
    ] = None
    url: Annotated[
        str | None,
        Option(
            "URL of what to call: a session server, a Pipecat bot, an agent's container, or a "
            "WebSocket.",
            metavar="URL",
        ),
    ] = None
    protocol: Annotated[
        str | None,
        Option(
            "Protocol of an agent called by --url or --arn: pipecat, rtvi, strands, sonic, pcm or "
            "pcm:RATE.  [default: as the agent begins, else pipecat]",
            metavar="NAME",
            completions=_protocol_names,
        ),
    ] = None
    token_env: Annotated[
        str | None,
        Option(
            "Environment variable that holds the bearer token of a runtime with a JWT authorizer.",
            metavar="NAME",
        ),
    ] = None
    api_key_env: ApiKeyVariable = "SESSION_API_KEY"
    transport: Annotated[
        str | None,
        Option(
            "How to reach the agent: {choices}.  [default: the project's first]",
            short="-t",
            metavar="NAME",
            choices=transport_names,
        ),
    ] = None
    phone: Annotated[
        str | None,
        Option(
            "Call as a phone provider does: {choices}.", metavar="PROVIDER", choices=provider_names
        ),
    ] = None
    dtmf: Annotated[
        str, Option("Keys to press after the greeting, with --phone.", metavar="KEYS")
    ] = ""
    turn: Annotated[
        tuple[str, ...],
        Option(
            "WebRTC: TURN server to use instead, with ICE_SERVER_USERNAME and "
            "ICE_SERVER_CREDENTIAL; repeatable.",
            metavar="URL",
        ),
    ] = ()
    relay_only: Annotated[bool, Option("WebRTC: connect through a TURN relay or not at all.")] = (
        False
    )
    show_ice: Annotated[
        bool, Option("WebRTC: print the candidate pairs tried and the one chosen.")
    ] = False
    json: JsonEvents = False
