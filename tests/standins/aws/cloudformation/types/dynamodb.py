"""The resource type of DynamoDB tables."""

from __future__ import annotations

from typing import Any

from tests.standins.aws.cloudformation.types.base import (
    Context,
    Properties,
    ResourceType,
    is_true,
)

_AT_CREATION = ("BillingMode", "AttributeDefinitions", "KeySchema")


def _table(c: Context, p: Properties) -> str:
    name = p.get("TableName") or c.name(255)
    chosen = {key: p[key] for key in _AT_CREATION if key in p}
    c.client("dynamodb").create_table(TableName=name, Tags=c.pairs(), **chosen)
    _set_time_to_live(c, name, p)
    return name


def _set_time_to_live(c: Context, physical: str, p: Properties) -> None:
    if wanted := p.get("TimeToLiveSpecification"):
        c.client("dynamodb").update_time_to_live(
            TableName=physical,
            TimeToLiveSpecification={**wanted, "Enabled": is_true(wanted["Enabled"])},
        )


def _update(c: Context, physical: str, old: Properties, p: Properties) -> None:
    if old.get("BillingMode") != p.get("BillingMode"):
        c.client("dynamodb").update_table(TableName=physical, BillingMode=p["BillingMode"])
    if old.get("TimeToLiveSpecification") != p.get("TimeToLiveSpecification"):
        _set_time_to_live(c, physical, p)


def _delete(c: Context, physical: str, p: Properties) -> None:
    c.client("dynamodb").delete_table(TableName=physical)


def _attributes(c: Context, physical: str) -> dict[str, Any]:
    found = c.client("dynamodb").describe_table(TableName=physical)["Table"]
    return {"Arn": found["TableArn"]}


def _retag(c: Context, physical: str, tags: dict[str, str], gone: list[str]) -> None:
    client, arn = c.client("dynamodb"), _attributes(c, physical)["Arn"]
    if gone:
        client.untag_resource(ResourceArn=arn, TagKeys=gone)
    if tags:
        pairs = [{"Key": key, "Value": value} for key, value in tags.items()]
        client.tag_resource(ResourceArn=arn, Tags=pairs)


RESOURCE_TYPES: dict[str, ResourceType] = {
    "AWS::DynamoDB::Table": ResourceType(
        _table, _delete, _attributes, _update, retag=_retag, named_by="TableName"
    ),
}
