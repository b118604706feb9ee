"""The command line: what can be typed, and the one place where errors become exit codes.

Nothing heavy is imported here: each command imports its own module when it runs, so that
`voicecore --help` stays as fast as Python starts.
"""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from voicecore import __version__
from voicecore.console.context import Context
from voicecore.console.errors import ExitCode, VoicecoreError

# rich_markup_mode=None: rich's help costs more than all the rest of `--help` together.
app = typer.Typer(
    name="voicecore",
    help="From nothing to a voice agent that answers calls, on Amazon Bedrock AgentCore.",
    epilog="Start here:  voicecore init my-agent && cd my-agent && voicecore talk",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
turn_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
app.add_typer(turn_app, name="turn", help="TURN: the relays by which WebRTC reaches the agent.")


def main(arguments: list[str] | None = None, context: Context | None = None) -> None:
    """Run the command line; always ends in SystemExit, as a process does."""
    if arguments is None:
        # Modules make objects that stay: to look for garbage among them is a tenth of a start.
        gc.set_threshold(50_000)
        # Whoever ends us politely gets what Ctrl-C gets: nothing is left running.
        signal.signal(signal.SIGTERM, _as_ctrl_c)
    app(args=arguments, obj=context, prog_name="voicecore")


def _as_ctrl_c(_: int, frame: FrameType | None) -> None:
    """Do what Ctrl-C does: an event loop cancels its task and lets it end in order."""
    handler = signal.getsignal(signal.SIGINT)
    # Ctrl-C may be ignored, as in a shell's background; to be ended politely may not.
    interrupt = handler if callable(handler) else signal.default_int_handler
    interrupt(signal.SIGINT, frame)


def _boundary(context: Context, body: Callable[[], ExitCode], as_json: bool = False) -> None:
    try:
        code = body()
    except VoicecoreError as error:
        if as_json:
            context.output.event(
                {
                    "error": {
                        "message": error.message,
                        "hint": error.hint,
                        "exit_code": int(error.exit_code),
                    }
                }
            )
        else:
            context.output.error(error)
        code = error.exit_code
    except KeyboardInterrupt:
        context.output.say("Interrupted.")
        code = ExitCode.INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone (as in `| head`): nothing is left to say to it.
        sys.stderr.close()
        code = ExitCode.FAILED
    raise typer.Exit(code)


def _context(ctx: typer.Context) -> Context:
    return ctx.obj or Context()


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"voicecore {__version__}")
        raise typer.Exit()


