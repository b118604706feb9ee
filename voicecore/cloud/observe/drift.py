"""Owns drift: how resources differ from what CloudFormation created."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from voicecore.aws.polling import Sleep, poll_intervals
from voicecore.aws.session import Aws
from voicecore.cloud.resources.deployed_stack import DeployedStack

DRIFT_PATIENCE = 120.0
"""Seconds that CloudFormation has to compare a stack with its resources."""


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
    what = f"{drift['LogicalResourceId']} of {stack}"
    if drift["StackResourceDriftStatus"] == "DELETED":
        return f"{what} was deleted"
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
