"""Owns the removal of a stage: what is deleted and kept, in which order, and what remains."""

# botocore has no types.
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from botocore.exceptions import ClientError

from voicecore.aws.errors import AwsRefused, ignoring, is_denied
from voicecore.aws.polling import Sleep, poll_intervals
from voicecore.aws.session import Aws
from voicecore.cloud.deploy.parts.part import Part
from voicecore.cloud.deploy.parts.server import ServerPart
from voicecore.cloud.deploy.parts.stage_parts import PARTS
from voicecore.cloud.resources import agentcore, ecs_service, inventory
from voicecore.cloud.resources.cloudformation import CloudFormation, OnEvent
from voicecore.cloud.resources.inventory import FoundResource, NetworkInterface, StackSummary
from voicecore.cloud.resources.stack_failure import StackFailed
from voicecore.cloud.stacks.ecs_load_balancer import DRAIN_ATTRIBUTE
from voicecore.cloud.stacks.network_stack import SUBNETS
from voicecore.project import aws_names

_RUNTIME = "AWS::BedrockAgentCore::Runtime"
_TARGET_GROUP = "AWS::ElasticLoadBalancingV2::TargetGroup"

_LONGEST_PAUSE = 60.0
"""Longest time between looks at interfaces that AgentCore keeps for hours, in seconds."""


class StillUsed(AwsRefused):
    """Another stage uses what was to be deleted."""


class DeployedByOthers(AwsRefused):
    """A stack was deployed from an exported template under another name."""


class ResourcesLeft(AwsRefused):
    """Resources of a deleted stage still exist."""


@dataclass(frozen=True)
class Removal:
    """The stacks of a project in one region to delete, in order, and those to keep."""

    project: str
    stage: str
    parts: tuple[type[Part], ...]
    """Parts of the stage that are deleted."""
    stacks: tuple[StackSummary, ...]
    log_groups: tuple[str, ...]
    kept: tuple[StackSummary, ...]
    """Shared stacks and other stages."""
    carries_calls: bool = False
    """True when the stage may have a server that carries calls."""

    @property
    def empty(self) -> bool:
        """True when there is nothing to delete."""
        return not self.stacks and not self.log_groups

    @property
    def whole_stage(self) -> bool:
        """True when the stage is deleted with all its parts."""
        return self.parts == PARTS

    @property
    def network(self) -> StackSummary | None:
        """The network's stack, if it is deleted."""
        name = aws_names.network_stack_name_for(self.project)
        return next((stack for stack in self.stacks if stack.name == name), None)

    @property
    def images(self) -> bool:
        """True when the image repository is deleted."""
        return self.deletes(aws_names.images_stack_name_for(self.project))

    def deletes(self, stack: str) -> bool:
        """Return True when the stack of this name is deleted."""
        return stack in {each.name for each in self.stacks}


@dataclass(frozen=True)
class HeldNetwork:
    """Network interfaces that AgentCore keeps, which block deleting the network."""

    interfaces: tuple[NetworkInterface, ...]
    until: datetime
    """Latest time at which AgentCore releases them."""


def stage_removal(
    project: str,
    stage: str,
    found: Sequence[StackSummary],
    log_groups: Sequence[str],
    with_network: bool,
) -> Removal:
    """Return the removal of a stage, from the project's stacks that were `found`.

    The image repository is deleted with the last stage, the network only `with_network`. Raises
    StillUsed for the network when there are other stages, and DeployedByOthers.
    """
    images = aws_names.images_stack_name_for(project)
    network = aws_names.network_stack_name_for(project)
    # In reverse: the server goes before the agent that it calls.
    own = [part.stack_name(project, stage) for part in reversed(PARTS)]
    ours = (*own, images, network)
    _refuse_stacks_of_others(
        [each.name for each in found if each.stage == stage and each.name not in ours]
    )
    other = {each.stage for each in found if each.name not in ours}
    others = sorted(other - {aws_names.SHARED})
    if with_network and others:
        raise StillUsed(
            f"The network is shared with {', '.join(others)}; nothing was deleted.",
            "\n".join(
                ["Delete those stages first, or keep the network:"]
                + [f"voicecore destroy --stage {stage}" for stage in others]
            ),
        )
    deleted = own if others else [*own, images]
    deleted += [network] if with_network else []
    by_name = {stack.name: stack for stack in found}
    return Removal(
        project=project,
        stage=stage,
        parts=PARTS,
        stacks=tuple(by_name[name] for name in deleted if name in by_name),
        log_groups=tuple(log_groups),
        kept=tuple(stack for stack in found if stack.name not in deleted),
    )


