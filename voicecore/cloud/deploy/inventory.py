"""What there is of a project in an account: asked of each service, by tag or by name.

The Tagging API would need one call, but it goes on listing for a while what has been deleted,
and knows no IAM roles; so each service is asked itself.
"""

# botocore has no types.
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from voicecore.aws.errors import ignoring, is_denied
from voicecore.aws.session import Aws
from voicecore.project import aws_names

INTERFACE_TYPE = "agentic_ai"
"""How EC2 calls AgentCore's network interfaces (agentcore-vpc)."""

LINGERING = timedelta(hours=8)
"""For how long AgentCore keeps them after the last runtime is gone (agentcore-vpc)."""


@dataclass(frozen=True)
class Thing:
    """Something in AWS that voicecore made, or that AWS made for it."""

    kind: str
    name: str


@dataclass(frozen=True)
class StackFound:
    """A stack of the project."""

    name: str
    id: str
    status: str
    stage: str
    """`names.SHARED` for what all stages share."""


def stacks(aws: Aws, project: str) -> list[StackFound]:
    """All stacks of a project, by their tags."""
    pages = aws.client("cloudformation").get_paginator("describe_stacks").paginate()
    found: list[StackFound] = []
    for page in pages:
        for stack in page["Stacks"]:
            tags = {tag["Key"]: tag["Value"] for tag in stack.get("Tags", ())}
            if tags.get(aws_names.TAG_PROJECT) == project:
                found.append(
                    StackFound(
                        stack["StackName"],
                        stack["StackId"],
                        stack["StackStatus"],
                        tags.get(aws_names.TAG_STAGE, ""),
                    )
                )
    return sorted(found, key=lambda stack: stack.name)


def of_stage(aws: Aws, project: str, stage: str) -> list[Thing]:
    """What is there of one stage beside its stack."""
    return _all(aws, [_runtime, _role, _secrets, channels, _log_groups], project, stage)


def of_server(aws: Aws, project: str, stage: str, bridged: bool) -> list[Thing]:
    """What is there of a stage's session server beside its stack; `bridged`: also on ECS."""
    finders: list[Finder] = [_function, _server_roles, _server_secrets, _server_logs]
    if bridged:
        finders += map(_if_allowed, (_cluster, _balancers, _distributions, _server_groups))
    return _all(aws, finders, project, stage)


def of_images(aws: Aws, project: str) -> list[Thing]:
    """What is there of the images that the stages share."""
    return _all(aws, [_repository], project, aws_names.SHARED)


def of_network(aws: Aws, project: str) -> list[Thing]:
    """What is there of the network that the stages share."""
    return _all(aws, [_network], project, aws_names.SHARED)


@dataclass(frozen=True)
class LogGroup:
    """Where agents write."""

    name: str
    days: int | None
    """For so long lines are kept; None: for ever."""
    bytes: int


def log_groups(aws: Aws, project: str, stage: str) -> list[LogGroup]:
    """The log groups that AgentCore made for the stage's runtimes, present and past."""
    prefix = aws_names.log_group_for(aws_names.runtime_name_for(project, stage), "")
    paginator = aws.client("logs").get_paginator("describe_log_groups")
    pages = paginator.paginate(logGroupNamePrefix=prefix)
    # A runtime's id is its name and ten characters more (CreateAgentRuntime).
    ours = re.compile(rf"{re.escape(prefix)}[a-zA-Z0-9]{{10}}-\w+")
    return [
        LogGroup(group["logGroupName"], group.get("retentionInDays"), group.get("storedBytes", 0))
        for page in pages
        for group in page["logGroups"]
        if ours.fullmatch(group["logGroupName"])
    ]


def server_log_group(aws: Aws, project: str, stage: str) -> str | None:
    """The log group of the stage's session server, if it is there, on ECS or on Lambda."""
    logs, server = aws.client("logs"), aws_names.server_for(project, stage)
    for name in (aws_names.ecs_log_group_for(server), aws_names.lambda_log_group_for(server)):
        found = logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"]
        if any(group["logGroupName"] == name for group in found):
            return name
    return None


@dataclass(frozen=True)
class Interface:
    """A network interface that AgentCore keeps in a subnet."""

    id: str
    subnet: str


