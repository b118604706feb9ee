"""What builds in AWS need of an account: made, tagged with the project, and taken away again."""

# boto3 has no types of its own; each of its clients is `Any`.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from botocore.exceptions import ClientError

from voicecore.aws.errors import AwsRefused, code_of, ignoring, translated_errors
from voicecore.aws.session import Aws
from voicecore.image.builders import buildspec
from voicecore.image.registry.credentials import ecr_host
from voicecore.image.registry.reference import Reference
from voicecore.project import aws_names

_POLICY = "build"


@dataclass(frozen=True)
class Leftover:
    """Something that builds have left, and how it is taken away."""

    title: str
    remove: Callable[[], object]


def leftovers(aws: Aws, project: str) -> list[Leftover]:
    """What builds of `project` have made in this account and region, in the order of its removal.

    What does not carry the project's tag is left out. Raises AwsRefused.
    """
    with translated_errors():
        steps = (_project, _log_group, _role, _bucket)
        return [found for step in steps if (found := step(aws, project))]


def take_away(found: Sequence[Leftover]) -> list[str]:
    """Take it away; returns what was still there. Raises AwsRefused."""
    gone: list[str] = []
    with translated_errors():
        for leftover in found:
            # Somebody else may be at it too.
            with ignoring("ResourceNotFoundException", "NoSuchEntity", "NoSuchBucket"):
                leftover.remove()
                gone.append(leftover.title)
    return gone


def remove(aws: Aws, project: str) -> list[str]:
    """Take away what `leftovers` finds; returns what it was. Raises AwsRefused."""
    return take_away(leftovers(aws, project))


def is_role_too_new(said: str) -> bool:
    """Whether IAM has not told CodeBuild yet of a role that is there."""
    return bool(re.search(r"not authorized to perform:? sts:AssumeRole|cannot be assumed", said))


def ensure_bucket(aws: Aws, project: str) -> str:
    """The bucket for sources: private, by TLS only, emptied after a week. Returns its name."""
    s3 = aws.client("s3")
    bucket = aws_names.builder_bucket_for(project, aws.account, aws.region)
    # Bucket names are the whole world's: never speak to one of that name in another account.
    mine = {"Bucket": bucket, "ExpectedBucketOwner": aws.account}
    try:
        s3.head_bucket(**mine)
    except ClientError as error:
        if code_of(error) in ("403", "AccessDenied"):
            raise AwsRefused(
                f"The bucket {bucket} is another account's, or you may not look at it.",
                "The action that may be missing:  s3:ListBucket",
            ) from error
        if code_of(error) not in ("404", "NoSuchBucket"):
            raise
        _create_bucket(aws, bucket)
    tags = [{"Key": key, "Value": value} for key, value in buildspec.tags(project).items()]
    s3.put_bucket_tagging(**mine, Tagging={"TagSet": tags})
    s3.put_public_access_block(
        **mine,
        PublicAccessBlockConfiguration={
            "BlockPublicAcls": True,
            "IgnorePublicAcls": True,
            "BlockPublicPolicy": True,
            "RestrictPublicBuckets": True,
        },
    )
    policy = buildspec.tls_only(aws.partition, bucket)
    s3.put_bucket_policy(**mine, Policy=json.dumps(policy))
    rule = {
        "ID": "sources",
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "Expiration": {"Days": buildspec.SOURCE_DAYS},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
    }
    s3.put_bucket_lifecycle_configuration(**mine, LifecycleConfiguration={"Rules": [rule]})
    return bucket


def _create_bucket(aws: Aws, bucket: str) -> None:
    # us-east-1 has no name there (S3 API Reference, CreateBucketConfiguration).
    place = {"CreateBucketConfiguration": {"LocationConstraint": aws.region}}
    try:
        aws.client("s3").create_bucket(
            Bucket=bucket, **({} if aws.region == "us-east-1" else place)
        )
    except ClientError as error:
        if code_of(error) == "BucketAlreadyExists":
            raise AwsRefused(
                f"The S3 bucket name {bucket} is taken by another AWS account.",
                "Rename the project in voicecore.toml, or build here:  voicecore build",
            ) from error
        raise


def ensure_log_group(aws: Aws, project: str) -> None:
    """The log group, before CodeBuild makes one without tags that keeps its logs for ever."""
    logs = aws.client("logs")
    group = aws_names.builder_log_group_for(project)
    with ignoring("ResourceAlreadyExistsException"):
        logs.create_log_group(logGroupName=group, tags=buildspec.tags(project))
    logs.put_retention_policy(logGroupName=group, retentionInDays=buildspec.LOG_DAYS)


