"""Owns the search for a project's resources: asks each AWS service by tag or by name.

The Tagging API would need one call, but it keeps listing deleted resources for a while and does
not list IAM roles, so each service is asked itself.
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
from voicecore.aws.ownership import require_own
from voicecore.aws.session import Aws
from voicecore.catalog import regions
from voicecore.project import aws_names
from voicecore.project.identity import Owner

INTERFACE_TYPE = "agentic_ai"
"""EC2's interface type of AgentCore's network interfaces (agentcore-vpc)."""

INTERFACE_RETENTION = timedelta(hours=8)
"""Time that AgentCore keeps its interfaces after the last runtime is gone (agentcore-vpc)."""


@dataclass(frozen=True)
class FoundResource:
    """A resource in AWS that voicecore created, or that AWS created for it."""

    kind: str
    name: str
    deletion: str = ""
    """Date when AWS deletes it, for a secret that is scheduled for deletion."""


@dataclass(frozen=True)
class StackSummary:
    """A stack of the project, from DescribeStacks."""

    name: str
    id: str
    status: str
    stage: str
    """Stage name; `aws_names.SHARED` for a stack that all stages share."""


def stacks(aws: Aws, owner: Owner) -> list[StackSummary]:
    """Return all stacks of a project, found by tag and sorted by name.

    Raises ForeignResource for those of another project of the same name.
    """
    pages = aws.client("cloudformation").get_paginator("describe_stacks").paginate()
    found: list[StackSummary] = []
    for page in pages:
        for stack in page["Stacks"]:
            tags = {tag["Key"]: tag["Value"] for tag in stack.get("Tags", ())}
            if tags.get(aws_names.TAG_PROJECT) == owner.project:
                require_own(owner, f"stack named {stack['StackName']}", tags)
                found.append(
                    StackSummary(
                        stack["StackName"],
                        stack["StackId"],
                        stack["StackStatus"],
                        tags.get(aws_names.TAG_STAGE, ""),
                    )
                )
    return sorted(found, key=lambda stack: stack.name)


def agent_resources(aws: Aws, project: str, stage: str) -> list[FoundResource]:
    """Return the resources of a stage's agent, without its stack."""
    return _search(aws, [_runtime, _role, _secrets, channels, _log_groups], project, stage)


def server_resources(
    aws: Aws, project: str, stage: str, carries_calls: bool
) -> list[FoundResource]:
    """Return the resources of a stage's session server, without its stack.

    With `carries_calls`, also look for those of a server on ECS.
    """
    finders: list[Finder] = [_function, _server_role, _server_secrets, _server_logs]
    finders.append(_if_allowed(_table))
    if carries_calls:
        on_ecs = (_start_role, _cluster, _balancers, _distributions, _server_groups)
        finders += map(_if_allowed, on_ecs)
    return _search(aws, finders, project, stage)


def image_resources(aws: Aws, project: str) -> list[FoundResource]:
    """Return the image repository that the stages share, without its stack."""
    return _search(aws, [_repository], project, aws_names.SHARED)


def network_resources(aws: Aws, project: str) -> list[FoundResource]:
    """Return the resources of the network that the stages share, without its stack."""
    return _search(aws, [_network], project, aws_names.SHARED)


@dataclass(frozen=True)
class LogGroup:
    """A CloudWatch log group of agents."""

    name: str
    days: int | None
    """Days of retention; None means unlimited."""
    bytes: int


def log_groups(aws: Aws, project: str, stage: str) -> list[LogGroup]:
    """Return the log groups that AgentCore created for the stage's runtimes, present and past."""
    prefix = aws_names.log_group_for(aws_names.runtime_name_for(project, stage), "")
    paginator = aws.client("logs").get_paginator("describe_log_groups")
    pages = paginator.paginate(logGroupNamePrefix=prefix)
    # A runtime's ID is its name plus ten characters (CreateAgentRuntime).
    ours = re.compile(rf"{re.escape(prefix)}[a-zA-Z0-9]{{10}}-\w+")
    return [
        LogGroup(group["logGroupName"], group.get("retentionInDays"), group.get("storedBytes", 0))
        for page in pages
        for group in page["logGroups"]
        if ours.fullmatch(group["logGroupName"])
    ]


def server_log_group(aws: Aws, project: str, stage: str) -> str | None:
    """Return the log group of the stage's session server on ECS or Lambda, or None."""
    logs, server = aws.client("logs"), aws_names.server_for(project, stage)
    for name in (aws_names.ecs_log_group_for(server), aws_names.lambda_log_group_for(server)):
        found = logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"]
        if any(group["logGroupName"] == name for group in found):
            return name
    return None


