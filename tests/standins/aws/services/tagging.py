"""The Resource Groups Tagging API over everything that is in the inventory."""

from __future__ import annotations

from typing import Any

from tests.standins.aws.cloud import Call, Cloud
from tests.standins.aws.inventory import InventoryItem, inventory
from tests.standins.models.refusal import Refused

# What AWS's own API does not list: IAM roles only in us-east-1, images never.
_GLOBAL = "us-east-1"


def get_resources(cloud: Cloud, call: Call) -> dict[str, Any]:
    p = call.params
    if "ResourceARNList" in p and ("TagFilters" in p or "ResourceTypeFilters" in p):
        message = "ResourceARNList cannot be combined with filters"
        raise Refused("InvalidParameterException", message)
    found = sorted(t for t in inventory(cloud) if t.arn and t.tags and _is_here(t, call))
    found = [t for t in found if _fits(t, p)]
    start, size = int(p.get("PaginationToken") or 0), p.get("ResourcesPerPage", 100)
    page = found[start : start + size]
    return {
        "ResourceTagMappingList": [
            {"ResourceARN": t.arn, "Tags": [{"Key": k, "Value": v} for k, v in t.tags]}
            for t in page
        ],
        "PaginationToken": str(start + size) if start + size < len(found) else "",
    }


def _is_here(thing: InventoryItem, call: Call) -> bool:
    return thing.account == call.account and (thing.region or _GLOBAL) == call.region


def _fits(thing: InventoryItem, p: dict[str, Any]) -> bool:
    tags = dict(thing.tags)
    for wanted in p.get("TagFilters", []):
        values = wanted.get("Values", [])
        if wanted["Key"] not in tags or (values and tags[wanted["Key"]] not in values):
            return False
    kinds = p.get("ResourceTypeFilters", [])
    if kinds and not any(thing.kind == k or thing.kind.startswith(f"{k}:") for k in kinds):
        return False
    return thing.arn in p.get("ResourceARNList", [thing.arn])


HANDLERS = {("resourcegroupstaggingapi", "GetResources"): get_resources}