def require_tagged(
    cloud: CloudFormation, project: str, stage: str, found: Sequence[StackSummary]
) -> None:
    """Raise DeployedByOthers for stacks of the stage that are not among those `found` by tags."""
    known = {each.name for each in found}
    stacks = [cloud.find(part.stack_name(project, stage)) for part in PARTS]
    _refuse_stacks_of_others([each.name for each in stacks if each and each.name not in known])


def _refuse_stacks_of_others(names: Sequence[str]) -> None:
    if names:
        raise DeployedByOthers(
            f"Others deployed {', '.join(names)} from an exported template; nothing was deleted.",
            "\n".join(
                ["Delete it as it was deployed, for example by its stack set, or:"]
                + [f"aws cloudformation delete-stack --stack-name {name}" for name in names]
            ),
        )


def server_removal(project: str, stage: str, found: Sequence[StackSummary]) -> Removal:
    """Return the removal of a stage's session server alone."""
    name = ServerPart.stack_name(project, stage)
    return _single_removal(project, stage, name, found, (ServerPart,))


def network_removal(project: str, found: Sequence[StackSummary], users: Sequence[str]) -> Removal:
    """Return the removal of the network alone; raises StillUsed if any stages use it."""
    if users:
        raise StillUsed(
            f"The network is used by {', '.join(users)}; nothing was deleted.",
            'Set network = "public" in voicecore.toml and deploy those stages again, or delete '
            f"them:  voicecore destroy --stage {users[0]}",
        )
    name = aws_names.network_stack_name_for(project)
    return _single_removal(project, aws_names.SHARED, name, found, PARTS)


def _single_removal(
    project: str,
    stage: str,
    name: str,
    found: Sequence[StackSummary],
    parts: tuple[type[Part], ...],
) -> Removal:
    return Removal(
        project=project,
        stage=stage,
        parts=parts,
        stacks=tuple(stack for stack in found if stack.name == name),
        log_groups=(),
        kept=tuple(stack for stack in found if stack.name != name),
    )


def network_users(cloud: CloudFormation, project: str, found: Sequence[StackSummary]) -> list[str]:
    """Return the stages whose runtimes are in the network that voicecore created."""
    network = cloud.find(aws_names.network_stack_name_for(project))
    shared = (aws_names.network_stack_name_for(project), aws_names.images_stack_name_for(project))
    subnets = network.outputs.get(SUBNETS) if network else None
    stages = [(stack.stage, cloud.find(stack.name)) for stack in found if stack.name not in shared]
    users = [s for s, stack in stages if stack and subnets == stack.parameters.get(SUBNETS, "")]
    return list(dict.fromkeys(users))


def calls_warning(aws: Aws, removal: Removal) -> str:
    """Return a warning that the removal cuts off open calls; empty without calls."""
    server = ServerPart.stack_name(removal.project, removal.stage)
    if not removal.carries_calls or not removal.deletes(server):
        return ""
    try:
        found = ecs_service.find(aws, server, count_calls=True)
    except ClientError as error:
        # An identity without access to ECS deployed its server to Lambda.
        if not is_denied(error):
            raise
        return ""
    if found is None or not found.calls:
        return ""
    return f"About {found.open_calls}; deleting the server cuts them off."