@dataclass(frozen=True)
class NetworkInterface:
    """A network interface that AgentCore keeps in a subnet."""

    id: str
    subnet: str


def interfaces(aws: Aws, vpc: str) -> list[NetworkInterface]:
    """Return AgentCore's network interfaces in a VPC; they block deleting subnets and groups."""
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
        NetworkInterface(entry["NetworkInterfaceId"], entry["SubnetId"])
        for page in pages
        for entry in page["NetworkInterfaces"]
    ]


def last_deletion(aws: Aws, project: str) -> datetime | None:
    """Return when the project's last stage stack was deleted; None if AWS no longer lists it."""
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


Finder = Callable[[Aws, str, str], Iterable[FoundResource]]


def _search(aws: Aws, finders: Iterable[Finder], project: str, stage: str) -> list[FoundResource]:
    def search(find: Finder) -> list[FoundResource]:
        return list(find(aws, project, stage))

    with ThreadPoolExecutor(max_workers=8) as pool:
        return [resource for found in pool.map(search, finders) for resource in found]


def _runtime(aws: Aws, project: str, stage: str) -> Iterator[FoundResource]:
    control = aws.client("bedrock-agentcore-control")
    name = aws_names.runtime_name_for(project, stage)
    for page in control.get_paginator("list_agent_runtimes").paginate():
        for entry in page["agentRuntimes"]:
            if entry["agentRuntimeName"] == name:
                yield FoundResource("runtime", entry["agentRuntimeId"])


def _role(aws: Aws, project: str, stage: str) -> Iterator[FoundResource]:
    return _role_named(aws, aws_names.role_name_for(project, stage, aws.region))


def _server_role(aws: Aws, project: str, stage: str) -> Iterator[FoundResource]:
    return _role_named(aws, aws_names.server_role_for(project, stage, aws.region))


def _start_role(aws: Aws, project: str, stage: str) -> Iterator[FoundResource]:
    return _role_named(aws, aws_names.server_start_role_for(project, stage, aws.region))


def _role_named(aws: Aws, name: str) -> Iterator[FoundResource]:
    return _named("role", name, lambda: aws.client("iam").get_role(RoleName=name), "NoSuchEntity")


def _secrets(aws: Aws, project: str, stage: str) -> Iterator[FoundResource]:
    return _secret(aws, aws_names.secret_name_for(project, stage))


def _secret(aws: Aws, name: str) -> Iterator[FoundResource]:
    with ignoring("ResourceNotFoundException"):
        found = aws.client("secretsmanager").describe_secret(SecretId=name)
        deletion = f"{found['DeletedDate']:%Y-%m-%d}" if "DeletedDate" in found else ""
        yield FoundResource("secret", name, deletion)


def _function(aws: Aws, project: str, stage: str) -> Iterator[FoundResource]:
    name = aws_names.server_for(project, stage)
    return _named(
        "function", name, lambda: aws.client("lambda").get_function_configuration(FunctionName=name)
    )


def _table(aws: Aws, project: str, stage: str) -> Iterator[FoundResource]:
    name = aws_names.server_for(project, stage)
    return _named("table", name, lambda: aws.client("dynamodb").describe_table(TableName=name))


def _cluster(aws: Aws, project: str, stage: str) -> Iterator[FoundResource]:
    name = aws_names.server_for(project, stage)
    for found in aws.client("ecs").describe_clusters(clusters=[name])["clusters"]:
        if found["status"] != "INACTIVE":  # listed so for a while after its deletion
            yield FoundResource("cluster", name)


def _balancers(aws: Aws, project: str, stage: str) -> Iterator[FoundResource]:
    """Yield load balancers and target groups by tag: CloudFormation chooses their names."""
    client = aws.client("elbv2")
    for kind, operation, listed, key in (
        ("load balancer", "describe_load_balancers", "LoadBalancers", "LoadBalancerArn"),
        ("target group", "describe_target_groups", "TargetGroups", "TargetGroupArn"),
    ):
        pages = client.get_paginator(operation).paginate()
        arns = [each[key] for page in pages for each in page[listed]]
        for n in range(0, len(arns), _TAGGED_MAX):
            described = client.describe_tags(ResourceArns=arns[n : n + _TAGGED_MAX])
            for each in described["TagDescriptions"]:
                tags = {tag["Key"]: tag["Value"] for tag in each["Tags"]}
                if (tags.get(aws_names.TAG_PROJECT), tags.get(aws_names.TAG_STAGE)) == (
                    project,
                    stage,
                ):
                    yield FoundResource(kind, each["ResourceArn"].rpartition(":")[2])


