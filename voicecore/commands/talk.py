"""`voicecore talk`: choose audio and transport, find or start the agent, hold the call."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Generator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from voicecore.catalog.phones import PHONES
from voicecore.catalog.phones.media import KEYPAD
from voicecore.catalog.transports import BY_PHONE, TRANSPORTS
from voicecore.catalog.turn_sources.variables import read_url
from voicecore.console.command_line import typed
from voicecore.console.context import Context
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.options.talk import TalkOptions
from voicecore.project.defaults import DEFAULT_STAGE
from voicecore.project.project import Project, load_project
from voicecore.talk import optional_deps
from voicecore.talk.target import CallTarget, ServerAccess, reach_server

if TYPE_CHECKING:
    import aiohttp

    from voicecore.talk.audio.call_audio import CallAudio
    from voicecore.talk.audio.clips import Clip
    from voicecore.talk.call import LiveCall
    from voicecore.talk.channel import ChannelFactory
    from voicecore.talk.events import EndedBy
    from voicecore.talk.view.keyboard import Prompt
    from voicecore.talk.view.reporter import Reporter


class BadFlags(VoicecoreError):
    """The flags contradict each other, or ask for something that does not exist."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message, hint, ExitCode.USAGE)


class HungUpEarly(VoicecoreError):
    """The agent ended the call before everything was said; `error` is its last, if any."""

    def __init__(self, error: str) -> None:
        reason = f" Its last error: {error}" if error else ""
        super().__init__(
            f"The agent hung up before everything was said.{reason}",
            "Its log shows why; so does `voicecore dev` in another terminal.",
        )


_CLIENTS = tuple(name for name, transport in TRANSPORTS.items() if transport.client)
"""Transports that `talk` speaks as a client, the preferred one first."""
_CALLER, _CALLED = "+12025550123", "+12025550100"
"""Fictitious numbers (NANPA reserves 555-01xx): the caller's, and that of a server without one."""


def run(context: Context, options: TalkOptions) -> ExitCode:
    """Hold one call; return INTERRUPTED if the user ended it before its script was over."""
    optional_deps.require_talk()
    if options.list_devices:
        return _list_devices(context, options)
    _check(options)
    project = _project(context, options)
    options = _with_phone(options, project)
    transport = _transport(options, project)

    from voicecore.talk.audio.clips import open_clip

    clips = [open_clip(context.cwd / path) for path in options.input]
    with asyncio.Runner() as runner:
        return runner.run(_call(context, replace(options, transport=transport), project, clips))


async def _call(
    context: Context, options: TalkOptions, project: Project | None, clips: list[Clip]
) -> ExitCode:
    import aiohttp

    from voicecore.talk.call import LiveCall, hanging_up_on_signals
    from voicecore.talk.view.phone_transcript import PhoneTranscript
    from voicecore.talk.view.reporter import Reporter
    from voicecore.talk.view.transcript import CallTranscript

    scripted = bool(clips or options.text or options.dtmf)
    audio = _prepare_audio(context, options, scripted)
    async with AsyncExitStack() as stack:
        stack.callback(_warn_of_incomplete, context, audio)
        server = await stack.enter_async_context(reach_server(context, project, _target(options)))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        title, open_channel = _dial(context, options, http, server)
        typing = options.text and sys.stdin.isatty()
        reporter = Reporter(context.output, title, options.json, typing, options.show_ice)
        transcript = PhoneTranscript if options.phone else CallTranscript
        call = reporter.call = LiveCall(open_channel, audio, reporter.show, transcript)
        stack.enter_context(hanging_up_on_signals(call))
        if reporter.drawn:
            stack.enter_context(_screen(context, options, reporter, call, scripted))
        ended_by = await call.run(_script(options, audio, clips, reporter.prompt))
    reporter.end(ended_by, [path for path in (options.output, options.record) if path])
    if audio.incomplete():
        return ExitCode.FAILED
    return _exit_code(ended_by, scripted, call.transcript.error)


def _warn_of_incomplete(context: Context, audio: CallAudio) -> None:
    for file in audio.incomplete():
        reason = file.failure.strerror if file.failure else None
        context.output.warn(
            f"{file.path} has only the first {file.seconds:.0f} s of the call: {reason}.\n"
            "Free space on its disk, or name a file on another disk."
        )


# Flags


