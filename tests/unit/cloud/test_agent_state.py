"""The agent's desired state, and how the current state differs from it."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from voicecore.cloud.deploy.parts import agent_state
from voicecore.cloud.deploy.parts.agent_state import CurrentAgent, DesiredAgent, manual_changes
from voicecore.cloud.deploy.parts.shared_stacks import CurrentShared, desired_shared
from voicecore.cloud.deploy.plan import Action, ResourceChange
from voicecore.cloud.resources.agentcore import Runtime
from voicecore.cloud.resources.deployed_stack import DeployedStack
from voicecore.cloud.stacks.agent_stack import RUNTIME, SECRET
from voicecore.cloud.stacks.deployment import Deployment, deployment_of
from voicecore.cloud.stacks.env_split import Environment
from voicecore.project.project import Project, Stage

IMAGE = "1.dkr.ecr.us-east-1.amazonaws.com/voicecore/x@sha256:" + "a" * 64
ROLE = "arn:aws:iam::1:role/x"
NOW = datetime(2026, 11, 22, tzinfo=UTC)
ENVIRONMENT = Environment(plain={"LOG_LEVEL": "DEBUG"})
ZONES = ("use1-az1", "use1-az2")


def deployment(network: str = "public", role_path: str = "/") -> Deployment:
    project = Project(
        root=Path("/p"),
        name="x",
        transports=("websocket",),
        pipeline="nova-sonic",
        region="us-east-1",
        services={},
        network=network,
        stages={"dev": Stage("dev", "us-east-1", role_path=role_path)},
    )
    return deployment_of(project)


def desired(
    network: str = "public", environment: Environment = ENVIRONMENT, role_path: str = "/"
) -> DesiredAgent:
    first = DesiredAgent(deployment(network, role_path), environment)
    return first.with_version(IMAGE.partition("@")[2], "first", NOW)


def deployed(agent: DesiredAgent) -> CurrentAgent:
    """The current state after deploying this agent."""
    stack = agent.stack(IMAGE, None)
    variables = stack.resources[RUNTIME]["Properties"]["EnvironmentVariables"]
    return CurrentAgent(
        stack=DeployedStack(
            id="arn:stack/voicecore-x-dev/1",
            name=stack.name,
            status="CREATE_COMPLETE",
            parameters=stack.parameters,
            outputs={"RoleArn": ROLE, "RuntimeId": "x_dev-1", "RuntimeArn": "arn:runtime"},
            tags=stack.tags,
        ),
        template=stack.template,
        runtime=Runtime(
            id="x_dev-1",
            arn="arn:runtime",
            name="x_dev",
            version="1",
            status="READY",
            reason="",
            image=IMAGE,
            role=ROLE,
            network=agent.deployment.network.upper(),
            platform="v1",
            environment=dict.fromkeys(variables, "value"),
            description="",
            updated=NOW,
            mmdsv2=True,
        ),
    )


def test_unchanged_runtime_has_no_manual_changes() -> None:
    assert manual_changes(deployed(desired())) == []
    assert manual_changes(CurrentAgent()) == []


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"image": "other@sha256:b"}, "its image is other@sha256:b"),
        ({"role": "arn:other"}, "its role is arn:other"),
        ({"environment": {"MINE": "secret"}}, "its variables are MINE"),
        ({"environment": {}}, "it has no variables"),
        ({"network": "VPC"}, "its network is VPC"),
        ({"platform": "v2"}, "its platform is v2"),
    ],
)
def test_manual_changes_are_named_without_values(change: dict[str, Any], text: str) -> None:
    current = deployed(desired())
    assert current.runtime is not None
    changed = replace(current, runtime=replace(current.runtime, **change))
    assert manual_changes(changed) == [text]


def test_missing_runtime_was_deleted_by_hand() -> None:
    assert manual_changes(replace(deployed(desired()), runtime=None)) == ["it was deleted"]


def test_history_is_read_from_the_deployed_runtime() -> None:
    current = deployed(desired())
    assert [version.message for version in current.history] == ["first"]
    following = DesiredAgent(deployment(), ENVIRONMENT, current.history)
    assert [v.number for v in following.with_version("sha256:b", "second", NOW).history] == [1, 2]
    assert current.image == IMAGE


def test_deployed_network_keeps_its_zones() -> None:
    stack = DeployedStack(
        id="arn:network",
        name="voicecore-x-network",
        status="CREATE_COMPLETE",
        parameters={"Zone1": "use1-az4", "Zone2": "use1-az2"},
    )
    network = desired_shared(deployment("vpc"), ZONES, CurrentShared(network=stack)).network
    assert network is not None
    assert network.parameters == {"Zone1": "use1-az4", "Zone2": "use1-az2"}


def test_agent_is_placed_in_the_outputs_of_the_network() -> None:
    network = DeployedStack(
        id="arn:network",
        name="voicecore-x-network",
        status="CREATE_COMPLETE",
        outputs={"Subnets": "subnet-1,subnet-2", "SecurityGroups": "sg-1"},
    )
    parameters = desired("vpc").stack(IMAGE, network).parameters
    assert parameters["Subnets"] == "subnet-1,subnet-2"
    assert parameters["SecurityGroups"] == "sg-1"


@pytest.mark.parametrize(
    ("promotes", "change", "expected"),
    [
        (True, {}, []),
        (True, {"version": "2"}, [("endpoint", "version")]),
        (True, {"mmdsv2": False}, [("endpoint", "version")]),
        (False, {}, []),
        (False, {"version": "2"}, []),
        (False, {"mmdsv2": False}, [("runtime", "requireMMDSV2")]),
    ],
)
def test_plan_shows_what_a_killed_deploy_left(
    promotes: bool, change: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    current = deployed(desired())
    assert current.runtime is not None
    current = replace(current, runtime=replace(current.runtime, **change))
    rows = agent_state.late_change((), current, promotes)
    assert [(row.what, row.why) for row in rows] == expected


def test_endpoint_moves_after_a_changed_runtime_and_once() -> None:
    current = deployed(desired())
    runtime = ResourceChange(Action.CHANGE, "runtime", "image", ("Runtime",), 0.0)
    (row,) = agent_state.late_change((runtime,), current, True)
    assert agent_state.late_change((runtime, row), current, True) == ()
    assert agent_state.late_change((runtime,), current, False) == ()
    new = replace(runtime, action=Action.ADD)
    assert agent_state.late_change((new,), CurrentAgent(), True) == ()


def test_first_secret_is_created_before_the_runtime_that_reads_it() -> None:
    current = deployed(desired())
    with_key = Environment(plain=ENVIRONMENT.plain, secret={"KEY": "value"})
    stack = desired(environment=with_key).stack("", None)
    between = agent_state.keep_runtime(stack, current)
    assert SECRET in between.resources
    assert between.resources[RUNTIME] == current.resources[RUNTIME]
    live = {"LiveVersion": "1", "EarlierVersions": "none"}
    assert between.parameters == {"ImageUri": IMAGE, **live}
    assert "value" not in between.body


def test_change_of_network_is_planned_before_the_network_exists() -> None:
    # Neither the path of a role that stands nor a boundary that others added is a change.
    before = deployed(desired())
    before.resources["Role"]["Properties"]["PermissionsBoundary"] = "added by hand"
    plan = agent_state.plan_by_template(
        desired("vpc", role_path="/new/").stack(IMAGE, None), before
    )
    rows = {row.what: (row.action, row.why) for row in plan.rows}
    assert rows == {"runtime": (Action.CHANGE, "network")}
