"""Owns the policy of the deploying identity for builds in AWS, by CodeBuild."""

from __future__ import annotations

from voicecore.cloud.iam.statements import ArnScope, Statement, pass_role, service_actions
from voicecore.cloud.stacks.deployment import Deployment
from voicecore.project import aws_names


def codebuild_statements(
    deployment: Deployment, account: str, partition: str = "aws"
) -> list[Statement]:
    """Return what an identity needs to build in AWS, and to remove what builds left there.

    The resources are those of image/builders/codebuild_resources.py.
    """
    scope = ArnScope.of(deployment, account, partition)
    name = deployment.name
    bucket_name = aws_names.builder_bucket_for(name, account, scope.region)
    bucket = f"arn:{partition}:s3:::{bucket_name}"
    group = f"log-group:{aws_names.builder_log_group_for(name)}"
    path = deployment.shared.role_path
    role = scope.roles(path, aws_names.builder_role_for(name, scope.region))
    key = " AssociateKmsKey" if deployment.shared.kms_key else ""
    return [
        Statement(
            "Builds",
            service_actions("codebuild", _BUILD_ACTIONS),
            scope.arns("codebuild", f"project/{aws_names.builder_for(name)}"),
        ),
        Statement("BuildSources", service_actions("s3", _BUCKET_ACTIONS), (bucket, f"{bucket}/*")),
        Statement(
            "BuildLogs",
            service_actions("logs", _LOG_ACTIONS + key),
            scope.arns("logs", group, f"{group}:log-stream:*"),
        ),
        Statement("BuildRole", service_actions("iam", _ROLE_ACTIONS), role),
        pass_role("BuildRoleToCodeBuild", role, "codebuild.amazonaws.com"),
    ]


_BUILD_ACTIONS = """
    CreateProject UpdateProject BatchGetProjects DeleteProject StartBuild StopBuild BatchGetBuilds
"""
_BUCKET_ACTIONS = """
    CreateBucket DeleteBucket ListBucket GetBucketTagging PutBucketTagging
    PutBucketPublicAccessBlock PutBucketPolicy PutLifecycleConfiguration PutObject DeleteObject
"""
_LOG_ACTIONS = """
    CreateLogGroup DeleteLogGroup PutRetentionPolicy TagResource ListTagsForResource GetLogEvents
"""
_ROLE_ACTIONS = """
    CreateRole GetRole DeleteRole UpdateAssumeRolePolicy TagRole PutRolePolicy DeleteRolePolicy
"""