def _check(options: TalkOptions) -> None:
    """Raise BadFlags unless the flags go together."""
    _check_phone(options)
    if options.text and options.input:
        raise BadFlags("--text types and --input speaks: choose one.")
    if options.transport not in (None, BY_PHONE, *_CLIENTS):
        known = ", ".join((*_CLIENTS, BY_PHONE))
        raise BadFlags(f"`talk` does not speak {options.transport!r}; it speaks {known}.")
    if options.url is not None and not options.url.startswith(("http://", "https://")):
        raise BadFlags(
            f"--url {options.url!r} is not an HTTP URL.",
            f"Add the scheme:  voicecore talk --url http://{options.url.split('://')[-1]}",
        )
    written = [path for path in (options.output, options.record) if path]
    if len({*written, *options.input}) < len(written) + len(set(options.input)):
        raise BadFlags("--input, --output and --record need different files.")
    if options.microphone and (options.text or options.input or options.dtmf):
        raise BadFlags("--microphone has no effect with --text, --input or --dtmf.")
    _check_remote(options)
    _check_turn(options)


def _check_remote(options: TalkOptions) -> None:
    if options.remote and options.url:
        raise BadFlags("--remote starts the project's own session server, --url names another.")
    if options.arn and not options.remote:
        raise BadFlags("--arn names an agent in AWS: add --remote.")
    if options.stage != DEFAULT_STAGE and not options.remote:
        raise BadFlags("--stage names an agent in AWS: add --remote.")


def _check_turn(options: TalkOptions) -> None:
    if (options.turn or options.relay_only) and options.transport in _CLIENTS:
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


def _check_phone(options: TalkOptions) -> None:
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


# Target of the call


def _project(context: Context, options: TalkOptions) -> Project | None:
    """Return the project; None for a server that is called from outside of any."""
    root = (context.cwd / (options.project or "")).resolve()
    if options.url is not None and not (root / "voicecore.toml").exists():
        return None
    return load_project(root)


def _target(options: TalkOptions) -> CallTarget:
    return CallTarget(
        options.api_key_env,
        typed("talk", options),
        options.remote,
        options.stage,
        options.arn,
        options.url,
        needs_key=options.phone is None,
    )


def _installed(transports: Sequence[str]) -> list[str]:
    """Return those of the transports that `talk` speaks with what is installed."""
    known = [TRANSPORTS[name] for name in transports if name in _CLIENTS]
    return [t.name for t in known if t.in_talk or optional_deps.installed(t.client_library)]


def _with_phone(options: TalkOptions, project: Project | None) -> TalkOptions:
    """Return the options, with the project's first provider if only a telephone can call it."""
    by_phone = options.transport == BY_PHONE or (
        project is not None and not options.transport and not _installed(project.transports)
    )
    if by_phone and project and not options.phone:
        options = replace(options, phone=next(iter(project.providers), None))
        _check_phone(options)
    if options.dtmf and not options.phone:
        raise BadFlags("--dtmf presses the keys of a phone: add --phone.")
    return options


def _transport(options: TalkOptions, project: Project | None) -> str:
    """Return the transport to speak: the one given, or the project's first that is installed."""
    offered = project.transports if project else (*_CLIENTS, BY_PHONE)
    if options.phone:
        if BY_PHONE not in offered:
            raise BadFlags(
                f"{project and project.name} takes no phone calls.",
                f"Add them:  voicecore add {BY_PHONE} --provider {options.phone}",
            )
        if project and not options.url and options.phone not in project.providers:
            raise _provider_missing(options.phone, project.name)
        return BY_PHONE
    chosen = options.transport or [*_installed(offered), *offered][0]
    if project and chosen not in offered:
        raise BadFlags(
            f"{project.name} has no transport {chosen}.",
            f"Add it:  voicecore add {chosen}",
        )
    if chosen == BY_PHONE:
        choices = " or --phone ".join(PHONES)
        raise BadFlags(f"Which provider should the call use?  --phone {choices}")
    return chosen


