"""What AWS says when it does not do what it was asked, in words that one can act on."""

# boto3 has no types of its own; each of its clients is `Any`.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError

from voicecore.aws.errors import (
    EXPIRED,
    NO_ANSWER,
    SIGNATURE,
    UNKNOWN,
    AwsRefused,
    code_of,
    is_denied,
    message_of,
)

LOG_IN = (
    "Log in to AWS:   aws sso login   (or: aws configure)\n"
    "and see whom AWS takes you for:  aws sts get-caller-identity"
)

_QUOTA = {
    "AccountLimitExceededException", "LimitExceeded", "LimitExceededException", "TooManyBuckets",
}  # fmt: skip


@contextmanager
def explained() -> Generator[None]:
    """Turn what boto3 raises in the block into AwsRefused."""
    try:
        yield
    except ClientError as error:
        raise _refusal(error) from error
    except NO_ANSWER as error:
        raise AwsRefused(f"AWS cannot be reached: {error}") from error
    except BotoCoreError as error:
        # No credentials, an unknown profile, an SSO session that has ended: botocore's own
        # sentence says which.
        raise AwsRefused(f"There are no AWS credentials: {error}", LOG_IN) from error


def _refusal(error: ClientError) -> AwsRefused:
    code, said = code_of(error), message_of(error)
    if code in EXPIRED:
        return AwsRefused("Your AWS credentials have expired.", LOG_IN)
    if code in UNKNOWN | SIGNATURE:
        return AwsRefused(f"AWS does not know your credentials: {said}", LOG_IN)
    if code == "BucketAlreadyExists":
        return AwsRefused(
            f"Somebody else's bucket has the name that voicecore would give yours: {said}",
            "Rename the project in voicecore.toml, or build here:  voicecore build",
        )
    if code in _QUOTA:
        return AwsRefused(
            f"Your AWS account has no room for {error.operation_name}: {said}",
            "See the quotas:  aws service-quotas list-service-quotas --service-code codebuild",
        )
    if is_denied(error):
        return _denied(error.operation_name, said)
    return AwsRefused(f"AWS refused {error.operation_name}: {code}: {said}")


# Where an action's name is not that of the API's operation (Service Authorization Reference).
_ACTIONS = {
    "HeadBucket": "s3:ListBucket",
    "PutPublicAccessBlock": "s3:PutBucketPublicAccessBlock",
    "PutBucketLifecycleConfiguration": "s3:PutLifecycleConfiguration",
    "UploadPart": "s3:PutObject",
    "CreateMultipartUpload": "s3:PutObject",
    "DeleteObjects": "s3:DeleteObject",
    "ListObjectsV2": "s3:ListBucket",
}
_SERVICES = {
    "AuthorizationToken": "ecr",
    "Bucket": "s3",
    "Object": "s3",
    "Log": "logs",
    "Role": "iam",
    "AssumeRole": "iam",
}


def _denied(operation: str, said: str) -> AwsRefused:
    named = re.search(r"not authorized to perform:? ([\w-]+:\w+)", said)
    service = next((s for word, s in _SERVICES.items() if word in operation), "codebuild")
    action = named[1] if named else _ACTIONS.get(operation, f"{service}:{operation}")
    hint = f"The action that is missing:  {action}"
    if action.startswith("iam:"):
        hint += (
            "\nor name a role that somebody has made for you:  voicecore build --builder codebuild "
            "--codebuild-role ARN --push REPOSITORY"
        )
    return AwsRefused(f"AWS does not let you do {action}: {said}", hint)
