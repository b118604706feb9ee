"""A version is chosen, and callers are moved to it from every status of the stack."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.standins.cloudformation_double import CloudFormationDouble
from tests.unit.cloud.ensured_stacks import AGAIN, connect
from voicecore.cloud.releases import choice
from voicecore.cloud.releases.choice import NothingEarlier, VersionUnknown, VersionUnusable
from voicecore.cloud.releases.history import (
    StageNotDeployed,
    StageVersion,
    StageVersions,
    require_deployed,
)
from voicecore.cloud.releases.move import move_stack, moved
from voicecore.cloud.resources.agentcore import Runtime
from voicecore.cloud.resources.deployed_stack import DeployedStack
from voicecore.cloud.stacks.versions import Live, Version
from voicecore.console.errors import ExitCode

NOW = datetime(2026, 11, 22, tzinfo=UTC)
STACK = DeployedStack("arn:stack/voicecore-x-dev/1", "voicecore-x-dev", "UPDATE_COMPLETE",
                      outputs={"RuntimeId": "x_dev-1"})  # fmt: skip
RUNTIME = Runtime(
    id="x_dev-1",
    arn="arn:runtime",
    name="x_dev",
    version="1",
    status="READY",
    reason="",
    image="x@sha256:a",
    role="arn:role",
    network="PUBLIC",
    environment={"A": "secret-1", "B": "2"},
    description="",
    updated=NOW,
    mmdsv2=True,
)


def stage(
    live: int, earlier: tuple[int, ...] = (), newest: int = 4, without_image: str = ""
) -> StageVersions:
    """A stage with versions 1 to `newest`; AgentCore's versions have the same numbers."""
    versions = [
        StageVersion(
            Version(n, f"sha256:{n}", NOW),
            replace(RUNTIME, version=str(n)),
            has_image=f"v{n}" != without_image,
            live=n == live,
        )
        for n in range(newest, 0, -1)
    ]
    said = Live(str(live), tuple(map(str, earlier)))
    by_number = {each.version.number: each for each in versions}
    left = [by_number[n] for n in earlier]
    return StageVersions("x", "dev", STACK, versions, said, str(live), left)


@pytest.mark.parametrize(
    ("live", "earlier", "named", "target"),
    [
        (3, (1, 2), None, 2),
        (4, (1, 2), None, 2),  # callers never reached 3
        (3, (1, 2), "1", 1),
        (3, (1, 2), "v2", 2),
        (3, (1, 2), "3", 3),
        (2, (1, 3), None, 2),  # rolled back already: repeated, it goes no further
        (4, (3, 2), None, 2),  # deployed after a rollback from 3 to 2
        (2, (1, 3), "1", 1),
    ],
)
def test_rollback_goes_to_the_version_that_callers_reached_before(
    live: int, earlier: tuple[int, ...], named: str | None, target: int
) -> None:
    assert choice.rollback(stage(live, earlier), named).version.number == target


@pytest.mark.parametrize(("named", "target"), [(None, 4), ("2", 2), ("v3", 3)])
def test_promotion_takes_the_newest_version_or_the_one_named(
    named: str | None, target: int
) -> None:
    assert choice.promotion(stage(1), named).version.number == target


@pytest.mark.parametrize("named", ["9", "0", "v", "-1", "1.0", "sha256:1", "１"])
@pytest.mark.parametrize("choose", [choice.rollback, choice.promotion])
def test_unknown_version_is_refused_with_those_there_are(choose: Any, named: str) -> None:
    with pytest.raises(VersionUnknown, match="it has v4, v3, v2 and v1") as error:
        choose(stage(2), named)
    assert error.value.exit_code is ExitCode.USAGE
    assert "voicecore versions" in str(error.value.hint)


def test_rollback_to_a_newer_version_names_promote() -> None:
    with pytest.raises(VersionUnknown, match="v3 is newer than v2") as error:
        choice.rollback(stage(2), "3")
    assert "voicecore promote v3" in str(error.value.hint)


def test_nothing_to_roll_back_to() -> None:
    with pytest.raises(NothingEarlier, match="no version before v1"):
        choice.rollback(stage(1, newest=1), None)
    with pytest.raises(VersionUnknown, match="has no version"):
        choice.promotion(stage(1, newest=0), None)


def test_unusable_version_is_refused_with_another_that_is_usable() -> None:
    found = stage(4, (1, 2, 3), without_image="v3")
    with pytest.raises(VersionUnusable, match="v3: its image was deleted from ECR") as error:
        choice.rollback(found, None)
    assert "voicecore rollback v2" in str(error.value.hint)
    with pytest.raises(VersionUnusable) as error:
        choice.promotion(stage(1, without_image="v4"), None)
    assert "voicecore deploy" in str(error.value.hint)


