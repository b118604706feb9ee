"""Owns the operations on runtimes and their versions."""

from __future__ import annotations

import json
from typing import Any

from tests.standins.aws.cloud import Call, Cloud
from tests.standins.aws.services import quotas
from tests.standins.aws.services.agentcore.answers import (
    invalid,
    not_found,
    page_of,
    remember,
    repeated_answer,
)
from tests.standins.aws.services.agentcore.checks import check_request, later_failure
from tests.standins.aws.services.agentcore.interfaces import create_interfaces
from tests.standins.aws.services.agentcore.lifecycle import (
    get_runtime,
    region_state,
    require_terminal,
    update_states,
)
from tests.standins.aws.services.agentcore.state import DEFAULT, Endpoint, Runtime, new_id
from tests.standins.aws.timed_state import timed_state
from tests.standins.models.refusal import Refused

_SETTINGS = (
    "agentRuntimeArtifact", "roleArn", "networkConfiguration", "description",
    "authorizerConfiguration", "requestHeaderConfiguration", "protocolConfiguration",
    "lifecycleConfiguration", "environmentVariables", "filesystemConfigurations",
    "capacityProviderConfiguration", "platformVersion", "metadataConfiguration",
    "hooksConfiguration", "allowedPorts", "resourceConfigurations",
)  # fmt: skip


def create(cloud: Cloud, call: Call) -> dict[str, Any]:
    regional, p = region_state(cloud, call), call.params
    if answered := repeated_answer(regional, p):
        return answered
    if any(r.name == p["agentRuntimeName"] for r in regional.runtimes.values()):
        name = p["agentRuntimeName"]
        raise Refused("ConflictException", f"An agent with name '{name}' already exists.", 409)
    limit = quotas.value(cloud, call.account, call.region, "bedrock-agentcore", "L-F4575653")
    if len(regional.runtimes) >= limit:
        raise Refused("ServiceQuotaExceededException", "Maximum number of agents reached.", 402)
    check_request(cloud, call)
    id = new_id(p["agentRuntimeName"])
    arn = f"arn:{call.partition}:bedrock-agentcore:{call.region}:{call.account}:runtime/{id}"
    now = cloud.clock.now()
    reason = later_failure(cloud, call) or cloud.faults.runtime_failure("CREATE")
    end = "CREATE_FAILED" if reason else "READY"
    seconds = _seconds(cloud, p)
    state = timed_state(cloud.clock, "CREATING", end, seconds, reason)
    runtime = Runtime(id, p["agentRuntimeName"], arn, now, call.caller, call.region, state)
    _add_version(runtime, p, now, {"requireMMDSV2": ("old metadata service",) not in cloud.state})
    runtime.endpoints[DEFAULT] = Endpoint(
        DEFAULT, new_id(DEFAULT), "1", now, now,
        timed_state(cloud.clock, "CREATING", end, seconds, reason), "1",
    )  # fmt: skip
    regional.runtimes[id] = runtime
    regional.tags[arn] = dict(p.get("tags", {}))
    if not reason:
        create_interfaces(cloud, call, regional)
    answer = {
        "agentRuntimeArn": arn,
        "agentRuntimeId": id,
        "agentRuntimeVersion": "1",
        "createdAt": now,
        "status": "CREATING",
        "workloadIdentityDetails": _identity(runtime),
    }
    remember(regional, p, answer)
    return answer


def update(cloud: Cloud, call: Call) -> dict[str, Any]:
    regional, p = region_state(cloud, call), call.params
    if answered := repeated_answer(regional, p):
        return answered
    runtime = get_runtime(regional, p["agentRuntimeId"])
    require_terminal(cloud, runtime)
    limit = quotas.value(cloud, call.account, call.region, "bedrock-agentcore", "versions")
    if len(runtime.versions) >= limit:
        raise Refused("ServiceQuotaExceededException", "Maximum number of versions reached.", 402)
    check_request(cloud, call)
    reason = later_failure(cloud, call) or cloud.faults.runtime_failure("UPDATE")
    now, clock = cloud.clock.now(), cloud.clock
    end = "UPDATE_FAILED" if reason else "READY"
    seconds = _seconds(cloud, p)
    runtime.state.change(clock, "UPDATING", end, seconds, reason)
    if not reason:
        # Like every other setting that an update does not name.
        _add_version(runtime, p, now, {"requireMMDSV2": False})
        _update_default_endpoint(cloud, runtime, seconds)
        create_interfaces(cloud, call, regional)
    answer = {
        "agentRuntimeArn": runtime.arn,
        "agentRuntimeId": runtime.id,
        "agentRuntimeVersion": runtime.version,
        "createdAt": runtime.created,
        "lastUpdatedAt": now,
        "status": "UPDATING",
        "workloadIdentityDetails": _identity(runtime),
    }
    remember(regional, p, answer)
    return answer


