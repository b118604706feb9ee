"""Owns the AWS resources of builds: created, tagged with the project, and deleted again."""

# boto3 has no types of its own; each of its clients is `Any`.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from voicecore.aws.errors import AwsRefused, allowing, code_of
from voicecore.image.builders import buildspec
from voicecore.image.builders.aws_errors import explained
from voicecore.image.registry.credentials import ecr_host
from voicecore.image.registry.reference import Reference
from voicecore.project import aws_names

_POLICY = "build"


@dataclass(frozen=True)
class Aws:
    """The services of one account and region that a build takes."""

    account: str
    partition: str
    """aws, aws-us-gov or aws-cn: the second part of every ARN."""
    region: str
    s3: Any
    iam: Any
    logs: Any
    codebuild: Any


@dataclass(frozen=True)
class Leftover:
    """A resource that builds created, and how to delete it."""

    title: str
    remove: Callable[[], object]


def leftovers(aws: Aws, project: str) -> list[Leftover]:
    """Return the resources of `project`'s builds in this account and region, in removal order.

    Resources without the project's tag are not included. Raises AwsRefused.
    """
    with explained():
        steps = (_project, _log_group, _role, _bucket)
        return [found for step in steps if (found := step(aws, project))]


def delete(found: Sequence[Leftover]) -> list[str]:
    """Delete resources; return the titles of those that still existed. Raises AwsRefused."""
    deleted: list[str] = []
    with explained():
        for leftover in found:
            # Another run may delete the same resources.
            with allowing("ResourceNotFoundException", "NoSuchEntity", "NoSuchBucket"):
                leftover.remove()
                deleted.append(leftover.title)
    return deleted


def is_role_too_new(message: str) -> bool:
    """Return whether CodeBuild's error means that IAM has not propagated the role yet."""
    return bool(re.search(r"not authorized to perform:? sts:AssumeRole|cannot be assumed", message))


def ensure_bucket(aws: Aws, project: str) -> str:
    """Create or update the private, TLS-only bucket for sources and return its name.

    Sources expire after a week.
    """
    bucket = aws_names.builder_bucket_for(project, aws.account, aws.region)
    # Bucket names are global: never use a bucket of this name in another account.
    mine = {"Bucket": bucket, "ExpectedBucketOwner": aws.account}
    try:
        aws.s3.head_bucket(**mine)
    except ClientError as error:
        if code_of(error) in ("403", "AccessDenied"):
            raise AwsRefused(
                f"The bucket {bucket} belongs to another account or denies you access.",
                "The action that may be missing:  s3:ListBucket",
            ) from error
        if code_of(error) not in ("404", "NoSuchBucket"):
            raise
        # us-east-1 is not a location constraint (S3 API Reference, CreateBucketConfiguration).
        elsewhere = {"CreateBucketConfiguration": {"LocationConstraint": aws.region}}
        aws.s3.create_bucket(Bucket=bucket, **({} if aws.region == "us-east-1" else elsewhere))
    tags = [{"Key": key, "Value": value} for key, value in buildspec.tags(project).items()]
    aws.s3.put_bucket_tagging(**mine, Tagging={"TagSet": tags})
    aws.s3.put_public_access_block(
        **mine,
        PublicAccessBlockConfiguration={
            "BlockPublicAcls": True,
            "IgnorePublicAcls": True,
            "BlockPublicPolicy": True,
            "RestrictPublicBuckets": True,
        },
    )
    policy = buildspec.tls_only(aws.partition, bucket)
    aws.s3.put_bucket_policy(**mine, Policy=json.dumps(policy))
    rule = {
        "ID": "sources",
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "Expiration": {"Days": buildspec.SOURCE_DAYS},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
    }
    aws.s3.put_bucket_lifecycle_configuration(**mine, LifecycleConfiguration={"Rules": [rule]})
    return bucket


def ensure_log_group(aws: Aws, project: str) -> None:
    """Create or update the log group; CodeBuild's own would have no tags and no retention."""
    group = aws_names.builder_log_group_for(project)
    with allowing("ResourceAlreadyExistsException"):
        aws.logs.create_log_group(logGroupName=group, tags=buildspec.tags(project))
    aws.logs.put_retention_policy(logGroupName=group, retentionInDays=buildspec.LOG_DAYS)