def interfaces(aws: Aws, vpc: str) -> list[Interface]:
    """AgentCore's network interfaces in a VPC: they hold its subnets and security groups."""
    pages = (
        aws.client("ec2")
        .get_paginator("describe_network_interfaces")
        .paginate(
            Filters=[
                {"Name": "vpc-id", "Values": [vpc]},
                {"Name": "interface-type", "Values": [INTERFACE_TYPE]},
            ]
        )
    )
    return [
        Interface(entry["NetworkInterfaceId"], entry["SubnetId"])
        for page in pages
        for entry in page["NetworkInterfaces"]
    ]


def last_deletion(aws: Aws, project: str) -> datetime | None:
    """When the last stack of a stage of the project was deleted, as far as AWS remembers."""
    pages = (
        aws.client("cloudformation")
        .get_paginator("list_stacks")
        .paginate(StackStatusFilter=["DELETE_COMPLETE"])
    )
    shared = (aws_names.network_stack_name_for(project), aws_names.images_stack_name_for(project))
    times = [
        stack["DeletionTime"]
        for page in pages
        for stack in page["StackSummaries"]
        if re.fullmatch(
            aws_names.stack_name_for(re.escape(project), r"(?!server$)[a-z0-9]+"),
            stack["StackName"],
        )
        and stack["StackName"] not in shared
    ]
    return max(times, default=None)


Finder = Callable[[Aws, str, str], Iterable[Thing]]


def _all(aws: Aws, finders: Iterable[Finder], project: str, stage: str) -> list[Thing]:
    def found(find: Finder) -> list[Thing]:
        return list(find(aws, project, stage))

    with ThreadPoolExecutor(max_workers=8) as pool:
        return [thing for things in pool.map(found, finders) for thing in things]


def _runtime(aws: Aws, project: str, stage: str) -> Iterator[Thing]:
    control = aws.client("bedrock-agentcore-control")
    name = aws_names.runtime_name_for(project, stage)
    for page in control.get_paginator("list_agent_runtimes").paginate():
        for entry in page["agentRuntimes"]:
            if entry["agentRuntimeName"] == name:
                yield Thing("runtime", entry["agentRuntimeId"])


def _role(aws: Aws, project: str, stage: str) -> Iterator[Thing]:
    name = aws_names.role_name_for(project, stage, aws.region)
    if _exists(lambda: aws.client("iam").get_role(RoleName=name), "NoSuchEntity"):
        yield Thing("role", name)


def _secrets(aws: Aws, project: str, stage: str) -> Iterator[Thing]:
    name = aws_names.secret_name_for(project, stage)
    if _exists(
        lambda: aws.client("secretsmanager").describe_secret(SecretId=name),
        "ResourceNotFoundException",
    ):
        yield Thing("secret", name)


def _function(aws: Aws, project: str, stage: str) -> Iterator[Thing]:
    name = aws_names.server_for(project, stage)
    if _exists(
        lambda: aws.client("lambda").get_function_configuration(FunctionName=name),
        "ResourceNotFoundException",
    ):
        yield Thing("function", name)


def _server_roles(aws: Aws, project: str, stage: str) -> Iterator[Thing]:
    client = aws.client("iam")
    for name_for in (aws_names.server_role_for, aws_names.server_start_role_for):
        name = name_for(project, stage, aws.region)
        if _exists(lambda name=name: client.get_role(RoleName=name), "NoSuchEntity"):
            yield Thing("role", name)


def _cluster(aws: Aws, project: str, stage: str) -> Iterator[Thing]:
    name = aws_names.server_for(project, stage)
    for found in aws.client("ecs").describe_clusters(clusters=[name])["clusters"]:
        if found["status"] != "INACTIVE":  # as one that was deleted is for a while
            yield Thing("cluster", name)


def _balancers(aws: Aws, project: str, stage: str) -> Iterator[Thing]:
    """Load balancers and target groups, which have names of CloudFormation's making."""
    client = aws.client("elbv2")
    for kind, operation, listed, key in (
        ("load balancer", "describe_load_balancers", "LoadBalancers", "LoadBalancerArn"),
        ("target group", "describe_target_groups", "TargetGroups", "TargetGroupArn"),
    ):
        pages = client.get_paginator(operation).paginate()
        arns = [each[key] for page in pages for each in page[listed]]
        for n in range(0, len(arns), _TAGGED_MAX):
            told = client.describe_tags(ResourceArns=arns[n : n + _TAGGED_MAX])
            for each in told["TagDescriptions"]:
                tags = {tag["Key"]: tag["Value"] for tag in each["Tags"]}
                if (tags.get(aws_names.TAG_PROJECT), tags.get(aws_names.TAG_STAGE)) == (
                    project,
                    stage,
                ):
                    yield Thing(kind, each["ResourceArn"].rpartition(":")[2])


