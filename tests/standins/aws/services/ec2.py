"""Owns what moto's EC2 lacks: NAT gateways that take time, quotas, resources in use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.backends import get_backend

from tests.standins.aws.cloud import Call, Cloud
from tests.standins.aws.services import quotas, vpc_endpoints
from tests.standins.aws.services.agentcore.lifecycle import update_all_states
from tests.standins.aws.timed_state import TimedState, timed_state
from tests.standins.models.refusal import Refused

_DESCRIBED_SECONDS = 3600.0  # for which a deleted NAT gateway is still described


def _backend(call: Call) -> Any:
    return get_backend("ec2")[call.account][call.region]


def _in_use(message: str, code: str = "DependencyViolation") -> Refused:
    return Refused(code, message, 400)


def _limited(
    service: str, quota: str, count: Callable[[Any], int], code: str, message: str
) -> Callable[[Cloud, Call], dict[str, Any]]:
    """Return a handler that enforces a quota."""

    def create(cloud: Cloud, call: Call) -> dict[str, Any]:
        limit = quotas.value(cloud, call.account, call.region, service, quota)
        if count(_backend(call)) >= limit:
            raise Refused(code, message, 400)
        return call.moto()

    return create


# ---- NAT gateways


def _gateways(cloud: Cloud) -> dict[str, TimedState]:
    return cloud.setdefault(dict, "nat gateways")


def create_nat_gateway(cloud: Cloud, call: Call) -> dict[str, Any]:
    backend, p = _backend(call), call.params
    subnet = backend.get_subnet(p["SubnetId"])
    limit = quotas.value(cloud, call.account, call.region, "vpc", "L-FE5A380F")
    zone = subnet.availability_zone
    existing = [
        g for g in backend.nat_gateways.values()
        if g.state in ("available", "pending")
        and backend.get_subnet(g.subnet_id).availability_zone == zone
    ]  # fmt: skip
    if len(existing) >= limit:
        message = f"The maximum number of NAT gateways in {zone} has been reached."
        raise Refused("NatGatewayLimitExceeded", message, 400)
    reason = None
    if not any(g.vpc and g.vpc.id == subnet.vpc_id for g in backend.internet_gateways.values()):
        reason = f"Gateway.NotAttached: Network {subnet.vpc_id} has no Internet gateway attached"
    elif "AllocationId" in p:
        address = backend.address_by_allocation([p["AllocationId"]])[0]
        if address.association_id or address.eni:
            id = p["AllocationId"]
            reason = f"Resource.AlreadyAssociated: Elastic IP address [{id}] is already associated"
    answer = call.moto()
    id = answer["NatGateway"]["NatGatewayId"]
    end = "failed" if reason else "available"
    state = timed_state(cloud.clock, "pending", end, cloud.durations.nat_gateway, reason)
    _gateways(cloud)[id] = state
    answer["NatGateway"]["State"] = "pending"
    backend.nat_gateways[id].state = "pending"
    return answer


def describe_nat_gateways(cloud: Cloud, call: Call) -> dict[str, Any]:
    _update_gateways(cloud, call)
    answer = call.moto()
    for gateway in answer["NatGateways"]:
        state = _gateways(cloud).get(gateway["NatGatewayId"])
        if state and state.reason and gateway["State"] == "failed":
            code, _, message = state.reason.partition(": ")
            gateway |= {"FailureCode": code, "FailureMessage": message}
    wanted = call.params.get("NatGatewayIds", [])
    described = {gateway["NatGatewayId"] for gateway in answer["NatGateways"]}
    if missing := [id for id in wanted if id not in described and not call.params.get("Filter")]:
        raise Refused("NatGatewayNotFound", f"NatGateway {missing[0]} was not found", 400)
    return answer


def delete_nat_gateway(cloud: Cloud, call: Call) -> dict[str, Any]:
    _update_gateways(cloud, call)
    backend, id = _backend(call), call.params["NatGatewayId"]
    gateway = backend.nat_gateways.get(id)
    if gateway is None:
        raise Refused("NatGatewayNotFound", f"The Nat Gateway {id} was not found", 400)
    if gateway.state not in ("deleting", "deleted"):
        gateway.state = "deleting"
        _gateways(cloud)[id].change(
            cloud.clock, "deleting", "deleted", cloud.durations.nat_gateway_deletion
        )
    _update_gateways(cloud, call)
    return {"NatGatewayId": id}


def _update_gateways(cloud: Cloud, call: Call) -> None:
    backend = _backend(call)
    for id, state in list(_gateways(cloud).items()):
        gateway = backend.nat_gateways.get(id)
        if gateway is None:
            continue
        before, gateway.state = gateway.state, state.now(cloud.clock)
        if gateway.state in ("deleted", "failed") and before != gateway.state:
            _release(backend, gateway)
        if gateway.state == "deleted" and cloud.clock.seconds() > state.until + _DESCRIBED_SECONDS:
            del backend.nat_gateways[id], _gateways(cloud)[id]


def _release(backend: Any, gateway: Any) -> None:
    """Release the gateway's network interface and address."""
    for address in backend.addresses:
        if address.eni is gateway._eni:
            address.eni = address.association_id = None
    if gateway._eni.id in backend.enis:
        del backend.enis[gateway._eni.id]


def describe_route_tables(cloud: Cloud, call: Call) -> dict[str, Any]:
    """Return moto's answer, with routes to deleted NAT gateways as blackholes."""
    _update_gateways(cloud, call)
    answer, gateways = call.moto(), _backend(call).nat_gateways
    for route in (route for table in answer["RouteTables"] for route in table["Routes"]):
        if id := route.get("NatGatewayId"):
            gone = id not in gateways or gateways[id].state in ("deleting", "deleted", "failed")
            route["State"] = "blackhole" if gone else "active"
    return answer


