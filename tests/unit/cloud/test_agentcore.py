"""The runtime: requireMMDSV2 is turned on without losing other settings."""

from datetime import UTC, datetime
from typing import Any, cast

import botocore.session
import pytest
from botocore.exceptions import ClientError

from voicecore.cloud.resources import agentcore
from voicecore.cloud.resources.agentcore import (
    EndpointNotMoved,
    RuntimeNotReady,
    WrongRuntimePlatform,
    mmdsv2_update,
    point_endpoint,
    require_mmdsv2,
    require_platform,
)

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

    def get_agent_runtime(self, **arguments: Any) -> Any:
        if not self.states:
            raise ClientError({"Error": {"Code": "ResourceNotFoundException"}}, "GetAgentRuntime")
        return self.states.pop(0) if len(self.states) > 1 else self.states[0]

    def update_agent_runtime(self, **arguments: Any) -> Any:
        self.calls.append(("update_agent_runtime", arguments))
        return {"agentRuntimeVersion": "4"}


def no_pause(_: float) -> None:
    pass


def test_update_sends_every_setting_again() -> None:
    # Any: botocore's CachedProperty hides the types.
    session = cast(Any, botocore.session.get_session())
    model = session.get_service_model("bedrock-agentcore-control")
    taken = model.operation_model("UpdateAgentRuntime").input_shape.members
    given = model.operation_model("GetAgentRuntime").output_shape.members
    full: dict[str, Any] = {key: {"some": "value"} for key in given} | {"agentRuntimeId": "x"}
    full["metadataConfiguration"] = {"requireMMDSV2": False}
    assert set(mmdsv2_update(full) or {}) == set(taken) & set(given)


def test_runtime_with_mmdsv2_is_not_updated() -> None:
    client = AgentCoreDouble(DESCRIBED | {"metadataConfiguration": {"requireMMDSV2": True}})
    assert require_mmdsv2(client, "x_dev-0123456789", no_pause).version == "3"
    assert client.calls == []


def test_mmdsv2_is_turned_on_and_no_endpoint_moves() -> None:
    on = {"metadataConfiguration": {"requireMMDSV2": True}}
    client = AgentCoreDouble(
        DESCRIBED,
        DESCRIBED | {"status": "UPDATING", "agentRuntimeVersion": "4"},
        DESCRIBED | {"agentRuntimeVersion": "4"} | on,
    )
    found = require_mmdsv2(client, "x_dev-0123456789", no_pause)
    assert (found.version, found.mmdsv2) == ("4", True)
    ((_, update),) = client.calls
    assert update["metadataConfiguration"] == {"requireMMDSV2": True}
    assert update["environmentVariables"] == {"A": "1"}
    assert update["agentRuntimeArtifact"] == DESCRIBED["agentRuntimeArtifact"]
    assert "description" not in update  # AWS refuses empty values


def test_mmdsv2_that_another_deploy_turns_on_is_waited_for() -> None:
    class Changing(AgentCoreDouble):
        def update_agent_runtime(self, **arguments: Any) -> Any:
            raise ClientError({"Error": {"Code": "ConflictException"}}, "UpdateAgentRuntime")

    on = {"metadataConfiguration": {"requireMMDSV2": True}, "agentRuntimeVersion": "4"}
    client = Changing(DESCRIBED, DESCRIBED | {"status": "UPDATING"}, DESCRIBED | on)
    assert require_mmdsv2(client, "x_dev-0123456789", no_pause).version == "4"


def test_failed_runtime_is_reported_with_reason_and_fix() -> None:
    failed = DESCRIBED | {"status": "UPDATE_FAILED", "failureReason": "exec format error"}
    with pytest.raises(RuntimeNotReady, match="exec format error") as error:
        require_mmdsv2(AgentCoreDouble(failed), "x", no_pause)
    assert "linux/arm64" in str(error.value.hint)


def test_missing_runtime_is_recreated_by_deploy() -> None:
    assert agentcore.find(AgentCoreDouble(), "x") is None
    with pytest.raises(RuntimeNotReady) as error:
        require_mmdsv2(AgentCoreDouble(), "x", no_pause)
    assert "voicecore deploy" in str(error.value.hint)


def test_runtime_is_read_from_its_description() -> None:
    found = agentcore.find(AgentCoreDouble(DESCRIBED), "x")
    assert found is not None
    assert (found.name, found.version, found.image) == ("x_dev", "3", "r@sha256:1")
    assert found.settled and not found.mmdsv2
    assert found.platform == "v1"  # a runtime of before the platforms says none


def test_platform_is_checked_by_what_aws_runs() -> None:
    found = agentcore.find(AgentCoreDouble(DESCRIBED | {"platformVersion": "V2"}), "x")
    assert found is not None
    require_platform(found, "v2")
    with pytest.raises(WrongRuntimePlatform, match="on platform v2, not v1") as error:
        require_platform(found, "v1")
    assert 'platform = "v2"' in str(error.value.hint)


class EndpointDouble:
    """An endpoint that was moved by hand, and goes where it is told after one more question."""

    def __init__(self, live: str = "1", target: str = "", status: str = "READY") -> None:
        self.found = {
            "name": "dev", "agentRuntimeEndpointArn": "arn", "status": status,
            "liveVersion": live, "targetVersion": target or live,
        }  # fmt: skip
        self.moves: list[str] = []

    def get_agent_runtime_endpoint(self, **arguments: Any) -> Any:
        shown = dict(self.found)
        if shown["status"] == "UPDATING":
            self.found |= {"status": "READY", "liveVersion": shown["targetVersion"]}
        return shown

    def update_agent_runtime_endpoint(self, agentRuntimeVersion: str, **arguments: Any) -> Any:
        self.moves.append(agentRuntimeVersion)
        self.found |= {"status": "UPDATING", "targetVersion": agentRuntimeVersion}


@pytest.mark.parametrize(
    ("client", "moves"),
    [
        (EndpointDouble("3"), []),
        (EndpointDouble("1", "3", "UPDATING"), []),
        (EndpointDouble("1"), ["3"]),
        (EndpointDouble("1", "2", "UPDATING"), ["3"]),
    ],
    ids=["there", "on its way", "moved by hand", "being moved by hand"],
)
def test_endpoint_is_moved_only_if_it_points_elsewhere(
    client: EndpointDouble, moves: list[str]
) -> None:
    point_endpoint(client, "x", "dev", "3", no_pause)
    assert (client.found["liveVersion"], client.moves) == ("3", moves)


def test_endpoint_that_does_not_move_is_reported_with_the_reason() -> None:
    failed = EndpointDouble("1", "3", "UPDATE_FAILED")
    failed.found["failureReason"] = "no capacity"
    with pytest.raises(EndpointNotMoved, match="UPDATE_FAILED no capacity"):
        point_endpoint(failed, "x", "dev", "3", no_pause)
