"""`voicecore dev`: serve the project on this machine, as AgentCore would run it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Coroutine
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voicecore.catalog.phones import PHONES
from voicecore.catalog.phones.accounts import missing_variables, phone_accounts
from voicecore.catalog.platforms import V2
from voicecore.catalog.transports import TRANSPORTS
from voicecore.catalog.transports.record import HEADERS
from voicecore.console.context import Context
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.local import log_reader
from voicecore.local.dev_output import DevOutput, LocalEndpoints
from voicecore.local.environments import agent_command, agent_spec, phone_variables, server_env
from voicecore.local.gateway.request import check_allowlist
from voicecore.local.invite_url import invite_url
from voicecore.local.limits import START_LIMIT, START_LIMIT_V2
from voicecore.local.network import nat
from voicecore.local.network.nat import NatEnvironment
from voicecore.local.processes import dev_state, venv
from voicecore.local.processes.child import Reaper
from voicecore.local.processes.dev_state import DevState
from voicecore.local.processes.ports import reserved_port
from voicecore.local.processes.session_server import SessionServerProcess
from voicecore.local.project_files import check_files
from voicecore.local.runtime import LocalRuntime, RuntimeSettings, local_arn
from voicecore.local.sessions.agent_process import AgentSpec
from voicecore.local.sessions.lifecycle import Lifecycle
from voicecore.options.dev import DevOptions
from voicecore.project import aws_names
from voicecore.project.dotenv import dotenv_of
from voicecore.project.foreign_code import warn_of_foreign_code
from voicecore.project.project import FILE, Project, load_project
from voicecore.project.version import tell_version

if TYPE_CHECKING:
    from voicecore.local.container_agents import LocalImage
    from voicecore.local.gateway.jwt_authorizer import JwtAuthorizer
    from voicecore.local.network.aws_host import AwsHost

RUNTIME_PORT = 8080
SERVER_PORT = 7860
STAGE = "local"


class AlreadyRunning(VoicecoreError):
    """Another `voicecore dev` runs this project."""


class NotRunning(VoicecoreError):
    """No `voicecore dev` runs this project."""


class ContainerNetwork(VoicecoreError):
    """--container cannot be combined with --nat or --network public."""


class FixedPort(VoicecoreError):
    """The session server listens on another port than the one asked for."""


class BadLifetime(VoicecoreError):
    """AgentCore does not accept these lifetimes."""


def run(context: Context, options: DevOptions) -> ExitCode:
    """Serve the project until interrupted; afterwards no process is left."""
    project = load_project((context.cwd / (options.project or "")).resolve())
    if options.env:
        context.output.data(_exports(dev_state.read_state(project.local), project))
        return ExitCode.OK
    with dev_state.project_lock(project.local) as acquired:
        if not acquired:
            raise _already_running(project)
        lifecycle, authorizer = _lifecycle(options), _authorizer(options)
        options = replace(options, server_port=_server_port(options, project))
        _check_network(options)
        check_files(project)
        if options.nat:
            nat.require_nat()
        tell_version(context.output, project.name, project.version)
        warn_of_foreign_code(context.output, context.env, project.root)
        image = _image(context, project) if options.container else None
        _warn_of_missing_keys(context, project)
        _install(context, project, image)
        try:
            return _serve(context, options, project, lifecycle, authorizer, image)
        finally:
            if options.nat or options.tls:
                nat.return_ownership(project.root, context.env)


def _serve(
    context: Context,
    options: DevOptions,
    project: Project,
    lifecycle: Lifecycle,
    authorizer: JwtAuthorizer | None,
    image: LocalImage | None,
) -> ExitCode:
    platform = options.platform or project.stage().platform
    own_port = 0 if image else _agent_port(context, project)
    with (
        reserved_port(options.port, RUNTIME_PORT, avoid=own_port) as port,
        reserved_port(options.server_port, SERVER_PORT, avoid=own_port) as server_port,
    ):
        settings = RuntimeSettings(
            root=project.root,
            arn=local_arn(aws_names.runtime_name_for(project.name, STAGE), project.region),
            region=project.region,
            watch=project.agent,
            allowlist=check_allowlist((*HEADERS, *project.agent_settings.request_headers)),
            port=port,
            time_scale=options.time_scale,
            lifecycle=lifecycle,
            start_limit=options.start_limit or (START_LIMIT_V2 if platform == V2 else START_LIMIT),
            block_udp=options.network == "public" and not options.nat,
            platform=platform,
            strict=options.strict,
            authorizer=authorizer,
            agent_port=own_port,
        )
        services = _Services(context, options, project, settings, server_port, image)
        return asyncio.run(_until_interrupted(services.serve()))


async def _until_interrupted(serving: Coroutine[Any, Any, None]) -> ExitCode:
    task = asyncio.create_task(serving)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup ignores SIGHUP
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    # Ctrl-C is the normal way to stop a server, not a failure.
    with suppress(asyncio.CancelledError):
        await task
    return ExitCode.OK


@dataclass(frozen=True)
class _Services:
    """Everything that `voicecore dev` runs: NAT, runtime, session server."""

    context: Context
    options: DevOptions
    project: Project
    settings: RuntimeSettings
    server_port: int
    image: LocalImage | None

    async def serve(self) -> None:
        """Start everything, print where it can be reached, and run until cancelled."""
        options, serving = self.options, asyncio.current_task()
        output = DevOutput(
            self.context.output,
            as_json=options.json,
            use_screen=not (options.no_screen or options.json or options.share),
            on_closed=lambda: serving and serving.cancel(),
        )
        async with AsyncExitStack() as stack:
            reaper = await stack.enter_async_context(Reaper())
            behind = await self._start_nat(stack, reaper)
            aws = self._aws_host(stack, reaper)
            runtime = await self._start_runtime(stack, reaper, behind, aws, output)
            env = server_env(self.project, runtime, self.context.env)
            env |= behind.turn_variables(env) if behind else {}
            phones = phone_accounts(self.project.providers, env)
            local = f"http://127.0.0.1:{self.server_port}"
            env |= phone_variables(phones, runtime.stream_seconds, local, env)
            server = await self._start_server(stack, reaper, aws, env, output)
            dev_state.write_state(self.project.local, _dev_state(runtime, server, phones))
            stack.callback(dev_state.remove_state, self.project.local)
            nat.return_ownership(self.project.local, self.context.env)
            key = env.get("SESSION_API_KEY")
            page = invite_url(self.project.server, server, key) if server else None
            turn = behind.turn.udp if behind else None
            endpoints = LocalEndpoints(runtime.url, server, page, tuple(phones), turn, aws)
            output.serving(endpoints, share=options.share)
            with output.screen(runtime, endpoints):
                await asyncio.Event().wait()

    async def _start_nat(self, stack: AsyncExitStack, reaper: Reaper) -> NatEnvironment | None:
        if not self.options.nat:
            return None
        udp = self.options.network != "public"
        return await stack.enter_async_context(nat.nat_environment(reaper, self.settings.logs, udp))

    def _aws_host(self, stack: AsyncExitStack, reaper: Reaper) -> AwsHost | None:
        if not self.options.tls:
            return None
        from voicecore.local.network.aws_host import aws_host

        local, region = self.project.local, self.project.region
        return stack.enter_context(aws_host(local, region, self.context.env, reaper))

    async def _start_runtime(
        self,
        stack: AsyncExitStack,
        reaper: Reaper,
        behind: NatEnvironment | None,
        aws: AwsHost | None,
        output: DevOutput,
    ) -> LocalRuntime:
        project, env = self.project, self.context.env
        settings = replace(self.settings, aws_host=aws)
        if self.image:
            from voicecore.local.container_agents import ContainerAgents

            warn = self.context.output.error
            platform = self.settings.platform
            agents = ContainerAgents(project, env, self.image, reaper, warn, platform)
            runtime = await stack.enter_async_context(
                LocalRuntime(settings, agents.spec, output.event, agents.prepare)
            )
            stack.push_async_callback(agents.stop)
            return runtime

        def spec() -> AgentSpec:
            spec = agent_spec(project, env, self.settings.platform)
            return behind.spec(spec) if behind else spec

        return await stack.enter_async_context(LocalRuntime(settings, spec, output.event))

    async def _start_server(
        self,
        stack: AsyncExitStack,
        reaper: Reaper,
        aws: AwsHost | None,
        env: dict[str, str],
        output: DevOutput,
    ) -> str:
        """Start the session server and return its URL; without one, return an empty text."""
        program = self.project.server_program
        if program is None:
            return ""
        server = await stack.enter_async_context(
            SessionServerProcess(
                program,
                env,
                self.server_port,
                reaper,
                self.settings.logs / log_reader.SERVER,
                output.server_lines,
                aws.prefix if aws else (),
            )
        )
        return server.url


def _agent_port(context: Context, project: Project) -> int:
    """Return the port at which the agent always listens, and tell what follows; 0 for none."""
    own = project.agent_settings.port
    command, port = agent_command(project)
    if port:
        context.output.warn(
            f"The agent always listens on port {port} ([agent] in {FILE}), so one session runs at "
            "a time, and the next starts when it ends.\nFor more, let the agent listen on $PORT."
        )
    elif own:
        started = " ".join([Path(command[0]).name, *command[1:]])
        context.output.say(
            f"• The agent always listens on port {own}. For a port per session, it is started as:  "
            f"{started}"
        )
    return port


def _server_port(options: DevOptions, project: Project) -> int | None:
    """Return the port that the session server must get; None for any. Raises FixedPort."""
    fixed = project.server_settings.port if project.server_settings else 0
    if fixed and options.server_port not in (None, fixed):
        raise FixedPort(
            f"The session server always listens on port {fixed} ([server] in {FILE}).",
            f"Omit --server-port, or let it listen on $PORT and remove `port = {fixed}`.",
            ExitCode.USAGE,
        )
    return options.server_port or fixed or None


def _authorizer(options: DevOptions) -> JwtAuthorizer | None:
    url, audiences, clients = options.jwt_discovery_url, options.jwt_audience, options.jwt_client
    if not (url or audiences or clients):
        return None
    from voicecore.local.gateway.jwt_authorizer import BadDiscoveryUrl, JwtAuthorizer

    if not url:
        raise BadDiscoveryUrl(
            "--jwt-audience and --jwt-client need the issuer of the tokens.",
            "Add it:  --jwt-discovery-url https://ISSUER/.well-known/openid-configuration",
            ExitCode.USAGE,
        )
    return JwtAuthorizer(url, audiences, clients)


def _lifecycle(options: DevOptions) -> Lifecycle:
    try:
        return Lifecycle(options.idle_timeout, options.max_lifetime)
    except ValueError as error:
        raise BadLifetime(
            f"{error}.",
            "To reach a timeout sooner, run the clock faster:  voicecore dev --time-scale 60",
            ExitCode.USAGE,
        ) from error


def _check_network(options: DevOptions) -> None:
    if options.container and (options.network == "public" or options.nat):
        flag = "--nat" if options.nat else "--network public"
        raise ContainerNetwork(
            f"{flag} changes the network of a process, not of a container.",
            f"Omit --container:  voicecore dev {flag}",
            ExitCode.USAGE,
        )


def _image(context: Context, project: Project) -> LocalImage:
    from voicecore.local.container_agents import build_image

    return build_image(project, context.env)


def _warn_of_missing_keys(context: Context, project: Project) -> None:
    variables = {**context.env, **dotenv_of(project.server)}
    for name in project.providers:
        if missing := missing_variables(name, variables, to_call=False):
            context.output.say(
                f"• {PHONES[name].title}'s account is made up: server/.env lacks "
                f"{', '.join(missing)}. Only `voicecore talk --phone {name}` can call the agent."
            )
    for transport in map(TRANSPORTS.__getitem__, project.transports):
        if transport.key and not variables.get(transport.key):
            context.output.warn(
                f"server/.env has no {transport.key}: callers cannot join through "
                f"{transport.title}.\nserver/README.md says where to get it."
            )


def _install(context: Context, project: Project, image: LocalImage | None) -> None:
    own = (project.server_program,) if image else (project.agent_program, project.server_program)
    programs = [program for program in own if program and program.requirements]
    names = " and ".join(dict.fromkeys(f"{program.folder.name}/" for program in programs))
    if programs:
        with context.output.step(f"Installing the packages of {names}"):
            venv.install(programs, context.env)


def _already_running(project: Project) -> AlreadyRunning:
    running = dev_state.read_state(project.local)
    if running is None:
        return AlreadyRunning(
            f"Another `voicecore dev` is starting {project.name}.",
            "Wait for it, then talk to it:  voicecore talk",
        )
    return AlreadyRunning(
        f"{project.name} is already running: {running.server} (process {running.pid}).",
        f"Talk to it:  voicecore talk\nor stop it:  kill {running.pid}",
    )


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
            f"`voicecore dev` is not running for {project.name}.",
            f"Start it:  voicecore dev -p {project.root}",
        )
    return running.exports()
