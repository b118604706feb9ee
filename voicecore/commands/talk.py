"""`voicecore talk`: choose devices and files, find or start what to call, hold the call."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Generator, Sequence
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voicecore.catalog.transports import TRANSPORTS
from voicecore.catalog.turn_sources.variables import read_url
from voicecore.console.context import Context
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.project import aws_names
from voicecore.project.project import Project, load_project
from voicecore.talk import optional_deps
from voicecore.talk.target import Target, dial
from voicecore.talk.telephone.media_frames import KEYPAD, WIRES

if TYPE_CHECKING:
    import aiohttp

    from voicecore.talk.audio.endpoints import Ear, Mouth
    from voicecore.talk.audio.sound_files import Clip
    from voicecore.talk.call import Conversation, Dial, Ending, Equipment
    from voicecore.talk.session_client import IceServer, SessionServer
    from voicecore.talk.target import Line
    from voicecore.talk.telephone.webhooks import Credentials, PhoneCall
    from voicecore.talk.view.keyboard import Prompt


@dataclass(frozen=True)
class TalkOptions:
    """The flags of `voicecore talk`; None and () mean: not said."""

    project: Path | None = None
    input: tuple[Path, ...] = ()
    output: Path | None = None
    record: Path | None = None
    text: bool = False
    json: bool = False
    microphone: str | None = None
    speaker: str | None = None
    list_devices: bool = False
    no_aec: bool = False
    remote: bool = False
    stage: str = aws_names.DEFAULT_STAGE
    arn: str | None = None
    url: str | None = None
    api_key_env: str = "SESSION_API_KEY"
    transport: str | None = None
    phone: str | None = None
    dtmf: str = ""
    turn: tuple[str, ...] = ()
    relay_only: bool = False
    show_ice: bool = False


class BadFlags(VoicecoreError):
    """Flags that contradict each other, or ask for what there is not."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message, hint, ExitCode.USAGE)


class HungUpEarly(VoicecoreError):
    """The agent ended the call before everything was said."""


def run(context: Context, options: TalkOptions) -> ExitCode:
    """Hold one conversation; returns INTERRUPTED if it was ended before it was over."""
    optional_deps.require()
    if options.list_devices:
        return _list_devices(context, options)
    _check(options)
    root = (context.cwd / (options.project or "")).resolve()
    # A server that runs somewhere may be called from anywhere, with its key in the environment.
    anywhere = options.url is not None and not (root / "voicecore.toml").exists()
    project = None if anywhere else load_project(root)
    options = _by_phone(options, project)
    if options.dtmf and not options.phone:
        raise BadFlags("--dtmf presses the keys of a telephone: add --phone.")
    transport = _transport(options, project)

    from voicecore.talk.audio.sound_files import read_clip

    clips = [read_clip(context.cwd / path) for path in options.input]
    with asyncio.Runner() as runner:
        return runner.run(_call(context, replace(options, transport=transport), project, clips))


_SPOKEN = tuple(name for name, kind in TRANSPORTS.items() if kind.spoken or kind.library)
"""The transports that `talk` speaks as a client, the one it prefers first."""
_TELEPHONY = "telephony"
_CALLER, _CALLED = "+12025550123", "+12025550100"
"""Numbers that nobody has (NANPA keeps 555-01xx for fiction): ours, and the server's if it tells
none of its own."""


def _at_hand(transports: Sequence[str]) -> list[str]:
    """Those of the transports that `talk` speaks by what is installed."""
    known = [TRANSPORTS[name] for name in transports if name in _SPOKEN]
    return [kind.name for kind in known if kind.spoken or optional_deps.installed(kind.library)]


def _by_phone(options: TalkOptions, project: Project | None) -> TalkOptions:
    """The options; where nobody but a telephone can call, it is one of the first provider."""
    if options.phone or not project or options.transport not in (None, _TELEPHONY):
        return options
    if options.transport is None and _at_hand(project.transports):
        return options
    by_phone = replace(options, phone=next(iter(project.providers), None))
    _check_phone(by_phone)
    return by_phone


