"""The resource types of EC2."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.standins.aws.cloudformation.types.base import (
    Context,
    Failed,
    Properties,
    ResourceType,
    do_nothing,
    is_true,
    json_text,
    tag_pairs,
)


def _ec2_tags(kind: str, c: Context) -> list[dict[str, Any]]:
    return [{"ResourceType": kind, "Tags": c.pairs()}] if c.tags else []


def _ec2_retag(c: Context, physical: str, tags: dict[str, str], gone: list[str]) -> None:
    ec2 = c.client("ec2")
    if gone:
        ec2.delete_tags(Resources=[physical], Tags=[{"Key": key} for key in gone])
    if tags:
        ec2.create_tags(Resources=[physical], Tags=tag_pairs(tags))


def _vpc(c: Context, p: Properties) -> str:
    made = c.client("ec2").create_vpc(
        CidrBlock=p["CidrBlock"], TagSpecifications=_ec2_tags("vpc", c)
    )
    _vpc_update(c, made["Vpc"]["VpcId"], {}, p)
    return made["Vpc"]["VpcId"]


def _vpc_update(c: Context, physical: str, old: Properties, p: Properties) -> None:
    for name in ("EnableDnsSupport", "EnableDnsHostnames"):
        if name in p and old.get(name) != p[name]:
            value = {name: {"Value": is_true(p[name])}}
            c.client("ec2").modify_vpc_attribute(VpcId=physical, **value)


def _vpc_attributes(c: Context, physical: str) -> dict[str, Any]:
    ec2 = c.client("ec2")
    vpc = ec2.describe_vpcs(VpcIds=[physical])["Vpcs"][0]
    mine = [{"Name": "vpc-id", "Values": [physical]}]
    groups = ec2.describe_security_groups(
        Filters=[*mine, {"Name": "group-name", "Values": ["default"]}]
    )["SecurityGroups"]
    return {
        "VpcId": physical,
        "CidrBlock": vpc["CidrBlock"],
        "DefaultSecurityGroup": groups[0]["GroupId"] if groups else "",
    }


def _subnet(c: Context, p: Properties) -> str:
    chosen = {
        k: p[k] for k in ("VpcId", "CidrBlock", "AvailabilityZone", "AvailabilityZoneId") if k in p
    }
    ec2 = c.client("ec2")
    made = ec2.create_subnet(**chosen, TagSpecifications=_ec2_tags("subnet", c))["Subnet"]
    _subnet_update(c, made["SubnetId"], {}, p)
    return made["SubnetId"]


def _subnet_update(c: Context, physical: str, old: Properties, p: Properties) -> None:
    if "MapPublicIpOnLaunch" in p:
        c.client("ec2").modify_subnet_attribute(
            SubnetId=physical, MapPublicIpOnLaunch={"Value": is_true(p["MapPublicIpOnLaunch"])}
        )


def _subnet_attributes(c: Context, physical: str) -> dict[str, Any]:
    subnet = c.client("ec2").describe_subnets(SubnetIds=[physical])["Subnets"][0]
    names = ("SubnetId", "VpcId", "CidrBlock", "AvailabilityZone", "AvailabilityZoneId")
    return {name: subnet[name] for name in names}


def _gateway(c: Context, p: Properties) -> str:
    made = c.client("ec2").create_internet_gateway(
        TagSpecifications=_ec2_tags("internet-gateway", c)
    )
    return made["InternetGateway"]["InternetGatewayId"]


def _gateway_attributes(c: Context, physical: str) -> dict[str, Any]:
    c.client("ec2").describe_internet_gateways(InternetGatewayIds=[physical])
    return {"InternetGatewayId": physical}


def _attachment(c: Context, p: Properties) -> str:
    c.client("ec2").attach_internet_gateway(
        InternetGatewayId=p["InternetGatewayId"], VpcId=p["VpcId"]
    )
    return f"IGW|{p['VpcId']}"


def _detach(c: Context, physical: str, p: Properties) -> None:
    c.client("ec2").detach_internet_gateway(
        InternetGatewayId=p["InternetGatewayId"], VpcId=p["VpcId"]
    )


def _eip(c: Context, p: Properties) -> str:
    made = c.client("ec2").allocate_address(
        Domain="vpc", TagSpecifications=_ec2_tags("elastic-ip", c)
    )
    return made["PublicIp"]


def _eip_attributes(c: Context, physical: str) -> dict[str, Any]:
    found = c.client("ec2").describe_addresses(PublicIps=[physical])["Addresses"][0]
    return {"AllocationId": found["AllocationId"], "PublicIp": physical}


def _eip_delete(c: Context, physical: str, p: Properties) -> None:
    allocation = _eip_attributes(c, physical)["AllocationId"]
    c.client("ec2").release_address(AllocationId=allocation)


def _eip_retag(c: Context, physical: str, tags: dict[str, str], gone: list[str]) -> None:
    _ec2_retag(c, _eip_attributes(c, physical)["AllocationId"], tags, gone)


def _nat(c: Context, p: Properties) -> str:
    chosen = {k: p[k] for k in ("SubnetId", "AllocationId", "ConnectivityType") if k in p}
    made = c.client("ec2").create_nat_gateway(
        **chosen, TagSpecifications=_ec2_tags("natgateway", c)
    )
    return made["NatGateway"]["NatGatewayId"]


def _nat_found(c: Context, physical: str) -> dict[str, Any]:
    return c.client("ec2").describe_nat_gateways(NatGatewayIds=[physical])["NatGateways"][0]


def _nat_settled(c: Context, physical: str) -> bool:
    found = _nat_found(c, physical)
    if found["State"] == "failed":
        raise Failed(found.get("FailureMessage", "NatGateway failed"))
    return found["State"] == "available"


def _nat_gone(c: Context, physical: str) -> bool:
    return _nat_found(c, physical)["State"] == "deleted"


def _nat_attributes(c: Context, physical: str) -> dict[str, Any]:
    found = _nat_found(c, physical)
    if found["State"] == "deleted":
        raise Failed(f"NatGateway {physical} was not found")
    return {"NatGatewayId": physical, "SubnetId": found["SubnetId"], "VpcId": found["VpcId"]}


def _table(c: Context, p: Properties) -> str:
    made = c.client("ec2").create_route_table(
        VpcId=p["VpcId"], TagSpecifications=_ec2_tags("route-table", c)
    )
    return made["RouteTable"]["RouteTableId"]


def _table_attributes(c: Context, physical: str) -> dict[str, Any]:
    c.client("ec2").describe_route_tables(RouteTableIds=[physical])
    return {"RouteTableId": physical}


def _route(c: Context, p: Properties) -> str:
    c.client("ec2").create_route(**p)
    return f"{p['RouteTableId']}|{p['DestinationCidrBlock']}"


def _route_update(c: Context, physical: str, old: Properties, p: Properties) -> None:
    c.client("ec2").replace_route(**p)


def _route_delete(c: Context, physical: str, p: Properties) -> None:
    table, _, block = physical.partition("|")
    c.client("ec2").delete_route(RouteTableId=table, DestinationCidrBlock=block)


def _route_attributes(c: Context, physical: str) -> dict[str, Any]:
    table, _, block = physical.partition("|")
    found = c.client("ec2").describe_route_tables(RouteTableIds=[table])["RouteTables"][0]
    if block not in [route.get("DestinationCidrBlock") for route in found["Routes"]]:
        raise Failed(f"no route with destination-cidr-block {block} in route table {table}")
    return {"CidrBlock": block}


def _association(c: Context, p: Properties) -> str:
    made = c.client("ec2").associate_route_table(
        RouteTableId=p["RouteTableId"], SubnetId=p["SubnetId"]
    )
    return made["AssociationId"]


def _association_attributes(c: Context, physical: str) -> dict[str, Any]:
    asked = [{"Name": "association.route-table-association-id", "Values": [physical]}]
    if not c.client("ec2").describe_route_tables(Filters=asked)["RouteTables"]:
        raise Failed(f"The association ID '{physical}' does not exist")
    return {"Id": physical}


def _group(c: Context, p: Properties) -> str:
    ec2 = c.client("ec2")
    made = ec2.create_security_group(
        GroupName=p.get("GroupName") or c.name(255),
        Description=p["GroupDescription"],
        **({"VpcId": p["VpcId"]} if "VpcId" in p else {}),
        TagSpecifications=_ec2_tags("security-group", c),
    )
    _group_update(c, made["GroupId"], {}, p)
    return made["GroupId"]


def _group_update(c: Context, physical: str, old: Properties, p: Properties) -> None:
    ec2 = c.client("ec2")
    found = ec2.describe_security_groups(GroupIds=[physical])["SecurityGroups"][0]
    sides = (
        ("SecurityGroupEgress", "IpPermissionsEgress", "egress"),
        ("SecurityGroupIngress", "IpPermissions", "ingress"),
    )
    for name, current, side in sides:
        # An explicit egress list replaces the default rule that allows everything.
        if p.get(name) == old.get(name):
            continue
        if found[current]:
            getattr(ec2, f"revoke_security_group_{side}")(
                GroupId=physical, IpPermissions=found[current]
            )
        rules = [_rule(each) for each in p.get(name, [])]
        if rules:
            getattr(ec2, f"authorize_security_group_{side}")(GroupId=physical, IpPermissions=rules)


def _rule(p: Properties) -> dict[str, Any]:
    rule: dict[str, Any] = {"IpProtocol": str(p["IpProtocol"])}
    for name in ("FromPort", "ToPort"):
        if name in p:
            rule[name] = int(p[name])
    note = {"Description": p["Description"]} if "Description" in p else {}
    if "CidrIp" in p:
        rule["IpRanges"] = [{"CidrIp": p["CidrIp"], **note}]
    if "CidrIpv6" in p:
        rule["Ipv6Ranges"] = [{"CidrIpv6": p["CidrIpv6"], **note}]
    for name in ("SourceSecurityGroupId", "DestinationSecurityGroupId"):
        if name in p:
            rule["UserIdGroupPairs"] = [{"GroupId": p[name], **note}]
    for name in ("SourcePrefixListId", "DestinationPrefixListId"):
        if name in p:
            rule["PrefixListIds"] = [{"PrefixListId": p[name], **note}]
    return rule


def _group_attributes(c: Context, physical: str) -> dict[str, Any]:
    found = c.client("ec2").describe_security_groups(GroupIds=[physical])["SecurityGroups"][0]
    return {"GroupId": physical, "VpcId": found.get("VpcId", ""), "Id": physical}


def _vpc_endpoint(c: Context, p: Properties) -> str:
    names = ("VpcId", "ServiceName", "VpcEndpointType", "RouteTableIds", "SubnetIds",
             "SecurityGroupIds", "PrivateDnsEnabled")  # fmt: skip
    chosen = {name: p[name] for name in names if name in p}
    if "PolicyDocument" in p:
        chosen["PolicyDocument"] = json_text(p["PolicyDocument"])
    made = c.client("ec2").create_vpc_endpoint(
        **chosen, TagSpecifications=_ec2_tags("vpc-endpoint", c)
    )
    return made["VpcEndpoint"]["VpcEndpointId"]


def _vpc_endpoint_attributes(c: Context, physical: str) -> dict[str, Any]:
    found = c.client("ec2").describe_vpc_endpoints(VpcEndpointIds=[physical])["VpcEndpoints"]
    if not found or found[0]["State"] == "deleted":
        raise Failed(f"The vpc endpoint ID '{physical}' does not exist")
    return {"Id": physical}


def _deleting(operation: str, name: str) -> Callable[[Context, str, Properties], None]:
    def delete(c: Context, physical: str, p: Properties) -> None:
        getattr(c.client("ec2"), operation)(**{name: physical})

    return delete


def _vpc_endpoint_delete(c: Context, physical: str, p: Properties) -> None:
    c.client("ec2").delete_vpc_endpoints(VpcEndpointIds=[physical])


def _detached(c: Context, physical: str) -> dict[str, Any]:
    return {"AttachmentType": "IGW"}


def _disassociate(c: Context, physical: str, p: Properties) -> None:
    c.client("ec2").disassociate_route_table(AssociationId=physical)


_BUSY = ("DependencyViolation", "InvalidGroup.InUse")
RESOURCE_TYPES: dict[str, ResourceType] = {
    "AWS::EC2::VPC": ResourceType(
        _vpc, _deleting("delete_vpc", "VpcId"), _vpc_attributes, _vpc_update,
        retag=_ec2_retag, in_use=_BUSY,
    ),
    "AWS::EC2::Subnet": ResourceType(
        _subnet, _deleting("delete_subnet", "SubnetId"), _subnet_attributes, _subnet_update,
        retag=_ec2_retag, in_use=_BUSY,
    ),
    "AWS::EC2::InternetGateway": ResourceType(
        _gateway, _deleting("delete_internet_gateway", "InternetGatewayId"), _gateway_attributes,
        do_nothing, retag=_ec2_retag,
    ),
    "AWS::EC2::VPCGatewayAttachment": ResourceType(_attachment, _detach, _detached, in_use=_BUSY),
    "AWS::EC2::EIP": ResourceType(_eip, _eip_delete, _eip_attributes, do_nothing, retag=_eip_retag),
    "AWS::EC2::NatGateway": ResourceType(
        _nat, _deleting("delete_nat_gateway", "NatGatewayId"), _nat_attributes, do_nothing,
        _nat_settled, _nat_gone, _ec2_retag,
    ),
    "AWS::EC2::RouteTable": ResourceType(
        _table, _deleting("delete_route_table", "RouteTableId"), _table_attributes, do_nothing,
        retag=_ec2_retag,
    ),
    "AWS::EC2::Route": ResourceType(_route, _route_delete, _route_attributes, _route_update),
    "AWS::EC2::SubnetRouteTableAssociation": ResourceType(
        _association, _disassociate, _association_attributes
    ),
    "AWS::EC2::SecurityGroup": ResourceType(
        _group, _deleting("delete_security_group", "GroupId"), _group_attributes, _group_update,
        retag=_ec2_retag, named_by="GroupName", in_use=_BUSY,
    ),
    "AWS::EC2::VPCEndpoint": ResourceType(
        _vpc_endpoint, _vpc_endpoint_delete, _vpc_endpoint_attributes, do_nothing, retag=_ec2_retag
    ),
}  # fmt: skip
