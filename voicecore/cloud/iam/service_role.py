"""Owns who needs which permission where CloudFormation has a service role.

CloudFormation then creates and changes resources with that role, and its caller needs only what
voicecore calls itself: reads, images, values of secrets, settings of logs and runtimes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from voicecore.cloud.iam.statements import Statement, pass_role

CLOUDFORMATION = "cloudformation.amazonaws.com"

_CALLED = re.compile(
    "cloudformation:|codebuild:|s3:|[a-z-]+:(Get|List|Describe|Batch|Filter|Simulate|Invoke)"
    "|ecr:(InitiateLayerUpload|UploadLayerPart|CompleteLayerUpload|PutImage$)"
    "|logs:(Create|Delete|PutRetention|TagResource|AssociateKmsKey|StartLiveTail)"
    "|secretsmanager:PutSecretValue|kms:(GenerateDataKey|Decrypt)"
    "|bedrock-agentcore:(UpdateAgentRuntime(Endpoint)?$|StopRuntimeSession)|iam:PassRole"
    "|elasticloadbalancing:ModifyTargetGroupAttributes"
)
"""Actions of voicecore's own calls."""

_BUILDS = "Build"
"""Begin of the names of statements about builds, whose resources are in no stack."""


def caller_statements(statements: Iterable[Statement], service_role: str) -> list[Statement]:
    """Return what the deploying identity needs of `statements`, if it passes a service role."""
    if not service_role:
        return list(statements)
    own = [
        replace(each, actions=tuple(a for a in each.actions if _CALLED.match(a)))
        if not each.sid.startswith(_BUILDS)
        else each
        for each in statements
    ]
    passed = pass_role("RoleToCloudFormation", (service_role,), CLOUDFORMATION)
    return [*(each for each in own if each.actions), passed]


def service_role_statements(statements: Iterable[Statement]) -> list[Statement]:
    """Return what the service role needs: what stacks create; it changes no stack itself."""
    return [
        each
        for each in statements
        if not each.sid.startswith(_BUILDS) and not each.actions[0].startswith("cloudformation:")
    ]
