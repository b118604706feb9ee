"""Owns the content of change sets: what an operation on a stack would change."""

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
    cloud: Cloud, stack: Stack, desired: DesiredStack, imported: Callable[[str], str]
) -> list[dict[str, Any]]:
    """Return the `Changes` of a change set, as DescribeChangeSet does with property values."""
    changed: dict[str, dict[str, Any]] = {}

    def unknown(name: str, attribute: str | None) -> bool:
        # A replaced resource gets a new ID; an updated one keeps it.
        return changed.get(name, {}).get("Replacement") == "True"

    scope = scope_of(cloud, stack, desired, imported, unknown)
    names = included(scope, desired.template)
    for logical in _ordered(desired, names):
        old = stack.resources.get(logical)
        new = desired_resource(scope, desired, logical, stack.region)
        if old is None or not old.exists:
            changed[logical] = _added(new)
        elif old.kind != new.kind:
            changed[logical] = _modified(old, new, [], "True")
        else:
            change = _compared(stack, desired, old, new, changed)
            if change is not None:
                changed[logical] = change
    for logical, resource in stack.resources.items():
        if logical not in names and resource.exists:
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


def _ordered(desired: DesiredStack, names: list[str]) -> list[str]:
    remaining, change = list(names), list[str]()
    while remaining:
        ready = [n for n in remaining if not desired.template.needs(n) & set(remaining)]
        change += ready
        remaining = [n for n in remaining if n not in ready]
    return change


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
    desired: DesiredStack,
    old: Resource,
    new: Resource,
    changed: dict[str, dict[str, Any]],
) -> dict[str, Any] | None:
    schema = schemas.schema_of(new.kind, stack.region)
    assert schema is not None
    replacing_properties = schemas.replacing(schema)
    declared = desired.template.resources[new.logical].get("Properties", {})
    before = _declared(stack, new.logical)
    details: list[dict[str, Any]] = []
    for name in sorted({*old.props, *new.props}):
        before_value, after = old.props.get(name), new.props.get(name)
        causes = _causes(stack, desired, declared.get(name), changed)
        # A property with the same declaration, which refers to nothing that changes, is skipped:
        # a change by hand or by a rollback is not a change of the template.
        if before is not None and not causes and before.get(name) == declared.get(name):
            continue
        differs = before_value != after
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
                "RequiresRecreation": "Always" if name in replacing_properties else "Never",
                "Path": f"/Properties/{name}",
                "AttributeChangeType": _kind_of_change(before_value, after),
            }
            if before_value is not None:
                target["BeforeValue"] = _value_text(before_value)
            if after is not None:
                target["AfterValue"] = _value_text(after)
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
    """Return the resource's properties in the current template; None if that is unknown."""
    if stack.current is None or stack.status == "UPDATE_FAILED":
        return None
    return stack.current.template.resources.get(logical, {}).get("Properties", {})


def changed_resources(changes: list[dict[str, Any]]) -> set[str]:
    """Return the logical IDs in a change set."""
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
    stack: Stack, desired: DesiredStack, declared: Any, changed: dict[str, dict[str, Any]]
) -> list[tuple[str, str | None, str]]:
    """Return why a property changes, or may: (ChangeSource, CausingEntity, Evaluation)."""
    found: list[tuple[str, str | None, str]] = []
    before = stack.current.parameters if stack.current else {}
    for name, attribute in references(declared):
        if name in desired.parameters and before.get(name) != desired.parameters[name]:
            found.append(("ParameterReference", name, "Static"))
        elif name in changed and changed[name]["Action"] == "Modify":
            # The attribute's new value is known only after the change.
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


def _value_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
