"""Owns deploy plans: what changes in each stack and what it costs, as a table and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from voicecore.catalog.platforms import V1, V2
from voicecore.cloud.deploy import prices
from voicecore.cloud.deploy.prices import CostItem
from voicecore.cloud.resources.deployed_stack import DeployedStack, MissingResource
from voicecore.cloud.resources.kept import keeping
from voicecore.cloud.stacks.agent_stack import RUNTIME, SECRET
from voicecore.cloud.stacks.network_stack import S3_ENDPOINT
from voicecore.cloud.stacks.stack import Json, Stack
from voicecore.console.output import Line, Span, dollars


class Action(StrEnum):
    """A kind of change to a resource."""

    ADD = "add"
    CHANGE = "change"
    REPLACE = "replace"
    REMOVE = "remove"


@dataclass(frozen=True)
class ResourceChange:
    """The same change to all resources of one kind in a stack."""

    action: Action
    what: str
    """Kind of resource, in words."""
    why: str
    """Aspects that change; empty for added and removed resources."""
    ids: tuple[str, ...]
    """Logical IDs in the template."""
    month: float
    """Dollars per month added to the bill; negative for savings."""


@dataclass(frozen=True)
class StackPlan:
    """The changes to one stack."""

    stack: str
    rows: tuple[ResourceChange, ...]


@dataclass(frozen=True)
class DeployPlan:
    """Everything that a deploy would change."""

    stacks: tuple[StackPlan, ...]
    minute: tuple[CostItem, ...]
    """Cost of one minute of a call, by item."""
    requests_at_once: int | None = None
    """Requests that the session server answers at once on Lambda; None without one there."""
    platform: str = V1
    """Platform of the stage's agents."""

    @property
    def snapshots(self) -> bool:
        """True when the plan makes a version of the runtime, and AWS a snapshot of it."""
        makes = (Action.ADD, Action.CHANGE, Action.REPLACE)
        rows = [row for stack in self.stacks for row in stack.rows]
        return self.platform == V2 and any(RUNTIME in r.ids and r.action in makes for r in rows)

    @property
    def month(self) -> float:
        """Dollars per month that the plan adds to the bill without calls."""
        return sum(row.month for stack in self.stacks for row in stack.rows)

    @property
    def empty(self) -> bool:
        """True when nothing would change."""
        return not any(stack.rows for stack in self.stacks)

    @property
    def json(self) -> dict[str, Any]:
        """The plan as a JSON document."""
        return {
            "parts": [asdict(stack) for stack in self.stacks],
            "minute": [asdict(item) for item in self.minute],
            "dollars_per_month": round(self.month, 2),
            "dollars_per_call_minute": round(_sum(self.minute), 4),
            "requests_at_once": self.requests_at_once,
            "platform": self.platform,
        }


def plan_creation(stack: Stack) -> StackPlan:
    """Return the plan for a new stack: all its resources are added."""
    return StackPlan(
        stack.name,
        _rows((Action.ADD, r["Type"], name, "") for name, r in stack.resources.items()),
    )


def plan_update(change_set: Mapping[str, Any]) -> StackPlan:
    """Return the plan for a deployed stack, from DescribeChangeSet with all its pages."""
    changes = (c["ResourceChange"] for c in change_set.get("Changes", ()) if "ResourceChange" in c)
    return StackPlan(
        change_set["StackName"],
        _rows((_action(c), c["ResourceType"], c["LogicalResourceId"], _why(c)) for c in changes),
    )


def plan_restoration(missing: Iterable[MissingResource], rest: StackPlan) -> StackPlan:
    """Return the plan for a deployed stack that lacks resources; `rest` are its other changes."""
    rows = _rows((Action.ADD, each.type, each.logical, "deleted by hand") for each in missing)
    return StackPlan(rest.stack, rows + rest.rows)


def compare_templates(stack: Stack, deployed: DeployedStack, template: Json) -> StackPlan:
    """Return the plan by comparing with the deployed template, where AWS cannot compute one."""
    before: Mapping[str, Json] = template.get("Resources", {})
    after = keeping(stack, deployed, template).resources
    changes = [
        {
            "Action": "Add" if name not in before else "Modify" if name in after else "Remove",
            "LogicalResourceId": name,
            "ResourceType": (after.get(name) or before[name])["Type"],
            "Replacement": "False",
            "Details": [
                {"Target": {"Name": key}}
                for key, value in after.get(name, {}).get("Properties", {}).items()
                if name in before and before[name]["Properties"].get(key) != value
            ],
        }
        for name in {**before, **after}
        if before.get(name) != after.get(name)
    ]
    return plan_update(
        {"StackName": stack.name, "Changes": [{"ResourceChange": change} for change in changes]}
    )


def plan_removal(stack: str, resources: Iterable[Mapping[str, Any]]) -> StackPlan:
    """Return the plan for deleting a stack, from ListStackResources."""
    return StackPlan(
        stack,
        _rows(
            (Action.REMOVE, r["ResourceType"], r["LogicalResourceId"], "")
            for r in resources
            if r["ResourceStatus"] != "DELETE_COMPLETE"
        ),
    )


