"""The runtime: what no stack can set is set, and nothing else is lost by it."""

from datetime import UTC, datetime
from typing import Any

import botocore.session
import pytest
from botocore.exceptions import ClientError

from voicecore.cloud.deploy import agentcore
from voicecore.cloud.deploy.agentcore import RuntimeNotReady, mending, require_mmdsv2

DESCRIBED = {
    "agentRuntimeId": "x_dev-0123456789",
    "agentRuntimeArn": "arn:aws:bedrock-agentcore:us-east-1:1:runtime/x_dev-0123456789",
    "agentRuntimeName": "x_dev",
    "agentRuntimeVersion": "3",
    "status": "READY",
    "lastUpdatedAt": datetime(2026, 11, 22, tzinfo=UTC),
    "createdAt": datetime(2026, 11, 22, tzinfo=UTC),
    "roleArn": "arn:aws:iam::1:role/x",
    "networkConfiguration": {"networkMode": "PUBLIC"},
    "agentRuntimeArtifact": {"containerConfiguration": {"containerUri": "r@sha256:1"}},
    "environmentVariables": {"A": "1"},
    "lifecycleConfiguration": {"idleRuntimeSessionTimeout": 900, "maxLifetime": 28800},
    "description": "",
}


class AgentCoreDouble:
    def __init__(self, *states: dict[str, Any]) -> None:
        self.states = list(states)
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def get_agent_runtime(self, **wanted: Any) -> Any:
        if not self.states:
            raise ClientError({"Error": {"Code": "ResourceNotFoundException"}}, "GetAgentRuntime")
        return self.states.pop(0) if len(self.states) > 1 else self.states[0]

    def update_agent_runtime(self, **wanted: Any) -> Any:
        self.calls.append(("update_agent_runtime", wanted))
        return {"agentRuntimeVersion": "4"}

    def update_agent_runtime_endpoint(self, **wanted: Any) -> Any:
        self.calls.append(("update_agent_runtime_endpoint", wanted))

    def get_paginator(self, operation: str) -> Any:
        class Paginator:
            def paginate(self, agentRuntimeId: str) -> Any:
                arn = f"arn:…/{agentRuntimeId}/runtime-endpoint"
                yield {
                    "runtimeEndpoints": [
                        {"name": name, "agentRuntimeEndpointArn": f"{arn}/{name}",
                         "status": "READY", "liveVersion": version}
                        for name, version in (("dev", "3"), ("DEFAULT", "4"), ("old", "1"))
                    ]
                }  # fmt: skip

        return Paginator()


def no_pause(_: float) -> None:
    pass


def test_all_that_an_update_takes_and_a_description_gives_is_sent_again() -> None:
    model = botocore.session.get_session().get_service_model("bedrock-agentcore-control")
    taken = model.operation_model("UpdateAgentRuntime").input_shape.members
    given = model.operation_model("GetAgentRuntime").output_shape.members
    full = {key: {"some": "value"} for key in given} | {"agentRuntimeId": "x"}
    full["metadataConfiguration"] = {"requireMMDSV2": False}
    assert set(mending(full) or {}) == set(taken) & set(given)


def test_a_runtime_that_requires_it_is_left_alone() -> None:
    client = AgentCoreDouble(DESCRIBED | {"metadataConfiguration": {"requireMMDSV2": True}})
    assert not require_mmdsv2(client, "x_dev-0123456789", no_pause)
    assert client.calls == []


def test_it_is_turned_on_and_the_stages_endpoint_follows() -> None:
    client = AgentCoreDouble(
        DESCRIBED,
        DESCRIBED | {"status": "UPDATING", "agentRuntimeVersion": "4"},
        DESCRIBED | {"agentRuntimeVersion": "4"},
    )
    assert require_mmdsv2(client, "x_dev-0123456789", no_pause)
    (_, update), (_, endpoint) = client.calls
    assert update["metadataConfiguration"] == {"requireMMDSV2": True}
    assert update["environmentVariables"] == {"A": "1"}
    assert update["agentRuntimeArtifact"] == DESCRIBED["agentRuntimeArtifact"]
    assert "description" not in update  # empty ones are refused
    assert endpoint == {
        "agentRuntimeId": "x_dev-0123456789",
        "endpointName": "dev",
        "agentRuntimeVersion": "4",
    }


def test_a_runtime_that_failed_says_why_and_what_helps() -> None:
    failed = DESCRIBED | {"status": "UPDATE_FAILED", "failureReason": "exec format error"}
    with pytest.raises(RuntimeNotReady, match="exec format error") as error:
        require_mmdsv2(AgentCoreDouble(failed), "x", no_pause)
    assert "linux/arm64" in str(error.value.hint)


def test_a_runtime_that_is_gone_is_made_anew_by_a_deploy() -> None:
    assert agentcore.find(AgentCoreDouble(), "x") is None
    with pytest.raises(RuntimeNotReady) as error:
        require_mmdsv2(AgentCoreDouble(), "x", no_pause)
    assert "voicecore deploy" in str(error.value.hint)


def test_a_description_becomes_a_value() -> None:
    found = agentcore.find(AgentCoreDouble(DESCRIBED), "x")
    assert found is not None
    assert (found.name, found.version, found.image) == ("x_dev", "3", "r@sha256:1")
    assert found.settled and not found.mmdsv2
