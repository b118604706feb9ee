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

from botocore.exceptions import ClientError

from voicecore.aws.errors import AwsRefused, code_of, ignoring, is_denied, translated_errors
from voicecore.aws.ownership import require_own
from voicecore.aws.session import Aws
from voicecore.image.builders import buildspec
from voicecore.image.registry.credentials import ecr_host
from voicecore.image.registry.reference import Reference
from voicecore.project import aws_names
from voicecore.project.identity import Owner
from voicecore.project.settings.account_rules import AccountRules

_POLICY = "build"

NO_RULES = AccountRules()


@dataclass(frozen=True)
class Leftover:
    """A resource that builds created, and how to delete it."""

    title: str
    remove: Callable[[], object]
    tags: Mapping[str, str]


def leftovers(aws: Aws, owner: Owner) -> list[Leftover]:
    """Return the resources of the owner's builds in this account and region, in removal order.

    Resources without the owner's tags are not included. Raises AwsRefused.
    """
    with translated_errors():
        found = [step(aws, owner.project) for step in _KINDS]
    return [each for each in found if each and owner.owns(each.tags)]


def require_own_resources(aws: Aws, owner: Owner) -> None:
    """Raise ForeignResource if one with a name of the owner's has another project's tags.

    `ensure_project` checks the CodeBuild project.
    """
    for find in (_log_group, _role, _bucket):
        _require_own(aws, owner, find)


def _require_own(
    aws: Aws, owner: Owner, find: Callable[[Aws, str], Leftover | None]
) -> Leftover | None:
    try:
        found = find(aws, owner.project)
    except ClientError as error:
        # An identity may use an existing role and read none.
        if not is_denied(error):
            raise
        return None
    if found and aws_names.TAG_PROJECT in found.tags:
        require_own(owner, found.title, found.tags)
    return found


def delete(found: Sequence[Leftover]) -> list[str]:
    """Delete resources; return the titles of those that still existed. Raises AwsRefused."""
    deleted: list[str] = []
    with translated_errors():
        for leftover in found:
            # Another run may delete the same resources.
            with ignoring("ResourceNotFoundException", "NoSuchEntity", "NoSuchBucket"):
                leftover.remove()
                deleted.append(leftover.title)
    return deleted


def is_role_too_new(message: str) -> bool:
    """Return whether CodeBuild's error means that IAM has not propagated the role yet."""
    return bool(re.search(r"not authorized to perform:? sts:AssumeRole|cannot be assumed", message))


def ensure_bucket(aws: Aws, owner: Owner, rules: AccountRules = NO_RULES) -> str:
    """Create or update the private, TLS-only bucket for sources and return its name.

    Sources expire after a week. Tags that others gave it stay, as those of the project do.
    """
    s3 = aws.client("s3")
    bucket = aws_names.builder_bucket_for(owner.project, aws.account, aws.region)
    # Bucket names are global: never use a bucket of this name in another account.
    mine = {"Bucket": bucket, "ExpectedBucketOwner": aws.account}
    try:
        s3.head_bucket(**mine)
    except ClientError as error:
        if code_of(error) in ("403", "AccessDenied"):
            raise AwsRefused(
                f"The bucket {bucket} belongs to another account or denies you access.",
                "The action that may be missing:  s3:ListBucket",
            ) from error
        if code_of(error) not in ("404", "NoSuchBucket"):
            raise
        _create_bucket(aws, bucket)
    found = _bucket(aws, owner.project)
    merged = {**(found.tags if found else {}), **buildspec.tags(owner, rules)}
    tags = [{"Key": key, "Value": value} for key, value in merged.items()]
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
    # us-east-1 is not a location constraint (S3 API Reference, CreateBucketConfiguration).
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


