"""Owns the Resource Groups Tagging API, over the whole inventory.

As in AWS: IAM roles are listed in one region of a partition, images never.
"""

from __future__ import annotations

from typing import Any

from tests.standins.aws.cloud import Call, Cloud
from tests.standins.aws.inventory import InventoryItem, inventory
from tests.standins.models.refusal import Refused


def get_resources(cloud: Cloud, call: Call) -> dict[str, Any]:
    p = call.params
    if "ResourceARNList" in p and ("TagFilters" in p or "ResourceTypeFilters" in p):
        message = "ResourceARNList cannot be combined with filters"
        raise Refused("InvalidParameterException", message)
    found = sorted(t for t in inventory(cloud) if t.arn and t.tags and _is_in_region(t, call))
    found = [t for t in found if _matches(t, p)]
    start, size = int(p.get("PaginationToken") or 0), p.get("ResourcesPerPage", 100)
    page = found[start : start + size]
    return {
        "ResourceTagMappingList": [
            {"ResourceARN": t.arn, "Tags": [{"Key": k, "Value": v} for k, v in t.tags]}
            for t in page
        ],
        "PaginationToken": str(start + size) if start + size < len(found) else "",
    }


def _is_in_region(thing: InventoryItem, call: Call) -> bool:
    return (
        thing.account == call.account and (thing.region or call.caller.home_region) == call.region
    )


def _matches(thing: InventoryItem, p: dict[str, Any]) -> bool:
    tags = dict(thing.tags)
    for tag_filter in p.get("TagFilters", []):
        values = tag_filter.get("Values", [])
        if tag_filter["Key"] not in tags or (values and tags[tag_filter["Key"]] not in values):
            return False
    kinds = p.get("ResourceTypeFilters", [])
    if kinds and not any(thing.kind == k or thing.kind.startswith(f"{k}:") for k in kinds):
        return False
    return thing.arn in p.get("ResourceARNList", [thing.arn])


HANDLERS = {("resourcegroupstaggingapi", "GetResources"): get_resources}
