"""What a deploy would do and what that costs, as rows that people and programs read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from voicecore.cloud.deploy import prices
from voicecore.cloud.deploy.prices import Item
from voicecore.cloud.stacks.stack import Stack
from voicecore.console.output import Line, Span


class Action(StrEnum):
    """What happens to a thing."""

    ADD = "add"
    CHANGE = "change"
    REPLACE = "replace"
    REMOVE = "remove"


@dataclass(frozen=True)
class Row:
    """One kind of thing in a stack, and what happens to it."""

    action: Action
    what: str
    why: str
    """What about it changes; empty for what is added or removed."""
    ids: tuple[str, ...]
    """Its logical ids in the template."""
    month: float
    """Dollars a month that this adds to the bill (or, below 0, takes off it)."""


@dataclass(frozen=True)
class Part:
    """The rows of one stack."""

    stack: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Plan:
    """All that a deploy would do."""

    parts: tuple[Part, ...]
    minute: tuple[Item, ...]
    """What a minute of a call costs, by what it is spent on."""

    @property
    def month(self) -> float:
        """Dollars a month that the plan adds to the bill while nobody calls."""
        return sum(row.month for part in self.parts for row in part.rows)

    @property
    def empty(self) -> bool:
        """Whether nothing would change."""
        return not any(part.rows for part in self.parts)

    @property
    def json(self) -> dict[str, Any]:
        """The plan for programs."""
        return asdict(self) | {
            "dollars_per_month": round(self.month, 2),
            "dollars_per_call_minute": round(_sum(self.minute), 4),
        }


def part_of_new(stack: Stack) -> Part:
    """The plan for a stack that is not there yet: all of it is added."""
    return Part(
        stack.name,
        _rows((Action.ADD, r["Type"], name, "") for name, r in stack.resources.items()),
    )


def part_of_change(change_set: Mapping[str, Any]) -> Part:
    """The plan for a stack that is there, from DescribeChangeSet's answer (all its pages)."""
    changes = (c["ResourceChange"] for c in change_set.get("Changes", ()) if "ResourceChange" in c)
    return Part(
        change_set["StackName"],
        _rows((_action(c), c["ResourceType"], c["LogicalResourceId"], _why(c)) for c in changes),
    )


def part_of_removal(stack: str, resources: Iterable[Mapping[str, Any]]) -> Part:
    """The plan for a stack's end, from ListStackResources' summaries."""
    return Part(
        stack,
        _rows(
            (Action.REMOVE, r["ResourceType"], r["LogicalResourceId"], "")
            for r in resources
            if r["ResourceStatus"] != "DELETE_COMPLETE"
        ),
    )


def lines(plan: Plan) -> Iterator[Line]:
    """The plan as a table, with its price below."""
    yield from table(plan.parts)
    if not plan.empty:
        yield []
    yield [Span(f"Idle: {plan.month:+.2f} $ a month.")]
    yield [Span(f"A minute of a call: {_per_minute(plan)}")]
    yield [
        Span("List prices of US East; what your region, plan and callers do is theirs.", "dim"),
    ]


def table(parts: Sequence[Part]) -> Iterator[Line]:
    """What happens in each stack, with what it changes of the monthly bill."""
    rows = [row for part in parts for row in part.rows]
    width = max((len(_titled(row)) for row in rows), default=0)
    for part in parts:
        if part.rows:
            yield [Span(part.stack, "bold")]
        for row in part.rows:
            sign, style = _SIGNS[row.action]
            price = f"{row.month:+9.2f} $/month" if row.month else ""
            title = f"{_titled(row):<{width}}" if price else _titled(row)
            yield [Span(f"  {sign} {title}", style), Span(f"  {price}" if price else "")]


def _per_minute(plan: Plan) -> str:
    # What no four digits show is in the sum alone.
    known = [item for item in plan.minute if item.dollars and round(item.dollars, 4)]
    shares = ", ".join(f"{item.what} {item.dollars:.4f}" for item in known)
    others = [item.what for item in plan.minute if item.dollars is None]
    rest = f", and what {' and '.join(others)} will charge" if others else ""
    return f"about {_sum(plan.minute):.3f} $ ({shares}){rest}."


def _sum(items: Sequence[Item]) -> float:
    return sum(item.dollars or 0.0 for item in items)


_SIGNS = {
    Action.ADD: ("+", "green"),
    Action.CHANGE: ("~", "yellow"),
    Action.REPLACE: ("±", "bold yellow"),
    Action.REMOVE: ("-", "red"),
}

