"""Owns the environment variables of the local agent and the local session server."""

from __future__ import annotations

from collections.abc import Mapping

from voicecore.catalog import platforms, turn_sources
from voicecore.catalog.phones.accounts import SIGNING_KEY
from voicecore.local.free_port_command import free_port_command
from voicecore.local.processes import venv
from voicecore.local.runtime import LocalRuntime
from voicecore.local.sessions.agent_process import AgentSpec, restorable
from voicecore.local.trace_reader import trace_folder
from voicecore.project.dotenv import dotenv_of, without_ours
from voicecore.project.no_links import refuse_links
from voicecore.project.project import Project

TRACES_FOLDER = "TRACES_FOLDER"
"""Variable with the folder that a generated agent writes the traces of calls to."""

_NOT_OURS = "only agents that voicecore generated can be frozen"


def agent_spec(project: Project, env: Mapping[str, str], platform: str = platforms.V1) -> AgentSpec:
    """Return how to start the agent: as in its container, with the developer's AWS credentials.

    Reads agent/.env on each call, so the next session sees a changed file.
    """
    program = project.agent_program
    command, port = agent_command(project)
    values = {
        **venv.variables_of(program, without_ours(env)),
        "AWS_REGION": project.region,
        **project.model_variables,
        **project.agent_settings.environment,
        **dotenv_of(project.agent),
        platforms.VARIABLE: platform,
    }
    if not project.generated:
        return AgentSpec(command, program.folder, values, port=port, obstacle=_NOT_OURS)
    if venv.writes_traces(program):
        folder = trace_folder(project.local)
        refuse_links(folder, project.root)
        values[TRACES_FOLDER] = str(folder)
    spec = AgentSpec(command, program.folder, values)
    return restorable(spec) if platform == platforms.V2 else spec


def agent_command(project: Project) -> tuple[tuple[str, ...], int]:
    """Return the agent's command, and the port at which it then always listens; 0 for `$PORT`."""
    program, port = project.agent_program, project.agent_settings.port
    command = venv.command_of(program)
    free = free_port_command(program.folder, command, port) if port else None
    return (free, 0) if free else (command, port)


def server_env(project: Project, runtime: LocalRuntime, env: Mapping[str, str]) -> dict[str, str]:
    """Return the session server's environment; AWS's own variables select the local runtime."""
    replaced = ("AWS_PROFILE", "AWS_SESSION_TOKEN")
    inherited = {name: v for name, v in without_ours(env).items() if name not in replaced}
    settings = runtime.settings
    return {
        **inherited,
        **dotenv_of(project.server),
        **_no_proxy(env),
        "AGENT_RUNTIME_ARN": settings.arn,
        "AWS_REGION": settings.region,
        "AWS_ENDPOINT_URL_BEDROCK_AGENTCORE": runtime.url,
        "AWS_ACCESS_KEY_ID": settings.credentials.access_key_id,
        "AWS_SECRET_ACCESS_KEY": settings.credentials.secret_access_key,
    }


def phone_variables(
    phones: Mapping[str, Mapping[str, str]],
    stream_seconds: float,
    server: str,
    env: Mapping[str, str],
) -> dict[str, str]:
    """Return what phone providers add to the session server's `env`; `server` is its URL."""
    if not phones:
        return {}
    variables = {name: value for own in phones.values() for name, value in own.items()}
    variables.pop(SIGNING_KEY, None)
    # Twilio's account is a TURN source too, but not one that is made up.
    turn = " ".join(source.name for source in turn_sources.chosen(env)) or turn_sources.NONE
    return {
        "PUBLIC_URL": server,
        "STREAM_SECONDS": str(stream_seconds),
        turn_sources.CHOICE: turn,
        **variables,
    }


def _no_proxy(env: Mapping[str, str]) -> dict[str, str]:
    """Return variables that keep requests to this machine away from the user's HTTP proxy."""
    current = env.get("no_proxy") or env.get("NO_PROXY")
    value = ",".join(filter(None, (current, "127.0.0.1,localhost")))
    return {"no_proxy": value, "NO_PROXY": value}
