"""What should stand, and in what that which stands is something else."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from voicecore.cloud.deploy import agent_part
from voicecore.cloud.deploy.agent_part import Standing, Wanted, changes_by_hand, wanted_of
from voicecore.cloud.deploy.agentcore import Runtime
from voicecore.cloud.deploy.cloudformation import Live
from voicecore.cloud.deploy.plan import Action
from voicecore.cloud.stacks.agent_stack import RUNTIME, SECRET
from voicecore.cloud.stacks.deployment import Deployment, deployment_of
from voicecore.cloud.stacks.env_split import Environment
from voicecore.project.project import Project, Stage

IMAGE = "1.dkr.ecr.us-east-1.amazonaws.com/voicecore/x@sha256:" + "a" * 64
ROLE = "arn:aws:iam::1:role/x"
NOW = datetime(2026, 11, 22, tzinfo=UTC)
SETTINGS = Environment(plain={"LOG_LEVEL": "DEBUG"})


def deployment(network: str = "public") -> Deployment:
    project = Project(
        root=Path("/p"),
        name="x",
        transports=("websocket",),
        pipeline="nova-sonic",
        region="us-east-1",
        services={},
        network=network,
        stages={"dev": Stage("dev", "us-east-1")},
    )
    return deployment_of(project)


ZONES = ("use1-az1", "use1-az2")


def wanted(network: str = "public", settings: Environment = SETTINGS) -> Wanted:
    plan = wanted_of(deployment(network), settings, ZONES, Standing())
    return plan.with_version(IMAGE.partition("@")[2], "first", NOW)


def standing(of: Wanted) -> Standing:
    stack = of.agent(IMAGE, None)
    agent = Live(
        id="arn:stack/voicecore-x-dev/1",
        name=stack.name,
        status="CREATE_COMPLETE",
        parameters=stack.parameters,
        outputs={"RoleArn": ROLE, "RuntimeId": "x_dev-1", "RuntimeArn": "arn:runtime"},
        tags=stack.tags,
    )
    variables = stack.resources[RUNTIME]["Properties"]["EnvironmentVariables"]
    runtime = Runtime(
        id="x_dev-1",
        arn="arn:runtime",
        name="x_dev",
        version="1",
        status="READY",
        reason="",
        image=IMAGE,
        role=ROLE,
        network=of.deployment.network.upper(),
        environment=dict.fromkeys(variables, "value"),
        description="",
        updated=NOW,
        mmdsv2=True,
    )
    return Standing(agent=agent, template=stack.template, runtime=runtime)


def test_a_runtime_that_is_as_its_stack_made_it_was_not_changed_by_hand() -> None:
    assert changes_by_hand(standing(wanted())) == []
    assert changes_by_hand(Standing()) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"image": "other@sha256:b"}, "its image is other@sha256:b"),
        ({"role": "arn:other"}, "its role is arn:other"),
        ({"environment": {"MINE": "secret"}}, "its variables are MINE"),
        ({"environment": {}}, "its variables are none"),
        ({"network": "VPC"}, "its network is VPC"),
    ],
)
def test_what_was_changed_by_hand_is_named_but_no_value(change: dict[str, Any], said: str) -> None:
    now = standing(wanted())
    assert now.runtime is not None
    changed = replace(now, runtime=replace(now.runtime, **change))
    assert changes_by_hand(changed) == [said]


def test_a_runtime_that_is_gone_was_deleted_by_hand() -> None:
    assert changes_by_hand(replace(standing(wanted()), runtime=None)) == ["it was deleted"]


def test_the_history_is_read_from_what_stands() -> None:
    now = standing(wanted())
    assert [version.message for version in now.history] == ["first"]
    following = wanted_of(deployment(), SETTINGS, ZONES, now)
    assert [v.number for v in following.with_version("sha256:b", "second", NOW).history] == [1, 2]
    assert now.image == IMAGE


def test_a_network_that_stands_keeps_its_zones() -> None:
    live = Live(
        id="arn:network",
        name="voicecore-x-network",
        status="CREATE_COMPLETE",
        parameters={"Zone1": "use1-az4", "Zone2": "use1-az2"},
    )
    network = wanted_of(deployment("vpc"), SETTINGS, ZONES, Standing(network=live)).network
    assert network is not None
    assert network.parameters == {"Zone1": "use1-az4", "Zone2": "use1-az2"}


def test_the_agent_stands_in_what_the_network_told() -> None:
    network = Live(
        id="arn:network",
        name="voicecore-x-network",
        status="CREATE_COMPLETE",
        outputs={"Subnets": "subnet-1,subnet-2", "SecurityGroups": "sg-1"},
    )
    parameters = wanted("vpc").agent(IMAGE, network).parameters
    assert parameters["Subnets"] == "subnet-1,subnet-2"
    assert parameters["SecurityGroups"] == "sg-1"


def test_a_first_secret_comes_before_the_runtime_that_reads_it() -> None:
    now = standing(wanted())
    with_key = Environment(plain=SETTINGS.plain, secret={"KEY": "value"})
    stack = wanted(settings=with_key).agent("", None)
    between = agent_part.with_runtime_of(stack, now)
    assert SECRET in between.resources
    assert between.resources[RUNTIME] == now.resources[RUNTIME]
    assert between.parameters == {"ImageUri": IMAGE}
    assert "value" not in between.body


def test_a_change_of_network_is_planned_before_there_is_one() -> None:
    part = agent_part.difference(wanted("vpc").agent(IMAGE, None), standing(wanted()))
    rows = {row.what: (row.action, row.why) for row in part.rows}
    assert rows == {"runtime": (Action.CHANGE, "network")}
