"""Owns CloudFormation's API operations."""

from __future__ import annotations

import json
import re
import uuid
from typing import Any

from botocore.exceptions import ClientError

from tests.standins.aws.authorization import role_caller
from tests.standins.aws.cloud import Call, Cloud
from tests.standins.aws.cloudformation import schemas
from tests.standins.aws.cloudformation.change_sets import changed_resources, compute_changes
from tests.standins.aws.cloudformation.drift import drift_of
from tests.standins.aws.cloudformation.engine import Engine
from tests.standins.aws.cloudformation.stacks import (
    ChangeSet,
    DesiredStack,
    Resource,
    Stack,
    record_event,
)
from tests.standins.aws.cloudformation.template import Template, invalid, parameters_of, parse
from tests.standins.aws.cloudformation.types.base import Failed
from tests.standins.aws.cloudformation.types.registry import RESOURCE_TYPES
from tests.standins.aws.timed_state import timed_state
from tests.standins.models.refusal import Refused

SERVICE = "cloudformation"
_NO_CHANGES = (
    "The submitted information didn't contain changes. Submit different information to create a "
    "change set."
)
_UPDATABLE = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE",
              "UPDATE_FAILED", "CREATE_FAILED")  # fmt: skip
_PAGE = 100


def stacks_of(cloud: Cloud, call: Call) -> list[Stack]:
    return cloud.setdefault(list, "stacks", *call.account_region)


def _engine(cloud: Cloud, call: Call) -> Engine:
    place = call.account_region

    def imported(stack: Stack, name: str) -> str:
        for other in cloud.setdefault(list, "stacks", *place):
            for output in other.outputs if other.alive else []:
                if output.get("ExportName") == name:
                    return output["OutputValue"]
        raise invalid(f"No export named {name} found.")

    return cloud.setdefault(lambda: Engine(cloud, imported), "engine", *place)


def _find(cloud: Cloud, call: Call, desired: str) -> Stack | None:
    stacks = stacks_of(cloud, call)
    if desired.startswith("arn:"):
        return next((s for s in stacks if s.id == desired), None)
    return next((s for s in reversed(stacks) if s.name == desired and s.alive), None)


def _stack(cloud: Cloud, call: Call, said: str = "Stack with id {} does not exist") -> Stack:
    name = call.params["StackName"]
    found = _find(cloud, call, name)
    if found is None:
        raise invalid(said.format(name))
    return found


def _new_stack(cloud: Cloud, call: Call) -> Stack:
    name = call.params["StackName"]
    if not re.fullmatch(r"[a-zA-Z][-a-zA-Z0-9]{0,127}", name):
        raise invalid(
            f"1 validation error detected: Value '{name}' at 'stackName' failed to satisfy "
            "constraint: Member must satisfy regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*"
        )
    id = f"arn:aws:cloudformation:{call.region}:{call.account}:stack/{name}/{uuid.uuid4()}"
    stack = Stack(name, id, call.region, call.caller, cloud.clock.now())
    _act(cloud, call, stack)
    stacks_of(cloud, call).append(stack)
    return stack


def _act(cloud: Cloud, call: Call, stack: Stack) -> None:
    """Let the stack's operations act as its service role, if it has one, or as the caller."""
    stack.role = call.params.get("RoleARN", stack.role)
    caller = role_caller(cloud, call.account, stack.role) if stack.role else call.caller
    if caller is None:
        raise invalid(f"Role {stack.role} is invalid or cannot be assumed")
    stack.caller = caller


def _wanted(cloud: Cloud, call: Call, before: DesiredStack | None) -> DesiredStack:
    """Return the desired state in a call. Raises the errors that CloudFormation raises at once."""
    p = call.params
    if "TemplateURL" in p:
        raise invalid("This stand-in does not support TemplateURL; send TemplateBody")
    if p.get("UsePreviousTemplate"):
        if before is None:
            raise invalid("Either Template URL or Template Body must be specified.")
        template = before.template
    elif "TemplateBody" in p:
        template = parse(p["TemplateBody"])
    else:
        raise invalid("Either Template URL or Template Body must be specified.")
    _check_types(template, call.region)
    needed = template.capabilities()
    given = p.get("Capabilities", [])
    if needed and not {"CAPABILITY_NAMED_IAM", *needed} & set(given):
        raise Refused(
            "InsufficientCapabilitiesException", f"Requires capabilities : {_join(needed)}"
        )
    values = parameters_of(template, p.get("Parameters", []), before.parameters if before else {})
    tags = {tag["Key"]: tag["Value"] for tag in p["Tags"]} if "Tags" in p else None
    if tags is None:
        tags = before.tags if before else {}
    for key in tags:
        if key.startswith("aws:"):
            raise invalid("aws: prefixed tag key names are not allowed for external use.")
    description = template.body.get("Description", "")
    return DesiredStack(template, values, tags, given, description)