def _transport(options: TalkOptions, project: Project | None) -> str:
    """The transport to speak: the one that was said, else the project's first at hand."""
    offered = project.transports if project else (*_SPOKEN, _TELEPHONY)
    if options.phone:
        if _TELEPHONY not in offered:
            raise BadFlags(
                f"{project and project.name} takes no telephone calls.",
                f"Add them:  voicecore add {_TELEPHONY} --provider {options.phone}",
            )
        if project and not options.url and options.phone not in project.providers:
            raise _no_calls_of(options.phone, project.name)
        return _TELEPHONY
    chosen = options.transport or [*_at_hand(offered), *offered][0]
    if project and chosen not in offered:
        raise BadFlags(
            f"{project.name} has no transport {chosen}.",
            f"Add it:  voicecore add {chosen}",
        )
    if chosen == _TELEPHONY:
        raise BadFlags(f"Whose telephone is it to be?  --phone {' or --phone '.join(WIRES)}")
    return chosen


def _check(options: TalkOptions) -> None:
    _check_phone(options)
    if options.text and options.input:
        raise BadFlags("--text types and --input speaks: choose one.")
    if options.transport not in (None, *_SPOKEN, _TELEPHONY):
        known = ", ".join((*_SPOKEN, _TELEPHONY))
        raise BadFlags(f"`talk` does not speak {options.transport!r}; it speaks {known}.")
    if options.url is not None and not options.url.startswith(("http://", "https://")):
        raise BadFlags(
            f"--url {options.url!r} is no address of the web.",
            f"Say how it is reached:  voicecore talk --url http://{options.url.split('://')[-1]}",
        )
    written = [path for path in (options.output, options.record) if path]
    if len({*written, *options.input}) < len(written) + len(set(options.input)):
        raise BadFlags("--input, --output and --record need a file each.")
    if options.remote and options.url:
        raise BadFlags("--remote starts the project's own session server, --url names another.")
    if options.arn and not options.remote:
        raise BadFlags("--arn names an agent in AWS: add --remote.")
    if options.stage != aws_names.DEFAULT_STAGE and not options.remote:
        raise BadFlags("--stage names an agent in AWS: add --remote.")
    if (options.turn or options.relay_only) and options.transport in ("websocket", "daily"):
        raise BadFlags("--turn and --relay-only are about WebRTC:  --transport webrtc")
    for url in options.turn:
        if not (read := read_url(url)) or not read.relays:
            raise BadFlags(
                f"--turn {url!r} is no address of a TURN server.",
                "They look like turn:turn.example.com:3478?transport=udp",
            )
    if options.microphone and (options.text or options.input or options.dtmf):
        raise BadFlags("--microphone has nothing to do beside --text, --input or --dtmf.")


def _check_phone(options: TalkOptions) -> None:
    if options.phone is None:
        return
    if options.phone not in WIRES:
        known = ", ".join(WIRES)
        raise BadFlags(f"{options.phone!r} is no telephone provider known here; those are {known}.")
    if options.text:
        raise BadFlags("--text types, and a telephone carries no text: --dtmf presses its keys.")
    if options.remote or options.arn:
        raise BadFlags(
            "--phone calls a server, not an agent: the one here, or any with --url.",
            "A deployed one:  voicecore talk --phone "
            f"{options.phone} --url https://…, with the provider's variables in the environment",
        )
    if options.transport not in (None, _TELEPHONY):
        raise BadFlags(
            f"--phone calls by {_TELEPHONY}, and --transport by {options.transport}: choose one."
        )
    if options.turn or options.relay_only:
        raise BadFlags("--turn and --relay-only are about WebRTC; a telephone knows no TURN.")
    wrong = sorted(set(options.dtmf) - set(KEYPAD))
    if wrong:
        raise BadFlags(f"A telephone has the keys {KEYPAD}, and none for {' '.join(wrong)}.")


