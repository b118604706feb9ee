"""Owns the check that a repository in ECR is not another project's."""

# botocore has no types.
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

from botocore.exceptions import ClientError

from voicecore.aws.errors import is_denied, translated_errors
from voicecore.aws.login import AwsLogin
from voicecore.aws.ownership import require_own
from voicecore.image.registry.credentials import ecr_host
from voicecore.image.registry.reference import Reference
from voicecore.project import aws_names
from voicecore.project.identity import Owner


def require_own_repository(target: Reference, owner: Owner, login: AwsLogin) -> None:
    """Raise ForeignResource if voicecore created the repository for another project.

    Repositories without voicecore's tags, and those of other registries, are the user's choice.
    """
    ecr = ecr_host(target.registry)
    if ecr is None:
        return
    with translated_errors(profile=login.profile):
        client = login.open(ecr.region).client("ecr")
        where = f"arn:{client.meta.partition}:ecr:{ecr.region}:{ecr.account}"
        try:
            listed = client.list_tags_for_resource(
                resourceArn=f"{where}:repository/{target.repository}"
            )
        except ClientError as error:
            # A push needs no permission to read tags, and reports a missing repository itself.
            if not is_denied(error) and "NotFound" not in str(error):
                raise
            return
    tags = {tag["Key"]: tag["Value"] for tag in listed["tags"]}
    if aws_names.TAG_PROJECT in tags:
        require_own(owner, f"repository named {target.repository}", tags)
