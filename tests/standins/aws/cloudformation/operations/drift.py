"""Owns the operations on drift; `cloudformation.drift` compares the properties."""

from __future__ import annotations

import json
import uuid
from typing import Any

from tests.standins.aws.cloud import Call, Cloud
from tests.standins.aws.cloudformation.drift import drift_of
from tests.standins.aws.cloudformation.operations.requests import get_stack
from tests.standins.aws.cloudformation.template import invalid


def detect_drift(cloud: Cloud, call: Call) -> dict[str, Any]:
    stack = get_stack(cloud, call, "Stack [{}] does not exist")
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
    stack = get_stack(cloud, call, "Stack [{}] does not exist")
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
