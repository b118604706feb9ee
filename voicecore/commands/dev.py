"""`voicecore dev`: the project on this machine, as AgentCore would run it."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
from collections.abc import Coroutine, Mapping
from contextlib import AsyncExitStack, nullcontext, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voicecore.catalog.transports import TRANSPORTS
from voicecore.catalog.transports.record import HEADERS
from voicecore.console.context import Context
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.console.output import Line
from voicecore.contract import agent_log
from voicecore.local import invite_url, log_reader
from voicecore.local.fake_phone_accounts import SIGNING_KEY, phones_of
from voicecore.local.gateway.limits import IDLE_TIMEOUT, MAX_LIFETIME, START_LIMIT
from voicecore.local.gateway.request import check_allowlist
from voicecore.local.network import nat
from voicecore.local.network.nat import behind_nat
from voicecore.local.processes import dev_state, venv
from voicecore.local.processes.child import Guard
from voicecore.local.processes.dev_state import DevState
from voicecore.local.processes.ports import held_port
from voicecore.local.processes.session_server import SessionServer
from voicecore.local.runtime import LocalRuntime, RuntimeSettings, local_arn
from voicecore.local.screen import plain, screen
from voicecore.local.sessions.agent_process import AgentSpec
from voicecore.local.sessions.events import RuntimeEvent
from voicecore.local.sessions.lifecycle import Lifecycle
from voicecore.project import aws_names
from voicecore.project.dotenv import dotenv_of, without_ours
from voicecore.project.project import BadProject, Project, load_project

if TYPE_CHECKING:
    from voicecore.local.container_agents import LocalImage

RUNTIME_PORT = 8080
SERVER_PORT = 7860
STAGE = "local"


@dataclass(frozen=True)
class DevOptions:
    """The flags of `voicecore dev`. Lifetimes are seconds of the runtime's clock."""

    project: Path | None = None
    port: int | None = None
    server_port: int | None = None
    time_scale: float = 1.0
    idle_timeout: float = IDLE_TIMEOUT
    max_lifetime: float = MAX_LIFETIME
    start_limit: float = START_LIMIT
    public_network: bool = False
    nat: bool = False
    container: bool = False
    no_screen: bool = False
    share: bool = False
    json: bool = False
    env: bool = False


class AlreadyRunning(VoicecoreError):
    """A `voicecore dev` runs this project already."""


class NotRunning(VoicecoreError):
    """No `voicecore dev` runs this project."""


class ContainerNetwork(VoicecoreError):
    """A container has a network of its own; it cannot be given another."""


class BadLifetime(VoicecoreError):
    """AgentCore does not take these lifetimes."""


def run(context: Context, options: DevOptions) -> ExitCode:
    """Serve the project until interrupted; afterwards no process is left."""
    project = load_project((context.cwd / (options.project or "")).resolve())
    if options.env:
        context.output.data(_exports(dev_state.read_state(project.local), project))
        return ExitCode.OK
    with dev_state.held(project.local) as mine:
        if not mine:
            raise _already_running(project)
        return _run(context, options, project)


def _run(context: Context, options: DevOptions, project: Project) -> ExitCode:
    lifecycle = _lifecycle(options)
    check_files(project)
    if options.nat:
        nat.check()
    image = _image(context, options, project) if options.container else None
    for transport in map(TRANSPORTS.__getitem__, project.transports):
        if transport.key and not {**context.env, **dotenv_of(project.server)}.get(transport.key):
            context.output.warn(
                f"server/.env has no {transport.key}: nobody gets in by {transport.title}.\n"
                "README.md says where it is from."
            )
    installed = (project.server,) if image else (project.agent, project.server)
    folders = " and ".join(f"{folder.name}/" for folder in installed)
    with context.output.step(f"Installing the packages of {folders}"):
        venv.sync(installed, context.env)
    with (
        held_port(options.port, RUNTIME_PORT) as port,
        held_port(options.server_port, SERVER_PORT) as server_port,
    ):
        settings = RuntimeSettings(
            root=project.root,
            arn=local_arn(aws_names.runtime_name_for(project.name, STAGE), project.region),
            region=project.region,
            watch=project.agent,
            allowlist=check_allowlist(HEADERS),
            port=port,
            time_scale=options.time_scale,
            lifecycle=lifecycle,
            start_limit=options.start_limit,
            public_network=options.public_network and not options.nat,
        )
        serving = _serve(context, options, project, settings, server_port, image)
        try:
            return asyncio.run(_until_interrupted(serving))
        finally:
            if options.nat:
                nat.hand_back(project.root, context.env)


