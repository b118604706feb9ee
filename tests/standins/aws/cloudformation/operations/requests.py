"""Owns what a request names and asks for: its stack, its desired state, its caller."""

from __future__ import annotations

import re
import uuid

from tests.standins.aws.authorization import role_caller
from tests.standins.aws.cloud import Call, Cloud
from tests.standins.aws.cloudformation import schemas
from tests.standins.aws.cloudformation.engine import Engine
from tests.standins.aws.cloudformation.stacks import (
    DesiredStack,
    Stack,
)
from tests.standins.aws.cloudformation.template import Template, invalid, parameters_of, parse
from tests.standins.aws.cloudformation.types.registry import RESOURCE_TYPES
from tests.standins.models.refusal import Refused

SERVICE = "cloudformation"
_UPDATABLE = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE",
              "UPDATE_FAILED", "CREATE_FAILED")  # fmt: skip


def stacks_of(cloud: Cloud, call: Call) -> list[Stack]:
    return cloud.setdefault(list, "stacks", *call.account_region)


def engine_of(cloud: Cloud, call: Call) -> Engine:
    place = call.account_region

    def imported(stack: Stack, name: str) -> str:
        for other in cloud.setdefault(list, "stacks", *place):
            for output in other.outputs if other.alive else []:
                if output.get("ExportName") == name:
                    return output["OutputValue"]
        raise invalid(f"No export named {name} found.")

    return cloud.setdefault(lambda: Engine(cloud, imported), "engine", *place)


def find_stack(cloud: Cloud, call: Call, desired: str) -> Stack | None:
    stacks = stacks_of(cloud, call)
    if desired.startswith("arn:"):
        return next((s for s in stacks if s.id == desired), None)
    return next((s for s in reversed(stacks) if s.name == desired and s.alive), None)


def get_stack(cloud: Cloud, call: Call, said: str = "Stack with id {} does not exist") -> Stack:
    name = call.params["StackName"]
    found = find_stack(cloud, call, name)
    if found is None:
        raise invalid(said.format(name))
    return found


def new_stack(cloud: Cloud, call: Call) -> Stack:
    name = call.params["StackName"]
    if not re.fullmatch(r"[a-zA-Z][-a-zA-Z0-9]{0,127}", name):
        raise invalid(
            f"1 validation error detected: Value '{name}' at 'stackName' failed to satisfy "
            "constraint: Member must satisfy regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*"
        )
    place = f"{call.partition}:cloudformation:{call.region}:{call.account}"
    id = f"arn:{place}:stack/{name}/{uuid.uuid4()}"
    stack = Stack(name, id, call.region, call.caller, cloud.clock.now())
    act_as_role(cloud, call, stack)
    stacks_of(cloud, call).append(stack)
    return stack


def act_as_role(cloud: Cloud, call: Call, stack: Stack) -> None:
    """Let the stack's operations act as its service role, if it has one, or as the caller."""
    stack.role = call.params.get("RoleARN", stack.role)
    caller = role_caller(cloud, call.account, stack.role) if stack.role else call.caller
    if caller is None:
        raise invalid(f"Role {stack.role} is invalid or cannot be assumed")
    stack.caller = caller


def desired_stack(cloud: Cloud, call: Call, before: DesiredStack | None) -> DesiredStack:
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
    check_types(template, call.region)
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


def check_types(template: Template, region: str) -> None:
    kinds = {resource["Type"] for resource in template.resources.values()}
    unknown = sorted(kind for kind in kinds if schemas.schema_of(kind, region) is None)
    if unknown:
        raise invalid(f"Template format error: Unrecognized resource types: {_join(unknown)}")
    if missing := sorted(kinds - set(RESOURCE_TYPES)):
        raise invalid(f"This stand-in has no resource types {_join(missing)}: add them to types/")


def _join(names: list[str]) -> str:
    return f"[{', '.join(names)}]"


def imported_value(cloud: Cloud, call: Call, name: str) -> str:
    for stack in stacks_of(cloud, call):
        for output in stack.outputs if stack.alive else []:
            if output.get("ExportName") == name:
                return output["OutputValue"]
    raise invalid(f"No export named {name} found.")


def same_outputs(stack: Stack, desired: DesiredStack) -> bool:
    return stack.current is not None and stack.current.template.outputs == desired.template.outputs


def check_updatable(stack: Stack) -> None:
    if stack.status not in _UPDATABLE:
        raise invalid(f"Stack:{stack.id} is in {stack.status} state and can not be updated.")
