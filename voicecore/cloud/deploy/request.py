"""Owns the request to deploy a stage: its variables, and warnings known without AWS."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from voicecore.catalog.platforms import V1, V2, V2_REGIONS
from voicecore.cloud.deploy.parts.server_state import DesiredServer, desired_server
from voicecore.cloud.stacks import turn_channels
from voicecore.cloud.stacks.deployment import Deployment
from voicecore.cloud.stacks.env_split import SECRET_VARIABLE, Environment, split_agent_env
from voicecore.project.dotenv import dotenv_of
from voicecore.project.project import Project
from voicecore.project.settings.network import PUBLIC, VPC
from voicecore.project.settings.programs import AGENT


@dataclass(frozen=True)
class DeployRequest:
    """The stage to deploy, checked as far as files allow."""

    project: Project
    deployment: Deployment
    environment: Environment
    """The agent's variables."""
    server: DesiredServer | None
    """The session server; None if it was not asked for. A deployed one is updated anyway."""
    message: str
    """Reason for this deploy; kept with the version."""
    warnings: tuple[str, ...]
    commit: str = ""
    """Commit of the project; kept with the version."""
    promote: bool = True
    """False for a version that callers do not reach."""


def request_for(
    project: Project, deployment: Deployment, with_server: bool, message: str
) -> DeployRequest:
    """Return the request to deploy a stage.

    Raises BadEnvironment, NoRelay and CannotDeployServer for what the files do not allow.
    """
    variables = dotenv_of(project.agent)
    file = os.path.relpath(project.agent / ".env", project.root)
    given = split_agent_env(variables, deployment.stage.region, deployment.uses, file)
    open_ones = {
        name: value
        for name, value in project.agent_settings.environment.items()
        if name not in given.secret
    }
    environment = replace(given, plain=open_ones | dict(given.plain))
    limits = turn_channels.require_relay(deployment, variables)
    return DeployRequest(
        project,
        deployment,
        environment,
        desired_server(project, deployment) if with_server else None,
        message,
        (
            *_public_network_warning(deployment),
            *_platform_warning(deployment),
            *limits,
            *_other_models(project, deployment),
            *_missing_keys(project, deployment, variables),
            *_unread_keys(project, environment),
        ),
    )


def _public_network_warning(deployment: Deployment) -> Iterator[str]:
    if deployment.needs_turn and deployment.network == PUBLIC:
        yield (
            "AgentCore's PUBLIC network blocks outbound UDP, so calls use TLS, and a lost packet "
            f'delays those after it. For smoother calls, use a NAT gateway:  network = "{VPC}"'
        )


def _platform_warning(deployment: Deployment) -> Iterator[str]:
    region = deployment.stage.region
    if deployment.stage.platform == V2 and region not in V2_REGIONS:
        yield (
            f"AWS has not published that {region} has platform {V2}, so this deploy tries it. If "
            f'AWS refuses, set platform = "{V1}" in voicecore.toml.'
        )


def _other_models(project: Project, deployment: Deployment) -> Iterator[str]:
    """Yield warnings for models that the role allows and that the agent's code does not name."""
    code = _code_in(project.agent)
    for variable, model in deployment.model_variables.items():
        if variable not in code and model not in code:
            yield (
                f"agent/ names neither {variable} nor {model}, the model in [services] of "
                "voicecore.toml. The role allows that one alone, so AWS would deny another."
            )


def _unread_keys(project: Project, environment: Environment) -> Iterator[str]:
    """Yield a warning if an adopted agent does not read the secret that its keys are in."""
    names = ", ".join(environment.secret)
    folder = project.image_folder(AGENT)
    if names and not project.generated and SECRET_VARIABLE not in _code_in(folder, project.agent):
        yield (
            f"In AWS, {names} are in the secret that the variable {SECRET_VARIABLE} names, and the "
            "agent does not read it. To have it started with them, run:  "
            f"voicecore adopt {project.root} --force --add keys"
        )


def _code_in(*folders: Path) -> str:
    """Return the code of the folders, and of what a generated agent has in internal/."""
    modules = (
        path for each in folders for part in ("", "internal") for path in (each / part).glob("*.py")
    )
    return "\n".join(path.read_text(encoding="utf-8", errors="replace") for path in modules)


def _missing_keys(
    project: Project, deployment: Deployment, variables: Mapping[str, str]
) -> Iterator[str]:
    """Yield warnings for keys of transports that agent/.env or server/.env lack."""
    server = dotenv_of(project.server)
    keyed = [transport for transport in deployment.transports if transport.key]
    for transport in keyed:
        if not variables.get(transport.key):
            yield (
                f"agent/.env has no {transport.key}: "
                f"the agent cannot take phone calls through {transport.title}."
            )
    for transport in keyed:
        if not server.get(transport.key):
            yield (
                f"server/.env has no {transport.key}: "
                f"callers cannot join through {transport.title}."
            )
