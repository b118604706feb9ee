"""The resource types of AgentCore: runtimes and endpoints."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from tests.standins.aws.cloudformation.types.base import (
    Context,
    Failed,
    Properties,
    ResourceType,
    as_request,
    handler_reason,
)

_CONTROL = "bedrock-agentcore-control"


def _runtime_request(c: Context, operation: str, p: Properties) -> dict[str, Any]:
    shape = c.client(_CONTROL).meta.service_model.operation_model(operation).input_shape
    given = {k: v for k, v in p.items() if k not in ("Tags", "ProtocolConfiguration")}
    request = as_request(given, shape)
    if "ProtocolConfiguration" in p:
        request["protocolConfiguration"] = {"serverProtocol": p["ProtocolConfiguration"]}
    return request


def _runtime(c: Context, p: Properties) -> str:
    request = _runtime_request(c, "CreateAgentRuntime", p)
    made = c.client(_CONTROL).create_agent_runtime(
        **request, **({"tags": c.tags} if c.tags else {})
    )
    return made["agentRuntimeId"]


def _runtime_update(c: Context, physical: str, old: Properties, p: Properties) -> None:
    request = _runtime_request(c, "UpdateAgentRuntime", p)
    c.client(_CONTROL).update_agent_runtime(agentRuntimeId=physical, **request)


def _runtime_settled(c: Context, physical: str) -> bool:
    return _ready(c.client(_CONTROL).get_agent_runtime(agentRuntimeId=physical))


def _ready(found: Mapping[str, Any]) -> bool:
    if found["status"].endswith("FAILED"):
        raise Failed(handler_reason(found.get("failureReason", "failed"), "NotStabilized"))
    return found["status"] == "READY"


def _absent(read: Callable[[], Any]) -> bool:
    try:
        read()
    except ClientError as e:
        if e.response["Error"]["Code"] == "ResourceNotFoundException":
            return True
        raise
    return False


def _runtime_gone(c: Context, physical: str) -> bool:
    return _absent(lambda: c.client(_CONTROL).get_agent_runtime(agentRuntimeId=physical))


def _runtime_delete(c: Context, physical: str, p: Properties) -> None:
    c.client(_CONTROL).delete_agent_runtime(agentRuntimeId=physical)


def _runtime_attributes(c: Context, physical: str) -> dict[str, Any]:
    found = c.client(_CONTROL).get_agent_runtime(agentRuntimeId=physical)
    names = ("agentRuntimeArn", "agentRuntimeId", "agentRuntimeVersion", "status", "failureReason")
    made = {name[0].upper() + name[1:]: found.get(name, "") for name in names}
    for name in ("createdAt", "lastUpdatedAt"):
        made[name[0].upper() + name[1:]] = found[name].isoformat()
    identity = found["workloadIdentityDetails"]["workloadIdentityArn"]
    return {**made, "WorkloadIdentityDetails.WorkloadIdentityArn": identity}


def _agentcore_retag(arn: str, c: Context, tags: dict[str, str], gone: list[str]) -> None:
    control = c.client(_CONTROL)
    if gone:
        control.untag_resource(resourceArn=arn, tagKeys=gone)
    if tags:
        control.tag_resource(resourceArn=arn, tags=tags)


def _runtime_retag(c: Context, physical: str, tags: dict[str, str], gone: list[str]) -> None:
    _agentcore_retag(_runtime_attributes(c, physical)["AgentRuntimeArn"], c, tags, gone)


def _of_endpoint(p: Properties) -> dict[str, Any]:
    names = (("agentRuntimeVersion", "AgentRuntimeVersion"), ("description", "Description"))
    return {theirs: p[ours] for theirs, ours in names if ours in p}


def _endpoint(c: Context, p: Properties) -> str:
    made = c.client(_CONTROL).create_agent_runtime_endpoint(
        agentRuntimeId=p["AgentRuntimeId"],
        name=p["Name"],
        **_of_endpoint(p),
        **({"tags": c.tags} if c.tags else {}),
    )
    return made["agentRuntimeEndpointArn"]


def _parts(physical: str) -> dict[str, str]:
    runtime, _, name = physical.partition(":runtime/")[2].partition("/runtime-endpoint/")
    return {"agentRuntimeId": runtime, "endpointName": name}


def _endpoint_update(c: Context, physical: str, old: Properties, p: Properties) -> None:
    c.client(_CONTROL).update_agent_runtime_endpoint(**_parts(physical), **_of_endpoint(p))


def _endpoint_found(c: Context, physical: str) -> dict[str, Any]:
    return c.client(_CONTROL).get_agent_runtime_endpoint(**_parts(physical))


def _endpoint_settled(c: Context, physical: str) -> bool:
    return _ready(_endpoint_found(c, physical))


def _endpoint_gone(c: Context, physical: str) -> bool:
    return _absent(lambda: _endpoint_found(c, physical))


def _endpoint_delete(c: Context, physical: str, p: Properties) -> None:
    c.client(_CONTROL).delete_agent_runtime_endpoint(**_parts(physical))


def _endpoint_attributes(c: Context, physical: str) -> dict[str, Any]:
    found = _endpoint_found(c, physical)
    names = ("agentRuntimeEndpointArn", "agentRuntimeArn", "status", "id", "liveVersion",
             "targetVersion", "failureReason")  # fmt: skip
    return {name[0].upper() + name[1:]: found.get(name, "") for name in names}


def _endpoint_retag(c: Context, physical: str, tags: dict[str, str], gone: list[str]) -> None:
    _agentcore_retag(physical, c, tags, gone)


RESOURCE_TYPES: dict[str, ResourceType] = {
    "AWS::BedrockAgentCore::Runtime": ResourceType(
        _runtime, _runtime_delete, _runtime_attributes, _runtime_update, _runtime_settled,
        _runtime_gone, _runtime_retag, "AgentRuntimeName",
    ),
    "AWS::BedrockAgentCore::RuntimeEndpoint": ResourceType(
        _endpoint, _endpoint_delete, _endpoint_attributes, _endpoint_update, _endpoint_settled,
        _endpoint_gone, _endpoint_retag, "Name",
    ),
}  # fmt: skip
