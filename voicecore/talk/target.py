"""Whom `voicecore talk` calls: the agent here (started if need be), in AWS, or at any server."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from voicecore.aws.errors import translated_errors
from voicecore.console.context import Context
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.project import aws_names
from voicecore.project.defaults import DEFAULT_STAGE
from voicecore.project.dotenv import dotenv_of, without_ours
from voicecore.project.project import Project, Stage

if TYPE_CHECKING:
    from voicecore.local.processes.dev_state import DevState


class NoKey(VoicecoreError):
    """Nobody said which key opens the session server."""


class NotDeployed(VoicecoreError):
    """There is no agent in AWS to speak to, as far as anybody said."""

    def __init__(self, project: Project, stage: Stage) -> None:
        super().__init__(
            f"{project.name} · {stage.name} is not deployed to {stage.region}.",
            f"Deploy it:  voicecore deploy{aws_names.stage_flag(stage.name)}\n"
            "or name another:  voicecore talk --remote --arn arn:aws:bedrock-agentcore:…",
            ExitCode.NOT_DEPLOYED,
        )


@dataclass(frozen=True)
class Line:
    """Where to dial: a session server, its key, and how long one stream may last, in seconds."""

    url: str
    key: str
    stream_seconds: float
    title: str
    phones: Mapping[str, Mapping[str, str]] | None = None
    """The telephone providers that it takes calls of, with their variables; None: not known."""


@dataclass(frozen=True)
class Target:
    """Which agent is meant: the local one, the one in AWS, or that of a session server."""

    key_variable: str
    remote: bool = False
    stage: str = DEFAULT_STAGE
    arn: str | None = None
    url: str | None = None
    needs_key: bool = True


class AgentNotStarted(VoicecoreError):
    """The `voicecore dev` that was started for this call ended before its agent was there."""


class BadArn(VoicecoreError):
    """What was given as ARN names no AgentCore runtime."""


@asynccontextmanager
async def dial(context: Context, project: Project | None, target: Target) -> AsyncGenerator[Line]:
    """A line to the target while the block runs. Raises what starting it may raise."""
    from voicecore.talk.transports.websocket import STREAM_SECONDS

    key = _key(context.env, target, project) if target.needs_key else ""
    if target.url or project is None:
        yield Line(str(target.url), key, STREAM_SECONDS, str(target.url))
    elif target.remote:
        async with _remote_server(context, project, target) as url:
            yield Line(url, key, STREAM_SECONDS, f"{project.name} · AWS")
    else:
        async with _dev(context, project) as running:
            title = f"{project.name} · local"
            yield Line(running.server, key, running.stream_seconds, title, running.phone)


def _key(env: Mapping[str, str], target: Target, project: Project | None) -> str:
    """The key of the server meant: the project's own by its .env, any other by the environment."""
    variable = target.key_variable
    stored = dotenv_of(project.server) if project else {}
    sources = (env, stored) if target.url else (stored, env)
    key = next((source[variable] for source in sources if source.get(variable)), None)
    if not key:
        raise NoKey(
            f"{variable} is neither in the environment nor in {project.server / '.env'}."
            if project
            else f"{variable} is not in the environment.",
            "It is the key of the session server, which `voicecore init` put into server/.env:\n"
            f"export {variable}=…",
        )
    return key


@asynccontextmanager
async def _dev(context: Context, project: Project) -> AsyncGenerator[DevState]:
    """The running `voicecore dev`, or one that runs for this call."""
    from voicecore.local.processes import dev_state
    from voicecore.local.processes.child import Child, Reaper

    running = dev_state.read_state(project.local)
    if running and await _status(running.runtime):
        async with _explained(running.runtime):
            yield running
        return

    lines: list[str] = []
    starting = True

    def receive(new: list[str]) -> None:
        lines.extend(new)
        del lines[:-200]
        if starting:
            for line in new:
                if line.startswith("• "):  # a step of dev's own
                    context.output.note(line)

    argv = [sys.executable, "-m", "voicecore", "dev", "--json", "--project", str(project.root)]
    async with Reaper() as reaper:
        child = await Child.start(argv, project.root, context.env, reaper, receive)
        try:
            with context.output.step("Starting the agent"):
                while (
                    ready := dev_state.read_state(project.local)
                ) is None or ready.pid != child.pid:
                    # Its own limits end it if the agent does not start: this ends with it.
                    await asyncio.wait({child.exited}, timeout=0.05)
                    if child.exited.done():
                        await child.output_read()
                        raise _not_started(lines, project)
            starting = False
            async with _explained(ready.runtime):
                yield ready
        finally:
            await child.stop()