_TAGGED_MAX = 20  # DescribeTags


def _distributions(aws: Aws, project: str, stage: str) -> Iterator[Thing]:
    name = aws_names.server_for(project, stage)
    for page in aws.client("cloudfront").get_paginator("list_distributions").paginate():
        for found in page["DistributionList"].get("Items", ()):
            if found["Comment"] == name:
                yield Thing("distribution", found["Id"])


def _server_groups(aws: Aws, project: str, stage: str) -> Iterator[Thing]:
    for found in aws.client("ec2").describe_security_groups(Filters=_tagged(project, stage))[
        "SecurityGroups"
    ]:
        yield Thing("security group", found["GroupId"])


def _server_secrets(aws: Aws, project: str, stage: str) -> Iterator[Thing]:
    client = aws.client("secretsmanager")
    for name_for in (
        aws_names.session_key_for,
        aws_names.server_secret_for,
        aws_names.origin_key_for,
    ):
        name = name_for(project, stage)
        if _exists(
            lambda name=name: client.describe_secret(SecretId=name), "ResourceNotFoundException"
        ):
            yield Thing("secret", name)


def _server_logs(aws: Aws, project: str, stage: str) -> Iterator[Thing]:
    if group := server_log_group(aws, project, stage):
        # Not of the kind that AgentCore leaves behind: it is the stack's.
        yield Thing("group of logs", group)


def channels(aws: Aws, project: str, stage: str) -> Iterator[Thing]:
    """The stage's pool of KVS signalling channels."""
    prefix = aws_names.channel_name_for(project, stage, 0)[:-1]
    pages = (
        aws.client("kinesisvideo")
        .get_paginator("list_signaling_channels")
        .paginate(
            ChannelNameCondition={"ComparisonOperator": "BEGINS_WITH", "ComparisonValue": prefix}
        )
    )
    for page in pages:
        for channel in page["ChannelInfoList"]:
            if channel["ChannelStatus"] != "DELETING":
                yield Thing("channel", channel["ChannelName"])


def _log_groups(aws: Aws, project: str, stage: str) -> Iterator[Thing]:
    return (Thing("log group", group.name) for group in log_groups(aws, project, stage))


def _repository(aws: Aws, project: str, _: str) -> Iterator[Thing]:
    name = aws_names.repository_for(project)
    if _exists(
        lambda: aws.client("ecr").describe_repositories(repositoryNames=[name]),
        "RepositoryNotFoundException",
    ):
        yield Thing("repository", name)


# EC2's kinds: how they are called, asked for, listed and named.
_NETWORK = (
    ("VPC", "describe_vpcs", "Vpcs", "VpcId"),
    ("subnet", "describe_subnets", "Subnets", "SubnetId"),
    ("security group", "describe_security_groups", "SecurityGroups", "GroupId"),
    ("route table", "describe_route_tables", "RouteTables", "RouteTableId"),
    ("internet gateway", "describe_internet_gateways", "InternetGateways", "InternetGatewayId"),
    ("address", "describe_addresses", "Addresses", "AllocationId"),
    ("NAT gateway", "describe_nat_gateways", "NatGateways", "NatGatewayId"),
)


def _network(aws: Aws, project: str, stage: str) -> Iterator[Thing]:
    ours = _tagged(project, stage)
    for kind, operation, listed, key in _NETWORK:
        for entry in getattr(aws.client("ec2"), operation)(Filters=ours)[listed]:
            # A deleted NAT gateway is listed for an hour more (NAT gateway basics).
            if entry.get("State") != "deleted":
                yield Thing(kind, entry[key])


def _tagged(project: str, stage: str) -> list[dict[str, Any]]:
    """EC2's filters for what is of this stage."""
    return [
        {"Name": f"tag:{aws_names.TAG_PROJECT}", "Values": [project]},
        {"Name": f"tag:{aws_names.TAG_STAGE}", "Values": [stage]},
    ]


def _if_allowed(find: Finder) -> Finder:
    """The same for who may look; who may not has not made any."""

    def found(aws: Aws, project: str, stage: str) -> list[Thing]:
        try:
            return list(find(aws, project, stage))
        except ClientError as error:
            if not is_denied(error):
                raise
            return []

    return found


def _exists(question: Callable[[], Any], absent: str) -> bool:
    with ignoring(absent):
        question()
        return True
    return False