@app.callback()
def _root(  # pyright: ignore[reportUnusedFunction] - typer holds it
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


def _transport_names() -> list[str]:
    from voicecore.catalog.transports import TRANSPORTS

    return list(TRANSPORTS)


def _ejectable() -> list[str]:
    from voicecore.scaffold.render import EJECTABLE

    return list(EJECTABLE)


def _provider_names() -> list[str]:
    from voicecore.catalog.phones import PHONES

    return list(PHONES)


def _each(said: list[str] | None) -> tuple[str, ...]:
    """Every name of an option that may be repeated, or list several with commas."""
    return tuple(name.strip() for words in said or () for name in words.split(","))


def _pipeline_names() -> list[str]:
    from voicecore.catalog.pipelines import PIPELINES

    return list(PIPELINES)


def _region_names() -> list[str]:
    from voicecore.catalog.regions import AGENTCORE

    return list(AGENTCORE)


def _turn_sources() -> list[str]:
    from voicecore.catalog.turn_sources import SOURCES

    return list(SOURCES)


class Network(StrEnum):
    """AgentCore's network modes."""

    VPC = "vpc"
    PUBLIC = "public"


class Builder(StrEnum):
    """What can put an image together."""

    BUILDX = "buildx"
    DIRECT = "direct"
    CODEBUILD = "codebuild"


class Export(StrEnum):
    """What `deploy --export` writes."""

    TEMPLATE = "template"


class Level(StrEnum):
    """How weighty a line of a log is."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing; take defaults, agree.")]
ProjectFolder = Annotated[
    Path | None,
    typer.Option("--project", "-p", metavar="DIR", help="The project's folder.  [default: here]"),
]
Stage = Annotated[
    str, typer.Option("--stage", "-s", metavar="NAME", help="The stage, as dev or prod.")
]
Region = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="AWS region.  [default: the stage's in voicecore.toml]",
        autocompletion=_region_names,
    ),
]
Profile = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="AWS profile.  [default: as the AWS CLI chooses]"),
]


Providers = Annotated[
    list[str] | None,
    typer.Option(
        "--provider",
        metavar="NAME",
        help="With telephony: twilio, telnyx, plivo, exotel or vonage; may be repeated.",
        autocompletion=_provider_names,
    ),
]


@app.command()
def init(
    ctx: typer.Context,
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Name of the project and of its folder.")
    ] = None,
    transport: Annotated[
        list[str] | None,
        typer.Option(
            "--transport",
            "-t",
            metavar="NAME",
            help="How callers reach the agent; may be repeated.",
            autocompletion=_transport_names,
        ),
    ] = None,
    provider: Providers = None,
    pipeline: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="nova-sonic, cascade, or offline (no account).",
            autocompletion=_pipeline_names,
        ),
    ] = None,
    region: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="AWS region to deploy to, later.", autocompletion=_region_names
        ),
    ] = None,
    stt: Annotated[
        str | None, typer.Option(metavar="NAME", help="With cascade: transcribe or deepgram.")
    ] = None,
    llm: Annotated[
        str | None, typer.Option(metavar="NAME", help="With cascade: nova-lite.")
    ] = None,
    tts: Annotated[
        str | None, typer.Option(metavar="NAME", help="With cascade: polly or cartesia.")
    ] = None,
    directory: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder to make the project's folder in.")
    ] = None,
    yes: Yes = False,
    force: Annotated[
        bool, typer.Option("--force", help="Write into an existing folder, after showing how.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be written; write nothing.")
    ] = False,
    json: Json = False,
    list_options: Annotated[
        bool, typer.Option("--list-options", help="Print all that may be chosen, as JSON.")
    ] = False,
) -> None:
    """Make a project: an agent, its session server, and their tests.

    Asks only what the flags leave unsaid, and only on a terminal.

    \b
    Examples:
      voicecore init
      voicecore init support-line --pipeline offline --yes
      voicecore init support-line --pipeline cascade --stt deepgram --region us-west-2
      voicecore init support-line --transport telephony --provider twilio
      voicecore init --list-options | jq .pipelines
    """
    from voicecore.commands import init as command

    context = _context(ctx)
    options = command.InitOptions(
        name=name,
        transports=tuple(transport or ()),
        providers=_each(provider),
        pipeline=pipeline,
        region=region,
        stt=stt,
        llm=llm,
        tts=tts,
        directory=directory,
        yes=yes,
        force=force,
        dry_run=dry_run,
        json=json,
        list_options=list_options,
    )
    _boundary(context, lambda: command.run(context, options), json)


@app.command()
def add(
    ctx: typer.Context,
    transport: Annotated[
        str,
        typer.Argument(
            metavar="TRANSPORT",
            help="How callers shall reach the agent, too.",
            autocompletion=_transport_names,
        ),
    ],
    provider: Providers = None,
    project: ProjectFolder = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Change files without asking.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would change; write nothing.")
    ] = False,
    json: Json = False,
) -> None:
    """Add a transport to the project, and keep all that you have changed in it.

    Shows every change first. What the bot says and can do stays as it is; where you have changed
    the very lines that would change, nothing is written, and you are told what to do.

    \b
    Examples:
      voicecore add webrtc
      voicecore add webrtc --dry-run
      voicecore add telephony --provider vonage
    """
    from voicecore.commands import add as command

    context = _context(ctx)
    options = command.AddOptions(
        transport, project, yes=yes, dry_run=dry_run, json=json, providers=_each(provider)
    )
    _boundary(context, lambda: command.run(context, options), json)


@app.command()
def eject(
    ctx: typer.Context,
    part: Annotated[
        str,
        typer.Argument(
            metavar="PART",
            help="What to eject: client, the source of the page.",
            autocompletion=_ejectable,
        ),
    ],
    project: ProjectFolder = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Skip confirmation prompts.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the files; write nothing.")
    ] = False,
    json: Json = False,
) -> None:
    """Write the source of the browser page to client/, to change the page.

    A project has the built page only, in server/internal/page/. Existing files are never
    overwritten.

    \b
    Examples:
      voicecore eject client
      voicecore eject client --dry-run
    """
    from voicecore.commands import eject as command

    context = _context(ctx)
    options = command.EjectOptions(part, project, yes=yes, dry_run=dry_run, json=json)
    _boundary(context, lambda: command.run(context, options), json)


@app.command()
def dev(
    ctx: typer.Context,
    project: ProjectFolder = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=1, max=65535, help="Port of the runtime.  [default: 8080 or the next free]"
        ),
    ] = None,
    server_port: Annotated[
        int | None,
        typer.Option(
            min=1, max=65535, help="Port of the session server.  [default: 7860 or the next free]"
        ),
    ] = None,
    time_scale: Annotated[
        float, typer.Option(min=0.001, help="Run AgentCore's timeouts this many times faster.")
    ] = 1.0,
    idle_timeout: Annotated[
        float, typer.Option(metavar="SECONDS", help="End a session that is idle for so long.")
    ] = 900,
    max_lifetime: Annotated[
        float, typer.Option(metavar="SECONDS", help="End any session after so long.")
    ] = 28800,
    start_limit: Annotated[
        float,
        typer.Option(min=0.1, metavar="SECONDS", help="Real time until /ping must be answered."),
    ] = 30,
    network: Annotated[
        Network,
        typer.Option(help="public takes the agent's UDP, as AgentCore does (Linux, root)."),
    ] = Network.VPC,
    nat: Annotated[
        bool,
        typer.Option(
            "--nat", help="Run the agent behind a NAT like AWS's, with TURN (Linux, root)."
        ),
    ] = False,
    container: Annotated[
        bool,
        typer.Option("--container", help="Run the agent's image in Docker instead of its source."),
    ] = False,
    no_screen: Annotated[
        bool, typer.Option("--no-screen", help="Print a line for each event instead of a screen.")
    ] = False,
    share: Annotated[
        bool, typer.Option("--share", help="Say how somebody elsewhere can talk to it.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON event a line.")] = False,
    env: Annotated[
        bool,
        typer.Option("--env", help="Print what points boto3 at the running runtime, for `eval`."),
    ] = False,
) -> None:
    """Run the project here, just as AgentCore Runtime would run it.

    One agent process for each session, and a warm one in reserve; SigV4, session rules, limits,
    timeouts and errors as in AWS. A saved file serves the next session. Ctrl-C ends it all.

    \b
    Examples:
      voicecore dev
      voicecore dev --time-scale 60          # the 60-minute cut comes after one
      voicecore dev --container              # the image, on arm64, as AgentCore starts it
      sudo voicecore dev --nat               # does TURN connect what nothing else will?
      eval "$(voicecore dev --env)"          # then boto3 and the AWS CLI reach it
    """
    from voicecore.commands import dev as command

    context = _context(ctx)
    options = command.DevOptions(
        project=project,
        port=port,
        server_port=server_port,
        time_scale=time_scale,
        idle_timeout=idle_timeout,
        max_lifetime=max_lifetime,
        start_limit=start_limit,
        public_network=network is Network.PUBLIC,
        nat=nat,
        container=container,
        no_screen=no_screen,
        share=share,
        json=json,
        env=env,
    )
    _boundary(context, lambda: command.run(context, options), json)


@app.command()
def talk(
    ctx: typer.Context,
    project: ProjectFolder = None,
    input: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Speak a sound file instead of you; may be repeated."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="WAV", help="Write what the agent says to a file.")
    ] = None,
    record: Annotated[
        Path | None, typer.Option(metavar="WAV", help="Record both: you left, the agent right.")
    ] = None,
    text: Annotated[bool, typer.Option("--text", help="Type instead of speaking.")] = False,
    microphone: Annotated[
        str | None, typer.Option(metavar="NAME", help="Microphone, by a part of its name.")
    ] = None,
    speaker: Annotated[
        str | None, typer.Option(metavar="NAME", help="Speaker, by a part of its name.")
    ] = None,
    list_devices: Annotated[
        bool, typer.Option("--list-devices", help="List microphones and speakers.")
    ] = False,
    no_aec: Annotated[
        bool, typer.Option("--no-aec", help="Do not cancel echo (as with headphones).")
    ] = False,
    remote: Annotated[
        bool, typer.Option("--remote", help="Speak to the agent in AWS instead of here.")
    ] = False,
    stage: Annotated[
        str, typer.Option("--stage", "-s", metavar="NAME", help="With --remote: the stage to call.")
    ] = "dev",
    arn: Annotated[
        str | None, typer.Option(metavar="ARN", help="With --remote: the runtime to call.")
    ] = None,
    url: Annotated[
        str | None, typer.Option(metavar="URL", help="Call a session server that runs already.")
    ] = None,
    api_key_env: Annotated[
        str, typer.Option(metavar="NAME", help="Environment variable with the server's key.")
    ] = "SESSION_API_KEY",
    transport: Annotated[
        str | None,
        typer.Option(
            "--transport",
            "-t",
            metavar="NAME",
            help="How to reach the agent.  [default: the project's first]",
            autocompletion=_transport_names,
        ),
    ] = None,
    phone: Annotated[
        str | None,
        typer.Option(
            metavar="PROVIDER",
            help="Be a telephone: call as twilio, telnyx, plivo, exotel or vonage does.",
        ),
    ] = None,
    dtmf: Annotated[
        str, typer.Option(metavar="KEYS", help="With --phone: keys to press after the greeting.")
    ] = "",
    turn: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URL",
            help="WebRTC: a TURN server to use instead, with ICE_SERVER_USERNAME and "
            "ICE_SERVER_CREDENTIAL; may be repeated.",
        ),
    ] = None,
    relay_only: Annotated[
        bool, typer.Option("--relay-only", help="WebRTC: go through a TURN relay or not at all.")
    ] = False,
    show_ice: Annotated[
        bool, typer.Option("--show-ice", help="WebRTC: print the ways tried and the one chosen.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON event a line.")] = False,
) -> None:
    """Speak to the agent from this terminal.

    Starts `voicecore dev` when none runs. Takes the path of a deployed client: session server,
    then a presigned URL and WebSocket, or WebRTC. Use a headset, or trust the echo canceller;
    speak over the agent and it stops. Ctrl-C hangs up.

    \b
    Examples:
      voicecore talk
      voicecore talk --text
      voicecore talk --input question.wav --record conversation.wav
      voicecore talk --remote --stage prod
      voicecore talk --phone twilio --dtmf 12#
      voicecore talk --list-devices
    """
    from voicecore.commands import talk as command

    context = _context(ctx)
    options = command.TalkOptions(
        project=project,
        input=tuple(input or ()),
        output=output,
        record=record,
        text=text,
        json=json,
        microphone=microphone,
        speaker=speaker,
        list_devices=list_devices,
        no_aec=no_aec,
        remote=remote,
        stage=stage,
        arn=arn,
        url=url,
        api_key_env=api_key_env,
        transport=transport,
        phone=phone,
        dtmf=dtmf,
        turn=tuple(turn or ()),
        relay_only=relay_only,
        show_ice=show_ice,
    )
    _boundary(context, lambda: command.run(context, options), json)


@app.command()
def call(
    ctx: typer.Context,
    number: Annotated[
        str, typer.Argument(metavar="NUMBER", help="Whom the agent shall call, as +14155550100.")
    ],
    provider: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="By whom.  [default: the project's first]",
            autocompletion=_provider_names,
        ),
    ] = None,
    project: ProjectFolder = None,
    url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Session server that places it.  [default: the one here]"),
    ] = None,
    api_key_env: Annotated[
        str, typer.Option(metavar="NAME", help="Variable that has the session server's key.")
    ] = "SESSION_API_KEY",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Call without asking.")] = False,
    json: Json = False,
) -> None:
    """Let the agent call somebody, by telephone.

    It costs what your telephone provider takes, and rings at somebody's: so it asks first. The call
    is followed to its end; Ctrl-C hangs up.

    \b
    Examples:
      voicecore call +14155550100
      voicecore call +14155550100 --yes --url https://phone.example.com
    """
    from voicecore.commands import call as command

    context = _context(ctx)
    options = command.CallOptions(
        number,
        provider=provider,
        project=project,
        url=url,
        api_key_env=api_key_env,
        yes=yes,
        json=json,
    )
    _boundary(context, lambda: command.run(context, options), json)


@app.command()
def build(
    ctx: typer.Context,
    project: ProjectFolder = None,
    builder: Annotated[
        Builder | None,
        typer.Option(
            help="buildx (Docker), direct (no Docker), codebuild (in AWS).  "
            "[default: buildx where Docker runs, else direct]"
        ),
    ] = None,
    push: Annotated[
        str | None,
        typer.Option(metavar="REPOSITORY", help="Push the image there, if it is not there yet."),
    ] = None,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Build everything anew; expect the same image.")
    ] = False,
    check: Annotated[
        bool,
        typer.Option("--check", help="Run the image: does it answer in AgentCore's 30 s?"),
    ] = False,
    sbom: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write what is in the image, as CycloneDX JSON."),
    ] = None,
    codebuild_role: Annotated[
        str | None,
        typer.Option(metavar="ARN", help="With codebuild: your role, instead of a new one."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be built and where; build nothing.")
    ] = False,
    json: Json = False,
) -> None:
    """Build the agent's image for AgentCore: linux/arm64, on any machine, in seconds.

    Nothing runs emulated: packages for arm64 are unpacked, compiled and copied. The same files
    give the same image; one that is in the registry already is neither built nor pushed.

    \b
    Examples:
      voicecore build
      voicecore build --check
      voicecore build --push 123456789012.dkr.ecr.us-east-1.amazonaws.com/voicecore/support-line
      voicecore build --builder direct --push localhost:5000/support-line --sbom sbom.json
    """
    from voicecore.commands import build as command

    context = _context(ctx)
    options = command.BuildOptions(
        project=project,
        builder=builder.value if builder else None,
        push=push,
        no_cache=no_cache,
        check=check,
        sbom=sbom,
        codebuild_role=codebuild_role,
        dry_run=dry_run,
        json=json,
    )
    _boundary(context, lambda: command.run(context, options), json)


@app.command("upgrade-base")
def upgrade_base(
    ctx: typer.Context,
    image: Annotated[
        str | None,
        typer.Argument(metavar="IMAGE", help="Another base.  [default: the one in use]"),
    ] = None,
    project: ProjectFolder = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the newest base; change nothing.")
    ] = False,
    json: Json = False,
) -> None:
    """Move the agent's image to the newest build of its base, by digest, in agent/Dockerfile.

    \b
    Examples:
      voicecore upgrade-base
      voicecore upgrade-base public.ecr.aws/docker/library/python:3.14-slim-trixie
    """
    from voicecore.commands import upgrade_base as command

    context = _context(ctx)
    options = command.UpgradeBaseOptions(image=image, project=project, dry_run=dry_run, json=json)
    _boundary(context, lambda: command.run(context, options), json)


@app.command()
def deploy(
    ctx: typer.Context,
    project: ProjectFolder = None,
    transport: Annotated[
        str | None,
        typer.Option(
            "--transport",
            "-t",
            metavar="NAME",
            help="Only this one of the project's transports.",
            autocompletion=_transport_names,
        ),
    ] = None,
    stage: Stage = "dev",
    region: Region = None,
    profile: Profile = None,
    ha: Annotated[
        bool, typer.Option("--ha", help="A NAT gateway for each zone of voicecore's network.")
    ] = False,
    server: Annotated[
        bool,
        typer.Option("--server", help="With the session server: on Lambda; for telephones, ECS."),
    ] = False,
    message: Annotated[
        str, typer.Option("--message", "-m", metavar="TEXT", help="Why; kept with the version.")
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would change and cost; change nothing.")
    ] = False,
    export: Annotated[
        Export | None,
        typer.Option(help="Write templates, and policies for who deploys, to cloudformation/."),
    ] = None,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Put the agent into AWS, or what has changed of it.

    Shows account, region, plan and price first, and asks. May be run again after anything: what
    stands is left, what a run that died has begun is finished.

    \b
    Examples:
      voicecore deploy
      voicecore deploy --dry-run
      voicecore deploy --server
      voicecore deploy --stage prod --message "kinder voice" --yes
      voicecore deploy --export template
    """
    from voicecore.commands import deploy as command
    from voicecore.image.part_image import PartImages

    context = _context(ctx)
    options = command.DeployOptions(
        project=project,
        transport=transport,
        stage=stage,
        region=region,
        profile=profile,
        ha=ha,
        server=server,
        message=message,
        export=export is Export.TEMPLATE,
        dry_run=dry_run,
        yes=yes,
        json=json,
    )
    _boundary(context, lambda: command.run(context, options, PartImages(context, profile)), json)


@app.command()
def invite(
    ctx: typer.Context,
    project: ProjectFolder = None,
    stage: Stage = "dev",
    hours: Annotated[float, typer.Option(min=0.01, max=24 * 30, help="For so many hours.")] = 12.0,
    region: Region = None,
    profile: Profile = None,
    json: Json = False,
) -> None:
    """Print the address of the session server's page in AWS, with an invite to talk.

    Whoever has the address may talk to the agent until the invite expires; nobody sees the key.

    \b
    Examples:
      voicecore invite
      voicecore invite --stage prod --hours 1
    """
    from voicecore.commands import invite as command

    context = _context(ctx)
    options = command.InviteOptions(
        project=project, stage=stage, hours=hours, region=region, profile=profile, json=json
    )
    _boundary(context, lambda: command.run(context, options), json)


@app.command()
def destroy(
    ctx: typer.Context,
    project: ProjectFolder = None,
    stage: Stage = "dev",
    network: Annotated[
        bool, typer.Option("--network", help="With the network, which stages share.")
    ] = False,
    only_network: Annotated[
        bool,
        typer.Option("--only-network", help="Nothing but the network, which no stage needs."),
    ] = False,
    only_server: Annotated[
        bool, typer.Option("--only-server", help="Nothing but the session server.")
    ] = False,
    wait: Annotated[
        bool,
        typer.Option(
            "--wait", help="Until AgentCore lets go of the network, which takes up to 8 hours."
        ),
    ] = False,
    region: Region = None,
    profile: Profile = None,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Take a stage out of AWS again: all that deploy made for it, nothing else.

    Shows what goes and what stays first, and asks; looks afterwards that nothing is left.

    \b
    Examples:
      voicecore destroy
      voicecore destroy --network
      voicecore destroy --network --wait --yes
      voicecore destroy --only-network
      voicecore destroy --stage prod
    """
    from voicecore.commands import destroy as command

    context = _context(ctx)
    options = command.DestroyOptions(
        project=project,
        stage=stage,
        network=network,
        only_network=only_network,
        only_server=only_server,
        wait=wait,
        region=region,
        profile=profile,
        yes=yes,
        json=json,
    )
    _boundary(context, lambda: command.run(context, options), json)


@app.command()
def logs(
    ctx: typer.Context,
    project: ProjectFolder = None,
    stage: Stage = "dev",
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")
    ] = False,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="So long ago (90s, 10m, 3h, 2d), or a time (2026-11-22T14:00Z).  "
            "[default: 1h; with --session 1d]",
        ),
    ] = None,
    session: Annotated[
        str, typer.Option(metavar="ID", help="Of one session; the beginning of its id will do.")
    ] = "",
    filter: Annotated[
        str, typer.Option(metavar="TEXT", help="Lines with this in them, in whatever case.")
    ] = "",
    level: Annotated[
        Level | None,
        typer.Option(help="At least so weighty.  [default: the conversation, and warnings]"),
    ] = None,
    local: Annotated[
        bool, typer.Option("--local", help="Of `voicecore dev` on this machine; asks AWS nothing.")
    ] = False,
    server: Annotated[
        bool, typer.Option("--server", help="Of the session server, not of the agent.")
    ] = False,
    live: Annotated[
        bool,
        typer.Option(
            "--live",
            help="What comes, a second after it is written: Live Tail, paid by the minute.",
        ),
    ] = False,
    region: Region = None,
    profile: Profile = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
) -> None:
    """Read what the agent says of itself: who said what, how fast, what went wrong.

    Times are this machine's; with --json they are UTC. When there is nothing, it says why.

    \b
    Examples:
      voicecore logs
      voicecore logs --follow --stage prod
      voicecore logs --session 3f9c2a71 --level debug
      voicecore logs --since 2d --level error --json | jq .event.message
      voicecore logs --local
      voicecore logs --server --follow
    """
    from voicecore.commands import logs as command

    context = _context(ctx)
    options = command.LogsOptions(
        project=project,
        stage=stage,
        region=region,
        profile=profile,
        follow=follow,
        live=live,
        local=local,
        server=server,
        since=since,
        session=session,
        filter=filter,
        level=level or "",
        json=json,
    )
    _boundary(context, lambda: command.run(context, options), json)


@app.command()
def status(
    ctx: typer.Context,
    project: ProjectFolder = None,
    stage: Annotated[
        str | None,
        typer.Option("--stage", "-s", metavar="NAME", help="Only this stage.  [default: all]"),
    ] = None,
    all: Annotated[
        bool,
        typer.Option("--all", help="Every voicecore project of the account, in every region."),
    ] = False,
    drift: Annotated[
        bool,
        typer.Option("--drift", help="Let CloudFormation compare all that it made; takes a while."),
    ] = False,
    region: Region = None,
    profile: Profile = None,
    json: Json = False,
) -> None:
    """Show what there is of the project in AWS: how it is, what it runs, what it has cost.

    Costs are reckoned by list prices from what stands and what AgentCore measured; models and
    traffic are on AWS's bill only. For telephone providers it says what to type there.

    \b
    Examples:
      voicecore status
      voicecore status --stage prod --drift
      voicecore status --all
      voicecore status --json | jq '.stages[].runtime.status'
    """
    from voicecore.commands import status as command

    context = _context(ctx)
    options = command.StatusOptions(
        project=project,
        stage=stage,
        region=region,
        profile=profile,
        all=all,
        drift=drift,
        json=json,
    )
    _boundary(context, lambda: command.run(context, options), json)


@turn_app.command("check")
def turn_check(
    ctx: typer.Context,
    project: ProjectFolder = None,
    source: Annotated[
        list[str] | None,
        typer.Option(
            "--source",
            metavar="NAME",
            help="Check this one; may be repeated.  [default: those set in agent/.env]",
            autocompletion=_turn_sources,
        ),
    ] = None,
    stage: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="With the KVS channels of this stage.  [default: dev's, if KVS is a source]",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Get a relay by each TURN source, from here, as the agent will, and give it back.

    Shows for every URL how long it took, the relay's address and when the credentials end; or
    why there is none: wrong credentials, blocked UDP, an untrusted certificate.

    \b
    Examples:
      voicecore turn check
      voicecore turn check --source cloudflare --source twilio
      voicecore turn check --stage prod
    """
    from voicecore.commands import turn_check as command

    context = _context(ctx)
    options = command.TurnCheckOptions(
        project=project, sources=tuple(source or ()), stage=stage, json=json
    )
    _boundary(context, lambda: command.run(context, options), json)