def _check_types(template: Template, region: str) -> None:
    kinds = {resource["Type"] for resource in template.resources.values()}
    unknown = sorted(kind for kind in kinds if schemas.schema_of(kind, region) is None)
    if unknown:
        raise invalid(f"Template format error: Unrecognized resource types: {_join(unknown)}")
    if missing := sorted(kinds - set(RESOURCE_TYPES)):
        raise invalid(f"This stand-in has no resource types {_join(missing)}: add them to types/")


def _join(names: list[str]) -> str:
    return f"[{', '.join(names)}]"


# ---- change sets


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
    stack = _find(cloud, call, p["StackName"])
    if kind == "UPDATE":
        if stack is None or stack.status == "REVIEW_IN_PROGRESS":
            raise invalid(f"Stack [{p['StackName']}] does not exist")
        _check_updatable(stack)
    elif stack is not None and stack.status != "REVIEW_IN_PROGRESS":
        raise invalid(
            f"Stack [{stack.name}] already exists and cannot be created again with the changeSet "
            f"[{name}]."
        )
    desired = _wanted(cloud, call, stack.current if stack else None)
    if stack is not None and name in stack.change_sets:
        raise Refused("AlreadyExistsException", f"ChangeSet {name} already exists")
    if stack is None:
        stack = _new_stack(cloud, call)
        record_event(cloud, stack, None, "REVIEW_IN_PROGRESS", "User Initiated")
    _act(cloud, call, stack)
    try:
        changes = compute_changes(cloud, stack, desired, lambda n: _imported(cloud, call, n))
        why = None
        if kind == "UPDATE" and not changes and _same_outputs(stack, desired):
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


def _imported(cloud: Cloud, call: Call, name: str) -> str:
    for stack in stacks_of(cloud, call):
        for output in stack.outputs if stack.alive else []:
            if output.get("ExportName") == name:
                return output["OutputValue"]
    raise invalid(f"No export named {name} found.")


def _same_outputs(stack: Stack, desired: DesiredStack) -> bool:
    return stack.current is not None and stack.current.template.outputs == desired.template.outputs


def _check_updatable(stack: Stack) -> None:
    if stack.status not in _UPDATABLE:
        raise invalid(f"Stack:{stack.id} is in {stack.status} state and can not be updated.")


def _change_set(cloud: Cloud, call: Call) -> tuple[Stack, ChangeSet]:
    name = call.params["ChangeSetName"]
    for stack in stacks_of(cloud, call):
        desired = call.params.get("StackName")
        if desired not in (None, stack.name, stack.id) and not name.startswith("arn:"):
            continue
        for each in stack.change_sets.values():
            if each.id == name or (each.name == name and stack.alive and desired is not None):
                return stack, each
    if "StackName" in call.params and _find(cloud, call, call.params["StackName"]) is None:
        raise invalid(f"Stack [{call.params['StackName']}] does not exist")
    raise Refused("ChangeSetNotFound", f"ChangeSet [{name}] does not exist", 404)


