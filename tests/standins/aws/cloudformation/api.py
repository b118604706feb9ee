"""Owns CloudFormation's API: its operations by name."""

from __future__ import annotations

from typing import Any

from tests.standins.aws.cloud import Call, Cloud
from tests.standins.aws.cloudformation.operations.change_sets import (
    create_change_set,
    delete_change_set,
    describe_change_set,
    execute_change_set,
    list_change_sets,
)
from tests.standins.aws.cloudformation.operations.descriptions import (
    describe_events,
    describe_resource,
    describe_resources,
    describe_stacks,
    list_resources,
    list_stacks,
)
from tests.standins.aws.cloudformation.operations.drift import (
    detect_drift,
    drift_status,
    resource_drifts,
)
from tests.standins.aws.cloudformation.operations.requests import SERVICE
from tests.standins.aws.cloudformation.operations.stacks import (
    cancel_update,
    continue_rollback,
    create_stack,
    delete_stack,
    protect,
    roll_back,
    update_stack,
)
from tests.standins.aws.cloudformation.operations.templates import (
    get_template,
    template_summary,
    validate_template,
)
from tests.standins.aws.cloudformation.template import invalid

HANDLERS = {
    (SERVICE, name): handler
    for name, handler in {
        "CreateChangeSet": create_change_set,
        "DescribeChangeSet": describe_change_set,
        "ExecuteChangeSet": execute_change_set,
        "DeleteChangeSet": delete_change_set,
        "ListChangeSets": list_change_sets,
        "CreateStack": create_stack,
        "UpdateStack": update_stack,
        "DeleteStack": delete_stack,
        "CancelUpdateStack": cancel_update,
        "ContinueUpdateRollback": continue_rollback,
        "RollbackStack": roll_back,
        "UpdateTerminationProtection": protect,
        "DescribeStacks": describe_stacks,
        "ListStacks": list_stacks,
        "DescribeStackEvents": describe_events,
        "DescribeStackResources": describe_resources,
        "DescribeStackResource": describe_resource,
        "ListStackResources": list_resources,
        "GetTemplate": get_template,
        "GetTemplateSummary": template_summary,
        "ValidateTemplate": validate_template,
        "DetectStackDrift": detect_drift,
        "DescribeStackDriftDetectionStatus": drift_status,
        "DescribeStackResourceDrifts": resource_drifts,
    }.items()
}


def unsupported(cloud: Cloud, call: Call) -> dict[str, Any]:
    """Reject the other operations, which moto would answer from its own, empty state."""
    raise invalid(f"This stand-in does not support {call.operation}")


HANDLERS[SERVICE, "*"] = unsupported