def secret_change(
    desired: Mapping[str, str], current: Mapping[str, str] | None
) -> tuple[ResourceChange, ...]:
    """Return the change of a deployed secret's value, by the names of variables that differ.

    No template shows values. `current` is None when the value could not be read. A secret that is
    added or removed is a change of its stack, and none here.
    """
    if not desired or current == desired:
        return ()
    differing = (
        "values"
        if current is None
        else ", ".join(
            sorted(name for name in {*desired, *current} if desired.get(name) != current.get(name))
        )
    )
    return (ResourceChange(Action.CHANGE, "secret", differing, (SECRET,), 0.0),)


def lines(plan: DeployPlan) -> Iterator[Line]:
    """Yield the plan as a table, followed by its cost."""
    yield from table(plan.stacks)
    if not plan.empty:
        yield []
    if plan.snapshots:
        yield [
            Span(
                "Platform v2 takes a snapshot of each version of the runtime: minutes, in which "
                "callers reach the version of before."
            )
        ]
    yield [Span(f"Idle: {dollars(plan.month, signed=True)} per month.")]
    yield [Span(f"Per minute of a call: {_per_minute(plan)}")]
    for item in plan.minute:
        if item.what == prices.TRACES and item.dollars:
            cost = dollars(item.dollars * 1000)
            yield [Span(f"Traces: about {cost} for 1,000 minutes of calls, as logs in CloudWatch.")]
    if plan.requests_at_once:
        yield [
            Span(
                f"Session server: at most {plan.requests_at_once} requests at once, so a flood "
                f"costs at most {dollars(prices.flood_hour(plan.requests_at_once))} per hour."
            )
        ]
    yield [
        Span("List prices of US East; the actual price depends on region, plan and usage.", "dim"),
    ]


def table(stacks: Sequence[StackPlan]) -> Iterator[Line]:
    """Yield the changes of each stack, with what they add to the monthly bill."""
    width = max((len(_title(row)) for stack in stacks for row in stack.rows), default=0)
    for stack in stacks:
        if stack.rows:
            yield [Span(stack.stack, "bold")]
        for row in stack.rows:
            sign, style = _SIGNS[row.action]
            price = f"{dollars(row.month, signed=True):>10} a month" if row.month else ""
            title = f"{_title(row):<{width}}" if price else _title(row)
            yield [Span(f"  {sign} {title}", style), Span(f"  {price}" if price else "")]


def _per_minute(plan: DeployPlan) -> str:
    # Items below four digits count in the sum only.
    known = [item for item in plan.minute if item.dollars and round(item.dollars, 4)]
    shares = ", ".join(f"{item.what} {dollars(item.dollars or 0.0, digits=4)}" for item in known)
    others = " and ".join(f"{item.what}'s" for item in plan.minute if item.dollars is None)
    rest = f", plus {others} charges" if others else ""
    return f"about {dollars(_sum(plan.minute), digits=3)} ({shares}){rest}."


def _sum(items: Sequence[CostItem]) -> float:
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
    "AWS::CloudFront::VpcOrigin": "private origin",
    "AWS::DynamoDB::Table": "session table",
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
    "AWS::EC2::VPCEndpoint": "VPC endpoint",
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
"""Names of our stacks' resource types, in words."""

_ASPECTS = {
    "AgentRuntimeArtifact": "image",
    "AgentRuntimeVersion": "version",
    "Code": "image",
    "PermissionsBoundary": "permissions boundary",
    "PlatformVersion": "platform",
    "ContainerDefinitions": "image or environment",
    "Description": "version",
    "Environment": "environment",
    "EnvironmentVariables": "environment",
    "LifecycleConfiguration": "timeouts",
    "KmsKeyId": "key",
    "NetworkConfiguration": "network",
    "NatGatewayId": "NAT gateway",
    "Policies": "permissions",
    "ReservedConcurrentExecutions": "concurrency",
    "RequestHeaderConfiguration": "headers",
    "RoleArn": "role",
    "SecurityGroupEgress": "ports",
    "Tags": "tags",
    "TaskDefinition": "version",
}
"""Names of the properties that deploys change, in words."""


def name_of(resource_type: str, logical_id: str = "") -> str:
    """Return the name of a CloudFormation resource type, in words."""
    return "S3 endpoint" if logical_id == S3_ENDPOINT else _NAMES.get(resource_type, resource_type)


def _rows(changes: Iterable[tuple[Action, str, str, str]]) -> tuple[ResourceChange, ...]:
    """Return one row for all resources of a kind with the same change, in order of appearance."""
    ids: dict[tuple[Action, str, str], list[str]] = {}
    months: dict[tuple[Action, str, str], float] = {}
    for action, type_, logical_id, why in changes:
        key = (action, name_of(type_, logical_id), why)
        ids.setdefault(key, []).append(logical_id)
        sign = {Action.ADD: 1, Action.REMOVE: -1}.get(action, 0)
        month = prices.dollars_per_month(type_, logical_id)
        months[key] = months.get(key, 0.0) + sign * month
    return tuple(ResourceChange(*key, ids=tuple(ids[key]), month=months[key]) for key in ids)


def _title(row: ResourceChange) -> str:
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
    maybe = ["may be replaced"] if change.get("Replacement") == "Conditional" else []
    return ", ".join([*aspects, *maybe])
