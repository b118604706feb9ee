"""The resource types of Lambda: functions, URLs and permissions."""

from __future__ import annotations

import json
from typing import Any

from tests.standins.aws.cloudformation.types.base import Context, Failed, Properties, ResourceType

_CODE = ("Code", "Architectures")
_AS_THEY_ARE = ("Description", "Role", "ImageConfig", "Environment", "LoggingConfig")


def _configuration(p: Properties) -> dict[str, Any]:
    numbers = {name: int(p[name]) for name in ("Timeout", "MemorySize") if name in p}
    return numbers | {name: p[name] for name in _AS_THEY_ARE if name in p}


def function(c: Context, p: Properties) -> str:
    name = p.get("FunctionName") or c.name()
    c.client("lambda").create_function(
        FunctionName=name,
        PackageType=p.get("PackageType", "Zip"),
        Code=p["Code"],
        Architectures=p.get("Architectures", ["x86_64"]),
        Tags=c.tags,
        **_configuration(p),
    )
    _reserve(c, name, p)
    return name


def _reserve(c: Context, name: str, p: Properties) -> None:
    if reserved := p.get("ReservedConcurrentExecutions"):
        c.client("lambda").put_function_concurrency(
            FunctionName=name, ReservedConcurrentExecutions=int(reserved)
        )


def function_settled(c: Context, physical: str) -> bool:
    found = c.client("lambda").get_function_configuration(FunctionName=physical)
    return (found["State"], found["LastUpdateStatus"]) == ("Active", "Successful")


def function_update(c: Context, physical: str, old: Properties, p: Properties) -> None:
    client = c.client("lambda")
    if old.get("ReservedConcurrentExecutions") != p.get("ReservedConcurrentExecutions"):
        if "ReservedConcurrentExecutions" not in p:
            client.delete_function_concurrency(FunctionName=physical)
        _reserve(c, physical, p)
    if _configuration(old) != _configuration(p):
        client.update_function_configuration(FunctionName=physical, **_configuration(p))
        c.cloud.clock.until(lambda: function_settled(c, physical))
    if any(old.get(name) != p.get(name) for name in _CODE):
        client.update_function_code(
            FunctionName=physical, ImageUri=p["Code"]["ImageUri"], Architectures=p["Architectures"]
        )


def function_attributes(c: Context, physical: str) -> dict[str, Any]:
    found = c.client("lambda").get_function_configuration(FunctionName=physical)
    return {"Arn": found["FunctionArn"]}


def function_delete(c: Context, physical: str, p: Properties) -> None:
    c.client("lambda").delete_function(FunctionName=physical)


def function_retag(c: Context, physical: str, tags: dict[str, str], gone: list[str]) -> None:
    client, arn = c.client("lambda"), function_attributes(c, physical)["Arn"]
    if gone:
        client.untag_resource(Resource=arn, TagKeys=gone)
    if tags:
        client.tag_resource(Resource=arn, Tags=tags)


def url(c: Context, p: Properties) -> str:
    made = c.client("lambda").create_function_url_config(
        FunctionName=p["TargetFunctionArn"], AuthType=p["AuthType"]
    )
    return made["FunctionArn"]


def url_update(c: Context, physical: str, old: Properties, p: Properties) -> None:
    c.client("lambda").update_function_url_config(FunctionName=physical, AuthType=p["AuthType"])


def url_attributes(c: Context, physical: str) -> dict[str, Any]:
    found = c.client("lambda").get_function_url_config(FunctionName=physical)
    return {"FunctionUrl": found["FunctionUrl"], "FunctionArn": found["FunctionArn"]}


def url_delete(c: Context, physical: str, p: Properties) -> None:
    c.client("lambda").delete_function_url_config(FunctionName=physical)


def permission(c: Context, p: Properties) -> str:
    statement = c.name(100)
    c.client("lambda").add_permission(StatementId=statement, **p)
    return f"{p['FunctionName']}|{statement}"


def permission_attributes(c: Context, physical: str) -> dict[str, Any]:
    name, _, statement = physical.partition("|")
    document = json.loads(c.client("lambda").get_policy(FunctionName=name)["Policy"])
    if statement not in {each["Sid"] for each in document["Statement"]}:
        raise Failed("The resource you requested does not exist.")
    return {"Id": statement}


def permission_delete(c: Context, physical: str, p: Properties) -> None:
    name, _, statement = physical.partition("|")
    c.client("lambda").remove_permission(FunctionName=name, StatementId=statement)


RESOURCE_TYPES: dict[str, ResourceType] = {
    "AWS::Lambda::Function": ResourceType(
        function, function_delete, function_attributes,
        function_update, function_settled, retag=function_retag,
        named_by="FunctionName",
    ),
    "AWS::Lambda::Url": ResourceType(
        url, url_delete, url_attributes, url_update
    ),
    "AWS::Lambda::Permission": ResourceType(
        permission, permission_delete, permission_attributes
    ),
}  # fmt: skip