def ensure_role(aws: Aws, project: str, target: Reference) -> str:
    """The role that builds and pushes to `target`, and may do nothing else. Returns its ARN."""
    iam = aws.client("iam")
    role = aws_names.builder_role_for(project, aws.region)
    tags = [{"Key": key, "Value": value} for key, value in buildspec.tags(project).items()]
    trust = json.dumps(buildspec.trust(aws.account))
    try:
        found = iam.get_role(RoleName=role)
        iam.update_assume_role_policy(RoleName=role, PolicyDocument=trust)
    except ClientError as error:
        if code_of(error) != "NoSuchEntity":
            raise
        found = iam.create_role(
            RoleName=role,
            AssumeRolePolicyDocument=trust,
            Description=f"CodeBuild, for the image of the voice agent {project}",
            Tags=tags,
        )
    ecr = ecr_host(target.registry)
    owner = ecr.account if ecr else aws.account
    repository = f"arn:{aws.partition}:ecr:{aws.region}:{owner}:repository/{target.repository}"
    permissions = buildspec.permissions(project, aws.partition, aws.account, aws.region, repository)
    iam.put_role_policy(RoleName=role, PolicyName=_POLICY, PolicyDocument=json.dumps(permissions))
    return found["Role"]["Arn"]


def ensure_project(aws: Aws, project: str, role: str, pauses: Sequence[float]) -> None:
    """The CodeBuild project, made or brought up to date.

    With a role that is not known everywhere yet it tries again after each of `pauses`, in seconds.
    """
    codebuild = aws.client("codebuild")
    settings = buildspec.project_settings(project, aws.account, aws.region, role)
    for pause in (*pauses, None):
        try:
            with ignoring("ResourceAlreadyExistsException"):
                codebuild.create_project(**settings)
                return
            codebuild.update_project(**settings)
            return
        except ClientError as error:
            if pause is None or not is_role_too_new(str(error)):
                raise
            time.sleep(pause)


def _project(aws: Aws, project: str) -> Leftover | None:
    codebuild = aws.client("codebuild")
    name = aws_names.builder_for(project)
    found = codebuild.batch_get_projects(names=[name])["projects"]
    tags = {tag["key"]: tag["value"] for tag in (found[0].get("tags") or [] if found else [])}
    if not _is_ours(tags, project):
        return None
    return Leftover(f"CodeBuild project {name}", lambda: codebuild.delete_project(name=name))


def _log_group(aws: Aws, project: str) -> Leftover | None:
    logs = aws.client("logs")
    group = aws_names.builder_log_group_for(project)
    arn = f"arn:{aws.partition}:logs:{aws.region}:{aws.account}:log-group:{group}"
    with ignoring("ResourceNotFoundException"):
        if _is_ours(logs.list_tags_for_resource(resourceArn=arn)["tags"], project):
            return Leftover(
                f"log group {group}",
                lambda: logs.delete_log_group(logGroupName=group),
            )
    return None


def _role(aws: Aws, project: str) -> Leftover | None:
    iam = aws.client("iam")
    role = aws_names.builder_role_for(project, aws.region)

    def remove() -> None:
        with ignoring("NoSuchEntity"):
            iam.delete_role_policy(RoleName=role, PolicyName=_POLICY)
        iam.delete_role(RoleName=role)

    with ignoring("NoSuchEntity"):
        found = iam.get_role(RoleName=role)["Role"]
        if _is_ours({tag["Key"]: tag["Value"] for tag in found.get("Tags", [])}, project):
            return Leftover(f"IAM role {role}", remove)
    return None


def _bucket(aws: Aws, project: str) -> Leftover | None:
    s3 = aws.client("s3")
    bucket = aws_names.builder_bucket_for(project, aws.account, aws.region)
    mine = {"Bucket": bucket, "ExpectedBucketOwner": aws.account}

    def remove() -> None:
        for page in s3.get_paginator("list_objects_v2").paginate(**mine):
            keys = [{"Key": entry["Key"]} for entry in page.get("Contents", [])]
            if keys:
                s3.delete_objects(**mine, Delete={"Objects": keys, "Quiet": True})
        s3.delete_bucket(**mine)

    with ignoring("NoSuchBucket", "NoSuchTagSet"):
        tags = s3.get_bucket_tagging(**mine)["TagSet"]
        if _is_ours({tag["Key"]: tag["Value"] for tag in tags}, project):
            return Leftover(f"S3 bucket {bucket}", remove)
    return None


def _is_ours(tags: Mapping[str, str], project: str) -> bool:
    return tags.get("voicecore:project") == project
