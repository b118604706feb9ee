"""Owns what a stage has cost this month: list prices of its resources and AgentCore's usage."""

# botocore has no types.
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from voicecore.aws.session import Aws
from voicecore.cloud.deploy import prices
from voicecore.cloud.deploy.parts.server_state import on_ecs
from voicecore.cloud.deploy.prices import CostItem
from voicecore.cloud.resources.agentcore import DEFAULT_ENDPOINT, Runtime
from voicecore.cloud.resources.cloudformation import CloudFormation
from voicecore.cloud.resources.deployed_stack import DeployedStack
from voicecore.project import aws_names

_NAMESPACE = "AWS/Bedrock-AgentCore"  # observability-runtime-metrics
# Metric, title of its cost, key of its price.
_USAGE = (
    ("CPUUsed-vCPUHours", "AgentCore vCPU", "vcpu"),
    ("MemoryUsed-GBHours", "AgentCore memory", "memory"),
)
_DAY = 86_400  # seconds
_UNMETERED = ("models", "traffic")  # only on AWS's bill


@dataclass(frozen=True)
class StageCost:
    """The cost of a stage since the month began (UTC), by list prices of US East."""

    items: tuple[CostItem, ...]
    """Items with `dollars` of None are only on AWS's bill."""

    @property
    def dollars(self) -> float:
        """The sum of the known items."""
        return sum(item.dollars or 0 for item in self.items)


@dataclass(frozen=True)
class BilledStacks:
    """The stacks that cause a stage's cost."""

    agent: DeployedStack | None
    server: DeployedStack | None
    network: DeployedStack | None


def cost_since_month_began(
    aws: Aws,
    cloud: CloudFormation,
    stacks: BilledStacks,
    runtime: Runtime | None,
    stage: str,
    now: datetime,
) -> StageCost:
    """Return the cost of a stage from the beginning of the month (UTC) to `now`."""
    if stacks.agent is None:
        return StageCost(())
    begin = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    items: list[CostItem] = []
    for stack, title in (
        (stacks.agent, "stage"),
        (stacks.server, "server"),
        (stacks.network, "network, all stages"),
    ):
        if stack is None:
            continue
        hours = hours_between(max(begin, stack.created or begin), now)
        items += resource_costs(Counter(_priced_types(cloud.resources(stack.id))), hours, title)
    if runtime:
        items += _usage_costs(aws, runtime.name, stage, begin, now)
    unmetered = [*_UNMETERED]
    if stacks.server:
        unmetered.append("load balancer usage" if on_ecs(stacks.server) else "Lambda")
    return StageCost((*items, *(CostItem(what, None) for what in unmetered)))


def hours_between(begin: datetime, end: datetime) -> float:
    """Return the hours from `begin` to `end`; 0 if this machine's clock is behind AWS's."""
    return max(0.0, (end - begin).total_seconds() / 3600)


def _priced_types(listed: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the types of a stack's resources that cost something, from ListStackResources."""
    for entry in listed:
        if prices.dollars_per_month(entry["ResourceType"], entry["LogicalResourceId"]):
            yield entry["ResourceType"]


def resource_costs(types: Mapping[str, int], hours: float, title: str) -> list[CostItem]:
    """Return what resources of these CloudFormation types cost for this many hours."""
    return [
        CostItem(
            f"{kind.rpartition('::')[2]} × {count} ({title})",
            month / prices.HOURS_PER_MONTH * hours * count,
        )
        for kind, count in types.items()
        if (month := prices.dollars_per_month(kind))
    ]


def usage_dimensions(
    listed: Iterable[Sequence[Mapping[str, str]]], runtime: str, endpoints: Iterable[str]
) -> list[Sequence[Mapping[str, str]]]:
    """Return the sets of dimensions of the runtime's endpoints, each endpoint's once.

    AgentCore may publish the same usage under fewer dimensions, too: the most detailed count.
    """
    names = {f"{runtime}::{endpoint}" for endpoint in endpoints}
    chosen: dict[tuple[str, str], Sequence[Mapping[str, str]]] = {}
    for dimensions in listed:
        values = {each["Name"]: each["Value"] for each in dimensions}
        key = (values.get("Name", ""), values.get("Resource", ""))
        if key[0] in names and len(dimensions) > len(chosen.get(key, ())):
            chosen[key] = dimensions
    detailed = max(map(len, chosen.values()), default=0)
    return [dimensions for dimensions in chosen.values() if len(dimensions) == detailed]


def _usage_costs(
    aws: Aws, runtime: str, stage: str, begin: datetime, now: datetime
) -> list[CostItem]:
    client = aws.client("cloudwatch")
    endpoints = (DEFAULT_ENDPOINT, aws_names.endpoint_name_for(stage))
    items: list[CostItem] = []
    for metric, title, price in _USAGE:
        hours = _used_hours(client, metric, runtime, endpoints, begin, now)
        dollars = None if hours is None else hours * prices.prices()[price].dollars
        items.append(CostItem(title, dollars))
    return items


def _used_hours(
    client: Any,
    metric: str,
    runtime: str,
    endpoints: Iterable[str],
    begin: datetime,
    now: datetime,
) -> float | None:
    """Return the hours that the runtime's endpoints used; None if AWS has measured nothing."""
    pages = client.get_paginator("list_metrics").paginate(Namespace=_NAMESPACE, MetricName=metric)
    listed = [found["Dimensions"] for page in pages for found in page["Metrics"]]
    chosen = usage_dimensions(listed, runtime, endpoints)
    if not chosen:
        return None
    return sum(
        point["Sum"]
        for dimensions in chosen
        for point in client.get_metric_statistics(
            Namespace=_NAMESPACE,
            MetricName=metric,
            Dimensions=list(dimensions),
            StartTime=begin,
            EndTime=now,
            Period=_DAY,
            Statistics=["Sum"],
        )["Datapoints"]
    )