def get(cloud: Cloud, call: Call) -> dict[str, Any]:
    runtime = get_runtime(region_state(cloud, call), call.params["agentRuntimeId"])
    version = call.params.get("agentRuntimeVersion", runtime.version)
    if not version.isdecimal() or not 0 < int(version) <= len(runtime.versions):
        raise not_found(f"Agent version {version} of {runtime.id}")
    settings = runtime.versions[int(version) - 1]
    answer = {
        "agentRuntimeArn": runtime.arn,
        "agentRuntimeName": runtime.name,
        "agentRuntimeId": runtime.id,
        "agentRuntimeVersion": version,
        "createdAt": runtime.created,
        "lastUpdatedAt": runtime.updated[int(version) - 1],
        "status": runtime.state.now(cloud.clock),
        "workloadIdentityDetails": _identity(runtime),
        **settings,
    }
    reason = runtime.state.failure(cloud.clock)
    return answer | ({"failureReason": reason} if reason else {})


def delete(cloud: Cloud, call: Call) -> dict[str, Any]:
    regional = region_state(cloud, call)
    runtime = get_runtime(regional, call.params["agentRuntimeId"])
    require_terminal(cloud, runtime)
    runtime.state.change(cloud.clock, "DELETING", "GONE", cloud.durations.runtime_deletion)
    update_states(cloud, regional)
    return {"status": "DELETING", "agentRuntimeId": runtime.id}


def invoke(cloud: Cloud, call: Call) -> dict[str, Any]:
    """Answer for the version that the endpoint points to, if AWS would start it."""
    regional, p = region_state(cloud, call), call.params
    runtime = get_runtime(regional, p["agentRuntimeArn"].rpartition("/")[2])
    name = p.get("qualifier", DEFAULT)
    if name not in runtime.endpoints:
        raise not_found(f"No endpoint or agent found with qualifier {name}:")
    version = runtime.endpoints[name].live
    if not runtime.versions[int(version) - 1]["metadataConfiguration"]["requireMMDSV2"]:
        raise invalid("This runtime is not MMDSv2-enabled. Update it with requireMMDSV2.")
    if session := p.get("runtimeSessionId"):
        regional.sessions.add((name, session))
    answer = json.dumps({"version": version, "endpoint": name}).encode()
    return {"response": answer, "contentType": "application/json", "statusCode": 200}


def stop_session(cloud: Cloud, call: Call) -> dict[str, Any]:
    """Stop a session that `invoke` started; for AgentCore, one that has ended is unknown."""
    regional, p = region_state(cloud, call), call.params
    get_runtime(regional, p["agentRuntimeArn"].rpartition("/")[2])
    session = (p.get("qualifier", DEFAULT), p["runtimeSessionId"])
    if session not in regional.sessions:
        raise not_found(f"Session {session[1]}")
    regional.sessions.discard(session)
    return {"runtimeSessionId": session[1], "statusCode": 200}


def list_all(cloud: Cloud, call: Call) -> dict[str, Any]:
    listed = [_summary(cloud, r, r.version) for r in region_state(cloud, call).runtimes.values()]
    return page_of(call, "agentRuntimes", listed)


def list_versions(cloud: Cloud, call: Call) -> dict[str, Any]:
    runtime = get_runtime(region_state(cloud, call), call.params["agentRuntimeId"])
    numbers = [str(n + 1) for n in range(len(runtime.versions))]
    return page_of(call, "agentRuntimes", [_summary(cloud, runtime, n) for n in numbers])


def _add_version(
    runtime: Runtime, params: dict[str, Any], now: Any, metadata: dict[str, Any]
) -> None:
    settings = {name: params[name] for name in _SETTINGS if params.get(name) is not None}
    given = settings.get("lifecycleConfiguration", {})
    longest = given.get("maxLifetime", 28800)
    idle = given.get("idleRuntimeSessionTimeout", min(900, longest))
    settings["lifecycleConfiguration"] = {"idleRuntimeSessionTimeout": idle, "maxLifetime": longest}
    settings.setdefault("networkConfiguration", {"networkMode": "PUBLIC"})
    settings.setdefault("metadataConfiguration", metadata)
    settings.setdefault("platformVersion", "V1")
    runtime.versions.append(settings)
    runtime.updated.append(now)


def _seconds(cloud: Cloud, params: dict[str, Any]) -> float:
    """Return how long a version takes to be READY: on V2, until its snapshot is taken."""
    snapshot = cloud.durations.snapshot if params.get("platformVersion") == "V2" else 0.0
    return cloud.durations.runtime + snapshot


def _update_default_endpoint(cloud: Cloud, runtime: Runtime, seconds: float) -> None:
    """Point DEFAULT to the newest version."""
    endpoint = runtime.endpoints[DEFAULT]
    endpoint.target, endpoint.updated = runtime.version, cloud.clock.now()
    endpoint.state.change(cloud.clock, "UPDATING", "READY", seconds)


def _identity(runtime: Runtime) -> dict[str, str]:
    stem = runtime.arn.partition(":runtime/")[0]
    directory = f"{stem}:workload-identity-directory/default/workload-identity/{runtime.id}"
    return {"workloadIdentityArn": directory}


def _summary(cloud: Cloud, runtime: Runtime, version: str) -> dict[str, Any]:
    return {
        "agentRuntimeArn": runtime.arn,
        "agentRuntimeId": runtime.id,
        "agentRuntimeVersion": version,
        "agentRuntimeName": runtime.name,
        "description": runtime.versions[int(version) - 1].get("description", runtime.name),
        "lastUpdatedAt": runtime.updated[int(version) - 1],
        "status": runtime.state.now(cloud.clock),
    }
