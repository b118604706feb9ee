"""Owns drift: what of a stack was deleted, and how the rest differs from what the stack created."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from voicecore.aws.polling import Sleep, poll_intervals
from voicecore.aws.session import Aws
from voicecore.cloud.resources.cloudformation import CloudFormation
from voicecore.cloud.resources.deployed_stack import DeployedStack
from voicecore.cloud.resources.missing import missing_resources
from voicecore.cloud.resources.secrets import deletion_date, restore_command

DRIFT_PATIENCE = 120.0
"""Seconds that CloudFormation has to compare a stack with its resources."""


def deleted_resources(aws: Aws, cloud: CloudFormation, stack: DeployedStack) -> list[str]:
    """Return what of the stack was deleted by hand. This asks each service, and takes a second.

    While an operation on the stack is in progress, or after one that failed, it is not known what
    the stack should have.
    """
    if not stack.updatable:
        return []
    listed = cloud.resources(stack.id)
    found = [_deleted(each.logical, stack.name) for each in missing_resources(aws, listed)]
    for entry in listed:
        if entry["ResourceType"] == "AWS::SecretsManager::Secret":
            found += _scheduled(aws, entry, stack.name)
    return found


def _scheduled(aws: Aws, entry: Mapping[str, Any], stack: str) -> list[str]:
    """Return that a secret is scheduled for deletion, with the command that restores it."""
    secret = entry["PhysicalResourceId"]
    when = deletion_date(aws, secret)
    if not when:
        return []
    restore = restore_command(secret, aws.region)
    what = f"{entry['LogicalResourceId']} of {stack}"
    return [f"{what} is scheduled for deletion on {when}; to keep it, run:  {restore}"]


def _deleted(logical: str, stack: str) -> str:
    return f"{logical} of {stack} was deleted"


def drift_of(aws: Aws, stacks: Iterable[DeployedStack], pause: Sleep) -> tuple[str, ...]:
    """Let CloudFormation compare the stacks with their resources; return the differences."""
    client = aws.client("cloudformation")
    found: list[str] = []
    for stack in stacks:
        id = client.detect_stack_drift(StackName=stack.name)["StackDriftDetectionId"]
        if not _is_detected(client, id, pause):
            found.append(
                f"{stack.name}: CloudFormation did not finish comparing within "
                f"{DRIFT_PATIENCE:.0f} s"
            )
            continue
        pages = client.describe_stack_resource_drifts(
            StackName=stack.name, StackResourceDriftStatusFilters=["MODIFIED", "DELETED"]
        )
        found += [drift_text(drift, stack.name) for drift in pages["StackResourceDrifts"]]
    return tuple(found)


def drift_text(drift: Mapping[str, Any], stack: str) -> str:
    """Return one entry of DescribeStackResourceDrifts in words; no values."""
    if drift["StackResourceDriftStatus"] == "DELETED":
        return _deleted(drift["LogicalResourceId"], stack)
    what = f"{drift['LogicalResourceId']} of {stack}"
    paths = [each["PropertyPath"].strip("/") for each in drift.get("PropertyDifferences", ())]
    return f"{what} was changed: {', '.join(paths) or 'AWS does not say what'}"


def _is_detected(client: Any, id: str, pause: Sleep) -> bool:
    deadline = time.monotonic() + DRIFT_PATIENCE
    waits = poll_intervals()
    while time.monotonic() < deadline:
        status = client.describe_stack_drift_detection_status(StackDriftDetectionId=id)
        if status["DetectionStatus"] != "DETECTION_IN_PROGRESS":
            return True
        pause(next(waits))
    return False
