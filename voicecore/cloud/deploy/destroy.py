"""Takes a stage away: what was made for it, nothing else, and looks that nothing is left."""

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
from voicecore.cloud.deploy import ecs_service, inventory
from voicecore.cloud.deploy.cloudformation import CloudFormation, StackFailed, Tell
from voicecore.cloud.deploy.inventory import Interface, StackFound, Thing
from voicecore.cloud.stacks.ecs_load_balancer import DRAIN_ATTRIBUTE
from voicecore.cloud.stacks.network_stack import SUBNETS
from voicecore.project import aws_names

_TARGETS = "AWS::ElasticLoadBalancingV2::TargetGroup"

_LOOK_AGAIN = 60.0
"""Seconds between looks, in the long run, at interfaces that AgentCore keeps for hours."""


class StillNeeded(AwsRefused):
    """Other stages stand on what was to be removed."""


class SomethingLeft(AwsRefused):
    """Not all is gone."""


@dataclass(frozen=True)
class Removal:
    """What is removed of a project in one region, in this order, and what is kept."""

    project: str
    stage: str
    stacks: tuple[StackFound, ...]
    log_groups: tuple[str, ...]
    kept: tuple[StackFound, ...]
    """Shared stacks and other stages."""
    only_server: bool = False
    """Whether the stage stays, but for its session server."""
    bridged: bool = False
    """Whether that server may be one that carries calls."""

    @property
    def empty(self) -> bool:
        """Whether there is nothing to remove."""
        return not self.stacks and not self.log_groups

    @property
    def network(self) -> StackFound | None:
        """The network's stack, if it is removed."""
        name = aws_names.network_stack_name_for(self.project)
        return next((stack for stack in self.stacks if stack.name == name), None)

    @property
    def images(self) -> bool:
        """Whether the images are removed."""
        return aws_names.images_stack_name_for(self.project) in {
            stack.name for stack in self.stacks
        }


@dataclass(frozen=True)
class Held:
    """What AWS does not let go of yet."""

    interfaces: tuple[Interface, ...]
    until: datetime
    """When it will have, at the latest."""


def removal_of(
    project: str,
    stage: str,
    found: Sequence[StackFound],
    log_groups: Sequence[str],
    network: bool,
) -> Removal:
    """What is removed with this stage, of the project's stacks that were found.

    The images go with the last stage, the network when `network` says so. Raises StillNeeded if
    it does and another stage is there.
    """
    server, own, images, shared_network = (
        aws_names.server_for(project, stage),
        aws_names.stack_name_for(project, stage),
        aws_names.images_stack_name_for(project),
        aws_names.network_stack_name_for(project),
    )
    mine = (server, own, images, shared_network)
    others = sorted({stack.stage for stack in found if stack.name not in mine})
    if network and others:
        raise StillNeeded(
            f"The network is shared with {', '.join(others)}; nothing was removed.",
            "\n".join(
                ["Remove those first, or leave the network:"]
                + [f"voicecore destroy --stage {stage}" for stage in others]
            ),
        )
    # The server first: it should find its agent for as long as it stands.
    going = [server, own] if others else [server, own, images]
    going += [shared_network] if network else []
    by_name = {stack.name: stack for stack in found}
    return Removal(
        project=project,
        stage=stage,
        stacks=tuple(by_name[name] for name in going if name in by_name),
        log_groups=tuple(log_groups),
        kept=tuple(stack for stack in found if stack.name not in going),
    )


def removal_of_server(project: str, stage: str, found: Sequence[StackFound]) -> Removal:
    """What is removed when nothing but the session server is."""
    name = aws_names.server_for(project, stage)
    return Removal(
        project=project,
        stage=stage,
        stacks=tuple(stack for stack in found if stack.name == name),
        log_groups=(),
        kept=tuple(stack for stack in found if stack.name != name),
        only_server=True,
    )


def removal_of_network(project: str, found: Sequence[StackFound], users: Sequence[str]) -> Removal:
    """What is removed when nothing but the network is; `users` are the stages that stand in it.

    Raises StillNeeded if there are any.
    """
    if users:
        raise StillNeeded(
            f"The network is needed by {', '.join(users)}; nothing was removed.",
            'Say network = "public" in voicecore.toml and deploy those again, or remove all of '
            f"them:  voicecore destroy --stage {users[0]}",
        )
    name = aws_names.network_stack_name_for(project)
    return Removal(
        project=project,
        stage=aws_names.SHARED,
        stacks=tuple(stack for stack in found if stack.name == name),
        log_groups=(),
        kept=tuple(stack for stack in found if stack.name != name),
    )


