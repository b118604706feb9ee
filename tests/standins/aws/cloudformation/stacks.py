"""Owns the state of stacks: resources, events, change sets, and the desired state."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.standins.aws.cloud import Caller, Cloud
from tests.standins.aws.cloudformation import schemas
from tests.standins.aws.cloudformation.template import UNKNOWN, Scope, Template, invalid, typed
from tests.standins.aws.cloudformation.types.base import Context, Failed
from tests.standins.aws.cloudformation.types.registry import RESOURCE_TYPES
from tests.standins.aws.http.operations import new_request_id
from tests.standins.aws.timed_state import TimedState

STACK = "AWS::CloudFormation::Stack"


@dataclass
class Resource:
    """A resource of a stack as it was last created or updated."""

    logical: str
    kind: str
    physical: str = ""
    props: dict[str, Any] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    needs: set[str] = field(default_factory=set)
    retain: bool = False
    status: str = ""
    reason: str | None = None
    at: datetime | None = None

    @property
    def exists(self) -> bool:
        return bool(self.physical) and not self.status.startswith("DELETE_COMPLETE")


@dataclass(frozen=True)
class DesiredStack:
    """The desired state of a stack."""

    template: Template
    parameters: dict[str, str]
    tags: dict[str, str]
    capabilities: list[str] = field(default_factory=list)
    description: str = ""


@dataclass
class ChangeSet:
    name: str
    id: str
    desired: DesiredStack
    changes: list[dict[str, Any]]
    created: datetime
    state: TimedState
    why: str | None
    execution: str
    on_failure: str | None
    description: str | None
    token: str | None


@dataclass
class Stack:
    """One stack; deleted ones are kept."""

    name: str
    id: str
    region: str
    caller: Caller  # identity of its operations
    created: datetime
    status: str = "REVIEW_IN_PROGRESS"
    reason: str | None = None
    updated: datetime | None = None
    deleted: datetime | None = None
    current: DesiredStack | None = None
    resources: dict[str, Resource] = field(default_factory=dict)
    leftovers: list[Resource] = field(default_factory=list)  # replaced, not deleted yet
    outputs: list[dict[str, str]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)  # newest last
    change_sets: dict[str, ChangeSet] = field(default_factory=dict)
    protected: bool = False
    role: str = ""  # ARN of its service role
    disable_rollback: bool = False
    token: str | None = None
    cancelled: bool = False  # True: the current operation must end
    target: DesiredStack | None = None  # of the current operation
    before: dict[str, Resource] = field(default_factory=dict)  # for the rollback
    operations: int = 0
    drift: dict[str, tuple[str, Any]] = field(default_factory=dict)

    @property
    def busy(self) -> bool:
        return self.status.endswith("IN_PROGRESS") and self.status != "REVIEW_IN_PROGRESS"

    @property
    def shown(self) -> DesiredStack | None:
        """The desired state that is shown; during an update, the new one."""
        updating = self.status == "UPDATE_IN_PROGRESS"
        return self.target if updating else self.current or self.target

    @property
    def alive(self) -> bool:
        return self.status != "DELETE_COMPLETE"


def context_of(cloud: Cloud, stack: Stack, logical: str, tags: dict[str, str]) -> Context:
    return Context(cloud, stack.region, stack.caller, stack.name, logical, tags)


def record_event(
    cloud: Cloud, stack: Stack, resource: Resource | None, status: str, reason: str | None = None
) -> None:
    """Set the status of the stack or a resource of it, and add the event."""
    now = cloud.clock.now()
    with cloud.lock:
        event: dict[str, Any] = {
            "StackId": stack.id,
            "EventId": new_request_id(),
            "StackName": stack.name,
            "Timestamp": now,
            "ResourceStatus": status,
        }
        if reason:
            event["ResourceStatusReason"] = reason
        if stack.token:
            event["ClientRequestToken"] = stack.token
        if resource is None:
            stack.status, stack.reason = status, reason
            event |= {
                "LogicalResourceId": stack.name,
                "PhysicalResourceId": stack.id,
                "ResourceType": STACK,
            }
        else:
            resource.status, resource.reason, resource.at = status, reason, now
            event["EventId"] = f"{resource.logical}-{status}-{now.isoformat()}"
            event |= {
                "LogicalResourceId": resource.logical,
                "PhysicalResourceId": resource.physical,
                "ResourceType": resource.kind,
            }
            if resource.props:
                event["ResourceProperties"] = json.dumps(resource.props)
        stack.events.append(event)


def pseudo_of(stack: Stack) -> dict[str, str]:
    return {
        "AWS::AccountId": stack.caller.account,
        "AWS::Region": stack.region,
        "AWS::Partition": stack.caller.partition,
        "AWS::URLSuffix": "amazonaws.com",
        "AWS::StackName": stack.name,
        "AWS::StackId": stack.id,
    }


def scope_of(
    cloud: Cloud,
    stack: Stack,
    desired: DesiredStack,
    imported: Callable[[str], str],
    unknown: Callable[[str, str | None], bool] = lambda name, attribute: False,
) -> Scope:
    """Return what names resolve to in the stack; `unknown` says which resources will change."""

    def resource(name: str, attribute: str | None) -> Any:
        found = stack.resources.get(name)
        if found is None or not found.exists or unknown(name, attribute):
            return UNKNOWN
        if attribute is None:
            return found.physical
        made = RESOURCE_TYPES[found.kind].attributes(
            context_of(cloud, stack, name, {}), found.physical
        )
        if attribute in made:
            return made[attribute]
        if attribute in found.props:
            return found.props[attribute]
        raise invalid(
            f"Template error: resource {name} does not support attribute type {attribute} in "
            "Fn::GetAtt"
        )

    def zones(region: str) -> list[str]:
        ec2 = context_of(cloud, stack, "", {}).client("ec2")
        return [z["ZoneName"] for z in ec2.describe_availability_zones()["AvailabilityZones"]]

    parameters = typed(desired.template, desired.parameters)
    return Scope(pseudo_of(stack), parameters, resource, zones, imported, desired.template)


def included(scope: Scope, template: Template) -> list[str]:
    """Return the resources whose condition is true."""
    return [
        logical
        for logical, resource in template.resources.items()
        if "Condition" not in resource or scope.condition(resource["Condition"])
    ]


def desired_resource(scope: Scope, desired: DesiredStack, logical: str, region: str) -> Resource:
    """Return the resource as the template describes it. Raises Failed if it is invalid."""
    declared = desired.template.resources[logical]
    props = scope.resolve(declared.get("Properties", {}))
    schema = schemas.schema_of(declared["Type"], region)
    assert schema is not None
    found = list(schemas.mistakes(props, schema))
    if found:
        said = "\n".join(f"[{each}]" for each in found)
        raise Failed(f"Properties validation failed for resource {logical} with message:\n{said}")
    tags = dict(desired.tags) if schemas.taggable(schema) else {}
    own = props.pop("Tags", {})
    tags |= {t["Key"]: t["Value"] for t in own} if isinstance(own, list) else own
    return Resource(
        logical,
        declared["Type"],
        props=props,
        tags=tags,
        needs=desired.template.needs(logical),
        retain=declared.get("DeletionPolicy", "Delete").startswith("Retain"),
    )
