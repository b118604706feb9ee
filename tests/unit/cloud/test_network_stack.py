"""The network stack: subnets, NAT gateways, and what the security group allows."""

from dataclasses import replace

import pytest

from tests.unit.cloud.deployments import WEBRTC, WEBSOCKET, deployment
from voicecore.catalog.transports.record import Transport
from voicecore.cloud.stacks.deployment import Deployment
from voicecore.cloud.stacks.network_stack import (
    Egress,
    blocked_ports,
    network_stack,
    required_egress,
)
from voicecore.cloud.stacks.stack import references
from voicecore.project.project import Vpc

ZONES = ("use1-az1", "use1-az2")


def of_type(stack, kind: str) -> dict:
    return {n: r["Properties"] for n, r in stack.resources.items() if r["Type"].endswith(kind)}


def test_private_subnets_in_two_zones_share_one_nat_gateway() -> None:
    stack = network_stack(deployment(network="vpc"), ZONES)
    assert list(of_type(stack, "::NatGateway")) == ["Nat1"]
    assert len(of_type(stack, "::EIP")) == 1
    routes = of_type(stack, "EC2::Route")
    assert [routes[f"Route{n}"]["NatGatewayId"] for n in (1, 2)] == [{"Ref": "Nat1"}] * 2
    zones = {n: s["AvailabilityZoneId"] for n, s in of_type(stack, "::Subnet").items()}
    assert zones["Private1"] == {"Ref": "Zone1"} and zones["Private2"] == {"Ref": "Zone2"}
    assert not any(s.get("MapPublicIpOnLaunch") for s in of_type(stack, "::Subnet").values())


def test_ha_adds_a_gateway_and_changes_one_route() -> None:
    one, two = (network_stack(deployment(network="vpc"), ZONES, ha) for ha in (False, True))
    assert of_type(two, "EC2::Route")["Route2"]["NatGatewayId"] == {"Ref": "Nat2"}
    changed = {n for n in one.resources if one.resources[n] != two.resources[n]}
    assert changed == {"Route2"}
    added = set(two.resources) - set(one.resources)
    assert added == {"Public2", "PublicRoutes2", "Address2", "Nat2"}


CLOSED = Vpc(endpoints=True)


@pytest.mark.parametrize(
    ("of", "own"),
    [
        (deployment("nova-sonic", network="vpc", vpc=CLOSED), ["bedrock-runtime"]),
        (deployment("cascade", network="vpc", vpc=CLOSED),
         ["transcribestreaming", "bedrock-runtime", "polly"]),
        (deployment("offline", network="vpc", vpc=CLOSED), []),
        (replace(deployment("offline", network="vpc", vpc=CLOSED), traced=True),
         ["monitoring", "xray"]),
    ],
    ids=["nova-sonic", "cascade", "offline", "traced"],
)  # fmt: skip
def test_endpoints_replace_every_way_to_the_internet(of: Deployment, own: list[str]) -> None:
    stack = network_stack(of, ZONES)
    for kind in ("::NatGateway", "::EIP", "::InternetGateway", "EC2::Route"):
        assert not of_type(stack, kind)
    found = of_type(stack, "::VPCEndpoint")
    names = [e["ServiceName"]["Fn::Sub"].partition("${AWS::Region}.")[2] for e in found.values()]
    assert names == ["s3", "ecr.api", "ecr.dkr", "logs", "secretsmanager", *own]
    for each in list(found.values())[1:]:
        assert each["PrivateDnsEnabled"] is True
        assert each["SubnetIds"] == [{"Ref": "Private1"}, {"Ref": "Private2"}]
    rules = stack.resources["EndpointGroup"]["Properties"]["SecurityGroupIngress"]
    assert [rule["FromPort"] for rule in rules] == [p.first for p in required_egress(of)]
    assert "Addresses" not in stack.template["Outputs"]


