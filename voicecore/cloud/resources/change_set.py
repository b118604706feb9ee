"""Owns change sets, which only show what an update would change.

The update itself is UpdateStack: AWS refuses it while another operation runs, as it refuses a
change set, and it leaves nothing behind when this process dies before the call.
"""

# botocore has no types.
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any

from voicecore.aws.polling import Sleep, poll_intervals
from voicecore.cloud.resources.stack_failure import StackFailed
from voicecore.cloud.stacks.stack import Stack

NO_CHANGE = "No updates are to be performed"

Pages = list[Mapping[str, Any]]
Ask = Callable[[Callable[[], Pages]], Pages]
"""Returns the answer to a read-only question, also while the network is lost for a while."""


def proposed_changes(
    client: Any, stack: Stack, role: Mapping[str, str], ask: Ask, pause: Sleep
) -> Mapping[str, Any] | None:
    """Return what an update would change, as DescribeChangeSet does; None for nothing.

    `role` is the argument that names CloudFormation's service role, if there is one.

    Raises StackFailed for a template that is rejected.
    """
    name = f"voicecore-{uuid.uuid4().hex}"
    arn = client.create_change_set(
        ChangeSetName=name,
        ClientToken=name,
        ChangeSetType="UPDATE",
        **role,
        **arguments_of(stack),
    )["Id"]
    proposed = _computed(client, arn, ask, pause)
    client.delete_change_set(ChangeSetName=arn)
    reason = str(proposed.get("StatusReason", ""))
    if proposed["Status"] != "FAILED":
        return proposed
    if "didn't contain changes" in reason or NO_CHANGE in reason:
        return None
    raise StackFailed(f"CloudFormation rejects the template of {stack.name}: {reason}")


def arguments_of(stack: Stack) -> dict[str, Any]:
    """Return the arguments of CreateStack, UpdateStack and CreateChangeSet for this stack."""
    return {
        "StackName": stack.deployed_name or stack.name,
        "TemplateBody": stack.body,
        "Parameters": _pairs("ParameterKey", "ParameterValue", stack.parameters),
        "Tags": _pairs("Key", "Value", stack.all_tags),
        "Capabilities": ["CAPABILITY_NAMED_IAM"],
    }


def _pairs(key: str, value: str, mapping: Mapping[str, str]) -> list[dict[str, str]]:
    return [{key: k, value: v} for k, v in mapping.items()]


def _computed(client: Any, arn: str, ask: Ask, pause: Sleep) -> Mapping[str, Any]:
    """Return the change set with the changes of all pages, once AWS has computed it."""
    waits = poll_intervals()
    while True:
        pages = ask(
            lambda: list(client.get_paginator("describe_change_set").paginate(ChangeSetName=arn))
        )
        if pages[0]["Status"] in ("CREATE_COMPLETE", "FAILED"):
            return {**pages[0], "Changes": [c for page in pages for c in page["Changes"]]}
        pause(next(waits))