def describe_change_set(cloud: Cloud, call: Call) -> dict[str, Any]:
    stack, found = _change_set(cloud, call)
    status = found.state.now(cloud.clock)
    ready = status in ("CREATE_COMPLETE", "FAILED")
    start = int(call.params.get("NextToken", 0))
    listed = found.changes[start : start + _PAGE] if ready else []
    if not call.params.get("IncludePropertyValues"):
        listed = [_without_values(each) for each in listed]
    answer: dict[str, Any] = {
        "ChangeSetName": found.name,
        "ChangeSetId": found.id,
        "StackId": stack.id,
        "StackName": stack.name,
        "Parameters": _pairs(found.desired.parameters, "Parameter"),
        "CreationTime": found.created,
        "ExecutionStatus": found.execution if ready else "UNAVAILABLE",
        "Status": status,
        "NotificationARNs": [],
        "RollbackConfiguration": {},
        "Capabilities": found.desired.capabilities,
        "Tags": _pairs(found.desired.tags),
        "Changes": listed,
        "IncludeNestedStacks": False,
    }
    if found.why and ready:
        answer["StatusReason"] = found.why
    if found.description:
        answer["Description"] = found.description
    if found.on_failure:
        answer["OnStackFailure"] = found.on_failure
    if start + _PAGE < len(found.changes) and ready:
        answer["NextToken"] = str(start + _PAGE)
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
    stack, found = _change_set(cloud, call)
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
        _check_updatable(stack)
    found.execution = "EXECUTE_IN_PROGRESS"
    stack.token = call.params.get("ClientRequestToken")
    stack.disable_rollback = call.params.get("DisableRollback", False)
    _act(cloud, call, stack)
    # The other change sets were computed against an outdated stack.
    stack.change_sets = {found.name: found}
    found.execution = "EXECUTE_COMPLETE"
    engine = _engine(cloud, call)
    if creating:
        engine.create(stack, found.desired, found.on_failure or "ROLLBACK")
    else:
        engine.update(stack, found.desired, changed_resources(found.changes))
    return {}


def delete_change_set(cloud: Cloud, call: Call) -> dict[str, Any]:
    try:
        stack, found = _change_set(cloud, call)
    except Refused as e:
        if e.kind == "ChangeSetNotFound":
            return {}
        raise
    if found.execution == "EXECUTE_IN_PROGRESS":
        raise Refused("InvalidChangeSetStatus", f"ChangeSet [{found.id}] is being executed")
    del stack.change_sets[found.name]
    return {}


def list_change_sets(cloud: Cloud, call: Call) -> dict[str, Any]:
    stack = _stack(cloud, call, "Stack [{}] does not exist")
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


# ---- stacks


def create_stack(cloud: Cloud, call: Call) -> dict[str, Any]:
    p = call.params
    found = _find(cloud, call, p["StackName"])
    if found is not None:
        raise Refused("AlreadyExistsException", f"Stack [{found.name}] already exists")
    desired = _wanted(cloud, call, None)
    stack = _new_stack(cloud, call)
    stack.protected = p.get("EnableTerminationProtection", False)
    stack.token = p.get("ClientRequestToken")
    on_failure = "DO_NOTHING" if p.get("DisableRollback") else p.get("OnFailure", "ROLLBACK")
    _engine(cloud, call).create(stack, desired, on_failure)
    return {"StackId": stack.id}


def update_stack(cloud: Cloud, call: Call) -> dict[str, Any]:
    stack = _stack(cloud, call, "Stack [{}] does not exist")
    _check_updatable(stack)
    desired = _wanted(cloud, call, stack.current)
    _act(cloud, call, stack)
    changes = compute_changes(cloud, stack, desired, lambda n: _imported(cloud, call, n))
    if not changes and _same_outputs(stack, desired):
        raise invalid("No updates are to be performed.")
    stack.token = call.params.get("ClientRequestToken")
    stack.disable_rollback = call.params.get("DisableRollback", False)
    _engine(cloud, call).update(stack, desired, changed_resources(changes))
    return {"StackId": stack.id}


def delete_stack(cloud: Cloud, call: Call) -> dict[str, Any]:
    p = call.params
    stack = _find(cloud, call, p["StackName"])
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
    _act(cloud, call, stack)
    stack.token = p.get("ClientRequestToken")
    force = p.get("DeletionMode") == "FORCE_DELETE_STACK"
    _engine(cloud, call).delete(stack, retain, force)
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
    stack = _stack(cloud, call, "Stack [{}] does not exist")
    if stack.status != "UPDATE_IN_PROGRESS":
        raise invalid("CancelUpdateStack cannot be called from current stack status")
    stack.cancelled = True
    return {}


def continue_rollback(cloud: Cloud, call: Call) -> dict[str, Any]:
    stack = _stack(cloud, call, "Stack [{}] does not exist")
    if stack.status != "UPDATE_ROLLBACK_FAILED":
        raise invalid(
            f"Stack:{stack.id} is in {stack.status} state and can not continue to rollback its "
            "update."
        )
    _act(cloud, call, stack)
    stack.token = call.params.get("ClientRequestToken")
    _engine(cloud, call).roll_back(stack, call.params.get("ResourcesToSkip", []))
    return {}


