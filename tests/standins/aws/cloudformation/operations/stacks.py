"""Owns the operations that create, update, roll back and delete stacks."""

from __future__ import annotations

import json
from typing import Any

from tests.standins.aws.cloud import Call, Cloud
from tests.standins.aws.cloudformation.change_sets import changed_resources, compute_changes
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
    Stack,
)
from tests.standins.aws.cloudformation.template import invalid
from tests.standins.models.refusal import Refused


def create_stack(cloud: Cloud, call: Call) -> dict[str, Any]:
    p = call.params
    found = find_stack(cloud, call, p["StackName"])
    if found is not None:
        raise Refused("AlreadyExistsException", f"Stack [{found.name}] already exists")
    desired = desired_stack(cloud, call, None)
    stack = new_stack(cloud, call)
    stack.protected = p.get("EnableTerminationProtection", False)
    stack.token = p.get("ClientRequestToken")
    on_failure = "DO_NOTHING" if p.get("DisableRollback") else p.get("OnFailure", "ROLLBACK")
    engine_of(cloud, call).create(stack, desired, on_failure)
    return {"StackId": stack.id}


def update_stack(cloud: Cloud, call: Call) -> dict[str, Any]:
    stack = get_stack(cloud, call, "Stack [{}] does not exist")
    check_updatable(stack)
    desired = desired_stack(cloud, call, stack.current)
    act_as_role(cloud, call, stack)
    changes = compute_changes(cloud, stack, desired, lambda n: imported_value(cloud, call, n))
    if not changes and same_outputs(stack, desired):
        raise invalid("No updates are to be performed.")
    stack.token = call.params.get("ClientRequestToken")
    stack.disable_rollback = call.params.get("DisableRollback", False)
    engine_of(cloud, call).update(stack, desired, changed_resources(changes))
    return {"StackId": stack.id}


def delete_stack(cloud: Cloud, call: Call) -> dict[str, Any]:
    p = call.params
    stack = find_stack(cloud, call, p["StackName"])
    if stack is None or not stack.alive:
        return {}
    if stack.protected:
        raise invalid(
            f"Stack [{stack.name}] cannot be deleted while TerminationProtection is enabled"
        )
    if stack.status == "DELETE_IN_PROGRESS":
        return {}
    if stack.busy and stack.status != "CREATE_IN_PROGRESS":
        raise invalid(f"Stack [{stack.name}] cannot be deleted while in status {stack.status}")
    _check_exports(cloud, call, stack)
    retain = p.get("RetainResources", [])
    if retain and stack.status != "DELETE_FAILED":
        raise invalid(
            f"Invalid operation on stack [{stack.id}]. Please make sure that the stack is in "
            "DELETE_FAILED state if you want to specify RetainResources."
        )
    act_as_role(cloud, call, stack)
    stack.token = p.get("ClientRequestToken")
    force = p.get("DeletionMode") == "FORCE_DELETE_STACK"
    engine_of(cloud, call).delete(stack, retain, force)
    return {}


def _check_exports(cloud: Cloud, call: Call, stack: Stack) -> None:
    for output in stack.outputs:
        name = output.get("ExportName")
        for other in stacks_of(cloud, call):
            if (
                name
                and other.alive
                and other is not stack
                and other.current
                and (f'"Fn::ImportValue": "{name}"' in json.dumps(other.current.template.body))
            ):
                raise invalid(f"Export {name} cannot be deleted as it is in use by {other.name}")


def cancel_update(cloud: Cloud, call: Call) -> dict[str, Any]:
    stack = get_stack(cloud, call, "Stack [{}] does not exist")
    if stack.status != "UPDATE_IN_PROGRESS":
        raise invalid("CancelUpdateStack cannot be called from current stack status")
    stack.cancelled = True
    return {}


def continue_rollback(cloud: Cloud, call: Call) -> dict[str, Any]:
    stack = get_stack(cloud, call, "Stack [{}] does not exist")
    if stack.status != "UPDATE_ROLLBACK_FAILED":
        raise invalid(
            f"Stack:{stack.id} is in {stack.status} state and can not continue to rollback its "
            "update."
        )
    act_as_role(cloud, call, stack)
    stack.token = call.params.get("ClientRequestToken")
    engine_of(cloud, call).roll_back(stack, call.params.get("ResourcesToSkip", []))
    return {}


def roll_back(cloud: Cloud, call: Call) -> dict[str, Any]:
    stack = get_stack(cloud, call, "Stack [{}] does not exist")
    if stack.status not in ("CREATE_FAILED", "UPDATE_FAILED"):
        raise invalid(f"Stack:{stack.id} is in {stack.status} state and can not be rolled back.")
    act_as_role(cloud, call, stack)
    stack.token = call.params.get("ClientRequestToken")
    engine_of(cloud, call).roll_back(stack)
    return {"StackId": stack.id}


def protect(cloud: Cloud, call: Call) -> dict[str, Any]:
    stack = get_stack(cloud, call, "Stack [{}] does not exist")
    stack.protected = call.params["EnableTerminationProtection"]
    return {"StackId": stack.id}
