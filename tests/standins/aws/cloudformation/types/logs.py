"""The resource type of log groups."""

from __future__ import annotations

from typing import Any

from tests.standins.aws.cloudformation.types.base import (
    Context,
    Failed,
    Properties,
    ResourceType,
)


def _log_group(c: Context, p: Properties) -> str:
    name = p.get("LogGroupName") or c.name(512)
    logs = c.client("logs")
    chosen = {"kmsKeyId": p["KmsKeyId"]} if "KmsKeyId" in p else {}
    logs.create_log_group(logGroupName=name, **chosen, **({"tags": c.tags} if c.tags else {}))
    _log_group_update(c, name, {}, p)
    return name


def _log_group_update(c: Context, physical: str, old: Properties, p: Properties) -> None:
    logs = c.client("logs")
    if "RetentionInDays" in p:
        days = int(p["RetentionInDays"])
        logs.put_retention_policy(logGroupName=physical, retentionInDays=days)
    elif "RetentionInDays" in old:
        logs.delete_retention_policy(logGroupName=physical)
    if old and old.get("KmsKeyId") != p.get("KmsKeyId"):
        if "KmsKeyId" in p:
            logs.associate_kms_key(logGroupName=physical, kmsKeyId=p["KmsKeyId"])
        else:
            logs.disassociate_kms_key(logGroupName=physical)


def _log_group_attributes(c: Context, physical: str) -> dict[str, Any]:
    found = c.client("logs").describe_log_groups(logGroupNamePrefix=physical)["logGroups"]
    for group in found:
        if group["logGroupName"] == physical:
            return {"Arn": group["arn"]}
    raise Failed("The specified log group does not exist.")


def _log_group_retag(c: Context, physical: str, tags: dict[str, str], gone: list[str]) -> None:
    logs, arn = c.client("logs"), _log_group_attributes(c, physical)["Arn"].removesuffix(":*")
    if gone:
        logs.untag_resource(resourceArn=arn, tagKeys=gone)
    if tags:
        logs.tag_resource(resourceArn=arn, tags=tags)


def _log_group_delete(c: Context, physical: str, p: Properties) -> None:
    c.client("logs").delete_log_group(logGroupName=physical)


RESOURCE_TYPES: dict[str, ResourceType] = {
    "AWS::Logs::LogGroup": ResourceType(
        _log_group, _log_group_delete, _log_group_attributes, _log_group_update,
        retag=_log_group_retag, named_by="LogGroupName",
    ),
}  # fmt: skip
