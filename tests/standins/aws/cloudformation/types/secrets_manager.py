"""The resource type of secrets."""

from __future__ import annotations

import json
from typing import Any

from tests.standins.aws.cloudformation.types.base import (
    Context,
    Failed,
    Properties,
    ResourceType,
    tag_pairs,
)


def _secret(c: Context, p: Properties) -> str:
    manager = c.client("secretsmanager")
    chosen = {k: p[k] for k in ("Description", "KmsKeyId", "SecretString") if k in p}
    if wanted := p.get("GenerateSecretString"):
        how = {k: v for k, v in wanted.items() if k in ("PasswordLength", "ExcludePunctuation")}
        password = manager.get_random_password(**how)["RandomPassword"]
        filled = json.loads(wanted["SecretStringTemplate"])
        chosen["SecretString"] = json.dumps(filled | {wanted["GenerateStringKey"]: password})
    made = manager.create_secret(Name=p.get("Name") or c.name(512), **chosen, Tags=c.pairs())
    return made["ARN"]


def _secret_update(c: Context, physical: str, old: Properties, p: Properties) -> None:
    chosen = {
        k: p[k] for k in ("Description", "KmsKeyId", "SecretString") if old.get(k) != p.get(k)
    }
    c.client("secretsmanager").update_secret(SecretId=physical, **chosen)


def _secret_delete(c: Context, physical: str, p: Properties) -> None:
    c.client("secretsmanager").delete_secret(SecretId=physical, ForceDeleteWithoutRecovery=True)


def _secret_attributes(c: Context, physical: str) -> dict[str, Any]:
    found = c.client("secretsmanager").describe_secret(SecretId=physical)
    if "DeletedDate" in found:
        raise Failed("Secrets Manager can't find the specified secret.")
    return {"Id": physical}


def _secret_retag(c: Context, physical: str, tags: dict[str, str], gone: list[str]) -> None:
    manager = c.client("secretsmanager")
    if gone:
        manager.untag_resource(SecretId=physical, TagKeys=gone)
    if tags:
        manager.tag_resource(SecretId=physical, Tags=tag_pairs(tags))


RESOURCE_TYPES: dict[str, ResourceType] = {
    "AWS::SecretsManager::Secret": ResourceType(
        _secret, _secret_delete, _secret_attributes, _secret_update, retag=_secret_retag,
        named_by="Name",
    ),
}  # fmt: skip