def _list_devices(context: Context, options: TalkOptions) -> ExitCode:
    from voicecore.talk.audio import devices as audio

    devices = audio.list_devices()
    named = {
        "microphones": [device.name for device in devices.microphones],
        "speakers": [device.name for device in devices.speakers],
    }
    if options.json:
        context.output.json(named)
        return ExitCode.OK
    for kind, found in named.items():
        context.output.data(f"{kind}:")
        for name in found or ["(none)"]:
            context.output.data(f"  {name}")
    return ExitCode.OK


async def _call(
    context: Context, options: TalkOptions, project: Project | None, clips: list[Clip]
) -> ExitCode:
    import aiohttp

    from voicecore.talk.call import Conversation
    from voicecore.talk.session_client import SessionServer
    from voicecore.talk.view.phone_transcript import Overheard
    from voicecore.talk.view.reporter import Show
    from voicecore.talk.view.transcript import Dialogue

    scripted = bool(clips or options.text or options.dtmf)
    equipment = _equipment(context, options, scripted)
    target = Target(
        options.api_key_env,
        options.remote,
        options.stage,
        options.arn,
        options.url,
        needs_key=options.phone is None,
    )
    async with AsyncExitStack() as stack:
        line = await stack.enter_async_context(dial(context, project, target))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        title, follow = line.title, Dialogue
        if options.phone:
            call, credentials = _phone_call(context, options.phone, line)
            connect = _telephone(http, line, call, credentials)
            title, follow = f"{line.title} · {options.phone} {call.called}", Overheard
        else:
            server = SessionServer(http, line.url, line.key, str(options.transport))
            connect = _connect(context, options, http, server, line.stream_seconds)
        show = Show(context.output, title, options.json, _typing(options), options.show_ice)
        conversation = Conversation(connect, equipment, show.event, follow)
        show.conversation = conversation
        stack.enter_context(_hanging_up_on_signals(conversation))
        if show.drawn:
            hint = "Ctrl-C ends the call" if scripted else "q or Ctrl-C hangs up"
            hint += " · 0-9 * # are keys" if options.phone and not scripted else ""
            stack.enter_context(context.output.screen(show.picture(hint)))
            if not scripted:
                stack.enter_context(_following_keys(conversation))
        ending = await conversation.run(_script(options, equipment, clips, show.prompt))
    show.end(ending, [path for path in (options.output, options.record) if path])
    return _exit_code(ending, not scripted)


def _phone_call(context: Context, provider: str, line: Line) -> tuple[PhoneCall, Credentials]:
    """A call as the provider would bring it, and what it proves itself by."""
    from voicecore.talk.telephone.webhooks import new_call

    credentials = context.env if line.phones is None else line.phones.get(provider)
    if credentials is None:
        raise _no_calls_of(provider, line.title)
    served = credentials.get("PHONE_NUMBERS", "").split(",")
    return new_call(provider, credentials, _CALLER, served[0].strip() or _CALLED), credentials


def _no_calls_of(provider: str, title: str) -> BadFlags:
    return BadFlags(
        f"{title} takes no calls of {provider}.",
        f"Add it:  voicecore add {_TELEPHONY} --provider {provider}",
    )


def _telephone(
    http: aiohttp.ClientSession, line: Line, call: PhoneCall, credentials: Credentials
) -> Dial:
    from voicecore.talk.telephone.phone_call import Telephone

    return lambda deliver, quiet: Telephone(http, line.url, call, credentials, deliver)


def _connect(
    context: Context,
    options: TalkOptions,
    http: aiohttp.ClientSession,
    server: SessionServer,
    stream_seconds: float,
) -> Dial:
    if options.transport == "webrtc":
        optional_deps.load("aiortc")
        from voicecore.talk.transports import webrtc

        way = webrtc.Way(options.relay_only, _turn_servers(context, options))
        return lambda deliver, quiet: webrtc.Connection(server, deliver, way)
    if options.transport == "daily":
        from voicecore.talk.transports import daily

        library = daily.load()
        return lambda deliver, quiet: daily.Connection(server, deliver, library)
    from voicecore.talk.transports import websocket

    return lambda deliver, quiet: websocket.Connection(http, server, deliver, quiet, stream_seconds)


