"""Owns the operations on change sets."""

from __future__ import annotations

import json
import re
import uuid
from typing import Any

from botocore.exceptions import ClientError

from tests.standins.aws.cloud import Call, Cloud
from tests.standins.aws.cloudformation.change_sets import changed_resources, compute_changes
from tests.standins.aws.cloudformation.operations.descriptions import PAGE, pairs_of
from tests.standins.aws.cloudformation.operations.requests import (
    act_as_role,
    check_updatable,
    desired_stack,
    engine_of,
    find_stack,
    get_stack,
    imported_value,
    new_stack,
    same_outputs,
    stacks_of,
)
from tests.standins.aws.cloudformation.stacks import (
    ChangeSet,
    Stack,
    record_event,
)
from tests.standins.aws.cloudformation.template import invalid
from tests.standins.aws.cloudformation.types.base import Failed
from tests.standins.aws.timed_state import timed_state
from tests.standins.models.refusal import Refused

_NO_CHANGES = (
    "The submitted information didn't contain changes. Submit different information to create a "
    "change set."
)


def create_change_set(cloud: Cloud, call: Call) -> dict[str, Any]:
    p = call.params
    name, kind = p["ChangeSetName"], p.get("ChangeSetType", "UPDATE")
    if not re.fullmatch(r"[a-zA-Z][-a-zA-Z0-9]{0,127}", name):
        raise invalid(
            f"1 validation error detected: Value '{name}' at 'changeSetName' failed to satisfy "
            "constraint: Member must satisfy regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*"
        )
    if kind == "IMPORT":
        raise invalid("This stand-in does not support imports")
    stack = find_stack(cloud, call, p["StackName"])
    if kind == "UPDATE":
        if stack is None or stack.status == "REVIEW_IN_PROGRESS":
            raise invalid(f"Stack [{p['StackName']}] does not exist")
        check_updatable(stack)
    elif stack is not None and stack.status != "REVIEW_IN_PROGRESS":
        raise invalid(
            f"Stack [{stack.name}] already exists and cannot be created again with the changeSet "
            f"[{name}]."
        )
    desired = desired_stack(cloud, call, stack.current if stack else None)
    if stack is not None and name in stack.change_sets:
        raise Refused("AlreadyExistsException", f"ChangeSet {name} already exists")
    if stack is None:
        stack = new_stack(cloud, call)
        record_event(cloud, stack, None, "REVIEW_IN_PROGRESS", "User Initiated")
    act_as_role(cloud, call, stack)
    try:
        changes = compute_changes(cloud, stack, desired, lambda n: imported_value(cloud, call, n))
        why = None
        if kind == "UPDATE" and not changes and same_outputs(stack, desired):
            why = _NO_CHANGES
    except (Refused, Failed, ClientError) as e:
        changes, why = [], str(e)
    end = "FAILED" if why else "CREATE_COMPLETE"
    id = f"{stack.id.replace(':stack/' + stack.name, ':changeSet/' + name)}"
    id = f"{id.rpartition('/')[0]}/{uuid.uuid4()}"
    state = timed_state(cloud.clock, "CREATE_IN_PROGRESS", end, cloud.durations.change_set)
    stack.change_sets[name] = ChangeSet(
        name, id, desired, changes, cloud.clock.now(), state, why,
        "UNAVAILABLE" if why else "AVAILABLE", p.get("OnStackFailure"), p.get("Description"),
        p.get("ClientToken"),
    )  # fmt: skip
    return {"Id": id, "StackId": stack.id}


def get_change_set(cloud: Cloud, call: Call) -> tuple[Stack, ChangeSet]:
    name = call.params["ChangeSetName"]
    for stack in stacks_of(cloud, call):
        desired = call.params.get("StackName")
        if desired not in (None, stack.name, stack.id) and not name.startswith("arn:"):
            continue
        for each in stack.change_sets.values():
            if each.id == name or (each.name == name and stack.alive and desired is not None):
                return stack, each
    if "StackName" in call.params and find_stack(cloud, call, call.params["StackName"]) is None:
        raise invalid(f"Stack [{call.params['StackName']}] does not exist")
    raise Refused("ChangeSetNotFound", f"ChangeSet [{name}] does not exist", 404)


