import json

from tests.golden import text_of
from tests.unit.cloud.deployments import WEBRTC, deployment, make_agent_stack
from voicecore.cloud.deploy import prices
from voicecore.cloud.deploy.plan import (
    Action,
    Part,
    Plan,
    lines,
    part_of_change,
    part_of_new,
    part_of_removal,
)
from voicecore.cloud.stacks.images_stack import images_stack
from voicecore.cloud.stacks.network_stack import network_stack

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


def changes(*rows: dict) -> Part:
    return part_of_change({"StackName": "s", "Changes": list(rows)})


def test_all_of_a_new_stack_is_added_and_priced() -> None:
    part = part_of_new(network_stack(deployment(network="vpc"), ZONES, ha=True))
    rows = {row.what: row for row in part.rows}
    assert {row.action for row in part.rows} == {Action.ADD}
    assert rows["NAT gateway"].ids == ("Nat1", "Nat2")
    assert rows["NAT gateway"].month + rows["public address"].month == 2 * 36.5
    assert sum(len(row.ids) for row in part.rows) == len(
        network_stack(deployment(network="vpc"), ZONES, ha=True).resources
    )


def test_a_new_image_is_a_change_of_the_runtime_and_costs_nothing_more() -> None:
    part = changes(
        change("Modify", "AWS::BedrockAgentCore::Runtime", "Runtime", "False",
               "AgentRuntimeArtifact", "Tags", "Description"),
        change("Modify", "AWS::BedrockAgentCore::RuntimeEndpoint", "Endpoint", "False",
               "AgentRuntimeVersion"),
    )  # fmt: skip
    assert [(row.action, row.what, row.why) for row in part.rows] == [
        (Action.CHANGE, "runtime", "image, tags, version"),
        (Action.CHANGE, "endpoint", "version"),
    ]
    assert Plan((part,), ()).month == 0


def test_replacing_and_removing_are_told_apart() -> None:
    part = changes(
        change("Modify", "AWS::EC2::Subnet", "Private1", "True", "CidrBlock"),
        change("Modify", "AWS::EC2::Route", "Route1", "Conditional", "NatGatewayId"),
        change("Remove", "AWS::EC2::NatGateway", "Nat2"),
        change("Modify", "AWS::Other::Thing", "Thing", "False"),
    )
    assert [(row.action, row.what, row.why) for row in part.rows] == [
        (Action.REPLACE, "subnet", "CidrBlock"),
        (Action.CHANGE, "route", "NAT gateway, perhaps anew"),
        (Action.REMOVE, "NAT gateway", ""),
        (Action.CHANGE, "AWS::Other::Thing", ""),
    ]
    assert Plan((part,), ()).month < -32


def test_what_is_gone_already_is_not_removed_again() -> None:
    summary = {"ResourceType": "AWS::EC2::EIP", "LogicalResourceId": "Address1"}
    part = part_of_removal(
        "s",
        [summary | {"ResourceStatus": "CREATE_COMPLETE"},
         summary | {"LogicalResourceId": "Address2", "ResourceStatus": "DELETE_COMPLETE"}],
    )  # fmt: skip
    assert [row.ids for row in part.rows] == [("Address1",)]


def plan() -> Plan:
    of = deployment("cascade", WEBRTC, network="vpc", peak_calls=20, services={"stt": "deepgram"})
    stacks = (
        images_stack(of),
        network_stack(of, ZONES),
        make_agent_stack(of, DEEPGRAM_API_KEY="x"),
    )
    return Plan(tuple(map(part_of_new, stacks)), tuple(prices.a_minute(of)))


def test_people_read_a_table() -> None:
    text = text_of(lines(plan()))
    assert "  + NAT gateway          +32.85 $/month\n" in text
    assert "  + 2 TURN channels       +0.06 $/month\n" in text
    assert "Idle: +36.96 $ a month.\nA minute of a call: about 0.008 $" in text
    assert "what Deepgram will charge" in text


def test_programs_read_the_same() -> None:
    document = json.loads(json.dumps(plan().json))
    assert document["dollars_per_month"] == 36.96
    assert document["parts"][1]["rows"][0]["action"] == "add"


def test_nothing_to_do_is_empty() -> None:
    assert Plan((changes(),), ()).empty