def _not_started(lines: list[str], project: Project) -> AgentNotStarted:
    """The error that dev ended with, as its own; else how its last traceback ended."""
    from voicecore.local.processes.child import last_error

    for line in reversed(lines):
        if line.startswith('{"error"'):
            error = json.loads(line)["error"]
            return AgentNotStarted(error["message"], error["hint"], ExitCode(error["exit_code"]))
    return AgentNotStarted(
        f"The agent did not start: {last_error(lines)}",
        f"Logs: {project.local / 'logs'}\nSee it happen:  voicecore dev",
    )


@asynccontextmanager
async def _remote_server(context: Context, project: Project, target: Target) -> AsyncGenerator[str]:
    """The project's own session server, with this user's AWS credentials."""
    from voicecore.cloud.stacks import turn_channels
    from voicecore.cloud.stacks.deployment import deployment_of
    from voicecore.local.processes import venv
    from voicecore.local.processes.child import Reaper
    from voicecore.local.processes.ports import free_port
    from voicecore.local.processes.session_server import SessionServerProcess

    stored = dotenv_of(project.server)
    told = context.env.get("AGENT_RUNTIME_ARN") or stored.get("AGENT_RUNTIME_ARN")
    # A server's own variable names the agent of one stage: the default one.
    arn = target.arn or (told if target.stage == DEFAULT_STAGE else None)
    if not arn:
        with context.output.step("Looking for the agent in AWS"):
            arn = await asyncio.to_thread(deployed_arn, project, target.stage)
    parts = arn.split(":")
    if len(parts) != 6 or parts[2] != "bedrock-agentcore":
        raise BadArn(
            f"{arn!r} is no ARN of an AgentCore runtime.",
            "They look like arn:aws:bedrock-agentcore:REGION:ACCOUNT:runtime/NAME-ID",
            ExitCode.USAGE,
        )
    inherited = without_ours(context.env)
    # With --arn it may be anybody's agent, whose channels have other names.
    relays = (
        {} if target.arn else turn_channels.turn_variables(deployment_of(project, target.stage))
    )
    env = {**inherited, **relays, **stored, "AGENT_RUNTIME_ARN": arn, "AWS_REGION": parts[3]}
    async with AsyncExitStack() as stack:
        with context.output.step("Starting the session server"):
            venv.sync((project.server,), context.env)
            log = project.local / "logs" / "remote-server.log"
            reaper = await stack.enter_async_context(Reaper())
            server = await stack.enter_async_context(
                SessionServerProcess(project.server, env, free_port(), reaper, log, _ignore)
            )
        yield server.url


def deployed_arn(project: Project, stage_name: str = DEFAULT_STAGE) -> str:
    """The ARN of the stage's runtime, as its stack tells it. Raises NotDeployed."""
    from voicecore.aws import session
    from voicecore.cloud.resources.cloudformation import CloudFormation

    again = "voicecore talk --remote"
    stage = project.stage(stage_name)
    with translated_errors(again):
        aws = session.connect(stage.region)
        session.check_account(aws.identity, stage.account)
        cloud = CloudFormation(aws.client("cloudformation"), again)
        stack = cloud.find(aws_names.stack_name_for(project.name, stage.name))
    if stack is None or "RuntimeArn" not in stack.outputs:
        raise NotDeployed(project, stage)
    return stack.outputs["RuntimeArn"]


def _ignore(lines: list[str]) -> None:
    """The log has them."""


@asynccontextmanager
async def _explained(runtime: str) -> AsyncGenerator[None]:
    """Adds to a refused connection why the local runtime refused it: a handshake has no words."""
    from voicecore.talk.session_client import OfferRefused
    from voicecore.talk.transports.connection import ConnectionLost

    try:
        yield
    except (ConnectionLost, OfferRefused) as error:
        status = await _status(runtime)
        trouble = status.get("trouble") if status else None
        if not trouble:
            raise
        message = f"{error.message}\n  {trouble['text']}"
        raise ConnectionLost(message, trouble["hint"], error.exit_code) from error


async def _status(runtime: str) -> dict[str, Any] | None:
    """What the local runtime says of itself; None if it does not answer."""
    import aiohttp

    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=3)) as http,
            http.get(f"{runtime}/_voicecore/status") as response,
        ):
            return await response.json() if response.status == 200 else None
    except (aiohttp.ClientError, TimeoutError):
        return None
