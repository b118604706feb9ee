"""Owns the checks of networks: a new one's zones and endpoints, the user's subnets and groups."""

# botocore has no types.
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv4Network, collapse_addresses
from typing import Any

from botocore.exceptions import ClientError

from voicecore.aws.errors import code_of, message_of
from voicecore.aws.session import Aws
from voicecore.catalog import endpoints
from voicecore.cloud.preflight.checks import CheckOutcome, CheckResult
from voicecore.cloud.preflight.given_network import (
    Needs,
    Route,
    SecurityGroup,
    Subnet,
    group_results,
    subnet_results,
)
from voicecore.cloud.stacks import zones
from voicecore.cloud.stacks.deployment import Deployment
from voicecore.cloud.stacks.network_stack import (
    ANYWHERE,
    Egress,
    required_egress,
    required_endpoints,
)


def availability_zones(aws: Aws) -> dict[str, str]:
    """Return the IDs of the account's availability zones by name."""
    answer = aws.client("ec2").describe_availability_zones(
        Filters=[{"Name": "zone-type", "Values": ["availability-zone"]}]
    )
    return {zone["ZoneName"]: zone["ZoneId"] for zone in answer["AvailabilityZones"]}


def cloudfront_addresses(aws: Aws) -> str:
    """Return the ID of AWS's prefix list with the addresses from which CloudFront calls origins."""
    name = "com.amazonaws.global.cloudfront.origin-facing"
    (found,) = aws.client("ec2").describe_managed_prefix_lists(
        Filters=[{"Name": "prefix-list-name", "Values": [name]}]
    )["PrefixLists"]
    return found["PrefixListId"]


def zone_result(region: str, available: Mapping[str, str]) -> CheckResult:
    """Return whether the account has enough zones for a network; `available` is name → ID."""
    try:
        chosen = zones.choose_zones(region, available)
    except zones.TooFewZones as error:
        return CheckResult("zones", CheckOutcome.FAILED, error.message, error.hint or "")
    return CheckResult("zones", CheckOutcome.PASSED, ", ".join(chosen))


def check_endpoints(aws: Aws, deployment: Deployment) -> CheckResult:
    """Return whether the region offers the endpoints of a network without the internet."""
    wanted = [endpoints.service_name(aws.region, each) for each in required_endpoints(deployment)]
    offered = aws.client("ec2").describe_vpc_endpoint_services(
        Filters=[{"Name": "service-name", "Values": wanted}]
    )["ServiceNames"]
    if missing := [name for name in wanted if name not in offered]:
        return CheckResult(
            "endpoints",
            CheckOutcome.FAILED,
            f"{aws.region} does not offer {', '.join(missing)}",
            "For a NAT gateway, remove endpoints under [vpc] in voicecore.toml.",
        )
    return CheckResult("endpoints", CheckOutcome.PASSED, ", ".join(offered))


def check_given_network(
    aws: Aws, deployment: Deployment, has_secret: bool
) -> Iterator[CheckResult]:
    """Yield the results for the subnets and security groups that voicecore.toml lists."""
    ec2 = aws.client("ec2")
    try:
        subnets = _subnets(aws, ec2, deployment.vpc.subnets)
        groups = _groups(ec2, deployment.vpc.security_groups)
    except ClientError as error:
        if not code_of(error).endswith(".NotFound"):
            raise
        yield CheckResult(
            "network",
            CheckOutcome.FAILED,
            f"[vpc] lists subnets or groups that do not exist in {aws.region}: {message_of(error)}",
            "Set subnets and security groups of this account and region in voicecore.toml.",
        )
        return
    needs = _needs(deployment, has_secret)
    results = [
        *subnet_results(aws.region, subnets, needs),
        *group_results(subnets[0].vpc, groups, needs),
    ]
    found = ", ".join(subnet.zone_id for subnet in subnets)
    yield from results or [CheckResult("network", CheckOutcome.PASSED, found)]


def routes_of(subnet: str, vpc: str, tables: Sequence[Mapping[str, Any]]) -> tuple[Route, ...]:
    """Return the routes that lead out of a subnet's VPC, by DescribeRouteTables."""
    table = _table_of(subnet, vpc, tables)
    routes = [_route(each) for each in table["Routes"]] if table else []
    return tuple(route for route in routes if route and route.target != "local")


def endpoints_of(
    region: str, table: str, described: Sequence[Mapping[str, Any]]
) -> dict[str, bool]:
    """Return the endpoints that a subnet with this route table uses, by DescribeVpcEndpoints."""
    found: dict[str, bool] = {}
    for each in described:
        name = each["ServiceName"].removeprefix(endpoints.service_name(region, ""))
        gateway = each["VpcEndpointType"] == "Gateway"
        if each["State"].lower() == "available" and (not gateway or table in each["RouteTableIds"]):
            found[name] = found.get(name, False) or gateway or each.get("PrivateDnsEnabled", False)
    return found


