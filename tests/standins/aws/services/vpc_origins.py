"""Owns CloudFront's VPC origins, which moto lacks: private ways to internal load balancers."""

from __future__ import annotations

import secrets
from typing import Any

from moto.backends import get_backend

from tests.standins.aws.cloud import Call, Cloud
from tests.standins.models.refusal import Refused


def origins(cloud: Cloud) -> dict[str, dict[str, Any]]:
    """Return all VPC origins by ID, as GetVpcOrigin describes them."""
    return cloud.setdefault(dict, "vpc origins")


def create(cloud: Cloud, call: Call) -> dict[str, Any]:
    config = call.params["VpcOriginEndpointConfig"]
    _require_internal(call, config["Arn"])
    if any(o["VpcOriginEndpointConfig"]["Name"] == config["Name"] for o in origins(cloud).values()):
        raise Refused("EntityAlreadyExists", "A VPC origin with this name exists.", 409)
    id = f"vo_{secrets.token_hex(11)}"
    made = {
        "Id": id,
        "Arn": f"arn:{call.partition}:cloudfront::{call.account}:vpcorigin/{id}",
        "AccountId": call.account,
        "Status": "Deployed",
        "CreatedTime": cloud.clock.now(),
        "LastModifiedTime": cloud.clock.now(),
        "VpcOriginEndpointConfig": config,
    }
    origins(cloud)[id] = made
    return {"VpcOrigin": made, "ETag": _etag(made)}


def get(cloud: Cloud, call: Call) -> dict[str, Any]:
    found = _found(cloud, call)
    return {"VpcOrigin": found, "ETag": _etag(found)}


def update(cloud: Cloud, call: Call) -> dict[str, Any]:
    found = _found(cloud, call)
    _require_internal(call, call.params["VpcOriginEndpointConfig"]["Arn"])
    found["VpcOriginEndpointConfig"] = call.params["VpcOriginEndpointConfig"]
    return {"VpcOrigin": found, "ETag": _etag(found)}


def delete(cloud: Cloud, call: Call) -> dict[str, Any]:
    found = _found(cloud, call)
    backend = get_backend("cloudfront")[call.account][call.partition]
    for distribution in backend.distributions.values():
        used = uses(cloud).get(distribution.distribution_id)
        if used == found["Id"]:
            raise Refused("CannotDeleteEntityWhileInUse", "A distribution uses the origin.", 409)
    del origins(cloud)[found["Id"]]
    return {"VpcOrigin": found, "ETag": _etag(found)}


def list_all(cloud: Cloud, call: Call) -> dict[str, Any]:
    items = [
        {key: o[key] for key in ("Id", "Arn", "AccountId", "Status", "CreatedTime",
                                 "LastModifiedTime")}
        | {"Name": o["VpcOriginEndpointConfig"]["Name"],
           "OriginEndpointArn": o["VpcOriginEndpointConfig"]["Arn"]}
        for o in origins(cloud).values()
    ]  # fmt: skip
    return {
        "VpcOriginList": {
            "Marker": "", "MaxItems": 100, "IsTruncated": False, "Quantity": len(items),
            "Items": items,
        }
    }  # fmt: skip


def uses(cloud: Cloud) -> dict[str, str]:
    """Return the VPC origins that distributions use, by the distributions' IDs."""
    return cloud.setdefault(dict, "vpc origins of distributions")


def note_use(cloud: Cloud, distribution: str, config: dict[str, Any]) -> None:
    """Remember which VPC origin a distribution uses; raise Refused for one that does not exist."""
    uses(cloud).pop(distribution, None)
    for origin in config["Origins"]["Items"]:
        if id := origin.get("VpcOriginConfig", {}).get("VpcOriginId"):
            if id not in origins(cloud):
                raise Refused("EntityNotFound", f"The VPC origin {id} does not exist.", 404)
            uses(cloud)[distribution] = id


def _found(cloud: Cloud, call: Call) -> dict[str, Any]:
    found = origins(cloud).get(call.params["Id"])
    if found is None:
        raise Refused("EntityNotFound", "The specified VPC origin does not exist.", 404)
    return found


def _etag(found: dict[str, Any]) -> str:
    return f"E{abs(hash(str(found['VpcOriginEndpointConfig']))):X}"


def _require_internal(call: Call, arn: str) -> None:
    region = arn.split(":")[3]
    balancer = get_backend("elbv2")[call.account][region].load_balancers.get(arn)
    if balancer is None or balancer.scheme != "internal":
        raise Refused("InvalidArgument", "The load balancer is not an internal one.", 400)


HANDLERS = {
    ("cloudfront", "CreateVpcOrigin"): create,
    ("cloudfront", "GetVpcOrigin"): get,
    ("cloudfront", "UpdateVpcOrigin"): update,
    ("cloudfront", "DeleteVpcOrigin"): delete,
    ("cloudfront", "ListVpcOrigins"): list_all,
}
