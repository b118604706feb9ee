"""Owns which flags of `voicecore talk` go together."""

from __future__ import annotations

from pathlib import Path

from voicecore.catalog.phones import PHONES
from voicecore.catalog.phones.media import KEYPAD
from voicecore.catalog.transports import BY_PHONE, DEFAULT, TRANSPORTS
from voicecore.catalog.turn_sources.variables import read_url
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.options.talk import TalkOptions
from voicecore.project.defaults import DEFAULT_STAGE

CLIENTS = tuple(name for name, transport in TRANSPORTS.items() if transport.client)
"""Transports that `talk` speaks as a client, the preferred one first."""
WEBSOCKET = DEFAULT
"""Transport of a runtime that is called without a session server."""
_NOT_WAV = (".aac", ".flac", ".m4a", ".mp3", ".mp4", ".ogg", ".opus", ".webm")
_SCHEMES = ("http://", "https://", "ws://", "wss://")


class BadFlags(VoicecoreError):
    """The flags contradict each other, or ask for something that does not exist."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message, hint, ExitCode.USAGE)


def check(options: TalkOptions, folder: Path) -> None:
    """Raise BadFlags unless the flags go together; paths are relative to `folder`."""
    check_phone(options)
    if options.text and options.input:
        raise BadFlags("--text types and --input speaks: choose one.")
    if options.transport not in (None, BY_PHONE, *CLIENTS):
        known = ", ".join((*CLIENTS, BY_PHONE))
        raise BadFlags(f"`talk` does not speak {options.transport!r}; it speaks {known}.")
    _check_url(options)
    _check_files(options, folder)
    if options.microphone and (options.text or options.input or options.dtmf):
        raise BadFlags("--microphone has no effect with --text, --input or --dtmf.")
    _check_remote(options)
    _check_turn(options)


def _check_files(options: TalkOptions, folder: Path) -> None:
    written = [path for path in (options.output, options.record) if path]
    files = [(folder / path).resolve() for path in written]
    read = {(folder / path).resolve() for path in options.input}
    if len({*files, *read}) < len(files) + len(read):
        raise BadFlags("--input, --output and --record need different files.")
    for path in written:
        if path.suffix.lower() in _NOT_WAV:
            raise BadFlags(
                f"{path} would be a WAV file: --output and --record write no other format.",
                f"Name it {path.with_suffix('.wav')}, and convert it later.",
            )


def _check_url(options: TalkOptions) -> None:
    schemes = ("http://", "https://") if options.phone else _SCHEMES
    if options.url is not None and not options.url.startswith(schemes):
        raise BadFlags(
            f"--url {options.url!r} does not begin with {' or '.join(schemes)}.",
            f"Add the scheme:  voicecore talk --url http://{options.url.split('://')[-1]}",
        )
    if options.url and options.arn:
        raise BadFlags("--url and --arn both name the agent to call: choose one.")
    if options.arn:
        from voicecore.talk.agents.runtime import read_arn

        read_arn(options.arn)
    by_socket = is_direct(options) and not str(options.url).startswith("http")
    if by_socket and options.transport not in (None, WEBSOCKET):
        raise BadFlags(
            f"Without a session server the agent is called over {WEBSOCKET}, not "
            f"{options.transport}.",
            f"Omit --transport, or add --remote:  voicecore talk --remote --arn {options.arn}"
            if options.arn
            else "Omit --transport.",
        )


def is_direct(options: TalkOptions) -> bool:
    """Return whether the agent may be one that voicecore did not make."""
    return bool(options.url) or bool(options.arn and not options.remote)


def check_direct(options: TalkOptions, serverless: bool) -> None:
    """Raise BadFlags or UnknownProtocol unless --protocol and --token-env fit.

    `serverless`: the project has no session server of ours.
    """
    from voicecore.talk.wire.choice import named

    flags = {"--protocol": options.protocol, "--token-env": options.token_env}
    given = next((flag for flag, value in flags.items() if value), "")
    if given and not (is_direct(options) or serverless):
        raise BadFlags(
            f"{given} is for agents of others, which --url or --arn without --remote names."
        )
    if not options.protocol:
        return
    if not named(options.protocol)().words and options.text:
        raise BadFlags(f"--protocol {options.protocol} carries sound only: omit --text.")


def _check_remote(options: TalkOptions) -> None:
    if options.remote and options.url:
        raise BadFlags("--remote starts the project's own session server, --url names another.")
    if options.stage != DEFAULT_STAGE and not options.remote:
        raise BadFlags("--stage names an agent in AWS: add --remote.")


def _check_turn(options: TalkOptions) -> None:
    if (options.turn or options.relay_only) and options.transport in CLIENTS:
        with_turn = [transport for transport in TRANSPORTS.values() if transport.turn]
        if options.transport not in {transport.name for transport in with_turn}:
            titles = ", ".join(transport.title for transport in with_turn)
            raise BadFlags(
                f"--turn and --relay-only work only with {titles}:  --transport {with_turn[0].name}"
            )
    for url in options.turn:
        if not (read := read_url(url)) or not read.relays:
            raise BadFlags(
                f"--turn {url!r} is not the URL of a TURN server.",
                "One looks like turn:turn.example.com:3478?transport=udp",
            )


def check_phone(options: TalkOptions) -> None:
    """Raise BadFlags unless the flags of a phone call go together."""
    if options.phone is None:
        return
    if options.phone not in PHONES:
        known = ", ".join(PHONES)
        raise BadFlags(f"{options.phone!r} is not a known phone provider; choose from {known}.")
    if options.text:
        raise BadFlags("--text sends text, and a phone call carries none: --dtmf presses keys.")
    if options.remote or options.arn:
        raise BadFlags(
            "--phone calls a server, not an agent: the local one, or any with --url.",
            "A deployed one:  voicecore talk --phone "
            f"{options.phone} --url https://…, with the provider's variables in the environment",
        )
    if options.transport not in (None, BY_PHONE):
        raise BadFlags(
            f"--phone uses {BY_PHONE} and --transport uses {options.transport}: choose one."
        )
    if options.turn or options.relay_only:
        raise BadFlags("--turn and --relay-only work only with WebRTC; a phone call uses no TURN.")
    wrong = sorted(set(options.dtmf) - set(KEYPAD))
    if wrong:
        raise BadFlags(f"A phone has the keys {KEYPAD}, not {' '.join(wrong)}.")