def ensure_log_group(aws: Aws, owner: Owner, rules: AccountRules = NO_RULES) -> None:
    """Create or update the log group; CodeBuild's own would have no tags and no retention."""
    logs = aws.client("logs")
    group = aws_names.builder_log_group_for(owner.project)
    with ignoring("ResourceAlreadyExistsException"):
        here = f":{aws.region}:" in rules.kms_key  # a stage may be in another region
        key = {"kmsKeyId": rules.kms_key} if here else {}
        logs.create_log_group(logGroupName=group, tags=buildspec.tags(owner, rules), **key)
    logs.put_retention_policy(logGroupName=group, retentionInDays=buildspec.LOG_DAYS)


def ensure_role(aws: Aws, owner: Owner, target: Reference, rules: AccountRules = NO_RULES) -> str:
    """Create or update the role that may only build and push to `target`; return its ARN."""
    iam = aws.client("iam")
    role = aws_names.builder_role_for(owner.project, aws.region)
    tags = [{"Key": key, "Value": value} for key, value in buildspec.tags(owner, rules).items()]
    boundary = rules.permissions_boundary
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
            Description=f"CodeBuild, for the image of the voice agent {owner.project}",
            Tags=tags,
            Path=rules.role_path,
            **({"PermissionsBoundary": boundary} if boundary else {}),
        )
    ecr = ecr_host(target.registry)
    account = ecr.account if ecr else aws.account
    repository = f"arn:{aws.partition}:ecr:{aws.region}:{account}:repository/{target.repository}"
    permissions = buildspec.permissions(
        owner.project, aws.partition, aws.account, aws.region, repository
    )
    iam.put_role_policy(RoleName=role, PolicyName=_POLICY, PolicyDocument=json.dumps(permissions))
    return found["Role"]["Arn"]


def ensure_project(
    aws: Aws,
    owner: Owner,
    role: str,
    pauses: Sequence[float],
    rules: AccountRules = NO_RULES,
) -> None:
    """Create or update the CodeBuild project.

    If IAM has not propagated the role yet, retry after each of `pauses`, in seconds.
    """
    codebuild = aws.client("codebuild")
    tags = buildspec.tags(owner, rules)
    settings = buildspec.project_settings(owner, aws.account, aws.region, role, tags)
    for pause in (*pauses, None):
        try:
            with ignoring("ResourceAlreadyExistsException"):
                codebuild.create_project(**settings)
                return
            found = _require_own(aws, owner, _project)
            kept = {**(found.tags if found else {}), **tags}
            codebuild.update_project(
                **settings | {"tags": [{"key": k, "value": v} for k, v in kept.items()]}
            )
            return
        except ClientError as error:
            if pause is None or not is_role_too_new(str(error)):
                raise
            time.sleep(pause)


def _project(aws: Aws, project: str) -> Leftover | None:
    codebuild = aws.client("codebuild")
    name = aws_names.builder_for(project)
    for found in codebuild.batch_get_projects(names=[name])["projects"]:
        tags = {tag["key"]: tag["value"] for tag in found.get("tags") or []}
        return Leftover(
            f"CodeBuild project {name}", lambda: codebuild.delete_project(name=name), tags
        )
    return None


def _log_group(aws: Aws, project: str) -> Leftover | None:
    logs = aws.client("logs")
    group = aws_names.builder_log_group_for(project)
    arn = f"arn:{aws.partition}:logs:{aws.region}:{aws.account}:log-group:{group}"
    with ignoring("ResourceNotFoundException"):
        tags = logs.list_tags_for_resource(resourceArn=arn)["tags"]
        return Leftover(
            f"log group {group}", lambda: logs.delete_log_group(logGroupName=group), tags
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
        tags = {tag["Key"]: tag["Value"] for tag in found.get("Tags", [])}
        return Leftover(f"IAM role {role}", remove, tags)
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
        return Leftover(f"S3 bucket {bucket}", remove, {tag["Key"]: tag["Value"] for tag in tags})
    return None


_KINDS = (_project, _log_group, _role, _bucket)
"""How the resources are found, in removal order."""
