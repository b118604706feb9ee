"""Owns the search for every voicecore project of an account, by tag and in all regions."""

# botocore has no types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from voicecore.aws.errors import CredentialsRefused, translate_error
from voicecore.aws.session import Aws
from voicecore.aws.task_group import TaskGroup
from voicecore.cloud.deploy import prices
from voicecore.project import aws_names

_PRICED = {
    "ec2:natgateway": "AWS::EC2::NatGateway",
    "ec2:elastic-ip": "AWS::EC2::EIP",
    "ec2:interface-endpoint": "AWS::EC2::VPCEndpoint",
    "ecs:service": "AWS::ECS::Service",
    "elasticloadbalancing:loadbalancer": "AWS::ElasticLoadBalancingV2::LoadBalancer",
    "kinesisvideo:channel": "AWS::KinesisVideo::SignalingChannel",
    "secretsmanager:secret": "AWS::SecretsManager::Secret",
}


@dataclass(frozen=True)
class TaggedResources:
    """The resources of one stage in one region that have voicecore's tags."""

    project: str
    stage: str
    """Stage name; `aws_names.SHARED` for resources that all stages share."""
    region: str
    kinds: Mapping[str, int]
    """Number of resources by kind, such as "ec2:natgateway"."""
    id: str = ""
    """The project's ID, which tells it from another of its name; empty for one of before IDs."""
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    """Tags that others gave the resources, such as their owner; different values are listed."""

    @property
    def month(self) -> float:
        """Dollars per month without calls."""
        return sum(
            prices.dollars_per_month(_PRICED.get(kind, "")) * count
            for kind, count in self.kinds.items()
        )


def find_projects(aws: Aws, tasks: TaskGroup, regions: Iterable[str]) -> list[TaggedResources]:
    """Return every voicecore project of the account in these regions.

    Regions that the account has not enabled have none. The Tagging API may list deleted resources
    for another hour.
    """
    # botocore creates clients in one thread at a time only.
    clients = {r: aws.in_region(r).client("resourcegroupstaggingapi") for r in regions}
    searches = [tasks.start(partial(_search, clients[region], region)) for region in clients]
    return sorted(
        (each for search in searches for each in tasks.result(search)),
        key=lambda each: (each.project, each.region, each.stage),
    )


def _search(client: Any, region: str) -> list[TaggedResources]:
    pages = client.get_paginator("get_resources").paginate(
        TagFilters=[{"Key": aws_names.TAG_PROJECT}]
    )
    try:
        mappings = [each for page in pages for each in page["ResourceTagMappingList"]]
    except ClientError as error:
        # STS knows these credentials; a region that refuses them is not enabled.
        if isinstance(translate_error(error, ""), CredentialsRefused):
            return []
        raise
    return group_by_stage(mappings, region)


def group_by_stage(mappings: Iterable[Mapping[str, Any]], region: str) -> list[TaggedResources]:
    """Return the resources of GetResources by project and stage."""
    counts: dict[tuple[str, str, str], Counter[str]] = {}
    foreign: dict[tuple[str, str, str], dict[str, set[str]]] = {}
    for mapping in mappings:
        tags = {tag["Key"]: tag["Value"] for tag in mapping["Tags"]}
        keys = (aws_names.TAG_STAGE, aws_names.TAG_ID)
        owner = (tags[aws_names.TAG_PROJECT], *(tags.get(key, "") for key in keys))
        kind = kind_of(mapping["ResourceARN"])
        # The gateway endpoint, which is free, has no name (stacks.network_stack).
        if kind == "ec2:vpc-endpoint" and "Name" in tags:
            kind = "ec2:interface-endpoint"
        counts.setdefault(owner, Counter())[kind] += 1
        for key, value in tags.items():
            if key != "Name" and not key.startswith(("voicecore:", "aws:")):
                foreign.setdefault(owner, {}).setdefault(key, set()).add(value)
    return [
        TaggedResources(project, stage, region, dict(kinds), id, _listed(foreign.get(owner, {})))
        for owner, kinds in counts.items()
        for project, stage, id in [owner]
    ]


def _listed(values: Mapping[str, Iterable[str]]) -> dict[str, str]:
    return {key: ", ".join(sorted(each)) for key, each in sorted(values.items())}


def kind_of(arn: str) -> str:
    """Return the kind of a resource as the Tagging API's filters name it, such as "ec2:vpc"."""
    _, _, service, _, _, resource = arn.split(":", 5)
    kind = resource.replace("/", ":").partition(":")[0]
    if "/runtime-endpoint/" in resource:
        kind = "runtime-endpoint"
    return f"{service}:{kind}"
