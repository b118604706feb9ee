"""Owns the session server's part in a deploy: its stack, which needs the agent's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import ClassVar

from voicecore.aws.session import Aws
from voicecore.cloud.deploy.parts.agent import AgentPart
from voicecore.cloud.deploy.parts.image_build import ImageBuild
from voicecore.cloud.deploy.parts.part import UNKNOWN_DIGEST, PartContext, plan_stack
from voicecore.cloud.deploy.parts.server_health import require_health
from voicecore.cloud.deploy.parts.server_requirements import require_same_compute
from voicecore.cloud.deploy.parts.server_state import (
    CurrentServer,
    DesiredServer,
    add_secret,
    desired_server,
    read_server,
)
from voicecore.cloud.deploy.parts.shared_stacks import SharedStacks
from voicecore.cloud.deploy.parts.state_reader import write_secret
from voicecore.cloud.deploy.plan import StackPlan, secret_change
from voicecore.cloud.deploy.progress import ProgressBoard
from voicecore.cloud.preflight.build import build_results
from voicecore.cloud.preflight.checks import PreflightCheck
from voicecore.cloud.preflight.network import cloudfront_addresses
from voicecore.cloud.preflight.quotas import function_limits
from voicecore.cloud.preflight.server import server_checks
from voicecore.cloud.resources import ecs_service, inventory
from voicecore.cloud.resources.deployed_stack import DeployedStack
from voicecore.cloud.resources.ecs_service import RolloutWatch
from voicecore.cloud.resources.inventory import FoundResource
from voicecore.cloud.resources.stack_failure import StackFailed
from voicecore.cloud.stacks.ecs_load_balancer import ORIGIN_ADDRESSES, is_private
from voicecore.cloud.stacks.server_stack import SECRET, has_table
from voicecore.cloud.stacks.stack import Stack
from voicecore.console.output import Output
from voicecore.project import aws_names
from voicecore.project.project import AGENT, SERVER


class ServerPart:
    """The session server of a stage: on ECS behind a load balancer, or on Lambda."""

    name: ClassVar[str] = SERVER

    def __init__(self, context: PartContext, shared: SharedStacks, agent: AgentPart) -> None:
        self._context = context
        self._shared = shared
        self._agent = agent
        self._deployment = context.request.deployment
        self._base = context.request.server
        self._account_limit: int | None = None
        self._up_to_date: bool | None = None
        self.current = CurrentServer()
        self.image = ImageBuild(
            context.tasks,
            context.images,
            context.request.project,
            SERVER,
            shared.repository,
            context.on_progress,
        )

    @staticmethod
    def stack_name(project: str, stage: str) -> str:
        """Return the name of the server's stack."""
        return aws_names.server_for(project, stage)

    @staticmethod
    def resources(aws: Aws, project: str, stage: str, carries_calls: bool) -> list[FoundResource]:
        """Return the server's resources in AWS, found without its stack."""
        return inventory.server_resources(aws, project, stage, carries_calls)

    @property
    def verifying(self) -> str:
        """Progress line of `verify`."""
        return "Waiting for the session server"

    @property
    def deployed(self) -> DeployedStack | None:
        """Its stack before the deploy; None if there is none."""
        return self.current.stack

    @property
    def needed(self) -> bool:
        """True when the server was asked for or is deployed."""
        return bool(self._context.request.server or self.current.stack)

    def read(self) -> None:
        """Read the current state, after operations in progress other than draining tasks.

        Raises CannotDeployServer when the deployed server would have to become another kind.
        """
        self._read(wait_for_drain=False)
        if self.needed:
            stage = self._deployment.stage.name
            require_same_compute(self.carries_calls, self.current.resources, stage)

    def checks(self) -> Sequence[PreflightCheck]:
        """Return the preflight checks of the server."""
        own = server_checks(
            self._context.aws,
            self._deployment,
            self.carries_calls,
            new=self.current.stack is None,
        )
        return [*own, ("build", lambda: build_results(self._context.aws.region, self.image))]

    def warnings(self) -> Sequence[str]:
        """Return what the image build needs, and whether the load balancer stays public."""
        public = (
            "The session server's load balancer is public, and admits only CloudFront, which calls "
            "it by plain HTTP. A new one is private, under another URL:  voicecore destroy "
            f"--only-server{aws_names.stage_flag(self._deployment.stage.name)}, then deploy "
            "--server again"
        )
        could = self.current.stack and is_private(self._deployment, {})
        stays = "" if self._desired.private or not could else public
        return [*filter(None, (self.image.note, stays))]

    @property
    def up_to_date(self) -> bool:
        """True when stack, image and secret match their desired state."""
        if self._up_to_date is None:
            self._up_to_date = self._matches()
        return self._up_to_date

    @property
    def carries_calls(self) -> bool:
        """True when calls pass through the server."""
        return self._desired.carries_calls

    @property
    def has_table(self) -> bool:
        """True when the server's stack has the session table."""
        return has_table(self._desired.environment)

    @property
    def requests_at_once(self) -> int | None:
        """Requests at once that are run and paid for; None without a server on Lambda."""
        return self._desired.requests_at_once if self.needed else None

    def wait_until_ready(self, output: Output) -> None:
        """Wait for old tasks to drain, if the server must change while they do."""
        draining = self.current.draining
        if draining is None or self.up_to_date:
            return
        minutes = self._deployment.stage.server.drain_minutes
        output.say(
            "This plan changes the session server while tasks of its last update still drain "
            f"(about {draining.open_calls}), for at most {minutes} minutes. You can press Ctrl-C "
            "and deploy again later."
        )
        with output.step("Waiting for old tasks to drain"):
            self._read(wait_for_drain=True)

    def plan(self) -> Sequence[StackPlan]:
        """Return what `apply` would change in the server's stack."""
        if self.current.draining:
            # A server that must change is waited for first, so this one is up to date.
            name = self.stack_name(self._deployment.name, self._deployment.stage.name)
            return [StackPlan(name, ())]
        head = f"arn:{self._context.aws.partition}:bedrock-agentcore"
        stack = self._desired.stack(
            self.image.uri or f"{self._deployment.name}@{UNKNOWN_DIGEST}",
            self._agent.current.runtime_arn or f"{head}:::runtime/none-yet",
            self.current.secret.version,
        )
        plan = plan_stack(self._context.cloud, stack, self.current.stack)
        if SECRET not in self.current.resources:
            return [plan]
        secret = secret_change(self._desired.environment.secret, self.current.secret.variables)
        return [StackPlan(plan.stack, plan.rows + secret)]

    def apply(self, stacks: Mapping[str, DeployedStack], board: ProgressBoard) -> DeployedStack:
        """Bring the server's stack to its desired state.

        Where calls pass through the server, old tasks keep theirs and are not waited for.
        """
        image, arn = self.image.built_uri(), stacks[AGENT].outputs["RuntimeArn"]
        if self.current.draining and self.current.stack:
            return self.current.stack
        desired = self._in_applied_network()
        deployed = self._context.cloud.restore(self.current.stack, board.on_event)
        version, secret = self.current.secret.version, desired.environment.secret
        if secret and secret != self.current.secret.variables:
            # The server reads the secret when it starts.
            stack = desired.stack(image, arn, version)
            deployed, version = self._write_secret(desired, stack, deployed, board)
        stack = desired.stack(image, arn, version)
        if not desired.carries_calls:
            return self._context.cloud.apply(stack, deployed, board.on_event)
        return self._roll_out(stack, deployed, board)

    def verify(self, stack: DeployedStack, changed: bool) -> None:
        """Wait until the server answers, if anything changed. Raises ServerNotHealthy."""
        if changed:
            require_health(stack, self._context.tasks.sleep)

    @property
    def _desired(self) -> DesiredServer:
        if self._base is None:
            self._base = desired_server(self._context.request.project, self._deployment)
        if self._account_limit is None and not self._base.carries_calls:
            self._account_limit = function_limits(self._context.aws).total
            self._base = replace(self._base, account_limit=self._account_limit)
        if not self._base.carries_calls:
            return self._base
        private = is_private(self._deployment, self.current.resources)
        return self._in_network(replace(self._base, private=private), self._shared.current.network)

    def _in_applied_network(self) -> DesiredServer:
        if not self.carries_calls:
            return self._desired
        return self._in_network(self._desired, self._shared.applied_network())

    def _in_network(self, desired: DesiredServer, network: DeployedStack | None) -> DesiredServer:
        known = {ORIGIN_ADDRESSES: self._origin_addresses}
        return replace(desired, network={**network.outputs, **known} if network else known)

    @cached_property
    def _origin_addresses(self) -> str:
        """The prefix list of the addresses from which CloudFront calls; empty with a domain."""
        if self._deployment.stage.server.domain:
            return ""
        stack = self.current.stack
        known = stack.parameters.get(ORIGIN_ADDRESSES) if stack else None
        return known or cloudfront_addresses(self._context.aws)

    def _read(self, wait_for_drain: bool) -> None:
        self.current = read_server(
            self._context.reader,
            self._deployment.name,
            self._deployment.stage.name,
            wait_for_drain,
        )
        self._up_to_date = None

    def _matches(self) -> bool:
        current, cloud = self.current, self._context.cloud
        image, arn = self.image.uri, self._agent.current.runtime_arn
        if current.stack is None or not image or not arn:
            return False
        if (current.secret.variables or {}) != self._desired.environment.secret:
            return False
        stack = self._desired.stack(image, arn, current.secret.version)
        if current.draining:
            return image == current.image and cloud.matches(stack, current.stack)
        return cloud.is_current(stack, current.stack)

    def _write_secret(
        self,
        desired: DesiredServer,
        stack: Stack,
        deployed: DeployedStack | None,
        board: ProgressBoard,
    ) -> tuple[DeployedStack, str]:
        """Write the secret's value, and create the secret first if needed; return its version."""
        if SECRET not in self.current.resources or deployed is None:
            with_secret = add_secret(stack, self.current)
            deployed = self._context.cloud.apply(with_secret, deployed, board.on_event)
        version = write_secret(self._context.aws, deployed, desired.environment.secret)
        return deployed, version

    def _roll_out(
        self, stack: Stack, deployed: DeployedStack | None, board: ProgressBoard
    ) -> DeployedStack:
        """Update a server on ECS until new tasks take all calls. Raises StackFailed with why."""
        aws, current = self._context.aws, self.current
        before = ecs_service.find(aws, stack.name) if deployed else None
        watch = RolloutWatch(aws, stack.name, before, board.on_progress)
        # A stack still being updated may not show its new outputs.
        same_outputs = current.template.get("Outputs") == stack.template["Outputs"]
        try:
            return self._context.cloud.apply(
                stack, deployed, board.on_event, lambda: watch() and same_outputs
            )
        except StackFailed as error:
            if not watch.failure:
                raise
            lines = [error.message, "The last failed task:", *watch.failure]
            raise StackFailed("\n  ".join(lines), error.hint) from error