def remove(
    aws: Aws, cloud: CloudFormation, removal: Removal, on_event: OnEvent, pause: Sleep
) -> HeldNetwork | None:
    """Delete everything in order; return what AgentCore keeps of the network for some hours."""
    logs = aws.client("logs")
    for stack in removal.stacks:
        if stack != removal.network:
            _end_calls(aws, cloud, stack)
            _let_runtime_settle(aws, cloud, stack, on_event, pause)
            _delete(cloud, stack, on_event)
    if not removal.whole_stage:
        return None
    # Search again: a runtime writes until it is deleted, and may have created a group meanwhile.
    for group in inventory.log_groups(aws, removal.project, removal.stage):
        with ignoring("ResourceNotFoundException"):
            logs.delete_log_group(logGroupName=group.name)
    if removal.network is None:
        return None
    return _delete_network(aws, cloud, removal.project, removal.network, on_event)


def wait_and_remove(
    aws: Aws, cloud: CloudFormation, removal: Removal, on_event: OnEvent, pause: Sleep
) -> None:
    """Delete the network once AgentCore has released its interfaces."""
    waits = poll_intervals(longest=_LONGEST_PAUSE)
    while _held_interfaces(aws, removal.project):
        pause(next(waits))
    if removal.network:
        _delete(cloud, removal.network, on_event)


def remaining(aws: Aws, removal: Removal) -> list[FoundResource]:
    """Return the resources that still exist of what was deleted."""
    found = [
        resource
        for part in reversed(removal.parts)
        for resource in part.resources(aws, removal.project, removal.stage, removal.carries_calls)
    ]
    if removal.images:
        found += inventory.image_resources(aws, removal.project)
    if removal.network:
        found += inventory.network_resources(aws, removal.project)
    return found


def _delete_network(
    aws: Aws, cloud: CloudFormation, project: str, network: StackSummary, on_event: OnEvent
) -> HeldNetwork | None:
    """Delete the NAT gateways, which cost, at once; AgentCore's interfaces may keep the rest."""
    try:
        _delete(cloud, network, on_event)
    except StackFailed:
        held = _held_interfaces(aws, project)
        if not held:
            # Released in the meantime, or another cause, which fails again.
            _delete(cloud, network, on_event)
            return None
        since = inventory.last_deletion(aws, project) or datetime.now(UTC)
        return HeldNetwork(tuple(held), since + inventory.INTERFACE_RETENTION)
    return None


def _held_interfaces(aws: Aws, project: str) -> list[NetworkInterface]:
    vpcs = [r.name for r in inventory.network_resources(aws, project) if r.kind == "VPC"]
    return [interface for vpc in vpcs for interface in inventory.interfaces(aws, vpc)]


def _end_calls(aws: Aws, cloud: CloudFormation, stack: StackSummary) -> None:
    """Set the deregistration delay to 0: otherwise deleting waits as long as an update may."""
    for resource in cloud.resources(stack.id):
        if resource["ResourceType"] == _TARGET_GROUP and resource.get("PhysicalResourceId"):
            with ignoring("TargetGroupNotFound"):
                aws.client("elbv2").modify_target_group_attributes(
                    TargetGroupArn=resource["PhysicalResourceId"],
                    Attributes=[{"Key": DRAIN_ATTRIBUTE, "Value": "0"}],
                )


def _let_runtime_settle(
    aws: Aws, cloud: CloudFormation, stack: StackSummary, on_event: OnEvent, pause: Sleep
) -> None:
    """Wait for a version in the making: AgentCore deletes no runtime before (ConflictException)."""
    cloud.wait(stack.id, on_event)
    for resource in cloud.resources(stack.id):
        if resource["ResourceType"] == _RUNTIME and resource.get("PhysicalResourceId"):
            control = aws.client("bedrock-agentcore-control")
            agentcore.settled(control, resource["PhysicalResourceId"], pause)


def _delete(cloud: CloudFormation, stack: StackSummary, on_event: OnEvent) -> None:
    deployed = cloud.wait(stack.id, on_event)
    if deployed and deployed.status != "DELETE_COMPLETE":
        cloud.delete(deployed, on_event)