def test_dns_is_on_and_no_ingress_is_allowed() -> None:
    stack = network_stack(deployment(network="vpc"), ZONES)
    (vpc,) = of_type(stack, "::VPC").values()
    assert vpc["EnableDnsSupport"] and vpc["EnableDnsHostnames"]
    (group,) = of_type(stack, "::SecurityGroup").values()
    assert "SecurityGroupIngress" not in group


@pytest.mark.parametrize(
    ("pipeline", "services", "transport", "ports"),
    [
        ("nova-sonic", {}, WEBSOCKET, ["TCP 443"]),
        ("nova-sonic", {}, WEBRTC, ["TCP 443", "UDP 443"]),
        ("offline", {}, WEBSOCKET, ["TCP 443"]),
        ("cascade", {}, WEBSOCKET, ["TCP 443", "TCP 8443"]),
        ("cascade", {"stt": "deepgram"}, WEBRTC, ["TCP 443", "UDP 443"]),
        ("offline", {}, Transport("d", "", "", "", "", "", (), udp_ports=((1024, 65535),)),
         ["TCP 443", "UDP 1024-65535"]),
    ],
)  # fmt: skip
def test_security_group_allows_what_the_agent_needs(pipeline, services, transport, ports) -> None:
    of = deployment(pipeline, transport, network="vpc", services=services)
    assert [str(egress) for egress in required_egress(of)] == ports
    (group,) = of_type(network_stack(of, ZONES), "::SecurityGroup").values()
    others = ["TCP 3478", "TCP 5349", "UDP 3478", "UDP 5349"] if transport.turn else []
    assert [rule["Description"] for rule in group["SecurityGroupEgress"]] == ports + others


@pytest.mark.parametrize(
    ("source", "needed", "out"),
    [("cloudflare", "UDP 3478", "UDP 443"), ("static", "TCP 443", "UDP 1-65535")],
)
def test_turn_source_decides_udp_ports(source: str, needed: str, out: str) -> None:
    of = deployment("nova-sonic", WEBRTC, network="vpc", source=source)
    assert str(required_egress(of)[-1]) == needed
    (group,) = of_type(network_stack(of, ZONES), "::SecurityGroup").values()
    assert out in [rule["Description"] for rule in group["SecurityGroupEgress"]]


@pytest.mark.parametrize(
    ("rules", "missing"),
    [
        ([], ["TCP 443", "UDP 443"]),
        ([Egress("-1", -1, -1)], []),
        ([Egress("tcp", 0, 65535)], ["UDP 443"]),
        ([Egress("tcp", 443, 443), Egress("udp", 1024, 65535)], ["UDP 443"]),
        ([Egress("tcp", 80, 443), Egress("udp", 443, 3478)], []),
    ],
)
def test_blocked_ports_of_own_security_groups(rules, missing) -> None:
    needed = required_egress(deployment("nova-sonic", WEBRTC, network="vpc"))
    assert [str(ports) for ports in blocked_ports(needed, rules)] == missing


def test_keeping_pins_zones() -> None:
    stack = network_stack(deployment(network="vpc"), ("use1-az2", "use1-az4"))
    again = stack.keeping({"Zone1": "use1-az1", "Zone2": "use1-az2", "Other": "x"})
    assert again.parameters == {"Zone1": "use1-az1", "Zone2": "use1-az2"}


def test_nat_gateway_depends_on_its_route() -> None:
    stack = network_stack(deployment(network="vpc"), ZONES)
    assert set(stack.resources["Nat1"]["DependsOn"]) == {"PublicRoute", "PublicRoutes1"}
    assert stack.resources["PublicRoute"]["DependsOn"] == ["Attachment"]
    assert stack.resources["Address1"]["DependsOn"] == ["Attachment"]


def test_every_reference_resolves() -> None:
    stack = network_stack(deployment(network="vpc"), ZONES, ha=True)
    known = set(stack.resources) | set(stack.template["Parameters"]) | {"AWS::Region"}
    assert references(stack.template) <= known
