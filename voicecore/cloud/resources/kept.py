"""Owns what of a deployed stack stays although voicecore does not ask for it.

An administrator adds tags and permissions boundaries to stacks by hand, or by a pipeline of the
account; a deploy must not remove them. And AWS cannot change some properties of what stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from voicecore.cloud.resources.deployed_stack import DeployedStack
from voicecore.cloud.stacks.stack import METADATA, Json, Stack, record_in

_ROLE = "AWS::IAM::Role"
_BOUNDARY = "PermissionsBoundary"

# Another value would replace the resource, which has a name of its own, so CloudFormation refuses.
_FIXED = {_ROLE: "Path", "AWS::ECR::Repository": "EncryptionConfiguration"}


def keeping(stack: Stack, deployed: DeployedStack, template: Json) -> Stack:
    """Return the desired stack with what the deployed one, of this template, keeps."""
    ours = {*record_in(template).get("tags", ()), *stack.tags}
    foreign = {
        key: value
        for key, value in deployed.tags.items()
        if key not in ours and not key.startswith("voicecore:")
    }
    before: Mapping[str, Json] = template.get("Resources", {})
    resources = {name: _kept(r, before.get(name, {})) for name, r in stack.resources.items()}
    return replace(
        stack,
        template=stack.template | {"Resources": resources},
        foreign_tags=foreign,
        deployed_name=deployed.name,
    )


def is_same(stack: Stack, deployed: DeployedStack, template: Json) -> bool:
    """Return True when the deployed stack, of this template, is what is desired."""
    kept = keeping(stack, deployed, template)
    return (
        kept.all_tags == Stack(stack.name, {}, {}, dict(deployed.tags)).all_tags
        and _parameters_of(stack) == dict(deployed.parameters)
        and _compared(kept.template) == _compared(template)
    )


def _kept(resource: Json, before: Json) -> Json:
    kind = resource["Type"]
    if kind not in _FIXED or before.get("Type") != kind:
        return resource
    properties, old = dict(resource["Properties"]), before.get("Properties", {})
    fixed = _FIXED[kind]
    properties.pop(fixed, None)
    properties |= {fixed: old[fixed]} if fixed in old else {}
    if kind == _ROLE and _BOUNDARY in old:
        properties.setdefault(_BOUNDARY, old[_BOUNDARY])
    return resource | {"Properties": properties}


def _parameters_of(stack: Stack) -> dict[str, str]:
    declared: Mapping[str, Any] = stack.template.get("Parameters", {})
    defaults = {name: p["Default"] for name, p in declared.items() if "Default" in p}
    return defaults | stack.parameters


def _compared(template: Json) -> Json:
    return {key: value for key, value in template.items() if key != METADATA}
