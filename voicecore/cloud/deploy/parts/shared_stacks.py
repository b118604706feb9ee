"""Owns the stacks that the stages of a project share: the image repository and the network."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cached_property

from voicecore.cloud.deploy.parts.image_build import ImageRepository
from voicecore.cloud.deploy.parts.part import PartContext, plan_stack
from voicecore.cloud.deploy.parts.state_reader import StateReader
from voicecore.cloud.deploy.plan import StackPlan
from voicecore.cloud.preflight.network import availability_zones
from voicecore.cloud.resources.cloudformation import OnEvent
from voicecore.cloud.resources.deployed_stack import DeployedStack
from voicecore.cloud.stacks import zones
from voicecore.cloud.stacks.deployment import Deployment
from voicecore.cloud.stacks.images_stack import REPOSITORY_URI, images_stack
from voicecore.cloud.stacks.network_stack import network_stack
from voicecore.cloud.stacks.stack import Stack
from voicecore.project import aws_names


@dataclass(frozen=True)
class CurrentShared:
    """The current state of the shared stacks."""

    images: DeployedStack | None = None
    network: DeployedStack | None = None

    @property
    def repository(self) -> str:
        """URI of the image repository; empty if its stack is not complete."""
        images = self.images
        whole = images and images.updatable and not images.missing
        return images.outputs[REPOSITORY_URI] if images and whole else ""


@dataclass(frozen=True)
class DesiredShared:
    """The desired state of the shared stacks."""

    images: Stack
    network: Stack | None
    """None when the stage uses AgentCore's own network or the user's."""


def read_images(reader: StateReader, project: str) -> DeployedStack | None:
    """Return the stack of the image repository."""
    return reader.settled(reader.cloud.find(aws_names.images_stack_name_for(project)))


def read_network(reader: StateReader, project: str) -> DeployedStack | None:
    """Return the stack of the network."""
    return reader.settled(reader.cloud.find(aws_names.network_stack_name_for(project)))


def desired_shared(
    deployment: Deployment, zone_ids: Sequence[str], current: CurrentShared
) -> DesiredShared:
    """Return the desired stacks; a deployed network keeps its zones."""
    network = network_stack(deployment, zone_ids) if deployment.creates_network else None
    if network and current.network:
        network = network.keeping(current.network.parameters)
    return DesiredShared(images_stack(deployment), network)


class SharedStacks:
    """The shared stacks during a deploy, and the one place that knows the image repository."""

    def __init__(self, context: PartContext) -> None:
        self._context = context
        self.current = CurrentShared()
        self.repository = ImageRepository(context.tasks)
        self._applied_network: Future[DeployedStack | None] | None = None

    def read(self) -> None:
        """Read the current state of both stacks in parallel."""
        context, name = self._context, self._context.request.project.name
        network = context.tasks.start(lambda: read_network(context.reader, name))
        images = read_images(context.reader, name)
        self.current = CurrentShared(images, context.tasks.result(network))
        self.repository.existing = self.current.repository

    @cached_property
    def desired(self) -> DesiredShared:
        """The desired state; asks AWS for its zones before a network exists."""
        deployment, aws = self._context.request.deployment, self._context.aws
        chosen: tuple[str, ...] = ()
        if deployment.creates_network:
            chosen = (
                zones.SUPPORTED_ZONES[aws.region][: zones.ZONES_PER_NETWORK]
                if self.current.network
                else zones.choose_zones(aws.region, availability_zones(aws))
            )
        return desired_shared(deployment, chosen, self.current)

    @property
    def network(self) -> DeployedStack | None:
        """The deployed network that this stage uses; None if it uses none or has none yet."""
        return self.current.network if self.desired.network else None

    @property
    def unused_network(self) -> str:
        """Name of a deployed network's stack that this stage does not use; empty for none."""
        network = self.current.network
        unused = network and network.updatable and not self.desired.network
        return network.name if network and unused else ""

    @property
    def existing(self) -> set[str]:
        """Names of the deployed stacks."""
        return {stack.name for stack in (self.current.images, self.current.network) if stack}

    @property
    def up_to_date(self) -> bool:
        """True when the current state matches the desired one."""
        cloud, desired, images = self._context.cloud, self.desired, self.current.images
        if desired.network and not (
            self.network and cloud.is_current(desired.network, self.network)
        ):
            return False
        return images is not None and cloud.is_current(desired.images, images)

    def plan(self) -> list[StackPlan]:
        """Return what applying would change."""
        plans = [plan_stack(self._context.cloud, self.desired.images, self.current.images)]
        if self.desired.network:
            plans.append(plan_stack(self._context.cloud, self.desired.network, self.network))
        return plans

    def start(self, on_event: OnEvent) -> Future[DeployedStack]:
        """Start to bring both stacks to their desired state; gives the images stack."""
        cloud, tasks, network = self._context.cloud, self._context.tasks, self.desired.network
        self._applied_network = tasks.start(
            lambda: cloud.ensure(network, on_event) if network else None
        )
        return tasks.start(lambda: cloud.ensure(self.desired.images, on_event))

    def applied_network(self) -> DeployedStack | None:
        """Return the network that this stage uses, once `start` has brought it up to date."""
        if self._applied_network is None:
            return self.network
        return self._context.tasks.result(self._applied_network)