def _turn_servers(context: Context, options: TalkOptions) -> tuple[IceServer, ...]:
    from voicecore.talk.session_client import IceServer

    if not options.turn:
        return ()
    username, credential = (
        context.env.get(f"ICE_SERVER_{part}", "") for part in ("USERNAME", "CREDENTIAL")
    )
    return (IceServer(options.turn, username, credential),)


def _typing(options: TalkOptions) -> bool:
    return options.text and sys.stdin.isatty()


@contextmanager
def _hanging_up_on_signals(conversation: Conversation) -> Generator[None]:
    loop = asyncio.get_running_loop()
    signals = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if sys.platform != "win32" else [])]
    # Windows' event loop takes no handlers: there Ctrl-C cancels the call, which ends it as well.
    with suppress(NotImplementedError):
        for number in signals:
            loop.add_signal_handler(number, conversation.hang_up)
    try:
        yield
    finally:
        with suppress(NotImplementedError):
            for number in signals:
                loop.remove_signal_handler(number)


@contextmanager
def _following_keys(conversation: Conversation) -> Generator[None]:
    from voicecore.talk.view.keyboard import keys

    def pressed(key: str) -> None:
        if key == "q":
            conversation.hang_up()
        else:
            conversation.press(key)

    with keys(sys.stdin.fileno(), pressed):
        yield


def _equipment(context: Context, options: TalkOptions, scripted: bool) -> Equipment:
    from voicecore.talk.audio import devices as audio
    from voicecore.talk.audio.echo_canceller import EchoCanceller
    from voicecore.talk.audio.endpoints import SilentEar
    from voicecore.talk.audio.jitter_buffer import Playback
    from voicecore.talk.audio.scripted_mic import ScriptedMouth
    from voicecore.talk.audio.sound_files import Recorder, WavWriter
    from voicecore.talk.call import Equipment

    playback = Playback()
    ear: Ear = SilentEar(playback)
    if not scripted or options.speaker:
        speakers = audio.list_devices().speakers
        ear = audio.Speaker(playback, audio.pick(speakers, options.speaker, "speaker"))
    mouth: Mouth = ScriptedMouth(ear)
    if not scripted:
        microphones = audio.list_devices().microphones
        device = audio.pick(microphones, options.microphone, "microphone")
        mouth = audio.Microphone(device, ear)
    try:
        return Equipment(
            mouth,
            ear,
            playback,
            echo=None if scripted or options.no_aec else EchoCanceller(),
            output=WavWriter(context.cwd / options.output, 1) if options.output else None,
            recorder=Recorder(context.cwd / options.record) if options.record else None,
        )
    except OSError as error:
        raise BadFlags(f"{error.filename} cannot be written: {error.strerror}.") from error


def _script(
    options: TalkOptions, equipment: Equipment, clips: list[Clip], prompt: Prompt | None
) -> Any:
    from voicecore.talk.audio.scripted_mic import ScriptedMouth
    from voicecore.talk.call import chat, press, speak, write
    from voicecore.talk.view.keyboard import read_lines

    async def script(conversation: Conversation) -> None:
        if prompt:
            await chat(conversation, prompt.lines(conversation.hang_up))
        elif options.text:
            await write(conversation, read_lines(sys.stdin.fileno()))
        elif isinstance(equipment.mouth, ScriptedMouth):
            if options.dtmf:
                await press(conversation, options.dtmf)
            await speak(conversation, equipment.mouth, clips)
        else:
            await asyncio.Event().wait()  # with a microphone, only hanging up ends a call

    return script


def _exit_code(ending: Ending, by_microphone: bool) -> ExitCode:
    from voicecore.talk.call import Ending

    match ending:
        case Ending.AGENT if not by_microphone:
            raise HungUpEarly(
                "The agent hung up before everything was said.",
                "Its log says why; `voicecore dev` in another terminal shows it.",
            )
        case Ending.USER if not by_microphone:
            return ExitCode.INTERRUPTED
        case _:
            return ExitCode.OK