def roll_back(cloud: Cloud, call: Call) -> dict[str, Any]:
    stack = _stack(cloud, call, "Stack [{}] does not exist")
    if stack.status not in ("CREATE_FAILED", "UPDATE_FAILED"):
        raise invalid(f"Stack:{stack.id} is in {stack.status} state and can not be rolled back.")
    _act(cloud, call, stack)
    stack.token = call.params.get("ClientRequestToken")
    _engine(cloud, call).roll_back(stack)
    return {"StackId": stack.id}


def protect(cloud: Cloud, call: Call) -> dict[str, Any]:
    stack = _stack(cloud, call, "Stack [{}] does not exist")
    stack.protected = call.params["EnableTerminationProtection"]
    return {"StackId": stack.id}


def describe_stacks(cloud: Cloud, call: Call) -> dict[str, Any]:
    if "StackName" in call.params:
        return {"Stacks": [_described(_stack(cloud, call))]}
    listed = [s for s in stacks_of(cloud, call) if s.alive]
    start = int(call.params.get("NextToken", 0))
    answer: dict[str, Any] = {"Stacks": [_described(s) for s in listed[start : start + _PAGE]]}
    return answer | ({"NextToken": str(start + _PAGE)} if start + _PAGE < len(listed) else {})


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
        "Tags": _pairs(desired.tags) if desired else [],
        "Parameters": _pairs(desired.parameters, "Parameter") if desired else [],
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
            for s in listed[start : start + _PAGE]
        ]
    }
    return answer | ({"NextToken": str(start + _PAGE)} if start + _PAGE < len(listed) else {})


def describe_events(cloud: Cloud, call: Call) -> dict[str, Any]:
    stack = _stack(cloud, call, "Stack [{}] does not exist")
    listed = list(reversed(stack.events))
    # The token names the oldest event returned, so newer events do not move the pages.
    start = 0
    if token := call.params.get("NextToken"):
        start = next(n for n, e in enumerate(listed) if e["EventId"] == token) + 1
    page = listed[start : start + _PAGE]
    more = start + _PAGE < len(listed)
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
        stack = _stack(cloud, call)
    desired = p.get("LogicalResourceId")
    listed = [r for r in stack.resources.values() if desired in (None, r.logical)]
    return {
        "StackResources": [
            {**_resource(stack, r), "StackName": stack.name, "StackId": stack.id, "Timestamp": r.at}
            for r in listed
        ]
    }


def describe_resource(cloud: Cloud, call: Call) -> dict[str, Any]:
    stack = _stack(cloud, call, "Stack '{}' does not exist")
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
    stack = _stack(cloud, call)
    listed = list(stack.resources.values())
    start = int(call.params.get("NextToken", 0))
    answer: dict[str, Any] = {
        "StackResourceSummaries": [
            {**_resource(stack, r), "LastUpdatedTimestamp": r.at}
            for r in listed[start : start + _PAGE]
        ]
    }
    return answer | ({"NextToken": str(start + _PAGE)} if start + _PAGE < len(listed) else {})


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


def _pairs(values: dict[str, str], prefix: str = "") -> list[dict[str, str]]:
    return [{f"{prefix}Key": key, f"{prefix}Value": value} for key, value in values.items()]


# ---- templates


def get_template(cloud: Cloud, call: Call) -> dict[str, Any]:
    if "ChangeSetName" in call.params:
        desired: DesiredStack | None = _change_set(cloud, call)[1].desired
    else:
        stack = _stack(cloud, call)
        desired = stack.shown
    if desired is None:
        raise invalid(f"Stack with id {call.params.get('StackName')} has no template")
    return {"TemplateBody": desired.template.text, "StagesAvailable": ["Original", "Processed"]}


def validate_template(cloud: Cloud, call: Call) -> dict[str, Any]:
    template = parse(call.params.get("TemplateBody", ""))
    _check_types(template, call.region)
    needed = template.capabilities()
    answer: dict[str, Any] = {
        "Parameters": [
            {
                "ParameterKey": name,
                "NoEcho": bool(declared.get("NoEcho")),
                **({"DefaultValue": str(declared["Default"])} if "Default" in declared else {}),
                **({"Description": declared["Description"]} if "Description" in declared else {}),
            }
            for name, declared in template.parameters.items()
        ],
        "Description": template.body.get("Description", ""),
        "Capabilities": needed,
    }
    if needed:
        answer["CapabilitiesReason"] = (
            "The following resource(s) require capabilities: [AWS::IAM::Role]"
        )
    return answer


