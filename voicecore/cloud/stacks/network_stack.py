"""The network that a project's stages share: a VPC whose subnets reach the internet by NAT.

Private subnets with a NAT gateway are what AgentCore's VPC mode asks for (agentcore-vpc): its
interfaces have no public address, so a public subnet would be a dead end.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from voicecore.catalog.turn_sources import SOURCES
from voicecore.cloud.stacks import turn_channels
from voicecore.cloud.stacks.deployment import Deployment
from voicecore.cloud.stacks.stack import (
    Json,
    Parameter,
    Resource,
    Stack,
    StackOutput,
    get_att,
    join,
    ref,
    sub,
)
from voicecore.cloud.stacks.stack import template as make_template
from voicecore.project import aws_names

CIDR = "10.0.0.0/16"
_PUBLIC_CIDRS = ("10.0.0.0/24", "10.0.1.0/24")
# 4,091 addresses each, though AgentCore's interfaces are shared: subnets cannot grow later.
_PRIVATE_CIDRS = ("10.0.16.0/20", "10.0.32.0/20")

ANYWHERE = "0.0.0.0/0"

SUBNETS = "Subnets"
SECURITY_GROUPS = "SecurityGroups"
ADDRESSES = "Addresses"
PUBLIC_SUBNETS = "PublicSubnets"
"""Names of the outputs, each a list joined by commas."""


@dataclass(frozen=True)
class Egress:
    """Ports that the agent must reach anywhere: a range of one protocol."""

    protocol: str
    """"tcp" or "udp"; "-1" in a security group's rule: every protocol and port."""
    first: int
    last: int

    def __str__(self) -> str:
        """As a person writes it."""
        ports = f"{self.first}" if self.first == self.last else f"{self.first}-{self.last}"
        return f"{self.protocol.upper()} {ports}"


def required_egress(deployment: Deployment) -> tuple[Egress, ...]:
    """What the security group must let out: TCP for services, UDP for media where there is any.

    DNS is not among it: a VPC's resolver is out of reach of security groups.
    """
    tcp = {port for service in deployment.uses for port in service.tcp_ports} | {443}
    udp = {ports for transport in deployment.transports for ports in transport.udp_ports}
    if deployment.needs_turn and (port := SOURCES[deployment.turn.source].udp_port):
        udp |= {(port, port)}
    return (
        *(Egress("tcp", port, port) for port in sorted(tcp)),
        *(Egress("udp", first, last) for first, last in sorted(udp)),
    )


def _let_out(deployment: Deployment) -> tuple[Egress, ...]:
    """What our own security group lets out: any TURN source may be chosen later, by agent/.env."""
    if not deployment.needs_turn:
        return required_egress(deployment)
    ports = [(port, port) for port in turn_channels.TURN_PORTS]
    if not SOURCES[deployment.turn.source].udp_port:
        ports = [(1, 65535)]  # servers of one's own may listen anywhere
    more = (Egress(protocol, *range_) for protocol in ("tcp", "udp") for range_ in ports)
    return tuple(dict.fromkeys((*required_egress(deployment), *more)))


def blocked_ports(needed: Iterable[Egress], rules: Sequence[Egress]) -> list[Egress]:
    """What is needed and none of the rules of given security groups lets out."""
    return [
        ports
        for ports in needed
        if not any(
            rule.protocol == "-1"
            or (
                rule.protocol == ports.protocol
                and rule.first <= ports.first <= ports.last <= rule.last
            )
            for rule in rules
        )
    ]


def network_stack(deployment: Deployment, zones: Sequence[str], ha: bool | None = None) -> Stack:
    """The network in these two zones (ids), with a NAT gateway for both or, `ha`, for each.

    `ha` unsaid is as voicecore.toml says.
    """
    name = aws_names.network_stack_name_for(deployment.name)
    gateways = 2 if (deployment.vpc.ha if ha is None else ha) else 1
    public = 2 if deployment.has_phones else gateways
    resources = _way_out(name, gateways, public) | _inside(name, gateways, _let_out(deployment))
    addresses = [get_att(f"Address{n}", "PublicIp") for n in range(1, gateways + 1)]
    outputs = {
        "Vpc": StackOutput("The VPC", ref("Vpc")),
        SUBNETS: StackOutput("The agent's subnets", join(",", [ref("Private1"), ref("Private2")])),
        SECURITY_GROUPS: StackOutput(
            "The agent's security group", get_att("SecurityGroup", "GroupId")
        ),
        ADDRESSES: StackOutput("Where the agent's traffic comes from", join(",", addresses)),
    }
    if deployment.has_phones:
        outputs[PUBLIC_SUBNETS] = StackOutput(
            "Where a load balancer can be", join(",", [ref("Public1"), ref("Public2")])
        )
    parameters = {
        f"Zone{n}": Parameter(
            "Id of an availability zone that AgentCore supports, as "
            "`aws ec2 describe-availability-zones` shows it (ZoneId)",
            default=zone,
            pattern="[a-z0-9]+-az[0-9]+",
        )
        for n, zone in enumerate(zones, start=1)
    }
    template = make_template(
        f"Network of the voicecore project {deployment.name}: "
        "a VPC with two private subnets that reach the internet by NAT",
        resources,
        parameters,
        outputs,
    )
    return Stack(
        name=name,
        template=template,
        parameters={f"Zone{n}": zone for n, zone in enumerate(zones, start=1)},
        tags=deployment.tags(aws_names.SHARED),
        # A subnet cannot move: other zones would be other subnets, under the agent's interfaces.
        settled=frozenset(parameters),
    )


