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

    images: Stack | None
    """None when the stage uses a repository that exists."""
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
    images = None if deployment.stage.repository else images_stack(deployment)
    return DesiredShared(images, network)


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
        given = context.request.deployment.stage.repository
        self.repository.existing = given or self.current.repository

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
        """Names of the deployed stacks, as voicecore gives them."""
        current, name = self.current, self._context.request.project.name
        images = {aws_names.images_stack_name_for(name)} if current.images else set[str]()
        return images | ({aws_names.network_stack_name_for(name)} if current.network else set())

    @property
    def up_to_date(self) -> bool:
        """True when the current state matches the desired one."""
        return all(
            current is not None and self._context.cloud.is_current(desired, current)
            for desired, current in self._pairs
        )

    def plan(self) -> list[StackPlan]:
        """Return what applying would change."""
        return [plan_stack(self._context.cloud, *pair) for pair in self._pairs]

    def start(self, on_event: OnEvent) -> Future[str]:
        """Start to bring both stacks to their desired state; gives the repository's URI."""
        cloud, tasks = self._context.cloud, self._context.tasks
        images, network = self.desired.images, self.desired.network
        self._applied_network = tasks.start(
            lambda: cloud.ensure(network, on_event) if network else None
        )
        given = self._context.request.deployment.stage.repository
        return tasks.start(
            lambda: cloud.ensure(images, on_event).outputs[REPOSITORY_URI] if images else given
        )

    @property
    def _pairs(self) -> list[tuple[Stack, DeployedStack | None]]:
        """The desired stacks, each with the deployed one."""
        images, network = self.desired.images, self.desired.network
        pairs = ((images, self.current.images), (network, self.network))
        return [(desired, current) for desired, current in pairs if desired]

    def applied_network(self) -> DeployedStack | None:
        """Return the network that this stage uses, once `start` has brought it up to date."""
        if self._applied_network is None:
            return self.network
        return self._context.tasks.result(self._applied_network)
