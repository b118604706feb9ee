"""A network of the user's own: what is refused, what is a warning, and what is fit for an agent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from tests.standins.aws_answers import AwsAnswers
from tests.unit.cloud.deployments import ACCOUNT, OWN_VPC, WEBRTC, WEBSOCKET, deployment
from voicecore.cloud.preflight.checks import CheckOutcome, CheckResult
from voicecore.cloud.preflight.network import check_given_network, routes_of
from voicecore.cloud.stacks.deployment import Deployment
from voicecore.project.project import Vpc
from voicecore.project.settings.network import VPC

FAILED, PASSED, UNKNOWN = CheckOutcome.FAILED, CheckOutcome.PASSED, CheckOutcome.UNKNOWN
SUBNET, GROUP, OTHER = "subnet-1", "sg-1", "210987654321"
SONIC = deployment("nova-sonic", WEBSOCKET, network=VPC, vpc=OWN_VPC)
DEEPGRAM = deployment("cascade", WEBSOCKET, network=VPC, vpc=OWN_VPC, services={"stt": "deepgram"})
RELAYED = deployment("nova-sonic", WEBRTC, network=VPC, vpc=OWN_VPC)
CLOSED = ("bedrock-runtime", "logs", "ecr.api", "ecr.dkr", "secretsmanager", "sts")
ALL = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
LOCAL = {"DestinationCidrBlock": "10.0.0.0/16", "GatewayId": "local", "State": "active"}


def route(to: str, key: str = "NatGatewayId", target: str = "nat-1", **more: str) -> dict[str, str]:
    kind = "DestinationPrefixListId" if to.startswith("pl-") else "DestinationCidrBlock"
    return {kind: to, key: target, "State": "active", **more}


NAT = route("0.0.0.0/0")


def endpoint(name: str, kind: str = "Interface", **more: Any) -> dict[str, Any]:
    return {
        "ServiceName": f"com.amazonaws.us-east-1.{name}",
        "VpcEndpointType": kind,
        "State": "available",
        "VpcId": "vpc-1",
        "PrivateDnsEnabled": kind == "Interface",
        "RouteTableIds": [] if kind == "Interface" else ["rtb-1"],
        **more,
    }


ENDPOINTS = [*(endpoint(name) for name in CLOSED), endpoint("s3", "Gateway")]


def without(name: str) -> list[dict[str, Any]]:
    return [each for each in ENDPOINTS if not each["ServiceName"].endswith(f".{name}")]


def results(
    of: Deployment = SONIC,
    routes: Sequence[dict[str, str]] = (NAT,),
    endpoints: Sequence[dict[str, Any]] = (),
    egress: Sequence[dict[str, Any]] = (ALL,),
    tables: Sequence[dict[str, Any]] | None = None,
    secret: bool = True,
    group_vpc: str = "vpc-1",
    **subnet: str,
) -> list[CheckResult]:
    """Return the results for one subnet and one security group."""
    described = {"SubnetId": SUBNET, "VpcId": "vpc-1", "AvailabilityZoneId": "use1-az1",
                 "OwnerId": ACCOUNT, **subnet}  # fmt: skip
    table = {"RouteTableId": "rtb-1", "VpcId": "vpc-1", "Associations": [{"SubnetId": SUBNET}],
             "Routes": [LOCAL, *routes]}  # fmt: skip
    answers = {
        "describe_subnets": {"Subnets": [described]},
        "describe_route_tables": {"RouteTables": [table] if tables is None else tables},
        "describe_vpc_endpoints": {"VpcEndpoints": endpoints},
        "describe_security_groups": {
            "SecurityGroups": [
                {"GroupId": GROUP, "VpcId": group_vpc, "IpPermissionsEgress": egress}
            ]
        },
    }
    aws: Any = AwsAnswers({"ec2": answers})
    return list(check_given_network(aws, of, secret))


@pytest.mark.parametrize(
    "routes",
    [
        [NAT],
        [route("0.0.0.0/0", "TransitGatewayId", "tgw-1")],
        [route("0.0.0.0/1", "TransitGatewayId", "tgw-1"),
         route("128.0.0.0/1", "TransitGatewayId", "tgw-1")],
        [route("0.0.0.0/0", "GatewayId", "vgw-1")],
        [route("0.0.0.0/0", "NetworkInterfaceId", "eni-1")],
        [route("0.0.0.0/0", "GatewayId", "vpce-1")],  # a Gateway Load Balancer's
        [NAT, route("52.0.0.0/8", "GatewayId", "igw-1")],
    ],
    ids=["nat", "transit", "halves", "vpn", "appliance", "firewall", "nat and igw"],
)  # fmt: skip
def test_any_way_out_is_fit(routes: list[dict[str, str]]) -> None:
    assert [each.outcome for each in results(RELAYED, routes)] == [PASSED]


def test_endpoints_alone_are_fit_for_an_agent_that_calls_only_aws() -> None:
    (fit,) = results(routes=[], endpoints=ENDPOINTS)
    assert (fit.outcome, fit.message) == (PASSED, "use1-az1")
    public = [route("0.0.0.0/0", "GatewayId", "igw-1")]
    assert [each.outcome for each in results(routes=public, endpoints=ENDPOINTS)] == [PASSED]
    no_secret = results(routes=[], endpoints=without("secretsmanager"), secret=False)
    assert [each.outcome for each in no_secret] == [PASSED]
    own_s3 = [*without("s3"), endpoint("s3")]
    assert [each.outcome for each in results(routes=[], endpoints=own_s3)] == [PASSED]


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("bedrock-runtime", []),
        ("secretsmanager", []),
        ("logs", [endpoint("logs", State="pending")]),
        ("s3", [endpoint("s3", "Gateway", RouteTableIds=["rtb-2"])]),
        ("ecr.api", [endpoint("ecr.api", VpcId="vpc-2")]),
    ],
)
def test_missing_endpoint_is_named(name: str, changed: list[dict[str, Any]]) -> None:
    (failed,) = results(routes=[], endpoints=[*without(name), *changed])
    assert failed.outcome is FAILED
    assert failed.message == (
        f"subnet-1 has no route to the internet, and vpc-1 has no VPC endpoints for {name}"
    )
    assert f"com.amazonaws.us-east-1.{name}" in failed.fix and "NAT gateway" in failed.fix


@pytest.mark.parametrize(
    ("of", "needs"), [(DEEPGRAM, "Deepgram"), (RELAYED, "a TURN relay")], ids=["stt", "webrtc"]
)
def test_endpoints_do_not_lead_to_third_parties(of: Deployment, needs: str) -> None:
    (failed,) = results(of, [], [*ENDPOINTS, endpoint("polly")])
    assert failed.outcome is FAILED
    assert failed.message == f"subnet-1 has no route to the internet, and the agent needs {needs}"


def test_deleted_nat_gateway_is_no_way_out() -> None:
    (failed,) = results(routes=[route("0.0.0.0/0", State="blackhole")])
    assert failed.outcome is FAILED
    assert "the route of subnet-1 to 0.0.0.0/0 leads nowhere: nat-1 is gone" in failed.message


@pytest.mark.parametrize(
    ("routes", "endpoints", "text"),
    [
        ([route("10.0.0.0/8", "TransitGatewayId", "tgw-1")], [], "routes only to 10.0.0.0/8"),
        ([route("0.0.0.0/1")], [], "routes only to 0.0.0.0/1"),
        ([route("pl-1", "NatGatewayId", "nat-1")], [], "routes only to pl-1"),
        ([route("0.0.0.0/0", "VpcPeeringConnectionId", "pcx-1")], [], "routes only to 0.0.0.0/0"),
        ([], [*without("logs"), endpoint("logs", PrivateDnsEnabled=False)],
         "the VPC endpoints of logs in vpc-1 have no private DNS"),
    ],
)  # fmt: skip
def test_doubtful_ways_out_are_a_warning(
    routes: list[dict[str, str]], endpoints: list[dict[str, Any]], text: str
) -> None:
    (unknown,) = results(routes=routes, endpoints=endpoints)
    assert unknown.outcome is UNKNOWN
    assert text in unknown.message and "cannot tell" in unknown.message


def test_shared_subnet_is_fit_or_a_warning() -> None:
    assert [each.outcome for each in results(OwnerId=OTHER)] == [PASSED]
    (unknown,) = results(OwnerId=OTHER, tables=[])
    assert unknown.outcome is UNKNOWN
    assert f"account {OTHER} shares subnet-1" in unknown.message
    (failed,) = results(tables=[])
    assert failed.outcome is FAILED
    public = [route("0.0.0.0/0", "GatewayId", "igw-1")]
    assert [each.outcome for each in results(routes=public, OwnerId=OTHER)] == [FAILED]


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"AvailabilityZoneId": "use1-az3"}, "zone use1-az3, which AgentCore does not support"),
        ({"routes": [route("0.0.0.0/0", "GatewayId", "igw-1")]}, "subnet-1 is a public subnet"),
        ({"routes": []}, "subnet-1 has no route to the internet"),
        ({"group_vpc": "vpc-2"}, "sg-1 is in vpc-2, but the subnets are in vpc-1"),
        ({"egress": []}, "sg-1 do not allow outbound TCP 443"),
    ],
)
def test_unfit_network_is_refused(changed: dict[str, Any], text: str) -> None:
    (failed,) = results(**changed)
    assert failed.outcome is FAILED and text in failed.message


def test_subnets_of_different_vpcs_are_refused() -> None:
    of = deployment(network=VPC, vpc=Vpc(("subnet-1", "subnet-2"), OWN_VPC.security_groups))
    subnet = {"AvailabilityZoneId": "use1-az1", "OwnerId": ACCOUNT}
    tables = [
        {"VpcId": vpc, "Associations": [{"Main": True}], "Routes": [NAT]}
        for vpc in ("vpc-1", "vpc-2")
    ]
    answers = {
        "describe_subnets": {
            "Subnets": [subnet | {"SubnetId": f"subnet-{n}", "VpcId": f"vpc-{n}"} for n in (1, 2)]
        },
        "describe_route_tables": {"RouteTables": tables},
        "describe_security_groups": {
            "SecurityGroups": [{"GroupId": GROUP, "VpcId": "vpc-1", "IpPermissionsEgress": [ALL]}]
        },
    }
    aws: Any = AwsAnswers({"ec2": answers})
    (failed,) = check_given_network(aws, of, has_secret=False)
    assert "different VPCs: subnet-1 in vpc-1, subnet-2 in vpc-2" in failed.message


TCP = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443}


@pytest.mark.parametrize(
    ("rule", "outcome"),
    [
        (TCP | {"IpRanges": [{"CidrIp": "0.0.0.0/0"}]}, PASSED),
        (TCP | {"IpRanges": [{"CidrIp": "0.0.0.0/1"}, {"CidrIp": "128.0.0.0/1"}]}, PASSED),
        (TCP | {"IpRanges": [{"CidrIp": "10.0.0.0/8"}]}, UNKNOWN),
        (TCP | {"PrefixListIds": [{"PrefixListId": "pl-1"}]}, UNKNOWN),
        (TCP | {"UserIdGroupPairs": [{"GroupId": "sg-2"}]}, UNKNOWN),
        ({"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80,
          "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}, FAILED),
    ],
)  # fmt: skip
def test_outbound_rules_to_some_destinations_are_a_warning(
    rule: dict[str, Any], outcome: CheckOutcome
) -> None:
    (result,) = results(egress=[rule])
    assert result.outcome is outcome
    if outcome is UNKNOWN:
        assert "sg-1 allow outbound TCP 443 only to " in result.message


def test_main_route_table_is_for_subnets_without_their_own() -> None:
    igw = [LOCAL, route("0.0.0.0/0", "GatewayId", "igw-1")]

    def table(routes: list[dict[str, str]], association: dict[str, Any]) -> dict[str, Any]:
        return {"VpcId": "vpc-1", "Routes": routes, "Associations": [association]}

    main = table(igw, {"Main": True})
    for own, target in (({"SubnetId": "s-1"}, "nat-1"), ({"SubnetId": "s-2"}, "igw-1")):
        (found,) = routes_of("s-1", "vpc-1", [table([NAT], own), main])
        assert found.target == target
    assert routes_of("s-1", "vpc-1", []) == ()