def _image(context: Context, options: DevOptions, project: Project) -> LocalImage:
    if options.public_network or options.nat:
        flag = "--nat" if options.nat else "--network public"
        raise ContainerNetwork(
            f"{flag} changes the network of a process, not that of a container.",
            f"Leave one out:  voicecore dev {flag}",
            ExitCode.USAGE,
        )
    from voicecore.local.container_agents import first_image

    return first_image(project, context.env)


async def _until_interrupted(serving: Coroutine[Any, Any, None]) -> ExitCode:
    task = asyncio.create_task(serving)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup asks
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    # Ending a server by Ctrl-C is how it ends, not a failure.
    with suppress(asyncio.CancelledError):
        await task
    return ExitCode.OK


async def _serve(
    context: Context,
    options: DevOptions,
    project: Project,
    settings: RuntimeSettings,
    server_port: int,
    image: LocalImage | None,
) -> None:
    output = context.output
    drawn = output.live and not (options.no_screen or options.json or options.share)

    serving = asyncio.current_task()

    def tell(event: RuntimeEvent) -> None:
        try:
            if options.json:
                output.event(asdict(event))
            elif not drawn and not (event.kind == "log" and agent_log.is_chatter(event.text)):
                output.lines([plain(event)])
        except OSError:  # who read this has gone, as in `| head` or a closed terminal
            if serving:
                serving.cancel()

    def tell_troubles(lines: list[str]) -> None:
        for line in lines:
            if is_trouble(line):
                tell(RuntimeEvent("log", line))

    async with AsyncExitStack() as stack:
        guard = await stack.enter_async_context(Guard())
        behind = None
        if options.nat:
            udp = not options.public_network
            behind = await stack.enter_async_context(behind_nat(guard, settings.logs, udp))

        def spec() -> AgentSpec:
            spec = agent_spec(project, context.env)
            return behind.spec(spec) if behind else spec

        if image:
            from voicecore.local.container_agents import Containers

            containers = Containers(project, context.env, image, guard, output.error)
            runtime = await stack.enter_async_context(
                LocalRuntime(settings, containers.spec, tell, containers.prepare)
            )
            stack.push_async_callback(containers.stop)
        else:
            runtime = await stack.enter_async_context(LocalRuntime(settings, spec, tell))
        facing = server_env(project, runtime, context.env)
        phones = phones_of(project.providers, facing, venv.python_of(project.server))
        facing |= served(phones, runtime.stream_seconds)
        server = await stack.enter_async_context(
            SessionServer(
                project.server,
                facing | (behind.variables(facing) if behind else {}),
                server_port,
                guard,
                runtime.logs / log_reader.SERVER,
                tell_troubles,
            )
        )
        dev_state.write_state(project.local, _dev_state(runtime, server.url, phones))
        stack.callback(dev_state.remove_state, project.local)
        opened = invite_url.address(project.server, server.url, facing.get("SESSION_API_KEY"))
        if options.json:
            more = {"page": opened} if opened else {}
            more |= {"turn": behind.turn.udp} if behind else {}
            output.event({"kind": "serving", "runtime": runtime.url, "server": server.url, **more})
        elif not drawn:
            output.say(f"• AgentCore Runtime {runtime.url}, session server {server.url}")
            if opened:
                output.say(f"• Talk in the browser: {opened}")
            for name in phones:
                output.say(f"• Call it: voicecore talk --phone {name}")
            if behind:
                output.say(f"• The agent is behind a symmetric NAT; TURN at {behind.turn.udp}")
            for line in invite_url.sharing(server.url, runtime.url) if options.share else ():
                output.say(f"  {line}")

        def picture(width: int, height: int) -> list[Line]:
            return screen(runtime.snapshot(), server.url, opened, width, height)

        with output.screen(picture) if drawn else nullcontext():
            await asyncio.Event().wait()


def _already_running(project: Project) -> AlreadyRunning:
    running = dev_state.read_state(project.local)
    if running is None:
        return AlreadyRunning(f"Another `voicecore dev` is just starting {project.name}.")
    return AlreadyRunning(
        f"{project.name} runs already: {running.server} (process {running.pid}).",
        f"Speak to it:  voicecore talk\nor end it:    kill {running.pid}",
    )


