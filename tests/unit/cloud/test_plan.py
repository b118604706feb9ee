import json

import pytest

from tests.golden import text_of
from tests.unit.cloud.deployments import WEBRTC, deployment, make_agent_stack
from voicecore.cloud.deploy import prices
from voicecore.cloud.deploy.plan import (
    Action,
    DeployPlan,
    ResourceChange,
    StackPlan,
    lines,
    plan_creation,
    plan_removal,
    plan_update,
    secret_change,
)
from voicecore.cloud.deploy.prices import CostItem
from voicecore.cloud.stacks.images_stack import images_stack
from voicecore.cloud.stacks.network_stack import network_stack
from voicecore.project.project import Vpc

ZONES = ("use1-az1", "use1-az2")


def change(action: str, kind: str, name: str, replacement: str = "", *targets: str) -> dict:
    return {
        "Type": "Resource",
        "ResourceChange": {
            "Action": action,
            "ResourceType": kind,
            "LogicalResourceId": name,
            **({"Replacement": replacement} if replacement else {}),
            "Details": [{"Target": {"Attribute": "Properties", "Name": t}} for t in targets],
        },
    }


def changes(*rows: dict) -> StackPlan:
    return plan_update({"StackName": "s", "Changes": list(rows)})


def test_new_stack_is_added_and_priced() -> None:
    stack = plan_creation(network_stack(deployment(network="vpc"), ZONES, ha=True))
    rows = {row.what: row for row in stack.rows}
    assert {row.action for row in stack.rows} == {Action.ADD}
    assert rows["NAT gateway"].ids == ("Nat1", "Nat2")
    assert rows["NAT gateway"].month + rows["public address"].month == 2 * 36.5
    assert sum(len(row.ids) for row in stack.rows) == len(
        network_stack(deployment(network="vpc"), ZONES, ha=True).resources
    )


def test_interface_endpoints_are_priced_and_the_gateway_endpoint_is_free() -> None:
    of = deployment(network="vpc", vpc=Vpc(endpoints=True))
    rows = {row.what: row for row in plan_creation(network_stack(of, ZONES)).rows}
    assert len(rows["VPC endpoint"].ids) == 5
    assert rows["VPC endpoint"].month == pytest.approx(5 * 14.60)
    assert (rows["S3 endpoint"].ids, rows["S3 endpoint"].month) == (("S3",), 0)
    assert "NAT gateway" not in rows


def test_new_image_changes_the_runtime_at_no_cost() -> None:
    stack = changes(
        change("Modify", "AWS::BedrockAgentCore::Runtime", "Runtime", "False",
               "AgentRuntimeArtifact", "Tags", "Description"),
        change("Modify", "AWS::BedrockAgentCore::RuntimeEndpoint", "Endpoint", "False",
               "AgentRuntimeVersion"),
    )  # fmt: skip
    assert [(row.action, row.what, row.why) for row in stack.rows] == [
        (Action.CHANGE, "runtime", "image, tags, version"),
        (Action.CHANGE, "endpoint", "version"),
    ]
    assert DeployPlan((stack,), ()).month == 0


def test_replaced_and_removed_resources_are_distinguished() -> None:
    unnamed = change("Modify", "AWS::Other::Other", "Other", "False", "")
    unnamed["ResourceChange"]["Details"].append({"Target": {}})
    stack = changes(
        change("Modify", "AWS::EC2::Subnet", "Private1", "True", "CidrBlock"),
        change("Modify", "AWS::EC2::Route", "Route1", "Conditional", "NatGatewayId"),
        change("Remove", "AWS::EC2::NatGateway", "Nat2"),
        change("Modify", "AWS::Other::Thing", "Thing", "False"),
        unnamed,
    )
    assert [(row.action, row.what, row.why) for row in stack.rows] == [
        (Action.REPLACE, "subnet", "CidrBlock"),
        (Action.CHANGE, "route", "NAT gateway, may be replaced"),
        (Action.REMOVE, "NAT gateway", ""),
        (Action.CHANGE, "AWS::Other::Thing", ""),
        (Action.CHANGE, "AWS::Other::Other", "Properties"),
    ]
    assert DeployPlan((stack,), ()).month < -32


def test_deleted_resources_are_not_planned_for_removal() -> None:
    summary = {"ResourceType": "AWS::EC2::EIP", "LogicalResourceId": "Address1"}
    stack = plan_removal(
        "s",
        [summary | {"ResourceStatus": "CREATE_COMPLETE"},
         summary | {"LogicalResourceId": "Address2", "ResourceStatus": "DELETE_COMPLETE"}],
    )  # fmt: skip
    assert [row.ids for row in stack.rows] == [("Address1",)]


def test_secret_change_names_variables_without_values() -> None:
    (change,) = secret_change({"A": "1", "B": "2"}, {"A": "1", "B": "old", "C": "3"})
    assert (change.what, change.why, change.month) == ("secret", "B, C", 0.0)
    assert [row.why for row in secret_change({"A": "1"}, None)] == ["values"]
    assert secret_change({"A": "1"}, {"A": "1"}) == secret_change({}, None) == ()


def plan() -> DeployPlan:
    stage = deployment(
        "cascade", WEBRTC, network="vpc", peak_calls=20, services={"stt": "deepgram"}
    )
    stacks = (
        images_stack(stage),
        network_stack(stage, ZONES),
        make_agent_stack(stage, DEEPGRAM_API_KEY="x"),
    )
    return DeployPlan(tuple(map(plan_creation, stacks)), tuple(prices.cost_per_minute(stage)))


def test_plan_is_shown_as_a_table_with_its_cost() -> None:
    text = text_of(lines(plan()))
    assert "  + NAT gateway          +$32.85 a month\n" in text
    assert "  + 2 TURN channels       +$0.06 a month\n" in text
    assert "\n\nIdle: +$36.96 per month.\nPer minute of a call: about $0.008" in text
    assert "plus Deepgram's charges." in text


def test_costs_below_four_digits_count_in_the_sum_only() -> None:
    minute = (CostItem("models", 0.002), CostItem("requests", 0.00004), CostItem("free", 0.0))
    text = text_of(lines(DeployPlan((), minute)))
    assert text.startswith("Idle: ") and "about $0.002 (models $0.0020)." in text


def test_plan_is_a_json_document() -> None:
    document = json.loads(json.dumps(plan().json))
    assert document["dollars_per_month"] == 36.96
    assert document["parts"][1]["rows"][0]["action"] == "add"


@pytest.mark.parametrize(
    ("platform", "change", "told"),
    [
        ("v2", ("Runtime", Action.ADD), True),
        ("v2", ("Runtime", Action.CHANGE), True),
        ("v2", ("Endpoint", Action.CHANGE), False),
        ("v2", ("Runtime", Action.REMOVE), False),
        ("v1", ("Runtime", Action.CHANGE), False),
    ],
)
def test_plan_says_that_snapshots_take_minutes(
    platform: str, change: tuple[str, Action], told: bool
) -> None:
    logical_id, action = change
    resource = ResourceChange(action, "resource", "", (logical_id,), 0.0)
    made = DeployPlan((StackPlan("x", (resource,)),), (), platform=platform)
    assert ("snapshot of each version" in text_of(lines(made))) == told
    assert made.json["platform"] == platform


def test_plan_without_changes_is_empty() -> None:
    assert DeployPlan((changes(),), ()).empty
