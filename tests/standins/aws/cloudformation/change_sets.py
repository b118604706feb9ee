"""Change sets: what an operation on a stack would do, before it does it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.standins.aws.cloud import Cloud
from tests.standins.aws.cloudformation import schemas
from tests.standins.aws.cloudformation.stacks import (
    DesiredStack,
    Resource,
    Stack,
    desired_resource,
    included,
    scope_of,
)
from tests.standins.aws.cloudformation.template import UNKNOWN, references


def compute_changes(
    cloud: Cloud, stack: Stack, wanted: DesiredStack, imported: Callable[[str], str]
) -> list[dict[str, Any]]:
    """The `Changes` of a change set, as DescribeChangeSet tells them with property values."""
    changed: dict[str, dict[str, Any]] = {}

    def unknown(name: str, attribute: str | None) -> bool:
        # What is replaced gets a new id; what is only changed keeps it.
        return changed.get(name, {}).get("Replacement") == "True"

    scope = scope_of(cloud, stack, wanted, imported, unknown)
    names = included(scope, wanted.template)
    for logical in _ordered(wanted, names):
        old = stack.resources.get(logical)
        new = desired_resource(scope, wanted, logical, stack.region)
        if old is None or not old.there:
            changed[logical] = _added(new)
        elif old.kind != new.kind:
            changed[logical] = _modified(old, new, [], "True")
        else:
            made = _compared(stack, wanted, old, new, changed)
            if made is not None:
                changed[logical] = made
    for logical, resource in stack.resources.items():
        if logical not in names and resource.there:
            changed[logical] = {
                "PolicyAction": "Retain" if resource.retain else "Delete",
                "Action": "Remove",
                "LogicalResourceId": logical,
                "PhysicalResourceId": resource.physical,
                "ResourceType": resource.kind,
                "Scope": [],
                "Details": [],
                "BeforeContext": _context(resource),
            }
    return [{"Type": "Resource", "ResourceChange": each} for each in changed.values()]


def _ordered(wanted: DesiredStack, names: list[str]) -> list[str]:
    left, made = list(names), list[str]()
    while left:
        ready = [n for n in left if not wanted.template.needs(n) & set(left)]
        made += ready
        left = [n for n in left if n not in ready]
    return made


def _context(resource: Resource) -> str:
    tags = [{"Key": k, "Value": v} for k, v in resource.tags.items()]
    return json.dumps({"Properties": resource.props | ({"Tags": tags} if tags else {})})


def _added(new: Resource) -> dict[str, Any]:
    return {
        "Action": "Add",
        "LogicalResourceId": new.logical,
        "ResourceType": new.kind,
        "Scope": [],
        "Details": [],
        "AfterContext": _context(new),
    }


def _compared(
    stack: Stack,
    wanted: DesiredStack,
    old: Resource,
    new: Resource,
    changed: dict[str, dict[str, Any]],
) -> dict[str, Any] | None:
    schema = schemas.schema_of(new.kind, stack.region)
    assert schema is not None
    costly = schemas.replacing(schema)
    declared = wanted.template.resources[new.logical].get("Properties", {})
    before = _declared(stack, new.logical)
    details: list[dict[str, Any]] = []
    for name in sorted({*old.props, *new.props}):
        was, after = old.props.get(name), new.props.get(name)
        causes = _causes(stack, wanted, declared.get(name), changed)
        # What is declared as before, of nothing that changes, is not looked at anew: a resource
        # that was changed by hand, or by a rollback, is no change of the template.
        if before is not None and not causes and before.get(name) == declared.get(name):
            continue
        differs = was != after
        if not differs and not any(evaluation == "Dynamic" for _, _, evaluation in causes):
            continue
        if not causes:
            causes = [("DirectModification", None, "Static")]
        for source, entity, evaluation in causes:
            if evaluation == "Static" and not differs:
                continue
            target: dict[str, Any] = {
                "Attribute": "Properties",
                "Name": name,
                "RequiresRecreation": "Always" if name in costly else "Never",
                "Path": f"/Properties/{name}",
                "AttributeChangeType": _kind_of_change(was, after),
            }
            if was is not None:
                target["BeforeValue"] = _said(was)
            if after is not None:
                target["AfterValue"] = _said(after)
            detail: dict[str, Any] = {
                "Target": target,
                "Evaluation": evaluation,
                "ChangeSource": source,
            }
            if entity:
                detail["CausingEntity"] = entity
            details.append(detail)
    if old.tags != new.tags:
        details.append(
            {
                "Target": {"Attribute": "Tags", "RequiresRecreation": "Never"},
                "Evaluation": "Static",
                "ChangeSource": "DirectModification",
            }
        )
    if not details:
        return None
    replacing = [d for d in details if d["Target"].get("RequiresRecreation") == "Always"]
    replacement = "False"
    if any(
        d["Evaluation"] == "Static" or UNKNOWN in d["Target"].get("AfterValue", "")
        for d in replacing
    ):
        replacement = "True"
    elif replacing:
        replacement = "Conditional"
    return _modified(old, new, details, replacement)


def _declared(stack: Stack, logical: str) -> dict[str, Any] | None:
    """The resource's properties in the template that the stack is known to follow, if it does."""
    if stack.current is None or stack.status == "UPDATE_FAILED":
        return None
    return stack.current.template.resources.get(logical, {}).get("Properties", {})


def changed_resources(changes: list[dict[str, Any]]) -> set[str]:
    """The logical ids that a change set names."""
    return {each["ResourceChange"]["LogicalResourceId"] for each in changes}


def _modified(
    old: Resource, new: Resource, details: list[dict[str, Any]], replacement: str
) -> dict[str, Any]:
    return {
        "Action": "Modify",
        "LogicalResourceId": new.logical,
        "PhysicalResourceId": old.physical,
        "ResourceType": new.kind,
        "Replacement": replacement,
        "Scope": sorted({d["Target"]["Attribute"] for d in details}),
        "Details": details,
        "BeforeContext": _context(old),
        "AfterContext": _context(new),
    }


def _causes(
    stack: Stack, wanted: DesiredStack, declared: Any, changed: dict[str, dict[str, Any]]
) -> list[tuple[str, str | None, str]]:
    """Why a property changes, or may: (ChangeSource, CausingEntity, Evaluation)."""
    found: list[tuple[str, str | None, str]] = []
    before = stack.current.parameters if stack.current else {}
    for name, attribute in references(declared):
        if name in wanted.parameters and before.get(name) != wanted.parameters[name]:
            found.append(("ParameterReference", name, "Static"))
        elif name in changed and changed[name]["Action"] == "Modify":
            # Only at the change will it be known what an attribute becomes.
            if attribute is not None:
                found.append(("ResourceAttribute", f"{name}.{attribute}", "Dynamic"))
            elif changed[name]["Replacement"] != "False":
                found.append(("ResourceReference", name, "Dynamic"))
        elif name in changed:
            source = "ResourceReference" if attribute is None else "ResourceAttribute"
            entity = name if attribute is None else f"{name}.{attribute}"
            found.append((source, entity, "Static"))
    return list(dict.fromkeys(found))


def _kind_of_change(before: Any, after: Any) -> str:
    if before is None:
        return "Add"
    return "Remove" if after is None else "Modify"


def _said(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
