"""Owns the current and the desired state of a stage's agent, and how they differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from voicecore.cloud.deploy.parts.state_reader import SecretValue, StateReader
from voicecore.cloud.deploy.plan import (
    Action,
    ResourceChange,
    StackPlan,
    compare_templates,
    plan_creation,
)
from voicecore.cloud.resources import agentcore
from voicecore.cloud.resources.agentcore import Runtime
from voicecore.cloud.resources.deployed_stack import DeployedStack
from voicecore.cloud.stacks.agent_stack import (
    ENDPOINT,
    IMAGE_URI,
    RUNTIME,
    agent_stack,
)
from voicecore.cloud.stacks.deployment import Deployment
from voicecore.cloud.stacks.env_split import Environment
from voicecore.cloud.stacks.network_stack import SECURITY_GROUPS, SUBNETS
from voicecore.cloud.stacks.stack import Json, Stack
from voicecore.cloud.stacks.versions import (
    NEW,
    Live,
    Version,
    live_in,
    versions_in,
    with_next_version,
)
from voicecore.project import aws_names


@dataclass(frozen=True)
class CurrentAgent:
    """The current state of a stage's agent."""

    stack: DeployedStack | None = None
    template: Json = field(default_factory=dict[str, Any])
    """Template of the stack; empty if there is none."""
    runtime: Runtime | None = None
    """None when the stack has no runtime, or somebody deleted it."""
    live: Live = NEW
    """What callers reach, as the stack says."""
    secret: SecretValue = field(default_factory=SecretValue)

    @property
    def resources(self) -> Mapping[str, Json]:
        """The template's resources."""
        return self.template.get("Resources", {})

    @property
    def history(self) -> tuple[Version, ...]:
        """The stage's versions, from the tags of its runtime."""
        tags = self.resources.get(RUNTIME, {}).get("Properties", {}).get("Tags", {})
        return versions_in(tags)

    @property
    def image(self) -> str:
        """Image URI in the stack, by digest; empty if there is none."""
        return self.stack.parameters.get(IMAGE_URI, "") if self.stack else ""

    @property
    def behind(self) -> bool:
        """True when callers do not reach the newest version."""
        return self.runtime is not None and self.live.version != self.runtime.version

    @property
    def unfinished(self) -> bool:
        """True when the newest version still needs requireMMDSV2."""
        return self.runtime is not None and not self.runtime.mmdsv2

    def is_late(self, promotes: bool) -> bool:
        """Return True when a deploy that ended early left something to do after the stack."""
        return self.unfinished or (promotes and self.behind)

    @property
    def runtime_arn(self) -> str:
        """The runtime's ARN; empty if there is none."""
        return self.stack.outputs.get("RuntimeArn", "") if self.stack else ""


@dataclass(frozen=True)
class DesiredAgent:
    """The desired state of a stage's agent, before its image and network are known."""

    deployment: Deployment
    environment: Environment
    history: tuple[Version, ...] = ()
    live: Live = NEW
    """What callers reach, which this deploy moves at its end."""

    def stack(self, image: str, network: DeployedStack | None) -> Stack:
        """Return the agent's stack with this image (URI by digest) in this network."""
        outputs: Mapping[str, str] = network.outputs if network else {}
        return agent_stack(
            self.deployment,
            self.environment,
            self.history,
            image,
            *(
                outputs[ids].split(",") if ids in outputs else ()
                for ids in (SUBNETS, SECURITY_GROUPS)
            ),
            live=self.live,
        )

    def with_version(
        self, digest: str, message: str, now: datetime, commit: str = "", by: str = ""
    ) -> DesiredAgent:
        """Return the desired state with one more version."""
        history = with_next_version(self.history, digest, message, now, commit, by)
        return replace(self, history=history)


