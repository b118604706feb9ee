"""Owns secrets as Secrets Manager keeps them: one that is deleted by hand is only scheduled to be.

For 7 to 30 days it cannot be read, and its name stays taken (Secrets Manager, DeleteSecret).
"""

# botocore has no types.
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from voicecore.aws.errors import AwsRefused, code_of, ignoring, message_of
from voicecore.aws.session import Aws


def secret_value(aws: Aws, secret: str) -> Mapping[str, Any]:
    """Return GetSecretValue's answer. Raises AwsRefused if the secret is to be deleted."""
    try:
        return aws.client("secretsmanager").get_secret_value(SecretId=secret)
    except ClientError as error:
        # Other causes of this code are of secrets that AWS services manage.
        scheduled = "for deletion" in message_of(error)
        if code_of(error) != "InvalidRequestException" or not scheduled:
            raise
        raise AwsRefused(
            f"The secret {secret} is scheduled for deletion.",
            f"Restore it, then repeat the command:\n{restore_command(secret, aws.region)}\n"
            "Or delete it now, and let the command create it again, with the values of .env:\n"
            f"{delete_command(secret, aws.region)}",
        ) from error


def deletion_date(aws: Aws, secret: str) -> str:
    """Return the date on which a secret is scheduled to be deleted; empty if it is not."""
    with ignoring("ResourceNotFoundException"):
        found = aws.client("secretsmanager").describe_secret(SecretId=secret)
        return f"{found['DeletedDate']:%Y-%m-%d}" if "DeletedDate" in found else ""
    return ""


def restore_command(secret: str, region: str) -> str:
    """Return the command that takes a secret back from its deletion."""
    return f"aws secretsmanager restore-secret --region {region} --secret-id {secret}"


def delete_command(secret: str, region: str) -> str:
    """Return the command that deletes a secret at once, which frees its name."""
    return (
        f"aws secretsmanager delete-secret --region {region} --secret-id {secret} "
        "--force-delete-without-recovery"
    )
