"""Owns the agent's part in a deploy: its stack, and the shared stacks that it needs.

Nothing is remembered between runs: each run begins by reading the current state, so the next run
continues one that died anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, ClassVar

from voicecore.aws.errors import ignoring
from voicecore.aws.session import Aws
from voicecore.catalog.platforms import V2
from voicecore.cloud.deploy.parts.agent_state import (
    CurrentAgent,
    DesiredAgent,
    keep_runtime,
    late_change,
    manual_changes,
    plan_by_template,
    read_agent,
)
from voicecore.cloud.deploy.parts.image_build import ImageBuild
from voicecore.cloud.deploy.parts.part import UNKNOWN_DIGEST, PartContext, plan_stack
from voicecore.cloud.deploy.parts.shared_stacks import SharedStacks
from voicecore.cloud.deploy.parts.state_reader import write_secret
from voicecore.cloud.deploy.plan import ResourceChange, StackPlan, secret_change
from voicecore.cloud.deploy.progress import ProgressBoard
from voicecore.cloud.preflight.agent import agent_checks
from voicecore.cloud.preflight.build import build_results
from voicecore.cloud.preflight.checks import PreflightCheck
from voicecore.cloud.preflight.rules import rule_checks
from voicecore.cloud.releases.choice import STAYS
from voicecore.cloud.releases.move import move_stack
from voicecore.cloud.resources import agentcore, inventory
from voicecore.cloud.resources.cloudformation import OnEvent
from voicecore.cloud.resources.deployed_stack import DeployedStack
from voicecore.cloud.resources.inventory import FoundResource
from voicecore.cloud.stacks.agent_stack import SECRET, foundation_of
from voicecore.cloud.stacks.deployment import Deployment
from voicecore.cloud.stacks.versions import LIVE_VERSION
from voicecore.console.output import Output
from voicecore.project import aws_names
from voicecore.project.project import AGENT


class AgentPart:
    """The agent of a stage: role, secret, runtime and endpoint, with the shared stacks."""

    name: ClassVar[str] = AGENT

    def __init__(self, context: PartContext, shared: SharedStacks) -> None:
        self._context = context
        self._shared = shared
        self._deployment = context.request.deployment
        self._stack_matches: bool | None = None
        self._verified = ""
        self.current = CurrentAgent()
        self.image = ImageBuild(
            context.tasks,
            context.images,
            context.request.project,
            AGENT,
            shared.repository,
            context.on_progress,
        )

    @staticmethod
    def stack_name(project: str, stage: str) -> str:
        """Return the name of the agent's stack."""
        return aws_names.stack_name_for(project, stage)

    @staticmethod
    def resources(aws: Aws, project: str, stage: str, carries_calls: bool) -> list[FoundResource]:
        """Return the agent's resources in AWS, found without its stack."""
        return inventory.agent_resources(aws, project, stage)

    @property
    def verifying(self) -> str:
        """Progress line of `verify`."""
        slow = self._deployment.stage.platform == V2
        return f"Waiting for the runtime{', and for its snapshot: minutes' if slow else ''}"

    @property
    def deployed(self) -> DeployedStack | None:
        """Its stack before the deploy; None if there is none."""
        return self.current.stack

    @property
    def needed(self) -> bool:
        """True: every stage has an agent."""
        return True

    def read(self) -> None:
        """Read the current state, after operations in progress."""
        context = self._context
        project, stage = self._deployment.name, self._deployment.stage.name
        shared = context.tasks.start(self._shared.read)
        self.current = read_agent(context.reader, project, stage)
        context.tasks.result(shared)

    def checks(self) -> Sequence[PreflightCheck]:
        """Return the preflight checks of the agent and the shared stacks."""
        own_name = self.stack_name(self._deployment.name, self._deployment.stage.name)
        existing = self._shared.existing | ({own_name} if self.current.stack else set[str]())
        aws = self._context.aws
        has_secret = bool(self._secret)
        own = agent_checks(aws, self._deployment, existing, has_secret)
        own += rule_checks(aws, self._deployment, self.current.stack, has_secret)
        return [*own, ("build", lambda: build_results(aws.region, self.image))]

    def warnings(self) -> Sequence[str]:
        """Return manual changes, what the image build needs, and an unused network."""
        network = self._shared.unused_network
        unused = (
            f"The network {network} still incurs charges, and this stage does not use it. If no "
            "other stage does, delete it:  voicecore destroy --only-network"
        )
        return [
            *(
                f"The runtime was changed by hand: {change}. This deploy restores it."
                for change in manual_changes(self.current)
            ),
            *(
                f"The log group {group} does not exist. This deploy creates it."
                for group in self._lost_log_groups()
            ),
            *filter(None, (self.image.note, unused if network else "", self._promotion_warning)),
        ]

    def wait_until_ready(self, output: Output) -> None:
        """Wait for a version of the runtime that another deploy, or a person, has started.

        AgentCore refuses an update with ConflictException until then.
        """
        runtime = self.current.runtime
        if runtime is None or runtime.settled:
            return
        output.say(f"AgentCore is still preparing version {runtime.version} of the runtime.")
        with output.step(self.verifying):
            now = agentcore.settled(self._control, runtime.id, self._context.tasks.sleep)
        self.current = replace(self.current, runtime=now)
        self._stack_matches = None

    @property
    def up_to_date(self) -> bool:
        """True when stacks, image, secret, runtime and endpoint match their desired state."""
        return self._matches and not self.current.is_late(self._promotes)

    def plan(self) -> Sequence[StackPlan]:
        """Return what `apply` would change in the shared stacks and the agent's."""
        network = self._shared.network
        image = self.image.uri or f"{self._deployment.name}@{UNKNOWN_DIGEST}"
        stack = self._desired.stack(image, network)
        if self._shared.desired.network and not (network and network.outputs):
            # A change set needs the IDs of subnets, which do not exist yet.
            own = plan_by_template(stack, self.current)
        else:
            own = plan_stack(self._context.cloud, stack, self.current.stack)
        rows = own.rows + self._secret_change()
        return [
            *self._shared.plan(),
            StackPlan(own.stack, rows + late_change(rows, self.current, self._promotes)),
        ]

    def apply(self, stacks: Mapping[str, DeployedStack], board: ProgressBoard) -> DeployedStack:
        """Bring all stacks to their desired state, in parallel where possible."""
        context, shared = self._context, self._shared
        if self.current.stack and self._matches:
            shared.repository.open(shared.repository.existing)
            return self.current.stack
        repository = shared.start(board.on_event)
        foundation = context.tasks.start(lambda: self._apply_foundation(board.on_event))
        shared.repository.open(context.tasks.result(repository))
        uri, request = self.image.built_uri(), context.request
        version = self._desired.with_version(
            self.image.digest(),
            request.message,
            datetime.now(UTC),
            request.commit,
            context.aws.identity.name,
        )
        stack = version.stack(uri, shared.applied_network())
        return context.cloud.apply(stack, context.tasks.result(foundation), board.on_event)

    def verify(self, stack: DeployedStack, changed: bool) -> None:
        """Wait for the runtime, and set what no stack can set: MMDSv2 and log retention.

        Raises RuntimeNotReady, and WrongRuntimePlatform when AWS runs it on another platform.
        """
        runtime_id = stack.outputs["RuntimeId"]
        runtime = agentcore.require_mmdsv2(self._control, runtime_id, self._context.tasks.sleep)
        agentcore.require_platform(runtime, self._deployment.stage.platform)
        self._verified = runtime.version
        _set_log_retention(self._logs, runtime_id, self._deployment)

    def held_back(self, stack: DeployedStack) -> bool:
        """Return True when callers do not reach the version that was verified."""
        return stack.parameters.get(LIVE_VERSION) != self._verified

    def must_release(self, stack: DeployedStack) -> bool:
        """Return True when this deploy is to move callers to the version that was verified."""
        return self._promotes and self.held_back(stack)

    def release(self, stack: DeployedStack) -> DeployedStack:
        """Move the stage's endpoint, and so its callers, to the version that was verified.

        A step of its own, after everything that may show that the version is not fit for calls.
        """
        cloud, sleep = self._context.cloud, self._context.tasks.sleep

        def wanted(deployed: DeployedStack) -> bool:
            # Another deploy may have moved the endpoint, or moves it to a version of its own.
            runtime = agentcore.find(self._control, stack.outputs["RuntimeId"])
            newest = runtime is not None and runtime.version == self._verified
            return newest and self.must_release(deployed)

        return move_stack(cloud, stack, self._verified, wanted, lambda _: None, sleep)

    @property
    def _promotes(self) -> bool:
        """True when callers reach what is deployed: also without a version that they could keep."""
        return self._context.request.promote or self.current.runtime is None

    @property
    def _promotion_warning(self) -> str:
        if self._context.request.promote:
            return ""
        if self._promotes:
            return "This is the stage's first version, so callers reach it despite --no-promote."
        return f"Callers keep their version. Changes of these reach them at once: {STAYS}."

    @property
    def _secret(self) -> Mapping[str, str]:
        return self._context.request.environment.secret

    @property
    def _control(self) -> Any:
        return self._context.aws.client("bedrock-agentcore-control")

    @property
    def _logs(self) -> Any:
        return self._context.aws.client("logs")

    def _lost_log_groups(self) -> list[str]:
        """Return the log groups that a runtime of before this deploy should have and lacks."""
        runtime = self.current.runtime
        if runtime is None:
            return []
        existing = _existing_groups(self._logs, runtime.id)
        return [g for g in _log_groups_of(runtime.id, self._deployment) if g not in existing]

    @property
    def _desired(self) -> DesiredAgent:
        environment, current = self._context.request.environment, self.current
        return DesiredAgent(self._deployment, environment, current.history, current.live)

    @property
    def _matches(self) -> bool:
        """True when nothing is to be done but to move the endpoint to the newest version."""
        if self._stack_matches is None:
            self._stack_matches = self._compare()
        return self._stack_matches

    def _compare(self) -> bool:
        current, image = self.current, self.image.uri
        if current.stack is None or not image or image != current.image:
            return False
        if manual_changes(current):
            return False
        if (current.secret.variables or {}) != self._secret:
            return False
        stack = self._desired.stack(image, self._shared.network)
        return self._shared.up_to_date and self._context.cloud.is_current(stack, current.stack)

    def _secret_change(self) -> tuple[ResourceChange, ...]:
        if SECRET not in self.current.resources:
            return ()
        return secret_change(self._secret, self.current.secret.variables)

    def _apply_foundation(self, on_event: OnEvent) -> DeployedStack | None:
        """Bring up everything of the agent's stack that a new version of the runtime needs."""
        cloud, current = self._context.cloud, self.current
        secret = self._secret
        stack, deployed = self._desired.stack("", None), cloud.restore(current.stack, on_event)
        foundation = foundation_of(stack)
        if current.runtime is None and foundation.resources:
            deployed = cloud.apply(foundation, deployed, on_event)
        elif secret and SECRET not in current.resources:
            deployed = cloud.apply(keep_runtime(stack, current), deployed, on_event)
        if deployed and secret and current.secret.variables != secret:
            write_secret(self._context.aws, deployed, secret)
        return deployed


