"""Owns the network stack that a project's stages share: a VPC with subnets behind a NAT gateway.

AgentCore's VPC mode requires private subnets with a NAT gateway (agentcore-vpc): its interfaces
have no public address, so from a public subnet they would reach nothing. With `endpoints`, the VPC
has no way to the internet, and VPC endpoints lead to AWS's services.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from voicecore.catalog import endpoints
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
# 4,091 addresses each, although AgentCore's interfaces are shared: a subnet cannot grow later.
_PRIVATE_CIDRS = ("10.0.16.0/20", "10.0.32.0/20")

ANYWHERE = "0.0.0.0/0"

S3_ENDPOINT = "S3"
"""Logical ID of the gateway endpoint, which is free; interface endpoints have other IDs."""

VPC_ID = "Vpc"
"""Output with the VPC's ID."""
SUBNETS = "Subnets"
SECURITY_GROUPS = "SecurityGroups"
ADDRESSES = "Addresses"
PUBLIC_SUBNETS = "PublicSubnets"
"""Outputs that are lists, joined by commas."""


@dataclass(frozen=True)
class Egress:
    """Ports that the agent must reach on any host: a range of one protocol."""

    protocol: str
    """"tcp" or "udp"; "-1" in a security group's rule means every protocol and port."""
    first: int
    last: int

    def __str__(self) -> str:
        """Return it as people write it: "TCP 443"."""
        ports = f"{self.first}" if self.first == self.last else f"{self.first}-{self.last}"
        return f"{self.protocol.upper()} {ports}"


def required_egress(deployment: Deployment) -> tuple[Egress, ...]:
    """Return what the security group must allow: TCP for services, UDP for media.

    DNS is not included: security groups do not apply to a VPC's resolver.
    """
    used = (*deployment.uses, *deployment.own_uses)
    tcp = {port for service in used for port in service.tcp_ports} | {443}
    udp = {ports for transport in deployment.transports for ports in transport.udp_ports}
    if deployment.needs_turn and (port := SOURCES[deployment.turn.source].udp_port):
        udp |= {(port, port)}
    return (
        *(Egress("tcp", port, port) for port in sorted(tcp)),
        *(Egress("udp", first, last) for first, last in sorted(udp)),
    )


def required_endpoints(deployment: Deployment) -> tuple[str, ...]:
    """Return the interface endpoints by which the agent reaches AWS without the internet.

    That includes the one of secrets: agent/.env may get a key later.
    """
    used = (*deployment.uses, *deployment.own_uses)
    services = (service.endpoint for service in used if service.endpoint)
    traces = endpoints.TRACES if deployment.traced else ()
    return tuple(dict.fromkeys((*endpoints.RUNTIME, endpoints.SECRETS, *services, *traces)))


def _allowed_egress(deployment: Deployment) -> tuple[Egress, ...]:
    """Return what our own security group allows.

    That includes the ports of every TURN source: agent/.env may choose another one later.
    """
    if not deployment.needs_turn:
        return required_egress(deployment)
    ports = [(port, port) for port in turn_channels.TURN_PORTS]
    if not SOURCES[deployment.turn.source].udp_port:
        ports = [(1, 65535)]  # your own TURN servers may listen on any port
    more = (Egress(protocol, *range_) for protocol in ("tcp", "udp") for range_ in ports)
    return tuple(dict.fromkeys((*required_egress(deployment), *more)))


def blocked_ports(needed: Iterable[Egress], rules: Sequence[Egress]) -> list[Egress]:
    """Return the needed ports that no rule of the given security groups allows."""
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
    """Return the network in these two zones (IDs).

    `ha` gives each zone its own NAT gateway; without it, voicecore.toml decides.
    """
    name = aws_names.network_stack_name_for(deployment.name)
    closed = deployment.vpc.endpoints
    gateways = 0 if closed else 2 if (deployment.vpc.ha if ha is None else ha) else 1
    resources = {"Vpc": _vpc(name)}
    if not closed:
        resources |= _public_part(name, gateways, 2 if deployment.has_phones else gateways)
    resources |= _private_part(name, gateways, _allowed_egress(deployment))
    if closed:
        resources |= _endpoint_part(name, deployment)
    parameters = {
        f"Zone{n}": Parameter(
            "ID of an availability zone that AgentCore supports (ZoneId in "
            "`aws ec2 describe-availability-zones`)",
            default=zone,
            pattern="[a-z0-9]+-az[0-9]+",
        )
        for n, zone in enumerate(zones, start=1)
    }
    template = make_template(
        f"Network of the voicecore project {deployment.name}: "
        f"a VPC with two private subnets {'and VPC endpoints' if closed else 'behind NAT'}",
        resources,
        parameters,
        _outputs(deployment, gateways),
    )
    return Stack(
        name=name,
        template=template,
        parameters={f"Zone{n}": zone for n, zone in enumerate(zones, start=1)},
        tags=deployment.tags(aws_names.SHARED),
        # A subnet cannot move: other zones would replace the subnets that the agent uses.
        pinned=frozenset(parameters),
    )


