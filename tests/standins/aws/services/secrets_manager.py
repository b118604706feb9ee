"""Owns what moto's Secrets Manager lacks.

A secret that is scheduled for deletion keeps its name, and a version without stages is deprecated.
"""

from __future__ import annotations

from typing import Any

from moto.backends import get_backend

from tests.standins.aws.cloud import Call, Cloud
from tests.standins.models.refusal import Refused

# Secrets Manager API Reference: these take secrets that are scheduled for deletion.
_OF_SCHEDULED = {"DescribeSecret", "DeleteSecret", "RestoreSecret", "ListSecretVersionIds"}


def answer(cloud: Cloud, call: Call) -> dict[str, Any]:
    """Refuse scheduled secrets, and secrets with their names; moto answers the rest.

    DescribeSecret lists the versions that have stages.
    """
    secrets = get_backend("secretsmanager")[call.account][call.region].secrets
    taken = call.params.get("Name", "") if call.operation == "CreateSecret" else ""
    if taken in secrets and secrets[taken].is_deleted():
        message = (
            "You can't create this secret because a secret with this name is already scheduled for "
            "deletion."
        )
        raise Refused("InvalidRequestException", message, 400)
    named = call.params.get("SecretId", "")
    if call.operation not in _OF_SCHEDULED and named in secrets and secrets[named].is_deleted():
        message = (
            "You can't perform this operation on the secret because it was marked for deletion."
        )
        raise Refused("InvalidRequestException", message, 400)
    answered = call.moto()
    if versions := answered.get("VersionIdsToStages"):
        answered["VersionIdsToStages"] = {id: stages for id, stages in versions.items() if stages}
    return answered


HANDLERS = {("secretsmanager", "*"): answer}
