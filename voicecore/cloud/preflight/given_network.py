"""Owns the judgment of a network of the user's own: whether an agent in it reaches what it needs.

What voicecore cannot see, such as the endpoints of an account that shares a subnet, is a warning.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, collapse_addresses

from voicecore.catalog import endpoints
from voicecore.cloud.preflight.checks import CheckOutcome, CheckResult
from voicecore.cloud.stacks.network_stack import ANYWHERE, Egress, blocked_ports
from voicecore.cloud.stacks.zones import SUPPORTED_ZONES


@dataclass(frozen=True)
class Route:
    """A route that leads out of a VPC."""

    destination: str
    """CIDR block, or ID of a prefix list."""
    target: str
    """ID of what it leads to, for example "nat-..." or "igw-..."."""
    works: bool = True
    """False for a blackhole: its target was deleted."""


@dataclass(frozen=True)
class Subnet:
    """A subnet, and what can be reached from it."""

    id: str
    vpc: str
    zone_id: str
    owner: str = ""
    """Account that shares it; empty for one of the account's own."""
    routes: tuple[Route, ...] = ()
    endpoints: Mapping[str, bool] = field(default_factory=dict[str, bool])
    """AWS's services by VPC endpoint, such as "logs"; False if their usual names do not lead to
    the endpoint."""

    @property
    def has_way_out(self) -> bool:
        """True when its routes lead to all addresses, and not by an internet gateway."""
        # A peered VPC does not pass traffic on to a gateway of its own (VPC Peering Guide).
        return _cover_all(r for r in self.routes if not r.target.startswith(("igw-", "pcx-")))


@dataclass(frozen=True)
class SecurityGroup:
    """A security group, and its outbound rules."""

    id: str
    vpc: str
    anywhere: tuple[Egress, ...] = ()
    """Rules to all addresses."""
    narrow: tuple[tuple[Egress, str], ...] = ()
    """Rules to other destinations: addresses, a prefix list, a security group."""


@dataclass(frozen=True)
class Needs:
    """Everything that an agent must reach."""

    ports: tuple[Egress, ...]
    endpoints: tuple[str, ...]
    """AWS's services, by VPC endpoint."""
    internet: tuple[str, ...]
    """Third parties and relays, to which no VPC endpoint leads."""


def subnet_results(region: str, subnets: Sequence[Subnet], needs: Needs) -> Iterator[CheckResult]:
    """Yield failures and warnings about the subnets (agentcore-vpc); nothing if all are fit."""
    if len({subnet.vpc for subnet in subnets}) > 1:
        places = ", ".join(f"{subnet.id} in {subnet.vpc}" for subnet in subnets)
        yield _failed(f"the subnets are in different VPCs: {places}")
    for subnet in subnets:
        if subnet.zone_id not in SUPPORTED_ZONES[region]:
            yield _failed(
                f"{subnet.id} is in zone {subnet.zone_id}, which AgentCore does not support; "
                f"it supports {', '.join(SUPPORTED_ZONES[region])}"
            )
        if not subnet.has_way_out:
            yield from _without_way_out(region, subnet, needs)


def group_results(vpc: str, groups: Sequence[SecurityGroup], needs: Needs) -> Iterator[CheckResult]:
    """Yield failures and warnings about security groups of subnets in this VPC."""
    for group in groups:
        if group.vpc != vpc:
            yield _failed(
                f"{group.id} is in {group.vpc}, but the subnets are in {vpc}",
                "Under [vpc] in voicecore.toml, set security groups of the subnets' VPC.",
            )
    names = ", ".join(group.id for group in groups)
    narrow = [rule for group in groups for rule in group.narrow]
    doubtful = blocked_ports(needs.ports, [rule for group in groups for rule in group.anywhere])
    if blocked := blocked_ports(doubtful, [ports for ports, _ in narrow]):
        yield _failed(
            f"{names} do not allow outbound {', '.join(map(str, blocked))}",
            f"Add these outbound rules to {ANYWHERE}.",
        )
    elif doubtful:
        places = (place for ports, place in narrow if blocked_ports(doubtful, [ports]) != doubtful)
        yield _unknown(
            f"{names} allow outbound {', '.join(map(str, doubtful))} only to "
            f"{', '.join(dict.fromkeys(places))}; voicecore cannot tell whether that is enough"
        )


def _without_way_out(region: str, subnet: Subnet, needs: Needs) -> Iterator[CheckResult]:
    """Yield what endpoints do not make up for: a failure, or a warning if that is not certain."""
    lacking = [each for each in needs.endpoints if not subnet.endpoints.get(each)]
    missing = ", ".join([*needs.internet, *lacking])
    onward = [r.destination for r in subnet.routes if r.works and not r.target.startswith("igw-")]
    if not missing:
        return
    if gateway := _internet_gateway(subnet.routes):
        yield _failed(
            f"{subnet.id} is a public subnet: its default route is {gateway}, "
            "but AgentCore's interfaces have no public address",
            "Use a private subnet with a route to a NAT gateway.",
        )
    elif subnet.owner:
        yield _unknown(
            f"account {subnet.owner} shares {subnet.id}, and this account cannot see whether "
            f"{missing} can be reached from there"
        )
    elif onward:
        yield _unknown(
            f"{subnet.id} has routes only to {', '.join(onward)}; voicecore cannot tell whether "
            f"they lead to {missing}"
        )
    elif not needs.internet and set(lacking) <= set(subnet.endpoints):
        yield _unknown(
            f"the VPC endpoints of {missing} in {subnet.vpc} have no private DNS; voicecore cannot "
            "tell whether the services' names lead there"
        )
    else:
        yield _shut_in(region, subnet, needs, lacking)


def _shut_in(region: str, subnet: Subnet, needs: Needs, lacking: Sequence[str]) -> CheckResult:
    """Return the failure of a subnet from which services certainly cannot be reached."""
    gone = next((route for route in subnet.routes if not route.works), None)
    why = f"{subnet.id} has no route to the internet"
    if gone:
        why = f"the route of {subnet.id} to {gone.destination} leads nowhere: {gone.target} is gone"
    route = f"Route {ANYWHERE} of {subnet.id} to a NAT gateway or a transit gateway"
    if needs.internet:
        return _failed(f"{why}, and the agent needs {', '.join(needs.internet)}", f"{route}.")
    names = ", ".join(endpoints.service_name(region, each) for each in lacking)
    return _failed(
        f"{why}, and {subnet.vpc} has no VPC endpoints for {', '.join(lacking)}",
        f"{route}, or create these endpoints in {subnet.vpc}, with private DNS:\n{names}",
    )


def _internet_gateway(routes: Iterable[Route]) -> str:
    """Return the internet gateway of a public subnet; empty for another subnet."""
    public = [route for route in routes if route.works and route.target.startswith("igw-")]
    return public[0].target if _cover_all(public) else ""


def _cover_all(routes: Iterable[Route]) -> bool:
    """Return True when working routes lead to every IPv4 address, in one piece or in several."""
    blocks = [
        IPv4Network(route.destination)
        for route in routes
        if route.works and "." in route.destination
    ]
    return [*collapse_addresses(blocks)] == [IPv4Network(ANYWHERE)]


def _failed(why: str, fix: str = "Fix [vpc] in voicecore.toml, or remove it.") -> CheckResult:
    return CheckResult("network", CheckOutcome.FAILED, why, fix)


def _unknown(why: str) -> CheckResult:
    return CheckResult("network", CheckOutcome.UNKNOWN, why)
