"""The resource types of CloudFront: distributions and VPC origins."""

from __future__ import annotations

import uuid
from typing import Any

from tests.standins.aws.cloudformation.types.base import (
    Context,
    Properties,
    ResourceType,
)
from tests.standins.aws.cloudformation.types.properties import with_secrets


def _listed(items: list[Any]) -> dict[str, Any]:
    return {"Quantity": len(items), "Items": items}


def _distribution_config(c: Context, p: Properties, reference: str) -> dict[str, Any]:
    """Return the configuration in the API's format, where lists carry their lengths."""
    given = with_secrets(c, p["DistributionConfig"])
    origins: list[dict[str, Any]] = []
    for origin in given["Origins"]:
        headers = _listed(origin.get("OriginCustomHeaders", []))
        kept = {name: origin[name] for name in ("Id", "DomainName", "VpcOriginConfig")
                if name in origin}  # fmt: skip
        if "CustomOriginConfig" in origin:
            ports = {"HTTPPort": 80, "HTTPSPort": 443}
            kept["CustomOriginConfig"] = ports | origin["CustomOriginConfig"]
        origins.append(kept | {"CustomHeaders": headers})
    behaviour = dict(given["DefaultCacheBehavior"])
    behaviour["AllowedMethods"] = _listed(behaviour["AllowedMethods"])
    return {
        "CallerReference": reference,
        "Comment": given.get("Comment", ""),
        "Enabled": given["Enabled"],
        "Origins": _listed(origins),
        "DefaultCacheBehavior": behaviour,
    }


def _distribution(c: Context, p: Properties) -> str:
    config = _distribution_config(c, p, str(uuid.uuid4()))
    tags = {"Items": c.pairs()}
    made = c.client("cloudfront").create_distribution_with_tags(
        DistributionConfigWithTags={"DistributionConfig": config, "Tags": tags}
    )
    c.cloud.clock.sleep(c.cloud.durations.distribution)
    return made["Distribution"]["Id"]


def _distribution_found(c: Context, physical: str) -> dict[str, Any]:
    return c.client("cloudfront").get_distribution(Id=physical)


def _distribution_settled(c: Context, physical: str) -> bool:
    return _distribution_found(c, physical)["Distribution"]["Status"] == "Deployed"


def _distribution_update(c: Context, physical: str, old: Properties, p: Properties) -> None:
    found = _distribution_found(c, physical)
    reference = found["Distribution"]["DistributionConfig"]["CallerReference"]
    c.client("cloudfront").update_distribution(
        Id=physical,
        IfMatch=found["ETag"],
        DistributionConfig=_distribution_config(c, p, reference),
    )


def _distribution_attributes(c: Context, physical: str) -> dict[str, Any]:
    found = _distribution_found(c, physical)["Distribution"]
    return {"Id": physical, "DomainName": found["DomainName"]}


def _distribution_delete(c: Context, physical: str, p: Properties) -> None:
    found = _distribution_found(c, physical)
    c.client("cloudfront").delete_distribution(Id=physical, IfMatch=found["ETag"])


def _distribution_retag(c: Context, physical: str, tags: dict[str, str], gone: list[str]) -> None:
    front = c.client("cloudfront")
    arn = _distribution_found(c, physical)["Distribution"]["ARN"]
    if gone:
        front.untag_resource(Resource=arn, TagKeys={"Items": gone})
    if tags:
        pairs = [{"Key": key, "Value": value} for key, value in tags.items()]
        front.tag_resource(Resource=arn, Tags={"Items": pairs})


def _origin_config(p: Properties) -> dict[str, Any]:
    given = p["VpcOriginEndpointConfig"]
    defaults = {"HTTPPort": 80, "HTTPSPort": 443, "OriginProtocolPolicy": "match-viewer"}
    return {name: given.get(name, value) for name, value in defaults.items()} | {
        "Name": given["Name"],
        "Arn": given["Arn"],
    }


def _origin(c: Context, p: Properties) -> str:
    made = c.client("cloudfront").create_vpc_origin(
        VpcOriginEndpointConfig=_origin_config(p), Tags={"Items": c.pairs()}
    )
    c.cloud.clock.sleep(c.cloud.durations.distribution)
    return made["VpcOrigin"]["Id"]


def _origin_update(c: Context, physical: str, old: Properties, p: Properties) -> None:
    front = c.client("cloudfront")
    front.update_vpc_origin(
        Id=physical,
        IfMatch=front.get_vpc_origin(Id=physical)["ETag"],
        VpcOriginEndpointConfig=_origin_config(p),
    )


def _origin_attributes(c: Context, physical: str) -> dict[str, Any]:
    found = c.client("cloudfront").get_vpc_origin(Id=physical)["VpcOrigin"]
    return {"Id": physical, "Arn": found["Arn"]}


def _origin_delete(c: Context, physical: str, p: Properties) -> None:
    front = c.client("cloudfront")
    front.delete_vpc_origin(Id=physical, IfMatch=front.get_vpc_origin(Id=physical)["ETag"])


RESOURCE_TYPES: dict[str, ResourceType] = {
    "AWS::CloudFront::Distribution": ResourceType(
        _distribution, _distribution_delete, _distribution_attributes, _distribution_update,
        _distribution_settled, retag=_distribution_retag,
    ),
    "AWS::CloudFront::VpcOrigin": ResourceType(
        _origin, _origin_delete, _origin_attributes, _origin_update
    ),
}  # fmt: skip
