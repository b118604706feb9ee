"""Owns the operations that describe and list stacks, events and resources."""

from __future__ import annotations

from typing import Any

from tests.standins.aws.cloud import Call, Cloud
from tests.standins.aws.cloudformation.operations.requests import get_stack, stacks_of
from tests.standins.aws.cloudformation.stacks import (
    Resource,
    Stack,
)
from tests.standins.aws.cloudformation.template import invalid

PAGE = 100


def describe_stacks(cloud: Cloud, call: Call) -> dict[str, Any]:
    if "StackName" in call.params:
        return {"Stacks": [_described(get_stack(cloud, call))]}
    listed = [s for s in stacks_of(cloud, call) if s.alive]
    start = int(call.params.get("NextToken", 0))
    answer: dict[str, Any] = {"Stacks": [_described(s) for s in listed[start : start + PAGE]]}
    return answer | ({"NextToken": str(start + PAGE)} if start + PAGE < len(listed) else {})


def _described(stack: Stack) -> dict[str, Any]:
    desired = stack.shown
    answer: dict[str, Any] = {
        "StackId": stack.id,
        "StackName": stack.name,
        "CreationTime": stack.created,
        "StackStatus": stack.status,
        "DisableRollback": stack.disable_rollback,
        "EnableTerminationProtection": stack.protected,
        "NotificationARNs": [],
        "RollbackConfiguration": {},
        "DriftInformation": {"StackDriftStatus": stack.drift.get("status", ("NOT_CHECKED", 0))[0]},
        "Outputs": stack.outputs,
        "Tags": pairs_of(desired.tags) if desired else [],
        "Parameters": pairs_of(desired.parameters, "Parameter") if desired else [],
        "Capabilities": desired.capabilities if desired else [],
    }
    if stack.role:
        answer["RoleARN"] = stack.role
    if desired and desired.description:
        answer["Description"] = desired.description
    if stack.reason:
        answer["StackStatusReason"] = stack.reason
    if stack.updated:
        answer["LastUpdatedTime"] = stack.updated
    if stack.deleted:
        answer["DeletionTime"] = stack.deleted
    if stack.change_sets:
        last = list(stack.change_sets.values())[-1]
        if last.execution == "EXECUTE_COMPLETE":
            answer["ChangeSetId"] = last.id
    return answer


def list_stacks(cloud: Cloud, call: Call) -> dict[str, Any]:
    desired = call.params.get("StackStatusFilter")
    listed = [s for s in reversed(stacks_of(cloud, call)) if not desired or s.status in desired]
    start = int(call.params.get("NextToken", 0))
    answer: dict[str, Any] = {
        "StackSummaries": [
            {
                "StackId": s.id,
                "StackName": s.name,
                "CreationTime": s.created,
                "StackStatus": s.status,
                "DriftInformation": {"StackDriftStatus": "NOT_CHECKED"},
                **({"StackStatusReason": s.reason} if s.reason else {}),
                **({"LastUpdatedTime": s.updated} if s.updated else {}),
                **({"DeletionTime": s.deleted} if s.deleted else {}),
            }
            for s in listed[start : start + PAGE]
        ]
    }
    return answer | ({"NextToken": str(start + PAGE)} if start + PAGE < len(listed) else {})


def describe_events(cloud: Cloud, call: Call) -> dict[str, Any]:
    stack = get_stack(cloud, call, "Stack [{}] does not exist")
    listed = list(reversed(stack.events))
    # The token names the oldest event returned, so newer events do not move the pages.
    start = 0
    if token := call.params.get("NextToken"):
        start = next(n for n, e in enumerate(listed) if e["EventId"] == token) + 1
    page = listed[start : start + PAGE]
    more = start + PAGE < len(listed)
    return {"StackEvents": page, **({"NextToken": page[-1]["EventId"]} if more else {})}


def describe_resources(cloud: Cloud, call: Call) -> dict[str, Any]:
    p = call.params
    if "PhysicalResourceId" in p and "StackName" not in p:
        found = [
            stack
            for stack in stacks_of(cloud, call)
            if any(r.physical == p["PhysicalResourceId"] for r in stack.resources.values())
        ]
        if not found:
            raise invalid(f"Stack for {p['PhysicalResourceId']} does not exist")
        stack = found[0]
    else:
        stack = get_stack(cloud, call)
    desired = p.get("LogicalResourceId")
    listed = [r for r in stack.resources.values() if desired in (None, r.logical)]
    return {
        "StackResources": [
            {**_resource(stack, r), "StackName": stack.name, "StackId": stack.id, "Timestamp": r.at}
            for r in listed
        ]
    }


def describe_resource(cloud: Cloud, call: Call) -> dict[str, Any]:
    stack = get_stack(cloud, call, "Stack '{}' does not exist")
    found = stack.resources.get(call.params["LogicalResourceId"])
    if found is None:
        raise invalid(
            f"Resource {call.params['LogicalResourceId']} does not exist for stack {stack.name}"
        )
    detail = {
        **_resource(stack, found),
        "StackName": stack.name,
        "StackId": stack.id,
        "LastUpdatedTimestamp": found.at,
    }
    return {"StackResourceDetail": detail}


def list_resources(cloud: Cloud, call: Call) -> dict[str, Any]:
    stack = get_stack(cloud, call)
    listed = list(stack.resources.values())
    start = int(call.params.get("NextToken", 0))
    answer: dict[str, Any] = {
        "StackResourceSummaries": [
            {**_resource(stack, r), "LastUpdatedTimestamp": r.at}
            for r in listed[start : start + PAGE]
        ]
    }
    return answer | ({"NextToken": str(start + PAGE)} if start + PAGE < len(listed) else {})


def _resource(stack: Stack, resource: Resource) -> dict[str, Any]:
    drift = stack.drift.get(resource.logical, ("NOT_CHECKED", None))[0]
    answer = {
        "LogicalResourceId": resource.logical,
        "ResourceType": resource.kind,
        "ResourceStatus": resource.status,
        "DriftInformation": {"StackResourceDriftStatus": drift},
    }
    if resource.physical:
        answer["PhysicalResourceId"] = resource.physical
    if resource.reason:
        answer["ResourceStatusReason"] = resource.reason
    return answer


def pairs_of(values: dict[str, str], prefix: str = "") -> list[dict[str, str]]:
    return [{f"{prefix}Key": key, f"{prefix}Value": value} for key, value in values.items()]
