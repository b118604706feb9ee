"""Owns how runtimes are found, and how their states change with time."""

from __future__ import annotations

from typing import Any

from tests.standins.aws.cloud import Call, Caller, Cloud
from tests.standins.aws.services.agentcore.answers import not_found
from tests.standins.aws.services.agentcore.interfaces import release_interfaces
from tests.standins.aws.services.agentcore.state import Endpoint, RegionState, Runtime, endpoint_arn
from tests.standins.models.refusal import Refused

_TERMINAL = ("READY", "CREATE_FAILED", "UPDATE_FAILED", "DELETE_FAILED")


def region_state(cloud: Cloud, call: Call) -> RegionState:
    regional: RegionState = cloud.setdefault(RegionState, "agentcore", *call.account_region)
    update_states(cloud, regional)
    return regional


def get_runtime(regional: RegionState, id: str) -> Runtime:
    if id not in regional.runtimes:
        raise not_found(f"Agent {id}")
    return regional.runtimes[id]


def require_terminal(cloud: Cloud, resource: Runtime | Endpoint) -> None:
    status = resource.state.now(cloud.clock)
    if status not in _TERMINAL:
        title = "Agent" if isinstance(resource, Runtime) else "Endpoint"
        raise Refused("ConflictException", f"{title} {resource.name} is in {status} state.", 409)


def update_states(cloud: Cloud, regional: RegionState) -> None:
    """Remove deleted resources, and interfaces that have lingered long enough."""
    for runtime in list(regional.runtimes.values()):
        for endpoint in list(runtime.endpoints.values()):
            status = endpoint.state.now(cloud.clock)
            if status == "GONE":
                regional.tags.pop(endpoint_arn(runtime, runtime.endpoints.pop(endpoint.name)), None)
            elif status == "READY":
                endpoint.live = endpoint.target
        if runtime.state.now(cloud.clock) == "GONE":
            del regional.runtimes[runtime.id]
            for arn in [a for a in regional.tags if a.startswith(runtime.arn)]:
                del regional.tags[arn]
            release_interfaces(cloud, regional, runtime)
    lingering: list[tuple[float, Caller, str, str]] = cloud.setdefault(list, "interfaces")
    for each in [each for each in lingering if each[0] <= cloud.clock.seconds()]:
        lingering.remove(each)
        ec2 = cloud.client("ec2", each[2], each[1], "bedrock-agentcore")
        ec2.delete_network_interface(NetworkInterfaceId=each[3])


def update_all_states(cloud: Cloud) -> None:
    for _, regional in cloud.all_of("agentcore"):
        update_states(cloud, regional)


def version_of(runtime: Runtime, params: dict[str, Any]) -> str:
    version = params.get("agentRuntimeVersion", runtime.version)
    if not version.isdecimal() or not 0 < int(version) <= len(runtime.versions):
        raise not_found(f"Agent version {version} of {runtime.id}")
    return version
