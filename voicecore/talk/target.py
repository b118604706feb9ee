"""Owns reaching the agent to call: the local one (started if needed), in AWS, or at any server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from voicecore.console.context import Context
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.project import aws_names
from voicecore.project.defaults import DEFAULT_STAGE
from voicecore.project.dotenv import dotenv_of, without_ours
from voicecore.project.foreign_code import warn_of_foreign_code
from voicecore.project.project import FILE, Project, Stage
from voicecore.project.version import tell_version

if TYPE_CHECKING:
    from voicecore.aws.login import AwsLogin
    from voicecore.local.processes.dev_state import DevState
    from voicecore.talk.agents.source import SessionSource


class MissingKey(VoicecoreError):
    """The key of the session server is not known."""


class AgentNotDeployed(VoicecoreError):
    """The stage has no agent in AWS, and no ARN was given."""

    def __init__(self, project: Project, stage: Stage) -> None:
        super().__init__(
            f"{project.name} · {stage.name} is not deployed to {stage.region}.",
            f"Deploy it:  voicecore deploy{aws_names.stage_flag(stage.name)}\n"
            "or name another:  voicecore talk --remote --arn arn:aws:bedrock-agentcore:…",
            ExitCode.NOT_DEPLOYED,
        )


@dataclass(frozen=True)
class CallTarget:
    """The agent to call: the local one, one in AWS, or that of a session server."""

    key_variable: str
    """Variable with the session server's key."""
    again: str
    """The command to repeat."""
    remote: bool = False
    stage: str = DEFAULT_STAGE
    arn: str | None = None
    url: str | None = None
    needs_key: bool = True
    token: str = field(default="", repr=False)
    """Bearer token of a runtime with a JWT authorizer; empty without one."""


@dataclass(frozen=True)
class ServerAccess:
    """A session server that can be called."""

    url: str
    key: str
    stream_seconds: float
    """Longest life of one stream to its agent."""
    title: str
    phones: Mapping[str, Mapping[str, str]] | None = None
    """Variables of the phone providers whose calls it takes, by name; None: not known."""


@asynccontextmanager
async def reach_server(
    context: Context, project: Project | None, target: CallTarget
) -> AsyncGenerator[ServerAccess]:
    """Keep the target's session server reachable while the block runs.

    Raises what starting it may raise.
    """
    from voicecore.talk.transports.websocket import STREAM_SECONDS

    key = server_key(context.env, target, project) if target.needs_key else ""
    if target.url or project is None:
        yield ServerAccess(str(target.url), key, STREAM_SECONDS, str(target.url))
        return
    tell_version(context.output, project.name, project.version)
    warn_of_foreign_code(context.output, context.env, project.root)
    if target.remote:
        async with _remote_server(context, project, target) as url:
            yield ServerAccess(url, key, STREAM_SECONDS, f"{project.name} · AWS")
    else:
        async with _local_agent(context, project) as dev:
            title = f"{project.name} · local"
            yield ServerAccess(dev.server, key, dev.stream_seconds, title, dev.phone)


@asynccontextmanager
async def reach_runtime(
    context: Context, project: Project, target: CallTarget
) -> AsyncGenerator[tuple[str, SessionSource]]:
    """Keep the runtime of a project without a session server of ours reachable in the block.

    Yields the title of a call and the runtime's sessions. Raises what starting it may raise.
    """
    from voicecore.aws.login import AwsLogin
    from voicecore.aws.runtime_sessions import RuntimeAddress, sessions_at
    from voicecore.talk.agents.bearer import BearerRuntime
    from voicecore.talk.agents.runtime import SignedRuntime, in_account, read_arn

    again = target.again
    tell_version(context.output, project.name, project.version)
    warn_of_foreign_code(context.output, context.env, project.root)
    if server := project.server_settings:
        context.output.say(
            f"• Calls the runtime itself: the protocol of the session server ({server.command}) is "
            "its own."
        )
    if not target.remote:
        async with _local_agent(context, project) as dev:
            title = f"{project.name} · local"
            if target.token:
                address = RuntimeAddress(dev.runtime, dev.arn, "DEFAULT")
                yield title, BearerRuntime(address, target.token)
                return
            keys = dev.access_key_id, dev.secret_access_key
            sessions = sessions_at(dev.runtime, dev.region, *keys, dev.arn)
            yield title, SignedRuntime(sessions, again)
        return
    login = AwsLogin(can_ask=context.interactive)
    arn = target.arn or await asyncio.to_thread(deployed_arn, project, login, target)
    runtime = read_arn(arn)
    endpoint = endpoint_for(project, runtime.text, "DEFAULT")
    yield f"{project.name} · AWS", await in_account(runtime, endpoint, login, again)


