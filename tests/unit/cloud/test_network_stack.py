import pytest

from tests.unit.cloud.deployments import WEBRTC, WEBSOCKET, deployment
from voicecore.catalog.transports.record import Transport
from voicecore.cloud.stacks.network_stack import Egress, closed, egress_of, network_stack
from voicecore.cloud.stacks.stack import references

ZONES = ("use1-az1", "use1-az2")


def of_type(stack, kind: str) -> dict:
    return {n: r["Properties"] for n, r in stack.resources.items() if r["Type"].endswith(kind)}


def test_private_subnets_in_two_zones_lead_to_one_nat_gateway() -> None:
    stack = network_stack(deployment(network="vpc"), ZONES)
    assert list(of_type(stack, "::NatGateway")) == ["Nat1"]
    assert len(of_type(stack, "::EIP")) == 1
    routes = of_type(stack, "EC2::Route")
    assert [routes[f"Route{n}"]["NatGatewayId"] for n in (1, 2)] == [{"Ref": "Nat1"}] * 2
    zones = {n: s["AvailabilityZoneId"] for n, s in of_type(stack, "::Subnet").items()}
    assert zones["Private1"] == {"Ref": "Zone1"} and zones["Private2"] == {"Ref": "Zone2"}
    assert not any(s.get("MapPublicIpOnLaunch") for s in of_type(stack, "::Subnet").values())


def test_ha_turns_one_route_and_adds_a_gateway() -> None:
    one, two = (network_stack(deployment(network="vpc"), ZONES, ha) for ha in (False, True))
    assert of_type(two, "EC2::Route")["Route2"]["NatGatewayId"] == {"Ref": "Nat2"}
    changed = {n for n in one.resources if one.resources[n] != two.resources[n]}
    assert changed == {"Route2"}
    added = set(two.resources) - set(one.resources)
    assert added == {"Public2", "PublicRoutes2", "Address2", "Nat2"}


def test_dns_is_on_and_nothing_may_come_in() -> None:
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
def test_only_what_the_agent_must_reach_is_open(pipeline, services, transport, ports) -> None:
    of = deployment(pipeline, transport, network="vpc", services=services)
    assert [str(egress) for egress in egress_of(of)] == ports
    (group,) = of_type(network_stack(of, ZONES), "::SecurityGroup").values()
    others = ["TCP 3478", "TCP 5349", "UDP 3478", "UDP 5349"] if transport.turn else []
    assert [rule["Description"] for rule in group["SecurityGroupEgress"]] == ports + others


@pytest.mark.parametrize(
    ("source", "needed", "out"),
    [("cloudflare", "UDP 3478", "UDP 443"), ("static", "TCP 443", "UDP 1-65535")],
)
def test_the_turn_source_decides_where_udp_goes(source: str, needed: str, out: str) -> None:
    of = deployment("nova-sonic", WEBRTC, network="vpc", source=source)
    assert str(egress_of(of)[-1]) == needed
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
def test_what_given_security_groups_keep_in(rules, missing) -> None:
    needed = egress_of(deployment("nova-sonic", WEBRTC, network="vpc"))
    assert [str(ports) for ports in closed(needed, rules)] == missing


def test_a_subnet_never_moves() -> None:
    stack = network_stack(deployment(network="vpc"), ("use1-az2", "use1-az4"))
    again = stack.over({"Zone1": "use1-az1", "Zone2": "use1-az2", "Other": "x"})
    assert again.parameters == {"Zone1": "use1-az1", "Zone2": "use1-az2"}


def test_the_way_out_is_there_before_the_gateway_and_goes_after_it() -> None:
    stack = network_stack(deployment(network="vpc"), ZONES)
    assert set(stack.resources["Nat1"]["DependsOn"]) == {"PublicRoute", "PublicRoutes1"}
    assert stack.resources["PublicRoute"]["DependsOn"] == ["Attachment"]
    assert stack.resources["Address1"]["DependsOn"] == ["Attachment"]


def test_every_reference_leads_somewhere() -> None:
    stack = network_stack(deployment(network="vpc"), ZONES, ha=True)
    known = set(stack.resources) | set(stack.template["Parameters"]) | {"AWS::Region"}
    assert references(stack.template) <= known