def security_group(described: Mapping[str, Any]) -> SecurityGroup:
    """Return a security group with its outbound rules, by DescribeSecurityGroups."""
    anywhere: list[Egress] = []
    narrow: list[tuple[Egress, str]] = []
    for rule in described["IpPermissionsEgress"]:
        ports = Egress(rule["IpProtocol"], rule.get("FromPort", 0), rule.get("ToPort", 65535))
        blocks = [each["CidrIp"] for each in rule.get("IpRanges", ())]
        if [*collapse_addresses(map(IPv4Network, blocks))] == [IPv4Network(ANYWHERE)]:
            anywhere.append(ports)
            continue
        others = [each["CidrIpv6"] for each in rule.get("Ipv6Ranges", ())]
        others += [each["PrefixListId"] for each in rule.get("PrefixListIds", ())]
        others += [each["GroupId"] for each in rule.get("UserIdGroupPairs", ())]
        narrow += [(ports, place) for place in (*blocks, *others)]
    return SecurityGroup(described["GroupId"], described["VpcId"], (*anywhere,), (*narrow,))


def _needs(deployment: Deployment, has_secret: bool) -> Needs:
    called = [e for e in required_endpoints(deployment) if has_secret or e != endpoints.SECRETS]
    return Needs(required_egress(deployment), (*called, endpoints.S3), deployment.internet_needs)


def _subnets(aws: Aws, ec2: Any, ids: Sequence[str]) -> list[Subnet]:
    described = ec2.describe_subnets(SubnetIds=list(ids))["Subnets"]
    inside = [{"Name": "vpc-id", "Values": sorted({subnet["VpcId"] for subnet in described})}]
    tables = ec2.describe_route_tables(Filters=inside)["RouteTables"]
    subnets = [
        Subnet(
            id=subnet["SubnetId"],
            vpc=subnet["VpcId"],
            zone_id=subnet["AvailabilityZoneId"],
            owner=subnet["OwnerId"] if subnet["OwnerId"] != aws.account else "",
            routes=routes_of(subnet["SubnetId"], subnet["VpcId"], tables),
        )
        for subnet in described
    ]
    if all(subnet.has_way_out for subnet in subnets):
        return subnets
    found = ec2.describe_vpc_endpoints(Filters=inside)["VpcEndpoints"]
    return [_with_endpoints(aws.region, subnet, tables, found) for subnet in subnets]


def _with_endpoints(
    region: str,
    subnet: Subnet,
    tables: Sequence[Mapping[str, Any]],
    described: Sequence[Mapping[str, Any]],
) -> Subnet:
    table = _table_of(subnet.id, subnet.vpc, tables) or {}
    own = [each for each in described if each["VpcId"] == subnet.vpc]
    return replace(subnet, endpoints=endpoints_of(region, table.get("RouteTableId", ""), own))


def _table_of(
    subnet: str, vpc: str, tables: Sequence[Mapping[str, Any]]
) -> Mapping[str, Any] | None:
    """Return the subnet's own route table, or else the VPC's main one; None if it is not seen."""
    own = [t for t in tables for a in t["Associations"] if a.get("SubnetId") == subnet]
    main = [t for t in tables for a in t["Associations"] if t["VpcId"] == vpc and a.get("Main")]
    return next(iter((*own, *main)), None)


def _route(described: Mapping[str, Any]) -> Route | None:
    """Return a route; None for that of a gateway endpoint, which leads to its service only."""
    destination = next((described[key] for key in _DESTINATIONS if described.get(key)), "")
    target = next((described[key] for key in _ROUTE_TARGETS if described.get(key)), "")
    if destination.startswith("pl-") and target.startswith("vpce-"):
        return None
    return Route(destination, target, described.get("State") != "blackhole")


# EC2 API Reference, Route: the keys of a route's destination and of its target.
_DESTINATIONS = ("DestinationCidrBlock", "DestinationIpv6CidrBlock", "DestinationPrefixListId")
_ROUTE_TARGETS = (
    "NatGatewayId", "GatewayId", "TransitGatewayId", "InstanceId", "NetworkInterfaceId",
    "VpcPeeringConnectionId", "LocalGatewayId", "CarrierGatewayId", "CoreNetworkArn",
    "EgressOnlyInternetGatewayId",
)  # fmt: skip


def _groups(ec2: Any, ids: Sequence[str]) -> list[SecurityGroup]:
    described = ec2.describe_security_groups(GroupIds=list(ids))["SecurityGroups"]
    return [security_group(each) for each in described]