def _log_groups_of(runtime_id: str, deployment: Deployment) -> list[str]:
    endpoint = aws_names.endpoint_name_for(deployment.stage.name)
    names = (agentcore.DEFAULT_ENDPOINT, endpoint)
    return [aws_names.log_group_for(runtime_id, name) for name in names]


def _existing_groups(logs: Any, runtime_id: str) -> dict[str, dict[str, Any]]:
    """Return the runtime's log groups by name, from DescribeLogGroups."""
    listed = logs.describe_log_groups(logGroupNamePrefix=aws_names.log_group_for(runtime_id, ""))
    return {group["logGroupName"]: group for group in listed["logGroups"]}


def _set_log_retention(logs: Any, runtime_id: str, deployment: Deployment) -> None:
    """Set how long the runtime's logs are kept, their key and their tags.

    AgentCore creates a log group when an endpoint's first container starts; groups that do not
    exist yet are created here. Callers name the stage's endpoint; without a name they get DEFAULT.
    """
    days, key = deployment.stage.log_retention_days, deployment.stage.kms_key
    existing = _existing_groups(logs, runtime_id)
    for name in _log_groups_of(runtime_id, deployment):
        group = existing.get(name, {})
        if not group:
            # AgentCore may create it at the same moment.
            with ignoring("ResourceAlreadyExistsException"):
                logs.create_log_group(logGroupName=name, tags=deployment.tags())
        elif deployment.stage.tags:
            _tag(logs, group["arn"].removesuffix(":*"), deployment.stage.tags)
        if group.get("retentionInDays") != days:
            logs.put_retention_policy(logGroupName=name, retentionInDays=days)
        if key and group.get("kmsKeyId") != key:
            logs.associate_kms_key(logGroupName=name, kmsKeyId=key)


def _tag(logs: Any, arn: str, tags: Mapping[str, str]) -> None:
    """Put the administrator's tags on a log group that stands, which is in no stack."""
    existing = logs.list_tags_for_resource(resourceArn=arn)["tags"]
    if not tags.items() <= existing.items():
        logs.tag_resource(resourceArn=arn, tags=dict(tags))