def _dial(
    context: Context, options: TalkOptions, http: aiohttp.ClientSession, server: ServerAccess
) -> tuple[str, ChannelFactory]:
    """Return the title of the call and the factory of its channel."""
    if options.phone:
        return _phone_channel(context, options.phone, http, server)
    client = optional_deps.load(TRANSPORTS[str(options.transport)].client)

    from voicecore.talk.session_client import IceServer
    from voicecore.talk.transports.connection import ClientSetup, IceOptions

    login = (context.env.get(f"ICE_SERVER_{part}", "") for part in ("USERNAME", "CREDENTIAL"))
    turn = (IceServer(options.turn, *login),) if options.turn else ()
    ice = IceOptions(options.relay_only, turn)
    setup = ClientSetup(http, server.url, server.key, server.stream_seconds, ice)
    return server.title, client.channel_for(setup)


def _phone_channel(
    context: Context, provider: str, http: aiohttp.ClientSession, server: ServerAccess
) -> tuple[str, ChannelFactory]:
    """Return title and channel factory of a call that the provider brings to the server."""
    from voicecore.talk.telephone.telephone import Telephone

    credentials = context.env if server.phones is None else server.phones.get(provider)
    if credentials is None:
        raise _provider_missing(provider, server.title)
    called = credentials.get("PHONE_NUMBERS", "").split(",")[0].strip() or _CALLED
    call = PHONES[provider].signaling().new_call(credentials, _CALLER, called)
    title = f"{server.title} · {provider} {called}"
    return title, lambda deliver, _: Telephone(http, server.url, call, credentials, deliver)


def _provider_missing(provider: str, title: str) -> BadFlags:
    return BadFlags(
        f"{title} takes no calls from {provider}.",
        f"Add it:  voicecore add {BY_PHONE} --provider {provider}",
    )


# Audio


def _list_devices(context: Context, options: TalkOptions) -> ExitCode:
    from voicecore.talk.audio import devices

    found = devices.list_devices()
    named = {
        "microphones": [device.name for device in found.microphones],
        "speakers": [device.name for device in found.speakers],
    }
    if options.json:
        context.output.json(named)
        return ExitCode.OK
    for kind, names in named.items():
        context.output.data(f"{kind}:")
        for name in names or ["(none)"]:
            context.output.data(f"  {name}")
    return ExitCode.OK


def _prepare_audio(context: Context, options: TalkOptions, scripted: bool) -> CallAudio:
    from voicecore.talk.audio.call_audio import prepare_audio

    try:
        return prepare_audio(
            scripted=scripted,
            microphone=options.microphone,
            speaker=options.speaker,
            cancel_echo=not options.no_aec,
            output=context.cwd / options.output if options.output else None,
            recording=context.cwd / options.record if options.record else None,
        )
    except OSError as error:
        raise BadFlags(f"{error.filename} cannot be written: {error.strerror}.") from error


# The call


def _script(
    options: TalkOptions, audio: CallAudio, clips: list[Clip], prompt: Prompt | None
) -> Any:
    from voicecore.talk import scripts
    from voicecore.talk.audio.scripted_mic import ScriptedMicrophone
    from voicecore.talk.view.keyboard import read_lines

    async def script(call: LiveCall) -> None:
        if prompt:
            await scripts.chat(call, prompt.lines(call.hang_up))
        elif options.text:
            await scripts.write(call, read_lines(sys.stdin.fileno()))
        elif isinstance(audio.source, ScriptedMicrophone):
            if options.dtmf:
                await scripts.press(call, options.dtmf)
            await scripts.speak(call, audio.source, clips)
        else:
            await asyncio.Event().wait()  # with a microphone, only hanging up ends a call

    return script


@contextmanager
def _screen(
    context: Context, options: TalkOptions, reporter: Reporter, call: LiveCall, scripted: bool
) -> Generator[None]:
    """Draw the call while the block runs; with a microphone, follow single keys."""
    from voicecore.talk.view.keyboard import keys

    def pressed(key: str) -> None:
        if key == "q":
            call.hang_up()
        else:
            call.press(key)

    hint = "Ctrl-C ends the call" if scripted else "q or Ctrl-C hangs up"
    hint += " · 0-9 * # are keys" if options.phone and not scripted else ""
    with context.output.screen(reporter.picture(hint)):
        if scripted:
            yield
        else:
            with keys(sys.stdin.fileno(), pressed):
                yield


def _exit_code(ended_by: EndedBy, scripted: bool, error: str) -> ExitCode:
    from voicecore.talk.events import EndedBy

    if not scripted or ended_by is EndedBy.SCRIPT:
        return ExitCode.OK
    if ended_by is EndedBy.USER:
        return ExitCode.INTERRUPTED
    raise HungUpEarly(error)
