"""Owns stacks that others deployed from exported templates: their owner, and their other names.

A pipeline may leave out voicecore's tags, and StackSets choose the names of their stacks. The
record in the template's metadata tells which stack it is, and whose.
"""

# botocore has no types.
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from voicecore.aws.errors import is_denied
from voicecore.cloud.resources.deployed_stack import DeployedStack, stack_from
from voicecore.cloud.stacks.stack import Json, record_in
from voicecore.project import aws_names
from voicecore.project.identity import Owner

TemplateOf = Callable[[DeployedStack], Json]


def owner_tags(stack: DeployedStack, template_of: TemplateOf) -> Mapping[str, str]:
    """Return the stack's tags; for one without voicecore's, those of its template's record."""
    if aws_names.TAG_PROJECT in stack.tags:
        return stack.tags
    record = record_in(template_of(stack))
    tags = {aws_names.TAG_PROJECT: record.get("project"), aws_names.TAG_ID: record.get("id")}
    return {**stack.tags, **{key: value for key, value in tags.items() if value}}


def stacks_elsewhere(
    client: Any, owner: Owner, template_of: TemplateOf
) -> Mapping[str, DeployedStack]:
    """Return the owner's stacks that have other names than voicecore gives, by the name it gives.

    Empty for an identity that may not list stacks.
    """
    try:
        pages = client.get_paginator("describe_stacks").paginate()
        listed = [each for page in pages for each in page["Stacks"]]
    except ClientError as error:
        if not is_denied(error):
            raise
        return {}
    # A template that an export wrote has one of voicecore's descriptions.
    named = f"voicecore project {owner.project}"
    found: dict[str, DeployedStack] = {}
    for each in listed:
        if named in each.get("Description", ""):
            stack = stack_from(each)
            name = record_in(template_of(stack)).get("stack", stack.name)
            if name != stack.name and owner.owns(owner_tags(stack, template_of)):
                found[name] = stack
    return found