def users_of_network(cloud: CloudFormation, project: str, found: Sequence[StackFound]) -> list[str]:
    """The stages whose runtimes are in the network that voicecore made."""
    network = cloud.find(aws_names.network_stack_name_for(project))
    shared = (aws_names.network_stack_name_for(project), aws_names.images_stack_name_for(project))
    subnets = network.outputs.get(SUBNETS) if network else None
    stages = [(stack.stage, cloud.find(stack.name)) for stack in found if stack.name not in shared]
    users = [s for s, live in stages if live and subnets == live.parameters.get(SUBNETS, "")]
    return list(dict.fromkeys(users))


def cut_by(aws: Aws, removal: Removal) -> str:
    """Which calls run through what is removed, and would be cut; empty for none."""
    server = aws_names.server_for(removal.project, removal.stage)
    if not removal.bridged or server not in {stack.name for stack in removal.stacks}:
        return ""
    try:
        found = ecs_service.find(aws, server, calls=True)
    except ClientError as error:
        # Who may not look at ECS has a server on Lambda.
        if not is_denied(error):
            raise
        return ""
    return f"About {found.open_calls}, and would be cut." if found and found.calls else ""


def remove(aws: Aws, cloud: CloudFormation, removal: Removal, tell: Tell) -> Held | None:
    """Remove it all, in order; returns what AWS keeps of the network for some hours more."""
    logs = aws.client("logs")
    for stack in removal.stacks:
        if stack != removal.network:
            _cut(aws, cloud, stack)
            _delete(cloud, stack, tell)
    if removal.only_server:
        return None
    # Again by name: a runtime writes until it is gone, and may have made a group meanwhile.
    for group in inventory.log_groups(aws, removal.project, removal.stage):
        with ignoring("ResourceNotFoundException"):
            logs.delete_log_group(logGroupName=group.name)
    if removal.network is None:
        return None
    return _remove_network(aws, cloud, removal.project, removal.network, tell)


def wait_and_remove(
    aws: Aws, cloud: CloudFormation, removal: Removal, tell: Tell, pause: Sleep
) -> None:
    """Remove the network as soon as AgentCore lets go of its interfaces."""
    waits = poll_intervals(longest=_LOOK_AGAIN)
    while _held(aws, removal.project):
        pause(next(waits))
    if removal.network:
        _delete(cloud, removal.network, tell)


def left_of(aws: Aws, removal: Removal) -> list[Thing]:
    """What is still there of what was removed."""
    left = inventory.of_server(aws, removal.project, removal.stage, removal.bridged)
    if removal.only_server:
        return left
    left += inventory.of_stage(aws, removal.project, removal.stage)
    if removal.images:
        left += inventory.of_images(aws, removal.project)
    if removal.network:
        left += inventory.of_network(aws, removal.project)
    return left


def _remove_network(
    aws: Aws, cloud: CloudFormation, project: str, network: StackFound, tell: Tell
) -> Held | None:
    """The NAT gateways, which cost, go at once; subnets may be held by AgentCore's interfaces."""
    try:
        _delete(cloud, network, tell)
    except StackFailed:
        held = _held(aws, project)
        if not held:
            # They were let go of in this moment; or something else is wrong, and says so again.
            _delete(cloud, network, tell)
            return None
        since = inventory.last_deletion(aws, project) or datetime.now(UTC)
        return Held(tuple(held), since + inventory.LINGERING)
    return None


def _held(aws: Aws, project: str) -> list[Interface]:
    vpcs = [t.name for t in inventory.of_network(aws, project) if t.kind == "VPC"]
    return [interface for vpc in vpcs for interface in inventory.interfaces(aws, vpc)]


def _cut(aws: Aws, cloud: CloudFormation, stack: StackFound) -> None:
    """Have a server's load balancer wait for no calls: else that lasts as long as an update may."""
    for made in cloud.resources(stack.id):
        if made["ResourceType"] == _TARGETS and made.get("PhysicalResourceId"):
            with ignoring("TargetGroupNotFound"):
                aws.client("elbv2").modify_target_group_attributes(
                    TargetGroupArn=made["PhysicalResourceId"],
                    Attributes=[{"Key": DRAIN_ATTRIBUTE, "Value": "0"}],
                )


def _delete(cloud: CloudFormation, stack: StackFound, tell: Tell) -> None:
    live = cloud.wait(stack.id, tell)
    if live and live.status != "DELETE_COMPLETE":
        cloud.delete(live, tell)