@pytest.mark.parametrize(
    ("runtime", "problem"),
    [
        (None, "AgentCore no longer has it"),
        (replace(RUNTIME, mmdsv2=False), "its deploy did not finish"),
        (replace(RUNTIME, mmdsv2=False, reason="no"), "its deploy did not finish: no"),
        (RUNTIME, ""),
    ],
)
def test_problem_of_a_version(runtime: Runtime | None, problem: str) -> None:
    assert StageVersion(Version(1, "sha256:1", NOW), runtime, has_image=True).problem == problem


def test_differences_name_no_values() -> None:
    then = replace(
        RUNTIME, image="x@sha256:b", network="VPC", environment={"A": "secret-2", "C": "3"}
    )
    assert list(choice.differences(RUNTIME, RUNTIME)) == []
    assert list(choice.differences(RUNTIME, then)) == [
        "image", "variables A, B, C", "network PUBLIC → VPC"
    ]  # fmt: skip
    (warning,) = choice.warnings(RUNTIME, then)
    assert "another network, VPC" in warning


@pytest.mark.parametrize(
    "stack",
    [
        None,
        replace(STACK, outputs={}),
        replace(STACK, status="DELETE_FAILED"),
        replace(STACK, status="ROLLBACK_COMPLETE"),
    ],
)
def test_stage_without_a_runtime_is_not_deployed(stack: DeployedStack | None) -> None:
    with pytest.raises(StageNotDeployed) as error:
        require_deployed(stack, "x", "prod")
    assert "voicecore deploy --stage prod" in str(error.value.hint)
    assert error.value.exit_code is ExitCode.NOT_DEPLOYED


@pytest.mark.parametrize("earlier", [True, False], ids=["", "a template of before"])
def test_moved_endpoint_is_all_that_changes_in_the_stack(earlier: bool) -> None:
    names = ("LiveVersion", "EarlierVersions")[: 1 + earlier]
    template = {"Parameters": {name: {"Type": "String"} for name in names}, "Resources": {}}
    stack = replace(STACK, parameters={"ImageUri": "x", "LiveVersion": "2"}, tags={"A": "b"})
    after = moved(stack, template, "3")
    assert after.template == template and after.tags == stack.tags
    said = {"EarlierVersions": "2"} if earlier else {}
    assert after.parameters == {"ImageUri": "x", "LiveVersion": "3", **said}


TEMPLATE = {
    "Parameters": {"LiveVersion": {"Type": "String"}, "EarlierVersions": {"Type": "String"}},
    "Resources": {"Endpoint": {"Type": "AWS::BedrockAgentCore::RuntimeEndpoint"}},
}


def deployed(status: str) -> CloudFormationDouble:
    client = CloudFormationDouble()
    client.has(
        STACK.name,
        status,
        template=TEMPLATE,
        Parameters=[{"ParameterKey": "LiveVersion", "ParameterValue": "3"}],
        Outputs=[{"OutputKey": "RuntimeId", "OutputValue": "x_dev-1"}],
    )
    return client


def move(client: CloudFormationDouble) -> DeployedStack:
    cloud = connect(client)
    stack = cloud.find(STACK.name)
    assert stack is not None

    def wanted(now: DeployedStack) -> bool:
        return now.parameters["LiveVersion"] != "2"

    return move_stack(cloud, stack, "2", wanted, lambda _: None, lambda _: None)


@pytest.mark.parametrize(
    ("status", "first"),
    [
        ("UPDATE_COMPLETE", []),
        ("UPDATE_ROLLBACK_COMPLETE", []),
        ("UPDATE_ROLLBACK_FAILED", ["continue_update_rollback"]),
        ("UPDATE_FAILED", ["rollback_stack"]),
    ],
)
def test_callers_are_moved_from_every_status_of_a_deployed_stack(
    status: str, first: list[str]
) -> None:
    client = deployed(status)
    stack = move(client)
    assert client.changed == [*first, "update_stack"]
    assert stack.parameters == {"LiveVersion": "2", "EarlierVersions": "3"}
    assert move(client).parameters == stack.parameters
    assert client.changed == [*first, "update_stack"], "moved twice"


def test_move_waits_for_another_operation() -> None:
    client = deployed("UPDATE_COMPLETE")
    client.begins(STACK.name, "UPDATE_ROLLBACK_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE")
    assert move(client).parameters["LiveVersion"] == "2"


def test_stage_that_is_destroyed_meanwhile_is_not_moved() -> None:
    client = deployed("UPDATE_COMPLETE")
    stack = connect(client).find(STACK.name)
    assert stack is not None
    client.begins(STACK.name, "DELETE_IN_PROGRESS", "DELETE_COMPLETE")
    with pytest.raises(StageNotDeployed):
        move_stack(connect(client), stack, "2", lambda _: True, lambda _: None, lambda _: None)
    assert client.changed == [], AGAIN