# ---- resources in use


def delete_subnet(cloud: Cloud, call: Call) -> dict[str, Any]:
    _update_states(cloud, call)
    id = call.params["SubnetId"]
    if any(eni.subnet.id == id for eni in _backend(call).enis.values()):
        raise _in_use(f"The subnet '{id}' has dependencies and cannot be deleted.")
    return call.moto()


def delete_security_group(cloud: Cloud, call: Call) -> dict[str, Any]:
    _update_states(cloud, call)
    id = str(call.params.get("GroupId"))
    backend = _backend(call)
    used = any(id in [g.id for g in eni.group_set] for eni in backend.enis.values())
    if used or vpc_endpoints.of_group(backend, id):
        raise _in_use(f"resource {id} has a dependent object")
    return call.moto()


def delete_vpc(cloud: Cloud, call: Call) -> dict[str, Any]:
    _update_states(cloud, call)
    backend, id = _backend(call), call.params["VpcId"]
    groups = backend.groups.get(id, {}).values()
    if (
        any(g.vpc and g.vpc.id == id for g in backend.internet_gateways.values())
        or any(g.name != "default" for g in groups)
        or any(e.vpc_id == id and e.state != "deleted" for e in backend.vpc_end_points.values())
    ):
        raise _in_use(f"The vpc '{id}' has dependencies and cannot be deleted.")
    return call.moto()


def detach_gateway(cloud: Cloud, call: Call) -> dict[str, Any]:
    _update_states(cloud, call)
    backend, id = _backend(call), call.params["VpcId"]
    if any(a.eni is not None and a.eni.subnet.vpc_id == id for a in backend.addresses):
        raise _in_use(
            f"Network {id} has some mapped public address(es). Please unmap those public "
            "address(es) before detaching the gateway."
        )
    return call.moto()


def release_address(cloud: Cloud, call: Call) -> dict[str, Any]:
    _update_states(cloud, call)
    for address in _backend(call).addresses:
        given = (address.allocation_id, address.public_ip)
        wanted = call.params.get("AllocationId") or call.params.get("PublicIp")
        if wanted in given and address.eni is not None:
            message = f"Address {address.public_ip} is in use."
            raise _in_use(message, "InvalidIPAddress.InUse")
    return call.moto()


def _update_states(cloud: Cloud, call: Call) -> None:
    if call.by != "bedrock-agentcore":
        update_all_states(cloud)
    _update_gateways(cloud, call)


# ---- network interfaces


def create_interface(cloud: Cloud, call: Call) -> dict[str, Any]:
    answer = call.moto()
    if call.by == "bedrock-agentcore":
        eni = _backend(call).enis[answer["NetworkInterface"]["NetworkInterfaceId"]]
        eni.interface_type, eni.status, eni.requester_managed = "agentic_ai", "in-use", True
    return answer


def describe_interfaces(cloud: Cloud, call: Call) -> dict[str, Any]:
    _update_states(cloud, call)
    answer = call.moto()
    for eni in answer["NetworkInterfaces"]:
        if eni["InterfaceType"] == "agentic_ai":
            number = eni["NetworkInterfaceId"].removeprefix("eni-")
            eni["Attachment"] = {
                "AttachmentId": f"ela-attach-{number}",
                "DeleteOnTermination": False,
                "DeviceIndex": 1,
                "InstanceOwnerId": "amazon-aws",
                "Status": "attached",
            }
    return answer


def delete_interface(cloud: Cloud, call: Call) -> dict[str, Any]:
    eni = _backend(call).enis.get(call.params["NetworkInterfaceId"])
    if eni and call.by != "bedrock-agentcore" and eni.interface_type == "agentic_ai":
        message = f"Network interface '{eni.id}' is currently in use."
        raise _in_use(message, "InvalidParameterValue")
    return call.moto()


def detach_interface(cloud: Cloud, call: Call) -> dict[str, Any]:
    if call.params["AttachmentId"].startswith("ela-attach-"):
        message = "You are not allowed to manage 'ela-attach' attachments."
        raise Refused("OperationNotPermitted", message, 400)
    return call.moto()


HANDLERS = {
    ("ec2", name): handler
    for name, handler in {
        "CreateVpc": _limited(
            "vpc", "L-F678F1CE", lambda b: len(b.vpcs), "VpcLimitExceeded",
            "The maximum number of VPCs has been reached.",
        ),
        "AllocateAddress": _limited(
            "ec2", "L-0263D0A3", lambda b: len(b.addresses), "AddressLimitExceeded",
            "The maximum number of addresses has been reached.",
        ),
        "CreateInternetGateway": _limited(
            "vpc", "L-A4707A72", lambda b: len(b.internet_gateways),
            "InternetGatewayLimitExceeded",
            "The maximum number of internet gateways has been reached.",
        ),
        "CreateNatGateway": create_nat_gateway,
        "DescribeNatGateways": describe_nat_gateways,
        "DeleteNatGateway": delete_nat_gateway,
        "DescribeRouteTables": describe_route_tables,
        "DeleteSubnet": delete_subnet,
        "DeleteSecurityGroup": delete_security_group,
        "DeleteVpc": delete_vpc,
        "DetachInternetGateway": detach_gateway,
        "ReleaseAddress": release_address,
        "CreateNetworkInterface": create_interface,
        "DescribeNetworkInterfaces": describe_interfaces,
        "DeleteNetworkInterface": delete_interface,
        "DetachNetworkInterface": detach_interface,
    }.items()
}  # fmt: skip