def _way_out(name: str, gateways: int, public: int) -> dict[str, Resource]:
    """The public part: the internet gateway, and the NAT gateways in their subnets.

    A load balancer wants `public` subnets in two zones, also where one gateway serves both.
    """
    resources = {
        "Vpc": Resource(
            "AWS::EC2::VPC",
            {
                "CidrBlock": CIDR,
                # Interfaces and endpoints are found by name (agentcore-vpc).
                "EnableDnsSupport": True,
                "EnableDnsHostnames": True,
                "Tags": _name(name),
            },
        ),
        "InternetGateway": Resource("AWS::EC2::InternetGateway", {"Tags": _name(name)}),
        "Attachment": Resource(
            "AWS::EC2::VPCGatewayAttachment",
            {"VpcId": ref("Vpc"), "InternetGatewayId": ref("InternetGateway")},
        ),
        "PublicRoutes": Resource(
            "AWS::EC2::RouteTable", {"VpcId": ref("Vpc"), "Tags": _name(f"{name}-public")}
        ),
        "PublicRoute": Resource(
            "AWS::EC2::Route",
            {
                "RouteTableId": ref("PublicRoutes"),
                "DestinationCidrBlock": ANYWHERE,
                "GatewayId": ref("InternetGateway"),
            },
            depends_on=("Attachment",),
        ),
    }
    for n, cidr in enumerate(_PUBLIC_CIDRS[:public], start=1):
        resources |= {
            f"Public{n}": _subnet(f"{name}-public-{n}", n, cidr),
            f"PublicRoutes{n}": _association(f"Public{n}", "PublicRoutes"),
        }
        if n > gateways:
            continue
        resources |= {
            f"Address{n}": Resource(
                "AWS::EC2::EIP",
                {"Domain": "vpc", "Tags": _name(f"{name}-{n}")},
                depends_on=("Attachment",),
            ),
            f"Nat{n}": Resource(
                "AWS::EC2::NatGateway",
                {
                    "SubnetId": ref(f"Public{n}"),
                    "AllocationId": get_att(f"Address{n}", "AllocationId"),
                    "Tags": _name(f"{name}-{n}"),
                },
                # Before its subnet has a way out, a NAT gateway reaches nothing; and on the way
                # down it must be gone before the route is.
                depends_on=("PublicRoute", f"PublicRoutes{n}"),
            ),
        }
    return resources


def _inside(name: str, gateways: int, egress: Iterable[Egress]) -> dict[str, Resource]:
    """The private part: where the agent's interfaces are."""
    resources: dict[str, Resource] = {}
    for n, cidr in enumerate(_PRIVATE_CIDRS, start=1):
        # A table for each subnet even with one gateway, so that a second one only turns a route.
        resources |= {
            f"Private{n}": _subnet(f"{name}-private-{n}", n, cidr),
            f"Routes{n}": Resource(
                "AWS::EC2::RouteTable", {"VpcId": ref("Vpc"), "Tags": _name(f"{name}-{n}")}
            ),
            f"Route{n}": Resource(
                "AWS::EC2::Route",
                {
                    "RouteTableId": ref(f"Routes{n}"),
                    "DestinationCidrBlock": ANYWHERE,
                    "NatGatewayId": ref(f"Nat{min(n, gateways)}"),
                },
            ),
            f"PrivateRoutes{n}": _association(f"Private{n}", f"Routes{n}"),
        }
    return resources | {
        # The image's layers come from S3: by this way they cost no NAT traffic.
        "S3": Resource(
            "AWS::EC2::VPCEndpoint",
            {
                "VpcId": ref("Vpc"),
                "VpcEndpointType": "Gateway",
                "ServiceName": sub("com.amazonaws.${AWS::Region}.s3"),
                "RouteTableIds": [ref("Routes1"), ref("Routes2")],
            },
        ),
        "SecurityGroup": Resource(
            "AWS::EC2::SecurityGroup",
            {
                "GroupDescription": f"What agents of {name} may reach",
                "VpcId": ref("Vpc"),
                "SecurityGroupEgress": [_rule(ports) for ports in egress],
                "Tags": _name(name),
            },
        ),
    }


def _subnet(name: str, zone: int, cidr: str) -> Resource:
    return Resource(
        "AWS::EC2::Subnet",
        {
            "VpcId": ref("Vpc"),
            "AvailabilityZoneId": ref(f"Zone{zone}"),
            "CidrBlock": cidr,
            "Tags": _name(name),
        },
    )


def _association(subnet: str, routes: str) -> Resource:
    return Resource(
        "AWS::EC2::SubnetRouteTableAssociation",
        {"SubnetId": ref(subnet), "RouteTableId": ref(routes)},
    )


def _rule(ports: Egress) -> Json:
    return {
        "Description": str(ports),
        "IpProtocol": ports.protocol,
        "FromPort": ports.first,
        "ToPort": ports.last,
        "CidrIp": ANYWHERE,
    }


def _name(name: str) -> list[Json]:
    return [{"Key": "Name", "Value": name}]
