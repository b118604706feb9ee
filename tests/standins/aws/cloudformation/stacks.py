"""What a stack is: its resources, its events, what is wanted of it."""

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
    """A resource of a stack as it was last made or changed."""

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
    def there(self) -> bool:
        return bool(self.physical) and not self.status.startswith("DELETE_COMPLETE")


@dataclass(frozen=True)
class DesiredStack:
    """What a stack is to become."""

    template: Template
    parameters: dict[str, str]
    tags: dict[str, str]
    capabilities: list[str] = field(default_factory=list)
    description: str = ""


@dataclass
class ChangeSet:
    name: str
    id: str
    wanted: DesiredStack
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
    """One stack, the deleted ones too."""

    name: str
    id: str
    region: str
    caller: Caller
    created: datetime
    status: str = "REVIEW_IN_PROGRESS"
    reason: str | None = None
    updated: datetime | None = None
    deleted: datetime | None = None
    current: DesiredStack | None = None
    resources: dict[str, Resource] = field(default_factory=dict)
    leftovers: list[Resource] = field(default_factory=list)  # replaced ones, still to be deleted
    outputs: list[dict[str, str]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)  # newest last
    change_sets: dict[str, ChangeSet] = field(default_factory=dict)
    protected: bool = False
    disable_rollback: bool = False
    token: str | None = None
    cancelled: bool = False  # the operation under way is to end
    target: DesiredStack | None = None  # what the operation under way leads to
    before: dict[str, Resource] = field(default_factory=dict)  # for its rollback
    operations: int = 0
    drift: dict[str, tuple[str, Any]] = field(default_factory=dict)

    @property
    def busy(self) -> bool:
        return self.status.endswith("IN_PROGRESS") and self.status != "REVIEW_IN_PROGRESS"

    @property
    def shown(self) -> DesiredStack | None:
        """What it is told to be; while it is updated, what it is to become."""
        updating = self.status == "UPDATE_IN_PROGRESS"
        return self.target if updating else self.current or self.target

    @property
    def alive(self) -> bool:
        return self.status != "DELETE_COMPLETE"


def context_of(cloud: Cloud, stack: Stack, logical: str, tags: dict[str, str]) -> Context:
    return Context(cloud, stack.region, stack.caller, stack.name, logical, tags)


def note(
    cloud: Cloud, stack: Stack, resource: Resource | None, status: str, reason: str | None = None
) -> None:
    """Puts the stack, or a resource of it, into a state, and writes the event."""
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
        "AWS::Partition": "aws",
        "AWS::URLSuffix": "amazonaws.com",
        "AWS::StackName": stack.name,
        "AWS::StackId": stack.id,
    }


def scope_of(
    cloud: Cloud,
    stack: Stack,
    wanted: DesiredStack,
    imported: Callable[[str], str],
    unknown: Callable[[str, str | None], bool] = lambda name, attribute: False,
) -> Scope:
    """What names mean in the stack now. `unknown`: which resources will not stay as they are."""

    def resource(name: str, attribute: str | None) -> Any:
        found = stack.resources.get(name)
        if found is None or not found.there or unknown(name, attribute):
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

    parameters = typed(wanted.template, wanted.parameters)
    return Scope(pseudo_of(stack), parameters, resource, zones, imported, wanted.template)


def included(scope: Scope, template: Template) -> list[str]:
    """The resources whose condition holds."""
    return [
        logical
        for logical, resource in template.resources.items()
        if "Condition" not in resource or scope.condition(resource["Condition"])
    ]


def desired_resource(scope: Scope, wanted: DesiredStack, logical: str, region: str) -> Resource:
    """The resource as the template has it now. Raises Failed when AWS's schema refuses it."""
    declared = wanted.template.resources[logical]
    props = scope.resolve(declared.get("Properties", {}))
    schema = schemas.schema_of(declared["Type"], region)
    assert schema is not None
    found = list(schemas.mistakes(props, schema))
    if found:
        said = "\n".join(f"[{each}]" for each in found)
        raise Failed(f"Properties validation failed for resource {logical} with message:\n{said}")
    tags = dict(wanted.tags) if schemas.taggable(schema) else {}
    own = props.pop("Tags", {})
    tags |= {t["Key"]: t["Value"] for t in own} if isinstance(own, list) else own
    return Resource(
        logical,
        declared["Type"],
        props=props,
        tags=tags,
        needs=wanted.template.needs(logical),
        retain=declared.get("DeletionPolicy", "Delete").startswith("Retain"),
    )
