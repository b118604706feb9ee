"""Owns drift detection: whether a resource still exists, and is as the stack set it."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from tests.standins.aws.cloud import Cloud
from tests.standins.aws.cloudformation.stacks import Resource, Stack, context_of
from tests.standins.aws.cloudformation.types.base import Context, Failed
from tests.standins.aws.cloudformation.types.registry import RESOURCE_TYPES


def drift_of(cloud: Cloud, stack: Stack, resource: Resource) -> tuple[str, list[dict[str, Any]]]:
    """Return the drift status, and the differences in the properties that are compared."""
    context = context_of(cloud, stack, resource.logical, {})
    try:
        RESOURCE_TYPES[resource.kind].attributes(context, resource.physical)
        read = _READERS.get(resource.kind)
        actual = read(context, resource.physical) if read else {}
    except (ClientError, Failed):
        return "DELETED", []
    differences = [
        {
            "PropertyPath": f"/{name}",
            "ExpectedValue": str(resource.props.get(name)),
            "ActualValue": str(value),
            "DifferenceType": "NOT_EQUAL" if name in resource.props else "ADD",
        }
        for name, value in actual.items()
        if str(resource.props.get(name)) != str(value)
    ]
    return ("MODIFIED" if differences else "IN_SYNC"), differences


def _group(c: Context, physical: str) -> dict[str, Any]:
    found = c.client("ec2").describe_security_groups(GroupIds=[physical])["SecurityGroups"][0]
    return {} if not found["IpPermissions"] else {"SecurityGroupIngress": found["IpPermissions"]}


def _log_group(c: Context, physical: str) -> dict[str, Any]:
    groups = c.client("logs").describe_log_groups(logGroupNamePrefix=physical)["logGroups"]
    days = next(g.get("retentionInDays") for g in groups if g["logGroupName"] == physical)
    return {"RetentionInDays": days} if days is not None else {}


def _role(c: Context, physical: str) -> dict[str, Any]:
    role = c.client("iam").get_role(RoleName=physical)["Role"]
    return {"AssumeRolePolicyDocument": role["AssumeRolePolicyDocument"]}


def _runtime(c: Context, physical: str) -> dict[str, Any]:
    control = c.client("bedrock-agentcore-control")
    found = control.get_agent_runtime(agentRuntimeId=physical)
    actual: dict[str, Any] = {"RoleArn": found["roleArn"]}
    if "environmentVariables" in found:
        actual["EnvironmentVariables"] = found["environmentVariables"]
    return actual


_READERS = {
    "AWS::EC2::SecurityGroup": _group,
    "AWS::Logs::LogGroup": _log_group,
    "AWS::IAM::Role": _role,
    "AWS::BedrockAgentCore::Runtime": _runtime,
}
