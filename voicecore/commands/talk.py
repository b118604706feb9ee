"""`voicecore talk`: choose audio and transport, find or start the agent, hold the call."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Generator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from voicecore.catalog.phones import PHONES
from voicecore.catalog.transports import BY_PHONE, TRANSPORTS
from voicecore.commands.talk_flags import (
    CLIENTS,
    WEBSOCKET,
    BadFlags,
    check,
    check_direct,
    check_phone,
    is_direct,
)
from voicecore.console.command_line import typed
from voicecore.console.context import Context
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.options.talk import TalkOptions
from voicecore.project.project import Project, load_project
from voicecore.talk import optional_deps
from voicecore.talk.target import (
    CallTarget,
    ServerAccess,
    endpoint_for,
    reach_runtime,
    reach_server,
    server_key,
    token_of,
)

if TYPE_CHECKING:
    import aiohttp

    from voicecore.talk.audio.call_audio import CallAudio
    from voicecore.talk.audio.clips import Clip
    from voicecore.talk.call import LiveCall
    from voicecore.talk.channel import ChannelFactory
    from voicecore.talk.events import EndedBy
    from voicecore.talk.transports.connection import IceOptions
    from voicecore.talk.view.keyboard import Prompt
    from voicecore.talk.view.reporter import Reporter


class HungUpEarly(VoicecoreError):
    """The agent ended the call before everything was said; `error` is its last, if any."""

    def __init__(self, error: str) -> None:
        reason = f" Its last error: {error}" if error else ""
        super().__init__(
            f"The agent hung up before everything was said.{reason}",
            "Its log shows why; so does `voicecore dev` in another terminal.",
        )


_CALLER, _CALLED = "+12025550123", "+12025550100"
"""Fictitious numbers (NANPA reserves 555-01xx): the caller's, and that of a server without one."""


def run(context: Context, options: TalkOptions) -> ExitCode:
    """Hold one call; return INTERRUPTED if the user ended it before its script was over."""
    optional_deps.require_talk()
    if options.list_devices:
        return _list_devices(context, options)
    check(options, context.cwd)
    project = _project(context, options)
    check_direct(options, _calls_runtime(project))
    named = options.transport
    options = _with_phone(options, project)
    transport = WEBSOCKET if _calls_runtime(project) else _transport(options, project)

    from voicecore.talk.audio.clips import open_clip

    clips = [open_clip(context.cwd / path) for path in options.input]
    with asyncio.Runner() as runner:
        options = replace(options, transport=transport)
        return runner.run(_call(context, options, project, clips, named))


async def _call(
    context: Context,
    options: TalkOptions,
    project: Project | None,
    clips: list[Clip],
    named: str | None,
) -> ExitCode:
    """Hold the call; `named` is the transport that the user named."""
    import aiohttp

    from voicecore.talk.call import LiveCall, hanging_up_on_signals
    from voicecore.talk.view.phone_transcript import PhoneTranscript
    from voicecore.talk.view.reporter import Reporter
    from voicecore.talk.view.transcript import CallTranscript

    scripted = bool(clips or options.text or options.dtmf)
    audio = _prepare_audio(context, options, scripted)
    async with AsyncExitStack() as stack:
        stack.callback(_warn_of_incomplete, context, audio)
        http = await stack.enter_async_context(aiohttp.ClientSession())
        dialed = await _dial_others(context, options, project, http, named, stack)
        if dialed is None:
            target = _target(replace(options, transport=named))
            server = await stack.enter_async_context(reach_server(context, project, target))
            dialed = _dial(context, options, http, server)
        title, open_channel = dialed
        typing = options.text and sys.stdin.isatty()
        reporter = Reporter(context.output, title, options.json, typing, options.show_ice)
        transcript = PhoneTranscript if _is_wordless(options) else CallTranscript
        call = reporter.call = LiveCall(open_channel, audio, reporter.show, transcript)
        stack.enter_context(hanging_up_on_signals(call))
        if reporter.drawn:
            stack.enter_context(_screen(context, options, reporter, call, scripted))
        ended_by = await call.run(_script(options, audio, clips, reporter.prompt))
    reporter.end(ended_by, [path for path in (options.output, options.record) if path])
    if audio.incomplete():
        return ExitCode.FAILED
    return _exit_code(ended_by, scripted, bool(reporter.prompt), call.transcript.error)


def _warn_of_incomplete(context: Context, audio: CallAudio) -> None:
    for file in audio.incomplete():
        reason = file.failure.strerror if file.failure else None
        context.output.warn(
            f"{file.path} has only the first {file.seconds:.0f} s of the call: {reason}.\n"
            "Free space on its disk, or name a file on another disk."
        )


# Target of the call