def describe_change_set(cloud: Cloud, call: Call) -> dict[str, Any]:
    stack, found = get_change_set(cloud, call)
    status = found.state.now(cloud.clock)
    ready = status in ("CREATE_COMPLETE", "FAILED")
    start = int(call.params.get("NextToken", 0))
    listed = found.changes[start : start + PAGE] if ready else []
    if not call.params.get("IncludePropertyValues"):
        listed = [_without_values(each) for each in listed]
    answer: dict[str, Any] = {
        "ChangeSetName": found.name,
        "ChangeSetId": found.id,
        "StackId": stack.id,
        "StackName": stack.name,
        "Parameters": pairs_of(found.desired.parameters, "Parameter"),
        "CreationTime": found.created,
        "ExecutionStatus": found.execution if ready else "UNAVAILABLE",
        "Status": status,
        "NotificationARNs": [],
        "RollbackConfiguration": {},
        "Capabilities": found.desired.capabilities,
        "Tags": pairs_of(found.desired.tags),
        "Changes": listed,
        "IncludeNestedStacks": False,
    }
    if found.why and ready:
        answer["StatusReason"] = found.why
    if found.description:
        answer["Description"] = found.description
    if found.on_failure:
        answer["OnStackFailure"] = found.on_failure
    if start + PAGE < len(found.changes) and ready:
        answer["NextToken"] = str(start + PAGE)
    return answer


def _without_values(change: dict[str, Any]) -> dict[str, Any]:
    made = json.loads(json.dumps(change))
    inner = made["ResourceChange"]
    inner.pop("BeforeContext", None)
    inner.pop("AfterContext", None)
    for detail in inner.get("Details", []):
        for name in ("BeforeValue", "AfterValue", "Path", "AttributeChangeType"):
            detail["Target"].pop(name, None)
    return made


def execute_change_set(cloud: Cloud, call: Call) -> dict[str, Any]:
    stack, found = get_change_set(cloud, call)
    status = found.state.now(cloud.clock)
    if status != "CREATE_COMPLETE" or found.execution != "AVAILABLE":
        raise Refused(
            "InvalidChangeSetStatus",
            f"ChangeSet [{found.id}] cannot be executed in its current status of [{status}]"
            if status != "CREATE_COMPLETE"
            else f"ChangeSet [{found.id}] cannot be executed in its current execution status of "
            f"[{found.execution}]",
        )
    creating = stack.status == "REVIEW_IN_PROGRESS"
    if not creating:
        check_updatable(stack)
    found.execution = "EXECUTE_IN_PROGRESS"
    stack.token = call.params.get("ClientRequestToken")
    stack.disable_rollback = call.params.get("DisableRollback", False)
    act_as_role(cloud, call, stack)
    # The other change sets were computed against an outdated stack.
    stack.change_sets = {found.name: found}
    found.execution = "EXECUTE_COMPLETE"
    engine = engine_of(cloud, call)
    if creating:
        engine.create(stack, found.desired, found.on_failure or "ROLLBACK")
    else:
        engine.update(stack, found.desired, changed_resources(found.changes))
    return {}


def delete_change_set(cloud: Cloud, call: Call) -> dict[str, Any]:
    try:
        stack, found = get_change_set(cloud, call)
    except Refused as e:
        if e.kind == "ChangeSetNotFound":
            return {}
        raise
    if found.execution == "EXECUTE_IN_PROGRESS":
        raise Refused("InvalidChangeSetStatus", f"ChangeSet [{found.id}] is being executed")
    del stack.change_sets[found.name]
    return {}


def list_change_sets(cloud: Cloud, call: Call) -> dict[str, Any]:
    stack = get_stack(cloud, call, "Stack [{}] does not exist")
    return {
        "Summaries": [
            {
                "StackId": stack.id,
                "StackName": stack.name,
                "ChangeSetId": each.id,
                "ChangeSetName": each.name,
                "ExecutionStatus": each.execution,
                "Status": each.state.now(cloud.clock),
                "CreationTime": each.created,
                **({"StatusReason": each.why} if each.why else {}),
            }
            for each in stack.change_sets.values()
        ]
    }