def _outputs(deployment: Deployment, gateways: int) -> dict[str, StackOutput]:
    addresses = [get_att(f"Address{n}", "PublicIp") for n in range(1, gateways + 1)]
    outputs = {
        VPC_ID: StackOutput("ID of the VPC", ref("Vpc")),
        SUBNETS: StackOutput(
            "Private subnets of the agent", join(",", [ref("Private1"), ref("Private2")])
        ),
        SECURITY_GROUPS: StackOutput(
            "Security group of the agent", get_att("SecurityGroup", "GroupId")
        ),
    }
    if gateways:
        outputs[ADDRESSES] = StackOutput(
            "Public addresses of the agent's traffic", join(",", addresses)
        )
    if deployment.has_phones:
        outputs[PUBLIC_SUBNETS] = StackOutput(
            "Public subnets for a load balancer", join(",", [ref("Public1"), ref("Public2")])
        )
    return outputs


def _vpc(name: str) -> Resource:
    return Resource(
        "AWS::EC2::VPC",
        {
            "CidrBlock": CIDR,
            # Interfaces and endpoints are resolved by name (agentcore-vpc).
            "EnableDnsSupport": True,
            "EnableDnsHostnames": True,
            "Tags": _name(name),
        },
    )


def _public_part(name: str, gateways: int, public: int) -> dict[str, Resource]:
    """Return the internet gateway, `public` public subnets, and the NAT gateways in them.

    A load balancer needs public subnets in two zones, even if one NAT gateway serves both.
    """
    resources = {
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
                # A NAT gateway reaches nothing before its subnet has a route; on deletion it must
                # be gone before the route.
                depends_on=("PublicRoute", f"PublicRoutes{n}"),
            ),
        }
    return resources


def _private_part(name: str, gateways: int, egress: Iterable[Egress]) -> dict[str, Resource]:
    """Return the private subnets with the agent's interfaces, their routes and security group."""
    resources: dict[str, Resource] = {}
    for n, cidr in enumerate(_PRIVATE_CIDRS, start=1):
        # A table per subnet even with one gateway, so that a second gateway only changes a route.
        resources |= {
            f"Private{n}": _subnet(f"{name}-private-{n}", n, cidr),
            f"Routes{n}": Resource(
                "AWS::EC2::RouteTable", {"VpcId": ref("Vpc"), "Tags": _name(f"{name}-{n}")}
            ),
        }
        if gateways:
            resources[f"Route{n}"] = Resource(
                "AWS::EC2::Route",
                {
                    "RouteTableId": ref(f"Routes{n}"),
                    "DestinationCidrBlock": ANYWHERE,
                    "NatGatewayId": ref(f"Nat{min(n, gateways)}"),
                },
            )
        resources[f"PrivateRoutes{n}"] = _association(f"Private{n}", f"Routes{n}")
    return resources | {
        # The image's layers come from S3; through this endpoint they cost no NAT traffic.
        S3_ENDPOINT: Resource(
            "AWS::EC2::VPCEndpoint",
            {
                "VpcId": ref("Vpc"),
                "VpcEndpointType": "Gateway",
                "ServiceName": _service(endpoints.S3),
                "RouteTableIds": [ref("Routes1"), ref("Routes2")],
            },
        ),
        "SecurityGroup": Resource(
            "AWS::EC2::SecurityGroup",
            {
                # EC2 replaces a group whose description changes, so this one stays as it is.
                "GroupDescription": f"What agents of {name} may reach",
                "VpcId": ref("Vpc"),
                "SecurityGroupEgress": [_ports(ports) | {"CidrIp": ANYWHERE} for ports in egress],
                "Tags": _name(name),
            },
        ),
    }


def _endpoint_part(name: str, deployment: Deployment) -> dict[str, Resource]:
    """Return the interface endpoints in both private subnets, and their security group."""
    ports = [each for each in required_egress(deployment) if each.protocol == "tcp"]
    resources = {
        "EndpointGroup": Resource(
            "AWS::EC2::SecurityGroup",
            {
                "GroupDescription": f"Who may call the endpoints of {name}",
                "VpcId": ref("Vpc"),
                "SecurityGroupIngress": [
                    _ports(each) | {"SourceSecurityGroupId": get_att("SecurityGroup", "GroupId")}
                    for each in ports
                ],
                "Tags": _name(name),
            },
        )
    }
    for endpoint in required_endpoints(deployment):
        words = endpoint.replace(".", "-").split("-")
        resources["Endpoint" + "".join(word.capitalize() for word in words)] = Resource(
            "AWS::EC2::VPCEndpoint",
            {
                "VpcId": ref("Vpc"),
                "VpcEndpointType": "Interface",
                "ServiceName": _service(endpoint),
                "SubnetIds": [ref("Private1"), ref("Private2")],
                "SecurityGroupIds": [get_att("EndpointGroup", "GroupId")],
                # So that the service's usual name leads to the endpoint.
                "PrivateDnsEnabled": True,
                "Tags": _name(f"{name}-{endpoint}"),
            },
        )
    return resources


def _service(endpoint: str) -> Json:
    return sub(endpoints.service_name("${AWS::Region}", endpoint))


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


def _ports(ports: Egress) -> Json:
    return {
        "Description": str(ports),
        "IpProtocol": ports.protocol,
        "FromPort": ports.first,
        "ToPort": ports.last,
    }


def _name(name: str) -> list[Json]:
    return [{"Key": "Name", "Value": name}]
