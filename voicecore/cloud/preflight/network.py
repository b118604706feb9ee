"""Owns the checks of networks: zones of a new one, subnets and groups of the user's own."""

# botocore has no types.
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from voicecore.aws.errors import code_of
from voicecore.aws.session import Aws
from voicecore.cloud.preflight.checks import CheckOutcome, CheckResult
from voicecore.cloud.stacks import zones
from voicecore.cloud.stacks.deployment import Deployment
from voicecore.cloud.stacks.network_stack import Egress, blocked_ports, required_egress


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


def check_given_network(aws: Aws, deployment: Deployment) -> Iterator[CheckResult]:
    """Yield the results for the subnets and security groups that voicecore.toml lists."""
    ec2 = aws.client("ec2")
    try:
        subnets = _subnets(ec2, deployment.vpc.subnets)
        groups = _groups(ec2, deployment.vpc.security_groups)
    except ClientError as error:
        if not code_of(error).endswith(".NotFound"):
            raise
        yield CheckResult(
            "network",
            CheckOutcome.FAILED,
            f"[vpc] lists subnets or groups that do not exist in {aws.region}: {error}",
            "Set subnets and security groups of this account and region in voicecore.toml.",
        )
        return
    mistakes = zones.subnet_problems(aws.region, subnets)
    for mistake in mistakes:
        fix = "Fix [vpc] in voicecore.toml, or remove it."
        yield CheckResult("network", CheckOutcome.FAILED, mistake, fix)
    yield from security_group_results(required_egress(deployment), subnets[0].vpc, groups)
    if not mistakes:
        found = ", ".join(subnet.zone_id for subnet in subnets)
        yield CheckResult("network", CheckOutcome.PASSED, found)


def security_group_results(
    needed: Sequence[Egress], vpc: str, groups: Mapping[str, tuple[str, Sequence[Egress]]]
) -> Iterator[CheckResult]:
    """Yield failures of security groups: in another VPC, or without a needed outbound rule.

    `groups` is ID → (VPC, outbound rules to 0.0.0.0/0).
    """
    for group, (place, _) in groups.items():
        if place != vpc:
            yield CheckResult(
                "network",
                CheckOutcome.FAILED,
                f"{group} is in {place}, but the subnets are in {vpc}",
                "Under [vpc] in voicecore.toml, set security groups of the subnets' VPC.",
            )
    missing = blocked_ports(needed, [rule for _, rules in groups.values() for rule in rules])
    if missing:
        yield CheckResult(
            "network",
            CheckOutcome.FAILED,
            f"{', '.join(groups)} do not allow outbound {', '.join(map(str, missing))}",
            "Add these outbound rules to 0.0.0.0/0.",
        )


def default_route(subnet: str, vpc: str, tables: Sequence[Mapping[str, Any]]) -> str:
    """Return the target of the subnet's route to 0.0.0.0/0; empty if it has none.

    The route is in the subnet's own route table, or else in the VPC's main one.
    """
    own = [t for t in tables for a in t["Associations"] if a.get("SubnetId") == subnet]
    main = [t for t in tables for a in t["Associations"] if t["VpcId"] == vpc and a.get("Main")]
    for table in (own or main)[:1]:
        for route in table["Routes"]:
            if route.get("DestinationCidrBlock") == "0.0.0.0/0":
                return next((route[key] for key in _ROUTE_TARGETS if route.get(key)), "")
    return ""


# EC2 API Reference, Route: the keys of a route's target.
_ROUTE_TARGETS = (
    "NatGatewayId", "GatewayId", "TransitGatewayId", "InstanceId", "NetworkInterfaceId",
    "VpcPeeringConnectionId", "LocalGatewayId", "CarrierGatewayId", "CoreNetworkArn",
)  # fmt: skip


def _subnets(ec2: Any, ids: Sequence[str]) -> list[zones.Subnet]:
    described = ec2.describe_subnets(SubnetIds=list(ids))["Subnets"]
    vpcs = sorted({subnet["VpcId"] for subnet in described})
    tables = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": vpcs}])["RouteTables"]
    return [
        zones.Subnet(
            id=subnet["SubnetId"],
            vpc=subnet["VpcId"],
            zone_id=subnet["AvailabilityZoneId"],
            default_route=default_route(subnet["SubnetId"], subnet["VpcId"], tables),
        )
        for subnet in described
    ]


def _groups(ec2: Any, ids: Sequence[str]) -> dict[str, tuple[str, list[Egress]]]:
    described = ec2.describe_security_groups(GroupIds=list(ids))["SecurityGroups"]
    return {
        group["GroupId"]: (
            group["VpcId"],
            [
                Egress(rule["IpProtocol"], rule.get("FromPort", 0), rule.get("ToPort", 65535))
                for rule in group["IpPermissionsEgress"]
                if any(r["CidrIp"] == "0.0.0.0/0" for r in rule.get("IpRanges", ()))
            ],
        )
        for group in described
    }