def server_key(env: Mapping[str, str], target: CallTarget, project: Project | None) -> str:
    """Return the server's key: the project's own from its .env first, another's from `env`.

    Raises MissingKey.
    """
    variable = target.key_variable
    stored = dotenv_of(project.server) if project else {}
    sources = (env, stored) if target.url else (stored, env)
    key = next((source[variable] for source in sources if source.get(variable)), None)
    if not key:
        raise MissingKey(
            f"{variable} is neither in the environment nor in {project.server / '.env'}."
            if project
            else f"{variable} is not in the environment.",
            "It is the session server's key, which `voicecore init` put into server/.env:\n"
            f"export {variable}=…",
        )
    return key


def token_of(env: Mapping[str, str], variable: str | None) -> str:
    """Return the token in the variable; empty if none is named. Raises MissingKey."""
    if variable and not env.get(variable):
        raise MissingKey(
            f"{variable} is not in the environment.",
            f"It holds the token that the runtime's issuer gave you:\nexport {variable}=…",
        )
    return env[variable] if variable else ""


# The local agent


@asynccontextmanager
async def _local_agent(context: Context, project: Project) -> AsyncGenerator[DevState]:
    """Yield the running `voicecore dev`, or start one for this call."""
    from voicecore.local.gateway.status import status_of
    from voicecore.local.processes import dev_state
    from voicecore.talk.started_dev import started_dev

    running = dev_state.read_state(project.local)
    if running and await status_of(running):
        async with explain_failures(running):
            yield running
        return
    async with started_dev(context, project) as started, explain_failures(started):
        yield started


@asynccontextmanager
async def explain_failures(running: DevState) -> AsyncGenerator[None]:
    """Add the local runtime's reason to a call that failed: AWS's answers carry none."""
    from voicecore.local.gateway.status import status_of
    from voicecore.talk.call import HungUpEarly
    from voicecore.talk.session_client import AgentUnavailable, OfferRefused
    from voicecore.talk.transports.connection import ConnectionLost

    async def reason(session_id: str) -> Mapping[str, Any] | None:
        status = await status_of(running)
        return trouble_of(session_id, status.get("troubles", ()) if status else ())

    try:
        yield
    except AgentUnavailable as error:
        trouble = await reason("")
        if not trouble:
            raise
        raise ConnectionLost(trouble["text"], trouble["hint"]) from error
    except (ConnectionLost, HungUpEarly, OfferRefused) as error:
        trouble = await reason(error.session_id)
        if not trouble:
            raise
        message = f"{error.message}\n  {trouble['text']}"
        raise ConnectionLost(message, trouble["hint"], error.exit_code) from error


