"""Owns AgentCore runtimes: their state, their endpoints, and the setting that no stack can set.

AgentCore refuses to change or delete a runtime until it has reached a terminal state.
"""

# botocore has no types.
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from voicecore.aws.errors import AwsRefused, ignoring
from voicecore.aws.known_failures import find_known_failure
from voicecore.aws.polling import Sleep, poll_intervals
from voicecore.catalog import platforms

DEFAULT_ENDPOINT = "DEFAULT"
"""Endpoint that AgentCore creates; it always points to the newest version."""

READY_LIMIT = 900.0
"""Seconds until a runtime must be READY; on platform V2 it took 3.5 minutes (agentcore-samples
issue 2079)."""

ENDPOINT_LIMIT = 120.0
"""Seconds until an endpoint must have moved, as AWS's own starter toolkit waits."""

_UPDATABLE = (
    "agentRuntimeArtifact", "roleArn", "networkConfiguration", "description",
    "authorizerConfiguration", "requestHeaderConfiguration", "protocolConfiguration",
    "lifecycleConfiguration", "hooksConfiguration", "environmentVariables",
    "filesystemConfigurations", "capacityProviderConfiguration", "platformVersion",
    "allowedPorts", "resourceConfigurations",
)  # fmt: skip
"""Everything that GetAgentRuntime returns and UpdateAgentRuntime takes; it drops what is not sent.
"""


class RuntimeNotReady(AwsRefused):
    """The runtime did not become READY."""


class EndpointNotMoved(AwsRefused):
    """The endpoint did not reach the version that it was moved to."""


class WrongRuntimePlatform(AwsRefused):
    """AWS runs the runtime on another platform than the stage says."""


@dataclass(frozen=True)
class Runtime:
    """A runtime as AgentCore describes it."""

    id: str
    arn: str
    name: str
    version: str
    status: str
    reason: str
    """Reason of a failure; empty without one."""
    image: str
    """Image URI, with its digest if it was deployed by digest."""
    role: str
    network: str
    """PUBLIC or VPC."""
    environment: Mapping[str, str] = field(repr=False)
    description: str
    updated: datetime
    mmdsv2: bool
    """True when only version 2 of the metadata service hands out the role's credentials."""
    platform: str = platforms.DEFAULT
    """Platform, as voicecore.toml names it."""

    @property
    def settled(self) -> bool:
        """True when AgentCore is not changing the runtime."""
        return not self.status.endswith("ING")


@dataclass(frozen=True)
class RuntimeEndpoint:
    """A name under which a runtime is called."""

    name: str
    arn: str
    live: str
    """Version that answers calls."""
    target: str
    """Version that the endpoint is moving to; equal to `live` if it is not moving."""
    status: str
    reason: str

    @property
    def settled(self) -> bool:
        """True when AgentCore is not changing the endpoint."""
        return not self.status.endswith("ING")


def find(client: Any, runtime_id: str, version: str | None = None) -> Runtime | None:
    """Return the runtime in this version, or in its newest; None if there is none."""
    described = _describe(client, runtime_id, version)
    return _runtime(described) if described else None


def descriptions(client: Any, runtime_id: str) -> dict[str, str]:
    """Return the description of each of AgentCore's versions of the runtime, newest first."""
    paginator = client.get_paginator("list_agent_runtime_versions")
    pages = paginator.paginate(agentRuntimeId=runtime_id, PaginationConfig={"PageSize": 100})
    found: list[Mapping[str, Any]] = []
    with ignoring("ResourceNotFoundException"):
        found = [version for page in pages for version in page["agentRuntimes"]]
    found.sort(key=lambda version: int(version["agentRuntimeVersion"]), reverse=True)
    return {each["agentRuntimeVersion"]: each.get("description", "") for each in found}


def endpoints(client: Any, runtime_id: str) -> list[RuntimeEndpoint]:
    """Return all endpoints of the runtime, sorted by name."""
    paginator = client.get_paginator("list_agent_runtime_endpoints")
    pages = paginator.paginate(agentRuntimeId=runtime_id)
    found = [_endpoint(entry) for page in pages for entry in page["runtimeEndpoints"]]
    return sorted(found, key=lambda endpoint: endpoint.name)


def endpoint(client: Any, runtime_id: str, name: str) -> RuntimeEndpoint | None:
    """Return this endpoint of the runtime, or None."""
    with ignoring("ResourceNotFoundException"):
        found = client.get_agent_runtime_endpoint(agentRuntimeId=runtime_id, endpointName=name)
        return _endpoint(found)
    return None


def point_endpoint(
    client: Any, runtime_id: str, name: str, version: str, pause: Sleep = time.sleep
) -> None:
    """Return once callers of the endpoint reach this version.

    A stack does not notice an endpoint that was moved by hand, so it is moved here if it points
    elsewhere. Raises EndpointNotMoved.
    """
    deadline = time.monotonic() + ENDPOINT_LIMIT
    waits = poll_intervals()
    while found := endpoint(client, runtime_id, name):
        if found.settled and found.live == version:
            return
        if found.status.endswith("FAILED") or time.monotonic() > deadline:
            break
        if found.settled and found.target != version:
            with ignoring("ConflictException"):
                client.update_agent_runtime_endpoint(
                    agentRuntimeId=runtime_id, endpointName=name, agentRuntimeVersion=version
                )
        pause(next(waits))
    reason = f"{found.status} {found.reason}".rstrip() if found else "it no longer exists"
    raise EndpointNotMoved(
        f"The endpoint {name} of {runtime_id} did not move to AgentCore's version {version}: "
        f"{reason}",
        "For details, run:  voicecore status",
    )