def _project(context: Context, options: TalkOptions) -> Project | None:
    """Return the project; None for a server that is called from outside of any."""
    root = (context.cwd / (options.project or "")).resolve()
    if is_direct(options) and not (root / "voicecore.toml").exists():
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
    known = [TRANSPORTS[name] for name in transports if name in CLIENTS]
    return [t.name for t in known if t.in_talk or optional_deps.installed(t.client_library)]


def _with_phone(options: TalkOptions, project: Project | None) -> TalkOptions:
    """Return the options, with the project's first provider if only a telephone can call it."""
    by_phone = options.transport == BY_PHONE or (
        project is not None and not options.transport and not _installed(project.transports)
    )
    if by_phone and project and not options.phone:
        options = replace(options, phone=next(iter(project.providers), None))
        check_phone(options)
    if options.dtmf and not options.phone:
        raise BadFlags("--dtmf presses the keys of a phone: add --phone.")
    return options


def _transport(options: TalkOptions, project: Project | None) -> str:
    """Return the transport to speak: the one given, or the project's first that is installed."""
    offered = project.transports if project else (*CLIENTS, BY_PHONE)
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
    if project and chosen not in offered and not is_direct(options):
        raise BadFlags(
            f"{project.name} has no transport {chosen}.",
            f"Add it:  voicecore add {chosen}",
        )
    if chosen == BY_PHONE:
        choices = " or --phone ".join(PHONES)
        raise BadFlags(f"Which provider should the call use?  --phone {choices}")
    return chosen


def _calls_runtime(project: Project | None) -> bool:
    """Return whether calls go to the runtime itself: no session server of ours is before it."""
    return project is not None and not (project.server_settings and project.has_own_server)


def _is_wordless(options: TalkOptions) -> bool:
    """Return whether the call carries sound only."""
    from voicecore.talk.wire.choice import named

    return bool(options.phone or (options.protocol and not named(options.protocol)().words))


async def _dial_others(
    context: Context,
    options: TalkOptions,
    project: Project | None,
    http: aiohttp.ClientSession,
    named: str | None,
    stack: AsyncExitStack,
) -> tuple[str, ChannelFactory] | None:
    """Return title and channel factory of an agent without our session server, or None.

    What is started for it ends with `stack`.
    """
    if options.phone or not (is_direct(options) or _calls_runtime(project)):
        return None
    from voicecore.aws.login import AwsLogin
    from voicecore.talk.agents import reach

    ice = _ice(context, options)
    token = token_of(context.env, options.token_env)
    speaking = reach.Speaking(http, named, options.protocol or "", ice, token)
    if project and not is_direct(options):
        target = replace(_target(replace(options, transport=named)), token=token)
        reached = reach_runtime(context, project, target)
        title, source = await stack.enter_async_context(reached)
        agent = reach.by_source(title, source, speaking)
    elif options.arn:
        endpoint = endpoint_for(project, options.arn, "DEFAULT") if project else "DEFAULT"
        login = AwsLogin(can_ask=context.interactive)
        again = typed("talk", replace(options, transport=named))
        agent = await reach.by_arn(options.arn, endpoint, speaking, login, again)
    else:
        if options.api_key_env != TalkOptions.api_key_env:  # named, so a session server is meant
            server_key(context.env, _target(options), project)
        agent = await reach.by_url(str(options.url), speaking)
    return (agent.title, agent.open_channel) if agent else None


def _ice(context: Context, options: TalkOptions) -> IceOptions:
    from voicecore.talk.session_client import IceServer
    from voicecore.talk.transports.connection import IceOptions

    login = (context.env.get(f"ICE_SERVER_{part}", "") for part in ("USERNAME", "CREDENTIAL"))
    return IceOptions(
        options.relay_only, (IceServer(options.turn, *login),) if options.turn else ()
    )


def _dial(
    context: Context, options: TalkOptions, http: aiohttp.ClientSession, server: ServerAccess
) -> tuple[str, ChannelFactory]:
    """Return the title of the call and the factory of its channel."""
    if options.phone:
        return _phone_channel(context, options.phone, http, server)
    client = optional_deps.load(TRANSPORTS[str(options.transport)].client)

    from voicecore.talk.transports.connection import ClientSetup

    ice = _ice(context, options)
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


def _exit_code(ended_by: EndedBy, scripted: bool, typing: bool, error: str) -> ExitCode:
    """Return the exit code; `typing`: a person at a prompt decides when everything is said."""
    from voicecore.talk.events import EndedBy

    if not scripted or ended_by is EndedBy.SCRIPT:
        return ExitCode.OK
    if ended_by is EndedBy.USER:
        return ExitCode.INTERRUPTED
    if typing and not error:
        return ExitCode.OK
    raise HungUpEarly(error)