def trouble_of(session_id: str, troubles: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Return the last of the runtime's troubles that is not another session's, or None.

    The ID is empty for a session that did not start: it has only the agent's own trouble.
    """
    own = (None, session_id)
    return next((each for each in reversed(troubles) if each.get("session_id") in own), None)


# The agent in AWS


@asynccontextmanager
async def _remote_server(
    context: Context, project: Project, target: CallTarget
) -> AsyncGenerator[str]:
    """Run the project's session server with this user's AWS credentials; yield its URL."""
    from voicecore.local.processes import venv
    from voicecore.local.processes.child import Reaper
    from voicecore.local.processes.ports import free_port
    from voicecore.local.processes.session_server import SessionServerProcess

    program = project.server_program
    if program is None:
        raise VoicecoreError(
            f"{project.name} has no session server: {FILE} has no [server] with a command."
        )
    env = await _remote_env(context, project, target)
    async with AsyncExitStack() as stack:
        with context.output.step("Starting the session server"):
            venv.install((program,), context.env)
            log = project.local / "logs" / "remote-server.log"
            reaper = await stack.enter_async_context(Reaper())
            server = await stack.enter_async_context(
                SessionServerProcess(program, env, free_port(), reaper, log, _ignore)
            )
        yield server.url


async def _remote_env(context: Context, project: Project, target: CallTarget) -> dict[str, str]:
    """Return the environment of a session server for the agent in AWS.

    Raises AgentNotDeployed, BadArn or AwsRefused.
    """
    from voicecore.aws.errors import translated_errors
    from voicecore.aws.login import AwsLogin
    from voicecore.cloud.stacks import turn_channels
    from voicecore.cloud.stacks.deployment import deployment_of
    from voicecore.talk.agents.runtime import read_arn

    login = AwsLogin(can_ask=context.interactive)
    with translated_errors(target.again):
        login.open(project.stage(target.stage).region)
    stored = dotenv_of(project.server)
    configured = context.env.get("AGENT_RUNTIME_ARN") or stored.get("AGENT_RUNTIME_ARN")
    # A server's own variable names the agent of the default stage.
    arn = target.arn or (configured if target.stage == DEFAULT_STAGE else None)
    if not arn:
        with context.output.step("Looking for the agent in AWS"):
            arn = await asyncio.to_thread(deployed_arn, project, login, target)
    runtime = read_arn(arn)
    # An ARN may be of any agent, whose TURN channels have other names.
    stage = stage_of(project, runtime.text) or (None if target.arn else target.stage)
    relays = turn_channels.turn_variables(deployment_of(project, stage)) if stage else {}
    own = {
        "AGENT_RUNTIME_ARN": runtime.text,
        "AGENT_ENDPOINT": runtime.endpoint
        or endpoint_for(project, runtime.text, stored.get("AGENT_ENDPOINT", "DEFAULT")),
        "AWS_REGION": runtime.region,
    }
    return {**without_ours(context.env), **login.for_child(), **relays, **stored, **own}


def stage_of(project: Project, arn: str) -> str | None:
    """Return the stage whose runtime has this ARN; None for a runtime of others."""
    runtime = arn.rpartition("/")[2].rpartition("-")[0]
    stages = (s for s in project.stages if aws_names.runtime_name_for(project.name, s) == runtime)
    return next(stages, None)


def endpoint_for(project: Project, arn: str, otherwise: str) -> str:
    """Return the endpoint to call: the stage's, if the runtime is one of the project's."""
    stage = stage_of(project, arn)
    return aws_names.endpoint_name_for(stage) if stage else otherwise


def deployed_arn(project: Project, login: AwsLogin, target: CallTarget) -> str:
    """Return the ARN of the stage's runtime, from its stack. Raises AgentNotDeployed."""
    from voicecore.aws.errors import translated_errors
    from voicecore.cloud.resources.cloudformation import CloudFormation

    stage = project.stage(target.stage)
    with translated_errors(target.again):
        aws = login.connect(stage.region, stage.account)
        cloud = CloudFormation(aws.client("cloudformation"), project.owner, target.again)
        stack = cloud.find(aws_names.stack_name_for(project.name, stage.name))
    if stack is None or "RuntimeArn" not in stack.outputs:
        raise AgentNotDeployed(project, stage)
    return stack.outputs["RuntimeArn"]


def _ignore(lines: list[str]) -> None:
    """Ignore the server's output: its log has it."""
