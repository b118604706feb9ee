"""Owns the current and the desired state of a stage's session server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from voicecore.cloud.deploy.parts.server_requirements import (
    CannotDeployServer,
    carries_calls,
    require_server_possible,
)
from voicecore.cloud.deploy.parts.state_reader import SecretValue, StateReader
from voicecore.cloud.resources import ecs_service
from voicecore.cloud.resources.deployed_stack import DeployedStack
from voicecore.cloud.resources.ecs_service import EcsService
from voicecore.cloud.stacks.deployment import Deployment
from voicecore.cloud.stacks.ecs_server import ecs_server_stack
from voicecore.cloud.stacks.env_split import Environment, split_server_env
from voicecore.cloud.stacks.lambda_server import ACCOUNT_LIMIT, executions, lambda_server_stack
from voicecore.cloud.stacks.server_stack import AGENT_ENDPOINT, SECRET
from voicecore.cloud.stacks.stack import Json, Stack
from voicecore.project import aws_names
from voicecore.project.dotenv import dotenv_of
from voicecore.project.project import Project


@dataclass(frozen=True)
class CurrentServer:
    """The current state of a stage's session server."""

    stack: DeployedStack | None = None
    draining: EcsService | None = None
    """The service when only old tasks, with their open calls, keep its last update from ending."""
    template: Json = field(default_factory=dict[str, Any])
    """Template of the stack; empty if there is none."""
    secret: SecretValue = field(default_factory=SecretValue)
    image: str = ""
    """Image of the new tasks while old ones drain: no stack shows how far an update is."""

    @property
    def resources(self) -> Mapping[str, Json]:
        """The template's resources."""
        return self.template.get("Resources", {})


@dataclass(frozen=True)
class DesiredServer:
    """The desired state of a stage's session server, before its image and agent are known."""

    deployment: Deployment
    environment: Environment
    network: Mapping[str, str] = field(default_factory=dict[str, str])
    """Outputs of the network's stack; empty if it is not deployed yet."""
    account_limit: int = ACCOUNT_LIMIT
    """Executions of Lambda functions at once that the account may have."""
    default_endpoint: bool = False
    """True for a server of before AGENT_ENDPOINT, which calls the endpoint DEFAULT."""
    private: bool = True
    """False when the deployed load balancer is public, and so stays it."""

    @property
    def carries_calls(self) -> bool:
        """True when the server runs on ECS, in that network; else it runs on Lambda."""
        return carries_calls(self.deployment, self.environment)

    @property
    def requests_at_once(self) -> int | None:
        """Requests at once that are run and paid for; None for a server on ECS, of fixed size."""
        return None if self.carries_calls else executions(self.deployment, self.account_limit)[0]

    def stack(self, image: str, runtime_arn: str, secret_version: str) -> Stack:
        """Return the server's stack with this image (URI by digest) for this agent."""
        given = (self.deployment, self.environment, image, runtime_arn, secret_version)
        return (
            ecs_server_stack(*given, self.network, self.default_endpoint, self.private)
            if self.carries_calls
            else lambda_server_stack(*given, self.account_limit, self.default_endpoint)
        )


def desired_server(project: Project, deployment: Deployment) -> DesiredServer:
    """Return the desired state by server/.env. Raises BadEnvironment and CannotDeployServer."""
    if not project.has_own_server:
        raise CannotDeployServer(
            f"{project.name} has no session server that voicecore can deploy: only its own runs on "
            "AWS Lambda.",
            f"Add it:  voicecore adopt {project.root} --force --add server\n"
            "or deploy the agent alone, and host your own server yourself:  voicecore deploy",
        )
    environment = split_server_env(
        dotenv_of(project.server), deployment.stage.region, deployment.transports
    )
    require_server_possible(deployment, environment)
    calls_default = not _names_endpoint(project)
    return DesiredServer(deployment, environment, default_endpoint=calls_default)


def _names_endpoint(project: Project) -> bool:
    """Return True unless the project's server is of before AGENT_ENDPOINT."""
    settings = project.server / "internal" / "settings.py"
    # A server that its owner has rearranged reads its variables elsewhere.
    return not settings.is_file() or AGENT_ENDPOINT in settings.read_text(encoding="utf-8")


def on_ecs(stack: DeployedStack) -> bool:
    """Return True when the stack is of a server that carries calls."""
    return "Cluster" in stack.outputs


def find_server(
    reader: StateReader, project: str, stage: str, wait_for_drain: bool = False
) -> CurrentServer:
    """Return the server's stack, and its ECS service if old tasks drain.

    Old tasks that drain are not waited for, unless `wait_for_drain` says so.
    """
    stack = reader.cloud.find(aws_names.server_for(project, stage))
    if stack and stack.status == "UPDATE_IN_PROGRESS" and on_ecs(stack) and not wait_for_drain:
        service = ecs_service.find(reader.aws, stack.outputs["Cluster"], count_calls=True)
        if service and service.only_draining:
            return CurrentServer(stack, service)
    stack = reader.settled(stack)
    return CurrentServer() if stack is None or stack.empty else CurrentServer(stack)


def read_server(
    reader: StateReader, project: str, stage: str, wait_for_drain: bool = False
) -> CurrentServer:
    """Return the current state of a stage's session server."""
    found = find_server(reader, project, stage, wait_for_drain)
    if found.stack is None:
        return found
    image = ecs_service.image_of(reader.aws, found.draining) if found.draining else ""
    return replace(
        found,
        image=image,
        template=reader.cloud.template_of(found.stack),
        secret=reader.secret(found.stack),
    )


def add_secret(stack: Stack, current: CurrentServer) -> Stack:
    """Return the current stack with the desired one's secret, to be written before it is read.

    Where nothing is deployed, the stack has the secret alone.
    """
    outputs: Json = stack.template["Outputs"]
    if current.stack is None:
        return stack.without(name for name in stack.resources if name != SECRET)
    template = current.template | {
        "Resources": {**current.resources, SECRET: stack.resources[SECRET]},
        "Outputs": {**current.template["Outputs"], "SecretArn": outputs["SecretArn"]},
    }
    return replace(stack, template=template, parameters=dict(current.stack.parameters))
