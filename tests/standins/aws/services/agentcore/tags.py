"""Owns the operations on tags of runtimes and endpoints."""

from __future__ import annotations

from typing import Any

from tests.standins.aws.cloud import Call, Cloud
from tests.standins.aws.services.agentcore.answers import not_found
from tests.standins.aws.services.agentcore.lifecycle import region_state


def tag(cloud: Cloud, call: Call) -> dict[str, Any]:
    _tags(cloud, call).update(call.params["tags"])
    return {}


def untag(cloud: Cloud, call: Call) -> dict[str, Any]:
    tags = _tags(cloud, call)
    for key in call.params["tagKeys"]:
        tags.pop(key, None)
    return {}


def list_tags(cloud: Cloud, call: Call) -> dict[str, Any]:
    return {"tags": dict(_tags(cloud, call))}


def _tags(cloud: Cloud, call: Call) -> dict[str, str]:
    regional = region_state(cloud, call)
    if call.params["resourceArn"] not in regional.tags:
        raise not_found(f"Resource {call.params['resourceArn']}")
    return regional.tags[call.params["resourceArn"]]