def check_files(project: Project) -> None:
    """Raise BadProject, naming what is missing, unless there is something to run."""
    needed = (project.agent / "internal" / "app.py", project.server / "internal" / "server.py")
    missing = [str(path.relative_to(project.root)) for path in needed if not path.exists()]
    if missing:
        raise BadProject(
            f"{project.root} lacks {' and '.join(missing)}.",
            "Bring back what init made; your other files stay as they are:  "
            f"voicecore init {project.name} --directory {project.root.parent} --force",
        )


def agent_spec(project: Project, env: Mapping[str, str]) -> AgentSpec:
    """How the agent starts: as in its container, with the developer's AWS credentials for a role.

    Read anew for each process, so that a changed agent/.env counts from the next session on.
    """
    values = {
        **without_ours(env),
        "AWS_REGION": project.region,
        **dotenv_of(project.agent),
    }
    argv = (str(venv.python_of(project.agent)), "-m", "internal.app")
    return AgentSpec(argv, project.agent, values)


def server_env(project: Project, runtime: LocalRuntime, env: Mapping[str, str]) -> dict[str, str]:
    """The session server's environment: AWS's own variables point it at the local runtime."""
    others = ("AWS_PROFILE", "AWS_SESSION_TOKEN")
    ours = without_ours(env)
    inherited = {name: value for name, value in ours.items() if name not in others}
    settings = runtime.settings
    return {
        **inherited,
        **dotenv_of(project.server),
        **_past_proxies(env),
        "AGENT_RUNTIME_ARN": settings.arn,
        "AWS_REGION": settings.region,
        "AWS_ENDPOINT_URL_BEDROCK_AGENTCORE": runtime.url,
        "AWS_ACCESS_KEY_ID": settings.credentials.access_key_id,
        "AWS_SECRET_ACCESS_KEY": settings.credentials.secret_access_key,
    }


def served(phones: Mapping[str, Mapping[str, str]], stream_seconds: float) -> dict[str, str]:
    """What a session server must know of the telephone providers that it serves."""
    known = {name: value for own in phones.values() for name, value in own.items()}
    known.pop(SIGNING_KEY, None)
    return known | ({"STREAM_SECONDS": str(stream_seconds)} if phones else {})


def _past_proxies(env: Mapping[str, str]) -> dict[str, str]:
    """What keeps calls to this machine away from the user's HTTP proxy."""
    known = env.get("no_proxy") or env.get("NO_PROXY")
    value = ",".join(filter(None, (known, "127.0.0.1,localhost")))
    return {"no_proxy": value, "NO_PROXY": value}


def is_trouble(line: str) -> bool:
    """Whether a line of the session server is more than its daily business."""
    event = agent_log.parse(line)
    return event is None or event.get("level") not in ("DEBUG", "INFO")


def _dev_state(runtime: LocalRuntime, server: str, phones: dict[str, dict[str, str]]) -> DevState:
    settings = runtime.settings
    return DevState(
        pid=os.getpid(),
        runtime=runtime.url,
        server=server,
        arn=settings.arn,
        region=settings.region,
        access_key_id=settings.credentials.access_key_id,
        secret_access_key=settings.credentials.secret_access_key,
        time_scale=settings.time_scale,
        stream_seconds=runtime.stream_seconds,
        logs=str(runtime.logs),
        phone=phones,
    )


def _exports(running: DevState | None, project: Project) -> str:
    if running is None:
        raise NotRunning(
            f"No `voicecore dev` runs {project.name}.",
            f"Start it:  voicecore dev -p {project.root}",
        )
    values = {
        "AGENT_RUNTIME_ARN": running.arn,
        "AWS_REGION": running.region,
        "AWS_DEFAULT_REGION": running.region,  # the one that boto3 reads
        "AWS_ENDPOINT_URL_BEDROCK_AGENTCORE": running.runtime,
        "AWS_ACCESS_KEY_ID": running.access_key_id,
        "AWS_SECRET_ACCESS_KEY": running.secret_access_key,
    }
    exports = [f"export {name}={shlex.quote(value)}" for name, value in values.items()]
    return "\n".join(["unset AWS_SESSION_TOKEN AWS_PROFILE", *exports])


def _lifecycle(options: DevOptions) -> Lifecycle:
    try:
        return Lifecycle(options.idle_timeout, options.max_lifetime)
    except ValueError as error:
        raise BadLifetime(
            f"{error}.",
            "To see a timeout sooner, let time run faster:  voicecore dev --time-scale 60",
            ExitCode.USAGE,
        ) from error
