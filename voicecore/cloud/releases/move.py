"""Owns moving callers to another version of a stage's agent.

The stack's parameter says where callers are, so CloudFormation moves the endpoint: it is the lock
against deploys and other moves, and the next deploy finds nothing that it does not know.
"""

from __future__ import annotations

from collections.abc import Callable

from voicecore.aws.polling import Sleep
from voicecore.aws.session import Aws
from voicecore.cloud.releases.history import StageVersion, StageVersions, require_deployed
from voicecore.cloud.resources import agentcore
from voicecore.cloud.resources.cloudformation import CloudFormation, OnEvent
from voicecore.cloud.resources.deployed_stack import DeployedStack, StackEvent
from voicecore.cloud.resources.stack_failure import StackBusy
from voicecore.cloud.stacks.stack import Json, Stack
from voicecore.cloud.stacks.versions import NEW, live_in
from voicecore.project import aws_names

StillWanted = Callable[[DeployedStack], bool]
"""Takes the stack when no operation is in progress; returns whether to move callers."""


def moved(stack: DeployedStack, template: Json, version: str) -> Stack:
    """Return the deployed stack with its endpoint at another version of the runtime."""
    live = (live_in(stack.parameters) or NEW).moved(version)
    declared: Json = template.get("Parameters", {})
    values = {k: v for k, v in live.parameters.items() if k in declared}
    return Stack(stack.name, template, {**stack.parameters, **values}, dict(stack.tags))


def move_stack(
    cloud: CloudFormation,
    stack: DeployedStack,
    version: str,
    wanted: StillWanted,
    on_event: OnEvent,
    pause: Sleep,
) -> DeployedStack:
    """Move the endpoint in a stage's stack, and return the stack.

    `on_event` takes the events of other operations, which are waited for.
    """
    project = stack.tags.get(aws_names.TAG_PROJECT, stack.name)
    while True:
        settled = cloud.wait(stack.name, on_event)
        deployed = require_deployed(settled, project, stack.tags.get(aws_names.TAG_STAGE, ""))
        if not wanted(deployed):
            return deployed
        # A rollback that failed is finished first: its template is not what is deployed.
        ready = cloud.prepare(deployed, _ignore) or deployed
        try:
            return cloud.apply(moved(ready, cloud.template_of(ready), version), ready, _ignore)
        except StackBusy:
            pause(1)


def _ignore(event: StackEvent) -> None:
    """Show nothing: callers show the move as one step."""


def move_callers(
    aws: Aws,
    cloud: CloudFormation,
    found: StageVersions,
    target: StageVersion,
    again: str,
    on_event: OnEvent,
    pause: Sleep,
) -> None:
    """Move callers to a version that has no problem, and return once they reach it.

    Raises StackBusy if others moved them since `found` was read; `again` is the command to repeat.
    """
    version = target.runtime.version if target.runtime else ""

    def wanted(deployed: DeployedStack) -> bool:
        now = live_in(deployed.parameters) or NEW
        if now.version not in (version, found.said.version):
            raise StackBusy(
                f"Another command has moved callers to AgentCore's version {now.version} since "
                "this plan was made. This command changed nothing.",
                f"To see the current plan, run:\n{again}",
            )
        return now.version != version

    stack = move_stack(cloud, found.stack, version, wanted, on_event, pause)
    name = aws_names.endpoint_name_for(found.stage)
    control = aws.client("bedrock-agentcore-control")
    agentcore.point_endpoint(control, stack.outputs["RuntimeId"], name, version, pause)