def ensure_role(aws: Aws, project: str, target: Reference) -> str:
    """Create or update the role that may only build and push to `target`; return its ARN."""
    role = aws_names.builder_role_for(project, aws.region)
    tags = [{"Key": key, "Value": value} for key, value in buildspec.tags(project).items()]
    trust = json.dumps(buildspec.trust(aws.account))
    try:
        found = aws.iam.get_role(RoleName=role)
        aws.iam.update_assume_role_policy(RoleName=role, PolicyDocument=trust)
    except ClientError as error:
        if code_of(error) != "NoSuchEntity":
            raise
        found = aws.iam.create_role(
            RoleName=role,
            AssumeRolePolicyDocument=trust,
            Description=f"CodeBuild, for the image of the voice agent {project}",
            Tags=tags,
        )
    ecr = ecr_host(target.registry)
    owner = ecr.account if ecr else aws.account
    repository = f"arn:{aws.partition}:ecr:{aws.region}:{owner}:repository/{target.repository}"
    permissions = buildspec.permissions(project, aws.partition, aws.account, aws.region, repository)
    aws.iam.put_role_policy(
        RoleName=role, PolicyName=_POLICY, PolicyDocument=json.dumps(permissions)
    )
    return found["Role"]["Arn"]


def ensure_project(aws: Aws, project: str, role: str, pauses: Sequence[float]) -> None:
    """Create or update the CodeBuild project.

    If IAM has not propagated the role yet, retry after each of `pauses`, in seconds.
    """
    settings = buildspec.project_settings(project, aws.account, aws.region, role)
    for pause in (*pauses, None):
        try:
            with allowing("ResourceAlreadyExistsException"):
                aws.codebuild.create_project(**settings)
                return
            aws.codebuild.update_project(**settings)
            return
        except ClientError as error:
            if pause is None or not is_role_too_new(str(error)):
                raise
            time.sleep(pause)


def _project(aws: Aws, project: str) -> Leftover | None:
    name = aws_names.builder_for(project)
    found = aws.codebuild.batch_get_projects(names=[name])["projects"]
    tags = {tag["key"]: tag["value"] for tag in (found[0].get("tags") or [] if found else [])}
    if not _has_tag(tags, project):
        return None
    return Leftover(f"CodeBuild project {name}", lambda: aws.codebuild.delete_project(name=name))


def _log_group(aws: Aws, project: str) -> Leftover | None:
    group = aws_names.builder_log_group_for(project)
    arn = f"arn:{aws.partition}:logs:{aws.region}:{aws.account}:log-group:{group}"
    with allowing("ResourceNotFoundException"):
        if _has_tag(aws.logs.list_tags_for_resource(resourceArn=arn)["tags"], project):
            return Leftover(
                f"log group {group}", lambda: aws.logs.delete_log_group(logGroupName=group)
            )
    return None


def _role(aws: Aws, project: str) -> Leftover | None:
    role = aws_names.builder_role_for(project, aws.region)

    def remove() -> None:
        with allowing("NoSuchEntity"):
            aws.iam.delete_role_policy(RoleName=role, PolicyName=_POLICY)
        aws.iam.delete_role(RoleName=role)

    with allowing("NoSuchEntity"):
        found = aws.iam.get_role(RoleName=role)["Role"]
        if _has_tag({tag["Key"]: tag["Value"] for tag in found.get("Tags", [])}, project):
            return Leftover(f"IAM role {role}", remove)
    return None


def _bucket(aws: Aws, project: str) -> Leftover | None:
    bucket = aws_names.builder_bucket_for(project, aws.account, aws.region)
    mine = {"Bucket": bucket, "ExpectedBucketOwner": aws.account}

    def remove() -> None:
        for page in aws.s3.get_paginator("list_objects_v2").paginate(**mine):
            keys = [{"Key": entry["Key"]} for entry in page.get("Contents", [])]
            if keys:
                aws.s3.delete_objects(**mine, Delete={"Objects": keys, "Quiet": True})
        aws.s3.delete_bucket(**mine)

    with allowing("NoSuchBucket", "NoSuchTagSet"):
        tags = aws.s3.get_bucket_tagging(**mine)["TagSet"]
        if _has_tag({tag["Key"]: tag["Value"] for tag in tags}, project):
            return Leftover(f"S3 bucket {bucket}", remove)
    return None


def _has_tag(tags: Mapping[str, str], project: str) -> bool:
    return tags.get("voicecore:project") == project
