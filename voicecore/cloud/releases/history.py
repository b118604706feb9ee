"""Owns the versions of a stage as AWS has them, and which of them callers reach.

A version of a stage is one deploy. AgentCore counts versions of its own: a deploy makes two,
because requireMMDSV2 needs an update by itself, and a failed one leaves some. Their descriptions
tell to which version of the stage they belong.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from voicecore.aws.session import Aws
from voicecore.aws.task_group import TaskGroup
from voicecore.cloud.resources import agentcore
from voicecore.cloud.resources.agentcore import Runtime
from voicecore.cloud.resources.cloudformation import CloudFormation
from voicecore.cloud.resources.deployed_stack import DeployedStack, NextStep, next_step
from voicecore.cloud.resources.ecr_images import find_image
from voicecore.cloud.stacks.agent_stack import RUNTIME
from voicecore.cloud.stacks.versions import Live, Version, live_in, versions_in
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.project import aws_names

_USABLE = (NextStep.UPDATE, NextStep.ROLL_BACK, NextStep.FINISH_ROLL_BACK, NextStep.WAIT)


class StageNotDeployed(VoicecoreError):
    """The stage has no runtime, or one of before endpoints with versions."""


@dataclass(frozen=True)
class StageVersion:
    """A version of a stage, and what AWS has of it."""

    version: Version
    runtime: Runtime | None = None
    """AgentCore's version of it that takes calls, or else its newest; None if there is none."""
    has_image: bool = False
    live: bool = False
    """True when callers reach it."""

    @property
    def name(self) -> str:
        """The version as commands take it."""
        return f"v{self.version.number}"

    @property
    def problem(self) -> str:
        """Reason that callers cannot be moved to it; empty if they can."""
        if self.runtime is None:
            return "AgentCore no longer has it"
        if not self.has_image:
            return "its image was deleted from ECR"
        if not self.runtime.mmdsv2:
            failed = f": {self.runtime.reason}" if self.runtime.reason else ""
            return f"its deploy did not finish{failed}"
        return ""


@dataclass(frozen=True)
class StageVersions:
    """The versions of a stage, and what its stack says of callers."""

    project: str
    stage: str
    stack: DeployedStack
    versions: Sequence[StageVersion]
    """Newest first."""
    said: Live
    """What the stack says of callers, in AgentCore's versions."""
    reached: str
    """AgentCore's version that callers reach; empty if the endpoint was deleted."""
    earlier: Sequence[StageVersion] = ()
    """The versions that callers reached before, in the order in which they left them."""

    @property
    def live(self) -> StageVersion | None:
        """The version that callers reach; None if it is too old to be kept."""
        return next((each for each in self.versions if each.live), None)

    @property
    def moved_by_hand(self) -> bool:
        """True when the endpoint is not where the stack says."""
        return self.reached != self.said.version


def require_deployed(stack: DeployedStack | None, project: str, stage: str) -> DeployedStack:
    """Return the stage's stack. Raises StageNotDeployed for one without a runtime."""
    usable = stack and "RuntimeId" in stack.outputs and next_step(stack.status) in _USABLE
    if stack is None or not usable:
        raise StageNotDeployed(
            f"{project} · {stage} is not deployed, so it has no versions.",
            f"Deploy it:  voicecore deploy{aws_names.stage_flag(stage)}",
            ExitCode.NOT_DEPLOYED,
        )
    return stack


def read_versions(
    aws: Aws, cloud: CloudFormation, tasks: TaskGroup, stack: DeployedStack, of: tuple[str, str]
) -> StageVersions:
    """Return the versions in a stage's stack; `of` is the names of project and stage.

    Raises StageNotDeployed for a stack of before LiveVersion.
    """
    project, stage = of
    said = live_in(stack.parameters)
    if said is None:
        raise StageNotDeployed(
            f"{project} · {stage} was deployed by an earlier voicecore, without its versions.",
            f"Deploy it once:  voicecore deploy{aws_names.stage_flag(stage)}",
            ExitCode.NOT_DEPLOYED,
        )
    control, runtime_id = aws.client("bedrock-agentcore-control"), stack.outputs["RuntimeId"]
    name = aws_names.endpoint_name_for(stage)
    endpoint = tasks.start(lambda: agentcore.endpoint(control, runtime_id, name))
    titles = tasks.start(lambda: agentcore.descriptions(control, runtime_id))
    resources = cloud.template_of(stack).get("Resources", {})
    history = versions_in(resources.get(RUNTIME, {}).get("Properties", {}).get("Tags", {}))
    numbers = {
        version: [n for n, title in tasks.result(titles).items() if title == version.title]
        for version in reversed(history)
    }
    asked = [tasks.start(partial(_read, aws, runtime_id, *each)) for each in numbers.items()]
    reached = tasks.result(endpoint)
    live = reached.live if reached else ""
    found = [
        replace(tasks.result(each), live=live in own)
        for each, own in zip(asked, numbers.values(), strict=True)
    ]
    owner = {n: each for each, own in zip(found, numbers.values(), strict=True) for n in own}
    earlier = [owner[n] for n in said.earlier if n in owner]
    return StageVersions(project, stage, stack, found, said, live, earlier)


def _read(aws: Aws, runtime_id: str, version: Version, numbers: Iterable[str]) -> StageVersion:
    """Return what AWS has of a version, whose numbers at AgentCore are newest first."""
    runtime = _taking_calls(aws.client("bedrock-agentcore-control"), runtime_id, version, numbers)
    has_image = bool(runtime and find_image(aws, runtime.image))
    return StageVersion(version, runtime, has_image)


def _taking_calls(
    control: Any, runtime_id: str, version: Version, numbers: Iterable[str]
) -> Runtime | None:
    """Return AgentCore's newest version that takes calls, or else its newest, with this image."""
    newest: Runtime | None = None
    for number in numbers:
        runtime = agentcore.find(control, runtime_id, number)
        if runtime and runtime.image.endswith(version.image):
            if runtime.mmdsv2:
                return runtime
            newest = newest or runtime
    return newest
