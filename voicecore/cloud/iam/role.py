"""Owns the IAM role as a resource of a stack, within what the account's owner prescribes."""

from __future__ import annotations

from collections.abc import Sequence

from voicecore.cloud.iam.statements import Statement, policy_document
from voicecore.cloud.stacks.deployment import Deployment
from voicecore.cloud.stacks.stack import Json, Resource
from voicecore.project.settings.account_rules import AccountRules

DEFAULT_PATH = AccountRules().role_path


def role_resource(
    deployment: Deployment,
    name: str,
    description: str,
    trust: Json,
    policy: str,
    statements: Sequence[Statement],
) -> Resource:
    """Return a role with one inline `policy` of these statements."""
    stage = deployment.stage
    properties: Json = {
        "RoleName": name,
        "Description": description,
        "AssumeRolePolicyDocument": trust,
        "Policies": [{"PolicyName": policy, "PolicyDocument": policy_document(statements)}],
    }
    if stage.role_path != DEFAULT_PATH:
        properties["Path"] = stage.role_path
    if stage.permissions_boundary:
        properties["PermissionsBoundary"] = stage.permissions_boundary
    return Resource("AWS::IAM::Role", properties)
