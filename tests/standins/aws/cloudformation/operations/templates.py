"""Owns the operations on templates."""

from __future__ import annotations

from typing import Any

from tests.standins.aws.cloud import Call, Cloud
from tests.standins.aws.cloudformation.operations.change_sets import get_change_set
from tests.standins.aws.cloudformation.operations.requests import check_types, get_stack
from tests.standins.aws.cloudformation.stacks import (
    DesiredStack,
)
from tests.standins.aws.cloudformation.template import invalid, parse


def get_template(cloud: Cloud, call: Call) -> dict[str, Any]:
    if "ChangeSetName" in call.params:
        desired: DesiredStack | None = get_change_set(cloud, call)[1].desired
    else:
        stack = get_stack(cloud, call)
        desired = stack.shown
    if desired is None:
        raise invalid(f"Stack with id {call.params.get('StackName')} has no template")
    return {"TemplateBody": desired.template.text, "StagesAvailable": ["Original", "Processed"]}


def validate_template(cloud: Cloud, call: Call) -> dict[str, Any]:
    template = parse(call.params.get("TemplateBody", ""))
    check_types(template, call.region)
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
        stack = get_stack(cloud, call)
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