_NAMES = {
    "AWS::ApplicationAutoScaling::ScalableTarget": "scaling rule",
    "AWS::ApplicationAutoScaling::ScalingPolicy": "scaling rule",
    "AWS::CloudFront::Distribution": "server URL",
    "AWS::ECS::Cluster": "server cluster",
    "AWS::ECS::Service": "server service",
    "AWS::ECS::TaskDefinition": "server task",
    "AWS::EC2::VPC": "VPC",
    "AWS::EC2::InternetGateway": "internet gateway",
    "AWS::EC2::VPCGatewayAttachment": "route",
    "AWS::EC2::RouteTable": "route",
    "AWS::EC2::Route": "route",
    "AWS::EC2::SubnetRouteTableAssociation": "route",
    "AWS::EC2::Subnet": "subnet",
    "AWS::EC2::NatGateway": "NAT gateway",
    "AWS::EC2::EIP": "public address",
    "AWS::EC2::VPCEndpoint": "S3 endpoint",
    "AWS::EC2::SecurityGroup": "security group",
    "AWS::ECR::Repository": "image repository",
    "AWS::ElasticLoadBalancingV2::Listener": "listener",
    "AWS::ElasticLoadBalancingV2::ListenerRule": "listener",
    "AWS::ElasticLoadBalancingV2::LoadBalancer": "load balancer",
    "AWS::ElasticLoadBalancingV2::TargetGroup": "target group",
    "AWS::IAM::Role": "execution role",
    "AWS::Lambda::Function": "server function",
    "AWS::Lambda::Permission": "URL permission",
    "AWS::Lambda::Url": "server URL",
    "AWS::Logs::LogGroup": "log group",
    "AWS::KinesisVideo::SignalingChannel": "TURN channel",
    "AWS::SecretsManager::Secret": "secret",
    "AWS::BedrockAgentCore::Runtime": "runtime",
    "AWS::BedrockAgentCore::RuntimeEndpoint": "endpoint",
}
"""What people call the types of our stacks' resources."""

_ASPECTS = {
    "AgentRuntimeArtifact": "image",
    "AgentRuntimeVersion": "version",
    "Code": "image",
    "ContainerDefinitions": "image or environment",
    "Description": "version",
    "Environment": "environment",
    "EnvironmentVariables": "environment",
    "LifecycleConfiguration": "timeouts",
    "NetworkConfiguration": "network",
    "NatGatewayId": "NAT gateway",
    "Policies": "permissions",
    "RequestHeaderConfiguration": "headers",
    "SecurityGroupEgress": "ports",
    "Tags": "tags",
    "TaskDefinition": "version",
}
"""What people call the properties that deploys change."""


def called(resource_type: str) -> str:
    """What people call a resource of this CloudFormation type."""
    return _NAMES.get(resource_type, resource_type)


def _rows(changes: Iterable[tuple[Action, str, str, str]]) -> tuple[Row, ...]:
    """One row for all of a kind to which the same happens, in the order of their first."""
    ids: dict[tuple[Action, str, str], list[str]] = {}
    months: dict[tuple[Action, str, str], float] = {}
    for action, type_, logical_id, why in changes:
        key = (action, _NAMES.get(type_, type_), why)
        ids.setdefault(key, []).append(logical_id)
        sign = {Action.ADD: 1, Action.REMOVE: -1}.get(action, 0)
        months[key] = months.get(key, 0.0) + sign * prices.a_month(type_)
    return tuple(Row(*key, ids=tuple(ids[key]), month=months[key]) for key in ids)


def _titled(row: Row) -> str:
    count = len(row.ids)
    plural = "es" if row.what.endswith("s") else "s"
    title = row.what if count == 1 else f"{count} {row.what}{plural}"
    return f"{title}: {row.why}" if row.why else title


def _action(change: Mapping[str, Any]) -> Action:
    match change["Action"], change.get("Replacement"):
        case (("Add" | "Import"), _):
            return Action.ADD
        case "Remove", _:
            return Action.REMOVE
        case _, "True":
            return Action.REPLACE
        case _:
            return Action.CHANGE


def _why(change: Mapping[str, Any]) -> str:
    targets = [detail["Target"] for detail in change.get("Details", ()) if "Target" in detail]
    names = [str(target.get("Name") or target.get("Attribute", "")) for target in targets]
    aspects = dict.fromkeys(_ASPECTS.get(name, name) for name in names if name)
    maybe = ["perhaps anew"] if change.get("Replacement") == "Conditional" else []
    return ", ".join([*aspects, *maybe])