def template_summary(cloud: Cloud, call: Call) -> dict[str, Any]:
    if "StackName" in call.params:
        stack = _stack(cloud, call)
        desired = stack.shown
        assert desired
        template = desired.template
    else:
        template = parse(call.params.get("TemplateBody", ""))
    return {
        "Parameters": [
            {"ParameterKey": name, "ParameterType": declared["Type"]}
            for name, declared in template.parameters.items()
        ],
        "Description": template.body.get("Description", ""),
        "Capabilities": template.capabilities(),
        "ResourceTypes": sorted({r["Type"] for r in template.resources.values()}),
        "Version": template.body.get("AWSTemplateFormatVersion", "2010-09-09"),
    }


# ---- drift; properties are compared in drift.py


def detect_drift(cloud: Cloud, call: Call) -> dict[str, Any]:
    stack = _stack(cloud, call, "Stack [{}] does not exist")
    found = {logical: drift_of(cloud, stack, r) for logical, r in stack.resources.items()}
    bad = [logical for logical, (status, _) in found.items() if status in ("DELETED", "MODIFIED")]
    stack.drift = {**found, "status": ("DRIFTED" if bad else "IN_SYNC", len(bad))}
    id = str(uuid.uuid4())
    cloud.setdefault(dict, "drifts")[id] = stack
    return {"StackDriftDetectionId": id}


def drift_status(cloud: Cloud, call: Call) -> dict[str, Any]:
    id = call.params["StackDriftDetectionId"]
    if id not in cloud.setdefault(dict, "drifts"):
        raise invalid(f"Drift detection id {id} does not exist")
    stack = cloud.setdefault(dict, "drifts")[id]
    status, count = stack.drift["status"]
    return {
        "StackId": stack.id,
        "StackDriftDetectionId": id,
        "StackDriftStatus": status,
        "DetectionStatus": "DETECTION_COMPLETE",
        "DriftedStackResourceCount": count,
        "Timestamp": cloud.clock.now(),
    }


def resource_drifts(cloud: Cloud, call: Call) -> dict[str, Any]:
    stack = _stack(cloud, call, "Stack [{}] does not exist")
    desired = call.params.get("StackResourceDriftStatusFilters")
    listed = []
    for logical, resource in stack.resources.items():
        status, differences = stack.drift.get(logical, ("NOT_CHECKED", []))
        if desired and status not in desired:
            continue
        listed.append(
            {
                "StackId": stack.id,
                "LogicalResourceId": logical,
                "PhysicalResourceId": resource.physical,
                "ResourceType": resource.kind,
                "ExpectedProperties": json.dumps(resource.props),
                "PropertyDifferences": differences or [],
                "StackResourceDriftStatus": status,
                "Timestamp": cloud.clock.now(),
            }
        )
    return {"StackResourceDrifts": listed}


HANDLERS = {
    (SERVICE, name): handler
    for name, handler in {
        "CreateChangeSet": create_change_set,
        "DescribeChangeSet": describe_change_set,
        "ExecuteChangeSet": execute_change_set,
        "DeleteChangeSet": delete_change_set,
        "ListChangeSets": list_change_sets,
        "CreateStack": create_stack,
        "UpdateStack": update_stack,
        "DeleteStack": delete_stack,
        "CancelUpdateStack": cancel_update,
        "ContinueUpdateRollback": continue_rollback,
        "RollbackStack": roll_back,
        "UpdateTerminationProtection": protect,
        "DescribeStacks": describe_stacks,
        "ListStacks": list_stacks,
        "DescribeStackEvents": describe_events,
        "DescribeStackResources": describe_resources,
        "DescribeStackResource": describe_resource,
        "ListStackResources": list_resources,
        "GetTemplate": get_template,
        "GetTemplateSummary": template_summary,
        "ValidateTemplate": validate_template,
        "DetectStackDrift": detect_drift,
        "DescribeStackDriftDetectionStatus": drift_status,
        "DescribeStackResourceDrifts": resource_drifts,
    }.items()
}


def unsupported(cloud: Cloud, call: Call) -> dict[str, Any]:
    """Reject the other operations, which moto would answer from its own, empty state."""
    raise invalid(f"This stand-in does not support {call.operation}")


HANDLERS[SERVICE, "*"] = unsupported
