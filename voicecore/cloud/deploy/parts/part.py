"""Owns what the parts of a stage have in common: the Part protocol and what all parts use.

A deploy calls the same methods of each part, in this order: `read` its current state, `plan` the
changes, `apply` them, `verify` the result. Each part is a class of its own, in `stage_parts`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from voicecore.aws.session import Aws
from voicecore.aws.task_group import TaskGroup
from voicecore.cloud.deploy.parts.image_build import ImageBuild, ImageSource
from voicecore.cloud.deploy.parts.state_reader import StateReader
from voicecore.cloud.deploy.plan import (
    StackPlan,
    compare_templates,
    plan_creation,
    plan_restoration,
    plan_update,
)
from voicecore.cloud.deploy.progress import BufferedProgress, ProgressBoard
from voicecore.cloud.deploy.request import DeployRequest
from voicecore.cloud.preflight.checks import PreflightCheck
from voicecore.cloud.resources.cloudformation import CloudFormation
from voicecore.cloud.resources.deployed_stack import DeployedStack
from voicecore.cloud.resources.inventory import FoundResource
from voicecore.cloud.resources.restoration import restoration_of
from voicecore.cloud.stacks.stack import Stack
from voicecore.console.output import Output

UNKNOWN_DIGEST = "sha256:" + "0" * 64
"""Digest in a plan for an image that is not built yet."""


@dataclass(frozen=True)
class PartContext:
    """The request, the account and the helpers that all parts of one deploy use."""

    request: DeployRequest
    aws: Aws
    cloud: CloudFormation
    tasks: TaskGroup
    reader: StateReader
    images: ImageSource
    on_progress: BufferedProgress
    """Takes the progress of image builds."""


class Part(Protocol):
    """One deployable part of a stage, with a stack and an image of its own."""

    name: ClassVar[str]
    """Its folder in the project."""

    @staticmethod
    def stack_name(project: str, stage: str) -> str:
        """Return the name of its stack."""
        ...

    @staticmethod
    def resources(aws: Aws, project: str, stage: str, carries_calls: bool) -> list[FoundResource]:
        """Return its resources in AWS, found without its stack."""
        ...

    @property
    def verifying(self) -> str:
        """Progress line of `verify`."""
        ...

    @property
    def image(self) -> ImageBuild:
        """Its image."""
        ...

    @property
    def deployed(self) -> DeployedStack | None:
        """Its stack before the deploy; None if there is none; known after `read`."""
        ...

    @property
    def needed(self) -> bool:
        """True when the part was asked for or is deployed; known after `read`."""
        ...

    @property
    def up_to_date(self) -> bool:
        """True when the current state matches the desired one."""
        ...

    def read(self) -> None:
        """Read the current state, after operations in progress."""
        ...

    def checks(self) -> Sequence[PreflightCheck]:
        """Return its preflight checks."""
        ...

    def warnings(self) -> Sequence[str]:
        """Return warnings to show before the plan is applied."""
        ...

    def wait_until_ready(self, output: Output) -> None:
        """Wait until the part can be changed."""
        ...

    def plan(self) -> Sequence[StackPlan]:
        """Return what `apply` would change."""
        ...

    def apply(self, stacks: Mapping[str, DeployedStack], board: ProgressBoard) -> DeployedStack:
        """Bring the part to its desired state; `stacks` are those of parts applied before."""
        ...

    def verify(self, stack: DeployedStack, changed: bool) -> None:
        """Wait until the part works, and set what no stack can set; `changed`: after a plan."""
        ...


def plan_stack(cloud: CloudFormation, stack: Stack, deployed: DeployedStack | None) -> StackPlan:
    """Return what bringing a stack to its desired state would change.

    Raises StackFailed for a stack that cannot be restored.
    """
    if deployed is None or not deployed.updatable:
        return plan_creation(stack)
    if deployed.missing:
        # A change set may need attributes of what is missing.
        template = cloud.template_of(deployed)
        restoration_of(deployed, template)  # refuses what cannot be restored
        rest = compare_templates(stack, deployed, template)
        return plan_restoration(deployed.missing, rest)
    changes = None if cloud.is_current(stack, deployed) else cloud.changes(stack, deployed)
    return plan_update(changes) if changes else StackPlan(stack.name, ())