def read_agent(reader: StateReader, project: str, stage: str) -> CurrentAgent:
    """Return the current state of a stage's agent."""
    stack = reader.settled(reader.cloud.find(aws_names.stack_name_for(project, stage)))
    if stack is None:
        return CurrentAgent()
    current = CurrentAgent(
        stack=stack,
        template=reader.ask("template", lambda: reader.cloud.template_of(stack), {}),
        secret=reader.secret(stack),
    )
    runtime_id = stack.outputs.get("RuntimeId")
    if not runtime_id:
        return current
    control = reader.aws.client("bedrock-agentcore-control")
    runtime = reader.ask("runtime", lambda: agentcore.find(control, runtime_id), None)
    if runtime is None:
        # The deploy creates both, after all that they need.
        rest = (each for each in stack.missing if each.logical not in (RUNTIME, ENDPOINT))
        return replace(current, stack=replace(stack, missing=tuple(rest)))
    live = live_in(stack.parameters)
    if live is None:
        # A stack of before this parameter, whose template followed the newest version.
        name = aws_names.endpoint_name_for(stage)
        reached = reader.ask(
            "endpoint", lambda: agentcore.endpoint(control, runtime.id, name), None
        )
        live = Live((reached and reached.live) or runtime.version)
    return replace(current, runtime=runtime, live=live)


def manual_changes(current: CurrentAgent) -> list[str]:
    """Return how the runtime differs from its stack, which no template shows. No values."""
    if current.stack is None or RUNTIME not in current.resources:
        return []
    runtime = current.runtime
    if runtime is None:
        return ["it was deleted"]
    found: list[str] = []
    if runtime.image != current.image:
        found.append(f"its image is {runtime.image}")
    if runtime.role != current.stack.outputs.get("RoleArn"):
        found.append(f"its role is {runtime.role}")
    properties = current.resources[RUNTIME]["Properties"]
    if set(runtime.environment) != set(properties.get("EnvironmentVariables", {})):
        names = ", ".join(sorted(runtime.environment))
        found.append(f"its variables are {names}" if names else "it has no variables")
    if runtime.network != properties["NetworkConfiguration"]["NetworkMode"]:
        found.append(f"its network is {runtime.network}")
    if runtime.platform != properties.get("PlatformVersion", runtime.platform).lower():
        found.append(f"its platform is {runtime.platform}")
    return found


def late_change(
    rows: tuple[ResourceChange, ...], current: CurrentAgent, promotes: bool
) -> tuple[ResourceChange, ...]:
    """Return what follows the stack's changes, which do not show it.

    It is the move of the endpoint, or, if callers keep their version, the end of a killed deploy.
    """
    updated = any(RUNTIME in row.ids and row.action is Action.CHANGE for row in rows)
    late = current.is_late(promotes)
    if promotes and (updated or late) and not any(ENDPOINT in row.ids for row in rows):
        return (ResourceChange(Action.CHANGE, "endpoint", "version", (ENDPOINT,), 0.0),)
    if not promotes and late and not updated:
        return (ResourceChange(Action.CHANGE, "runtime", "requireMMDSV2", (RUNTIME,), 0.0),)
    return ()


def keep_runtime(stack: Stack, current: CurrentAgent) -> Stack:
    """Return the desired stack with the current runtime: its secret is written before it changes.

    CloudFormation creates a new secret empty, and the runtime reads it when it starts.
    """
    kept = {name: current.resources[name] for name in (RUNTIME, ENDPOINT)}
    declared: Json = current.template.get("Parameters", {})
    template = stack.template | {"Resources": {**stack.resources, **kept}, "Parameters": declared}
    parameters = dict(current.stack.parameters) if current.stack else {}
    return replace(stack, template=template, parameters=parameters)


def plan_by_template(stack: Stack, current: CurrentAgent) -> StackPlan:
    """Return the plan by comparing templates, for a change set that AWS cannot compute yet."""
    if current.stack is None or not current.stack.updatable:
        return plan_creation(stack)
    return compare_templates(stack, current.stack, current.template)
