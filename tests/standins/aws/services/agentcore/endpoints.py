"""Owns the operations on endpoints."""

from __future__ import annotations

from typing import Any

from tests.standins.aws.cloud import Call, Cloud
from tests.standins.aws.services import quotas
from tests.standins.aws.services.agentcore.answers import (
    not_found,
    page_of,
    remember,
    repeated_answer,
)
from tests.standins.aws.services.agentcore.lifecycle import (
    get_runtime,
    region_state,
    require_terminal,
    update_states,
    version_of,
)
from tests.standins.aws.services.agentcore.state import (
    DEFAULT,
    Endpoint,
    Runtime,
    endpoint_arn,
    new_id,
)
from tests.standins.aws.timed_state import timed_state
from tests.standins.models.refusal import Refused


def create_endpoint(cloud: Cloud, call: Call) -> dict[str, Any]:
    regional, p = region_state(cloud, call), call.params
    if answered := repeated_answer(regional, p):
        return answered
    runtime = get_runtime(regional, p["agentRuntimeId"])
    require_terminal(cloud, runtime)
    if p["name"] in runtime.endpoints:
        raise Refused("ConflictException", f"Endpoint '{p['name']}' already exists.", 409)
    limit = quotas.value(cloud, call.account, call.region, "bedrock-agentcore", "L-9B442722")
    if len(runtime.endpoints) >= limit:
        raise Refused("ServiceQuotaExceededException", "Maximum number of endpoints reached.", 402)
    version = version_of(runtime, p)
    now = cloud.clock.now()
    state = timed_state(cloud.clock, "CREATING", "READY", cloud.durations.endpoint)
    made = Endpoint(
        p["name"], new_id(p["name"]), version, now, now, state, version, p.get("description")
    )
    runtime.endpoints[p["name"]] = made
    arn = endpoint_arn(runtime, made)
    regional.tags[arn] = dict(p.get("tags", {}))
    answer = {
        "targetVersion": version,
        "agentRuntimeEndpointArn": arn,
        "agentRuntimeArn": runtime.arn,
        "agentRuntimeId": runtime.id,
        "endpointName": p["name"],
        "status": "CREATING",
        "createdAt": now,
    }
    remember(regional, p, answer)
    return answer


def update_endpoint(cloud: Cloud, call: Call) -> dict[str, Any]:
    runtime, endpoint = _endpoint(cloud, call)
    require_terminal(cloud, endpoint)
    endpoint.target = version_of(runtime, call.params)
    endpoint.description = call.params.get("description", endpoint.description)
    endpoint.updated = cloud.clock.now()
    endpoint.state.change(cloud.clock, "UPDATING", "READY", cloud.durations.endpoint)
    return {
        "liveVersion": endpoint.live,
        "targetVersion": endpoint.target,
        "agentRuntimeEndpointArn": endpoint_arn(runtime, endpoint),
        "agentRuntimeArn": runtime.arn,
        "status": "UPDATING",
        "createdAt": endpoint.created,
        "lastUpdatedAt": endpoint.updated,
    }


def get_endpoint(cloud: Cloud, call: Call) -> dict[str, Any]:
    runtime, endpoint = _endpoint(cloud, call)
    return _described(cloud, runtime, endpoint)


def delete_endpoint(cloud: Cloud, call: Call) -> dict[str, Any]:
    runtime, endpoint = _endpoint(cloud, call)
    if endpoint.name == DEFAULT:
        raise Refused("ConflictException", "The DEFAULT endpoint goes with its agent.", 409)
    require_terminal(cloud, endpoint)
    endpoint.state.change(cloud.clock, "DELETING", "GONE", cloud.durations.endpoint)
    update_states(cloud, region_state(cloud, call))
    return {"status": "DELETING", "agentRuntimeId": runtime.id, "endpointName": endpoint.name}


def list_endpoints(cloud: Cloud, call: Call) -> dict[str, Any]:
    runtime = get_runtime(region_state(cloud, call), call.params["agentRuntimeId"])
    listed = [_described(cloud, runtime, e) for e in runtime.endpoints.values()]
    return page_of(call, "runtimeEndpoints", listed)


def _endpoint(cloud: Cloud, call: Call) -> tuple[Runtime, Endpoint]:
    runtime = get_runtime(region_state(cloud, call), call.params["agentRuntimeId"])
    name = call.params["endpointName"]
    if name not in runtime.endpoints:
        raise not_found(f"Endpoint {name} of {runtime.id}")
    return runtime, runtime.endpoints[name]


def _described(cloud: Cloud, runtime: Runtime, endpoint: Endpoint) -> dict[str, Any]:
    status = endpoint.state.now(cloud.clock)
    answer = {
        "name": endpoint.name,
        "id": endpoint.id,
        "liveVersion": endpoint.live,
        "targetVersion": endpoint.target,
        "agentRuntimeEndpointArn": endpoint_arn(runtime, endpoint),
        "agentRuntimeArn": runtime.arn,
        "status": status,
        "createdAt": endpoint.created,
        "lastUpdatedAt": endpoint.updated,
    }
    if endpoint.description:
        answer["description"] = endpoint.description
    return answer