_TAGGED_MAX = 20  # DescribeTags


def _distributions(aws: Aws, project: str, stage: str) -> Iterator[FoundResource]:
    name = aws_names.server_for(project, stage)
    for page in aws.client("cloudfront").get_paginator("list_distributions").paginate():
        for found in page["DistributionList"].get("Items", ()):
            if found["Comment"] == name:
                yield FoundResource("distribution", found["Id"])
    for found in aws.client("cloudfront").list_vpc_origins()["VpcOriginList"].get("Items", ()):
        if found["Name"] == name:
            yield FoundResource("private origin", found["Id"])


def _server_groups(aws: Aws, project: str, stage: str) -> Iterator[FoundResource]:
    for found in aws.client("ec2").describe_security_groups(Filters=_tag_filters(project, stage))[
        "SecurityGroups"
    ]:
        yield FoundResource("security group", found["GroupId"])


def _server_secrets(aws: Aws, project: str, stage: str) -> Iterator[FoundResource]:
    for name_for in (
        aws_names.session_key_for,
        aws_names.server_secret_for,
        aws_names.origin_key_for,
    ):
        yield from _secret(aws, name_for(project, stage))


def _server_logs(aws: Aws, project: str, stage: str) -> Iterator[FoundResource]:
    if group := server_log_group(aws, project, stage):
        # Unlike AgentCore's log groups, this one belongs to a stack.
        yield FoundResource("server log group", group)


def channels(aws: Aws, project: str, stage: str) -> Iterator[FoundResource]:
    """Yield the stage's KVS signaling channels; KVS has no host in a region that lacks it."""
    if aws.region not in regions.KVS:
        return
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
                yield FoundResource("channel", channel["ChannelName"])


def _log_groups(aws: Aws, project: str, stage: str) -> Iterator[FoundResource]:
    return (FoundResource("log group", group.name) for group in log_groups(aws, project, stage))


def _repository(aws: Aws, project: str, _: str) -> Iterator[FoundResource]:
    name = aws_names.repository_for(project)
    return _named(
        "repository",
        name,
        lambda: aws.client("ecr").describe_repositories(repositoryNames=[name]),
        "RepositoryNotFoundException",
    )


# EC2 resources: kind, operation, key of the list in its answer, key of the ID.
_NETWORK = (
    ("VPC", "describe_vpcs", "Vpcs", "VpcId"),
    ("subnet", "describe_subnets", "Subnets", "SubnetId"),
    ("security group", "describe_security_groups", "SecurityGroups", "GroupId"),
    ("route table", "describe_route_tables", "RouteTables", "RouteTableId"),
    ("internet gateway", "describe_internet_gateways", "InternetGateways", "InternetGatewayId"),
    ("address", "describe_addresses", "Addresses", "AllocationId"),
    ("NAT gateway", "describe_nat_gateways", "NatGateways", "NatGatewayId"),
)


def _network(aws: Aws, project: str, stage: str) -> Iterator[FoundResource]:
    ours = _tag_filters(project, stage)
    for kind, operation, listed, key in _NETWORK:
        for entry in getattr(aws.client("ec2"), operation)(Filters=ours)[listed]:
            # A deleted NAT gateway is listed for another hour (NAT gateway basics).
            if entry.get("State") != "deleted":
                yield FoundResource(kind, entry[key])


def _tag_filters(project: str, stage: str) -> list[dict[str, Any]]:
    """Return EC2's filters for the tags of this stage."""
    return [
        {"Name": f"tag:{aws_names.TAG_PROJECT}", "Values": [project]},
        {"Name": f"tag:{aws_names.TAG_STAGE}", "Values": [stage]},
    ]


def _if_allowed(find: Finder) -> Finder:
    """Return a finder that finds nothing without permission: no deploy created any then."""

    def found(aws: Aws, project: str, stage: str) -> list[FoundResource]:
        try:
            return list(find(aws, project, stage))
        except ClientError as error:
            if not is_denied(error):
                raise
            return []

    return found


def _named(
    kind: str, name: str, describe: Callable[[], Any], absent: str = "ResourceNotFoundException"
) -> Iterator[FoundResource]:
    """Yield the resource, unless AWS answers with the error `absent` when asked to describe it."""
    found = False
    with ignoring(absent):
        describe()
        found = True
    if found:
        yield FoundResource(kind, name)