def settled(client: Any, runtime_id: str, pause: Sleep = time.sleep) -> Runtime | None:
    """Return the runtime once AgentCore is not changing it; None if it does not exist."""
    described = _settled(client, runtime_id, pause)
    return _runtime(described) if described else None


def require_mmdsv2(client: Any, runtime_id: str, pause: Sleep = time.sleep) -> Runtime:
    """Turn requireMMDSV2 on, which no stack can set; return the runtime once it is READY.

    AgentCore refuses to invoke a runtime without it (runtime-troubleshooting, 2026-06-30). The
    update creates a version, which no endpoint but DEFAULT reaches. Raises RuntimeNotReady.
    """
    described = _ready(client, runtime_id, pause)
    arguments = mmdsv2_update(described)
    if arguments:
        # Another deploy may turn it on at the same moment.
        with ignoring("ConflictException"):
            client.update_agent_runtime(**arguments)
        described = _ready(client, runtime_id, pause)
    return _runtime(described)


def require_platform(runtime: Runtime, platform: str) -> None:
    """Raise WrongRuntimePlatform unless the runtime is on this platform.

    Only GetAgentRuntime tells: the answers to create, update and list do not.
    """
    if runtime.platform != platform:
        raise WrongRuntimePlatform(
            f"AWS runs {runtime.name} on platform {runtime.platform}, not {platform}; callers keep "
            "the version of before.",
            f'Set platform = "{runtime.platform}" in voicecore.toml, and deploy again.',
        )


def mmdsv2_update(described: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the arguments of the update that turns requireMMDSV2 on; None if it is on.

    UpdateAgentRuntime replaces all properties, so all are sent again.
    """
    if described.get("metadataConfiguration", {}).get("requireMMDSV2") is True:
        return None
    kept = {
        key: described[key]
        for key in _UPDATABLE
        if described.get(key) not in (None, "", [], {})  # AWS refuses empty values
    }
    metadata = {**described.get("metadataConfiguration", {}), "requireMMDSV2": True}
    return {
        "agentRuntimeId": described["agentRuntimeId"],
        **kept,
        "metadataConfiguration": metadata,
    }


def _ready(client: Any, runtime_id: str, pause: Sleep) -> Mapping[str, Any]:
    described = _settled(client, runtime_id, pause)
    if described is None or described["status"] != "READY":
        raise _not_ready(runtime_id, _runtime(described) if described else None)
    return described


def _settled(client: Any, runtime_id: str, pause: Sleep) -> Mapping[str, Any] | None:
    """Return the runtime's description in a terminal state, or after READY_LIMIT in any."""
    deadline = time.monotonic() + READY_LIMIT
    waits = poll_intervals()
    while described := _describe(client, runtime_id):
        if _runtime(described).settled or time.monotonic() > deadline:
            return described
        pause(next(waits))
    return None


def _not_ready(runtime_id: str, runtime: Runtime | None) -> RuntimeNotReady:
    """Return the error for a runtime that is not READY, with AWS's reason and what to do."""
    if runtime is None:
        return RuntimeNotReady(
            f"The runtime {runtime_id} no longer exists.", "Recreate it:  voicecore deploy"
        )
    known = find_known_failure(runtime.reason)
    reason = f": {runtime.reason}" if runtime.reason else ""
    return RuntimeNotReady(
        f"The runtime {runtime.name} is {runtime.status}{reason}",
        known.fix if known else "For details, run:  voicecore status",
    )


def _describe(client: Any, runtime_id: str, version: str | None = None) -> Mapping[str, Any] | None:
    which = {"agentRuntimeVersion": version} if version else {}
    with ignoring("ResourceNotFoundException"):
        return client.get_agent_runtime(agentRuntimeId=runtime_id, **which)
    return None


def _runtime(described: Mapping[str, Any]) -> Runtime:
    artifact = described.get("agentRuntimeArtifact", {})
    return Runtime(
        id=described["agentRuntimeId"],
        arn=described["agentRuntimeArn"],
        name=described["agentRuntimeName"],
        version=described["agentRuntimeVersion"],
        status=described["status"],
        reason=described.get("failureReason", ""),
        image=artifact.get("containerConfiguration", {}).get("containerUri", ""),
        role=described["roleArn"],
        network=described["networkConfiguration"]["networkMode"],
        # Runtimes that are older than the platforms have none.
        platform=described.get("platformVersion", platforms.V1).lower(),
        environment=described.get("environmentVariables", {}),
        description=described.get("description", ""),
        updated=described["lastUpdatedAt"],
        mmdsv2=mmdsv2_update(described) is None,
    )


def _endpoint(entry: Mapping[str, Any]) -> RuntimeEndpoint:
    live = entry.get("liveVersion", "")
    return RuntimeEndpoint(
        name=entry["name"],
        arn=entry["agentRuntimeEndpointArn"],
        live=live,
        target=entry.get("targetVersion", live),
        status=entry["status"],
        reason=entry.get("failureReason", ""),
    )
