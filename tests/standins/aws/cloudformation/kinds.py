"""The resource types: how CloudFormation makes, changes, reads and deletes each of them.

Everything is done by calls to the services, as the caller; a new type is one more record.
"""

from __future__ import annotations

import json
import secrets
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from tests.standins.aws.cloudformation import serverless
from tests.standins.aws.wire import new_request_id
from tests.standins.aws.world import Caller, World

Properties = Mapping[str, Any]


class Failed(Exception):
    """A resource that could not be made, changed or deleted; the message is the event's reason."""


@dataclass
class Context:
    """Where, and on whose behalf, something is done to a resource."""

    world: World
    region: str
    caller: Caller
    stack: str
    logical: str
    tags: dict[str, str] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        return self.world.client(service, self.region, self.caller, "cloudformation")

    def name(self, limit: int = 64) -> str:
        """A name as CloudFormation makes them."""
        letters = string.ascii_uppercase + string.digits
        end = "".join(secrets.choice(letters) for _ in range(12))
        return f"{self.stack}-{self.logical}"[: limit - 13] + f"-{end}"

    def pairs(self) -> list[dict[str, str]]:
        return _pairs(self.tags)


def _pairs(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _nothing(*_: Any) -> None:
    return None


def _true(*_: Any) -> bool:
    return True


@dataclass(frozen=True)
class Kind:
    """One resource type.

    `create` gives the physical id. `settled` and `gone` say whether it is done, and raise Failed
    if it never will be. `attributes` is what GetAtt reads; it raises ClientError or Failed when
    the resource is no more. `update` is None for what cannot be changed in place.
    """

    create: Callable[[Context, Properties], str]
    delete: Callable[[Context, str, Properties], None]
    attributes: Callable[[Context, str], dict[str, Any]]
    update: Callable[[Context, str, Properties, Properties], None] | None = None
    settled: Callable[[Context, str], bool] = _true
    gone: Callable[[Context, str], bool] = _true
    retag: Callable[[Context, str, dict[str, str], list[str]], None] = _nothing
    named_by: str | None = None
    in_use: tuple[str, ...] = ()  # errors of `delete` that CloudFormation waits out


def _yes(value: Any) -> bool:
    return value is True or value == "true"


# EC2


def _ec2_tags(kind: str, c: Context) -> list[dict[str, Any]]:
    return [{"ResourceType": kind, "Tags": c.pairs()}] if c.tags else []


def _ec2_retag(c: Context, physical: str, tags: dict[str, str], gone: list[str]) -> None:
    ec2 = c.client("ec2")
    if gone:
        ec2.delete_tags(Resources=[physical], Tags=[{"Key": key} for key in gone])
    if tags:
        ec2.create_tags(Resources=[physical], Tags=_pairs(tags))


def _vpc(c: Context, p: Properties) -> str:
    made = c.client("ec2").create_vpc(
        CidrBlock=p["CidrBlock"], TagSpecifications=_ec2_tags("vpc", c)
    )
    _vpc_update(c, made["Vpc"]["VpcId"], {}, p)
    return made["Vpc"]["VpcId"]


def _vpc_update(c: Context, physical: str, old: Properties, p: Properties) -> None:
    for name in ("EnableDnsSupport", "EnableDnsHostnames"):
        if name in p and old.get(name) != p[name]:
            value = {name: {"Value": _yes(p[name])}}
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
            SubnetId=physical, MapPublicIpOnLaunch={"Value": _yes(p["MapPublicIpOnLaunch"])}
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
        # An egress list of one's own takes the place of the rule that allows all.
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
        chosen["PolicyDocument"] = _text(p["PolicyDocument"])
    made = c.client("ec2").create_vpc_endpoint(
        **chosen, TagSpecifications=_ec2_tags("vpc-endpoint", c)
    )
    return made["VpcEndpoint"]["VpcEndpointId"]


def _vpc_endpoint_attributes(c: Context, physical: str) -> dict[str, Any]:
    found = c.client("ec2").describe_vpc_endpoints(VpcEndpointIds=[physical])["VpcEndpoints"]
    if not found or found[0]["State"] == "deleted":
        raise Failed(f"The vpc endpoint ID '{physical}' does not exist")
    return {"Id": physical}


def _text(document: Any) -> str:
    return document if isinstance(document, str) else json.dumps(document)


# IAM


def _role(c: Context, p: Properties) -> str:
    name = p.get("RoleName") or c.name()
    chosen = {k: p[k] for k in ("Path", "Description", "PermissionsBoundary") if k in p}
    if "MaxSessionDuration" in p:
        chosen["MaxSessionDuration"] = int(p["MaxSessionDuration"])
    c.client("iam").create_role(
        RoleName=name,
        AssumeRolePolicyDocument=_text(p["AssumeRolePolicyDocument"]),
        Tags=c.pairs(),
        **chosen,
    )
    _role_policies(c, name, {}, p)
    return name


def _role_policies(c: Context, name: str, old: Properties, p: Properties) -> None:
    iam = c.client("iam")
    before = {each["PolicyName"]: each for each in old.get("Policies", [])}
    after = {each["PolicyName"]: each for each in p.get("Policies", [])}
    for policy in before.keys() - after.keys():
        iam.delete_role_policy(RoleName=name, PolicyName=policy)
    for policy, each in after.items():
        if before.get(policy) != each:
            iam.put_role_policy(
                RoleName=name, PolicyName=policy, PolicyDocument=_text(each["PolicyDocument"])
            )
    had, has = set(old.get("ManagedPolicyArns", [])), set(p.get("ManagedPolicyArns", []))
    for arn in had - has:
        iam.detach_role_policy(RoleName=name, PolicyArn=arn)
    for arn in has - had:
        iam.attach_role_policy(RoleName=name, PolicyArn=arn)


def _role_update(c: Context, physical: str, old: Properties, p: Properties) -> None:
    iam = c.client("iam")
    if old["AssumeRolePolicyDocument"] != p["AssumeRolePolicyDocument"]:
        iam.update_assume_role_policy(
            RoleName=physical, PolicyDocument=_text(p["AssumeRolePolicyDocument"])
        )
    if old.get("Description") != p.get("Description"):
        iam.update_role(RoleName=physical, Description=p.get("Description", ""))
    _role_policies(c, physical, old, p)


def _role_delete(c: Context, physical: str, p: Properties) -> None:
    iam = c.client("iam")
    for policy in iam.list_role_policies(RoleName=physical)["PolicyNames"]:
        iam.delete_role_policy(RoleName=physical, PolicyName=policy)
    for each in iam.list_attached_role_policies(RoleName=physical)["AttachedPolicies"]:
        iam.detach_role_policy(RoleName=physical, PolicyArn=each["PolicyArn"])
    iam.delete_role(RoleName=physical)


def _role_attributes(c: Context, physical: str) -> dict[str, Any]:
    role = c.client("iam").get_role(RoleName=physical)["Role"]
    return {"Arn": role["Arn"], "RoleId": role["RoleId"]}


def _role_settled(c: Context, physical: str) -> bool:
    arn = _role_attributes(c, physical)["Arn"]
    made = c.world.of(dict, "roles").get(arn, 0.0)
    return c.world.clock.seconds() >= made + c.world.durations.role_propagation


def _role_retag(c: Context, physical: str, tags: dict[str, str], gone: list[str]) -> None:
    iam = c.client("iam")
    if gone:
        iam.untag_role(RoleName=physical, TagKeys=gone)
    if tags:
        iam.tag_role(RoleName=physical, Tags=_pairs(tags))


# ECR


def _repository(c: Context, p: Properties) -> str:
    name = p.get("RepositoryName") or c.name(256).lower()
    chosen: dict[str, Any] = {}
    if "ImageScanningConfiguration" in p:
        on = _yes(p["ImageScanningConfiguration"].get("ScanOnPush", False))
        chosen["imageScanningConfiguration"] = {"scanOnPush": on}
    if "ImageTagMutability" in p:
        chosen["imageTagMutability"] = p["ImageTagMutability"]
    if "EncryptionConfiguration" in p:
        given = p["EncryptionConfiguration"]
        chosen["encryptionConfiguration"] = {"encryptionType": given["EncryptionType"]} | (
            {"kmsKey": given["KmsKey"]} if "KmsKey" in given else {}
        )
    c.client("ecr").create_repository(repositoryName=name, tags=c.pairs(), **chosen)
    _repository_policies(c, name, {}, p)
    return name


def _repository_policies(c: Context, name: str, old: Properties, p: Properties) -> None:
    ecr = c.client("ecr")
    lifecycle = p.get("LifecyclePolicy", {}).get("LifecyclePolicyText")
    if lifecycle is not None:
        ecr.put_lifecycle_policy(repositoryName=name, lifecyclePolicyText=_text(lifecycle))
    elif old.get("LifecyclePolicy"):
        ecr.delete_lifecycle_policy(repositoryName=name)
    if "RepositoryPolicyText" in p:
        ecr.set_repository_policy(repositoryName=name, policyText=_text(p["RepositoryPolicyText"]))


def _repository_update(c: Context, physical: str, old: Properties, p: Properties) -> None:
    ecr = c.client("ecr")
    scanning = p.get("ImageScanningConfiguration", {}).get("ScanOnPush", False)
    ecr.put_image_scanning_configuration(
        repositoryName=physical, imageScanningConfiguration={"scanOnPush": _yes(scanning)}
    )
    if old.get("ImageTagMutability") != p.get("ImageTagMutability"):
        ecr.put_image_tag_mutability(
            repositoryName=physical, imageTagMutability=p.get("ImageTagMutability", "MUTABLE")
        )
    _repository_policies(c, physical, old, p)


def _repository_delete(c: Context, physical: str, p: Properties) -> None:
    force = _yes(p.get("EmptyOnDelete", False))
    c.client("ecr").delete_repository(repositoryName=physical, force=force)


def _repository_attributes(c: Context, physical: str) -> dict[str, Any]:
    ecr = c.client("ecr")
    found = ecr.describe_repositories(repositoryNames=[physical])["repositories"][0]
    return {"Arn": found["repositoryArn"], "RepositoryUri": found["repositoryUri"]}


def _repository_retag(c: Context, physical: str, tags: dict[str, str], gone: list[str]) -> None:
    ecr, arn = c.client("ecr"), _repository_attributes(c, physical)["Arn"]
    if gone:
        ecr.untag_resource(resourceArn=arn, tagKeys=gone)
    if tags:
        ecr.tag_resource(resourceArn=arn, tags=_pairs(tags))


# CloudWatch Logs


def _log_group(c: Context, p: Properties) -> str:
    name = p.get("LogGroupName") or c.name(512)
    logs = c.client("logs")
    logs.create_log_group(logGroupName=name, **({"tags": c.tags} if c.tags else {}))
    _log_group_update(c, name, {}, p)
    return name


def _log_group_update(c: Context, physical: str, old: Properties, p: Properties) -> None:
    logs = c.client("logs")
    if "RetentionInDays" in p:
        days = int(p["RetentionInDays"])
        logs.put_retention_policy(logGroupName=physical, retentionInDays=days)
    elif "RetentionInDays" in old:
        logs.delete_retention_policy(logGroupName=physical)


def _log_group_attributes(c: Context, physical: str) -> dict[str, Any]:
    found = c.client("logs").describe_log_groups(logGroupNamePrefix=physical)["logGroups"]
    for group in found:
        if group["logGroupName"] == physical:
            return {"Arn": group["arn"]}
    raise Failed("The specified log group does not exist.")


def _log_group_retag(c: Context, physical: str, tags: dict[str, str], gone: list[str]) -> None:
    logs, arn = c.client("logs"), _log_group_attributes(c, physical)["Arn"].removesuffix(":*")
    if gone:
        logs.untag_resource(resourceArn=arn, tagKeys=gone)
    if tags:
        logs.tag_resource(resourceArn=arn, tags=tags)


# Secrets Manager


def _secret(c: Context, p: Properties) -> str:
    manager = c.client("secretsmanager")
    chosen = {k: p[k] for k in ("Description", "KmsKeyId", "SecretString") if k in p}
    if wanted := p.get("GenerateSecretString"):
        how = {k: v for k, v in wanted.items() if k in ("PasswordLength", "ExcludePunctuation")}
        password = manager.get_random_password(**how)["RandomPassword"]
        filled = json.loads(wanted["SecretStringTemplate"])
        chosen["SecretString"] = json.dumps(filled | {wanted["GenerateStringKey"]: password})
    made = manager.create_secret(Name=p.get("Name") or c.name(512), **chosen, Tags=c.pairs())
    return made["ARN"]


def _secret_update(c: Context, physical: str, old: Properties, p: Properties) -> None:
    chosen = {
        k: p[k] for k in ("Description", "KmsKeyId", "SecretString") if old.get(k) != p.get(k)
    }
    c.client("secretsmanager").update_secret(SecretId=physical, **chosen)


def _secret_delete(c: Context, physical: str, p: Properties) -> None:
    c.client("secretsmanager").delete_secret(SecretId=physical, ForceDeleteWithoutRecovery=True)


def _secret_attributes(c: Context, physical: str) -> dict[str, Any]:
    found = c.client("secretsmanager").describe_secret(SecretId=physical)
    if "DeletedDate" in found:
        raise Failed("Secrets Manager can't find the specified secret.")
    return {"Id": physical}


def _secret_retag(c: Context, physical: str, tags: dict[str, str], gone: list[str]) -> None:
    manager = c.client("secretsmanager")
    if gone:
        manager.untag_resource(SecretId=physical, TagKeys=gone)
    if tags:
        manager.tag_resource(SecretId=physical, Tags=_pairs(tags))


# Kinesis Video Streams


def _channel(c: Context, p: Properties) -> str:
    name = p.get("Name") or c.name(256)
    ttl = {"MessageTtlSeconds": int(p["MessageTtlSeconds"])} if "MessageTtlSeconds" in p else {}
    c.client("kinesisvideo").create_signaling_channel(
        ChannelName=name,
        ChannelType=p.get("Type", "SINGLE_MASTER"),
        **({"SingleMasterConfiguration": ttl} if ttl else {}),
        **({"Tags": c.pairs()} if c.tags else {}),
    )
    return name


def _channel_info(c: Context, physical: str) -> dict[str, Any]:
    video = c.client("kinesisvideo")
    # Listing, not describing: describing is limited to 5 a second and channel.
    asked = {"ComparisonOperator": "BEGINS_WITH", "ComparisonValue": physical}
    for each in video.list_signaling_channels(ChannelNameCondition=asked)["ChannelInfoList"]:
        if each["ChannelName"] == physical:
            return each
    raise Failed(f"The requested channel is not found or not active. {physical}")


def _channel_settled(c: Context, physical: str) -> bool:
    return _channel_info(c, physical)["ChannelStatus"] == "ACTIVE"


def _channel_gone(c: Context, physical: str) -> bool:
    try:
        _channel_info(c, physical)
    except Failed:
        return True
    return False


def _channel_update(c: Context, physical: str, old: Properties, p: Properties) -> None:
    info = _channel_info(c, physical)
    c.client("kinesisvideo").update_signaling_channel(
        ChannelARN=info["ChannelARN"],
        CurrentVersion=info["Version"],
        SingleMasterConfiguration={"MessageTtlSeconds": int(p.get("MessageTtlSeconds", 60))},
    )


def _channel_delete(c: Context, physical: str, p: Properties) -> None:
    arn = _channel_info(c, physical)["ChannelARN"]
    c.client("kinesisvideo").delete_signaling_channel(ChannelARN=arn)


def _channel_retag(c: Context, physical: str, tags: dict[str, str], gone: list[str]) -> None:
    video, arn = c.client("kinesisvideo"), _channel_info(c, physical)["ChannelARN"]
    if gone:
        video.untag_resource(ResourceARN=arn, TagKeyList=gone)
    if tags:
        video.tag_resource(ResourceARN=arn, Tags=_pairs(tags))


# Bedrock AgentCore

_CONTROL = "bedrock-agentcore-control"


def _runtime_request(c: Context, operation: str, p: Properties) -> dict[str, Any]:
    shape = c.client(_CONTROL).meta.service_model.operation_model(operation).input_shape
    given = {k: v for k, v in p.items() if k not in ("Tags", "ProtocolConfiguration")}
    request = as_request(given, shape)
    if "ProtocolConfiguration" in p:
        request["protocolConfiguration"] = {"serverProtocol": p["ProtocolConfiguration"]}
    return request


def as_request(value: Any, shape: Any) -> Any:
    """Properties under the names of the service's own request."""
    if shape.type_name == "structure":
        members = {name.lower(): name for name in shape.members}
        return {
            members[key.lower()]: as_request(inner, shape.members[members[key.lower()]])
            for key, inner in value.items()
            if key.lower() in members
        }
    if shape.type_name == "list":
        return [as_request(inner, shape.member) for inner in value]
    if shape.type_name == "integer":
        return int(value)
    if shape.type_name == "boolean":
        return _yes(value)
    return value


def _runtime(c: Context, p: Properties) -> str:
    request = _runtime_request(c, "CreateAgentRuntime", p)
    made = c.client(_CONTROL).create_agent_runtime(
        **request, **({"tags": c.tags} if c.tags else {})
    )
    return made["agentRuntimeId"]


def _runtime_update(c: Context, physical: str, old: Properties, p: Properties) -> None:
    request = _runtime_request(c, "UpdateAgentRuntime", p)
    c.client(_CONTROL).update_agent_runtime(agentRuntimeId=physical, **request)


def _runtime_settled(c: Context, physical: str) -> bool:
    return _ready(c.client(_CONTROL).get_agent_runtime(agentRuntimeId=physical))


def _ready(found: Mapping[str, Any]) -> bool:
    if found["status"].endswith("FAILED"):
        raise Failed(_handler_said(found.get("failureReason", "failed"), "NotStabilized"))
    return found["status"] == "READY"


def _absent(read: Callable[[], Any]) -> bool:
    try:
        read()
    except ClientError as e:
        if e.response["Error"]["Code"] == "ResourceNotFoundException":
            return True
        raise
    return False


def _runtime_gone(c: Context, physical: str) -> bool:
    return _absent(lambda: c.client(_CONTROL).get_agent_runtime(agentRuntimeId=physical))


def _runtime_delete(c: Context, physical: str, p: Properties) -> None:
    c.client(_CONTROL).delete_agent_runtime(agentRuntimeId=physical)


def _runtime_attributes(c: Context, physical: str) -> dict[str, Any]:
    found = c.client(_CONTROL).get_agent_runtime(agentRuntimeId=physical)
    names = ("agentRuntimeArn", "agentRuntimeId", "agentRuntimeVersion", "status", "failureReason")
    made = {name[0].upper() + name[1:]: found.get(name, "") for name in names}
    for name in ("createdAt", "lastUpdatedAt"):
        made[name[0].upper() + name[1:]] = found[name].isoformat()
    identity = found["workloadIdentityDetails"]["workloadIdentityArn"]
    return {**made, "WorkloadIdentityDetails.WorkloadIdentityArn": identity}


def _agentcore_retag(arn: str, c: Context, tags: dict[str, str], gone: list[str]) -> None:
    control = c.client(_CONTROL)
    if gone:
        control.untag_resource(resourceArn=arn, tagKeys=gone)
    if tags:
        control.tag_resource(resourceArn=arn, tags=tags)


def _runtime_retag(c: Context, physical: str, tags: dict[str, str], gone: list[str]) -> None:
    _agentcore_retag(_runtime_attributes(c, physical)["AgentRuntimeArn"], c, tags, gone)


def _of_endpoint(p: Properties) -> dict[str, Any]:
    names = (("agentRuntimeVersion", "AgentRuntimeVersion"), ("description", "Description"))
    return {theirs: p[ours] for theirs, ours in names if ours in p}


def _endpoint(c: Context, p: Properties) -> str:
    made = c.client(_CONTROL).create_agent_runtime_endpoint(
        agentRuntimeId=p["AgentRuntimeId"],
        name=p["Name"],
        **_of_endpoint(p),
        **({"tags": c.tags} if c.tags else {}),
    )
    return made["agentRuntimeEndpointArn"]


def _parts(physical: str) -> dict[str, str]:
    runtime, _, name = physical.partition(":runtime/")[2].partition("/runtime-endpoint/")
    return {"agentRuntimeId": runtime, "endpointName": name}


def _endpoint_update(c: Context, physical: str, old: Properties, p: Properties) -> None:
    c.client(_CONTROL).update_agent_runtime_endpoint(**_parts(physical), **_of_endpoint(p))


def _endpoint_found(c: Context, physical: str) -> dict[str, Any]:
    return c.client(_CONTROL).get_agent_runtime_endpoint(**_parts(physical))


def _endpoint_settled(c: Context, physical: str) -> bool:
    return _ready(_endpoint_found(c, physical))


def _endpoint_gone(c: Context, physical: str) -> bool:
    return _absent(lambda: _endpoint_found(c, physical))


def _endpoint_delete(c: Context, physical: str, p: Properties) -> None:
    c.client(_CONTROL).delete_agent_runtime_endpoint(**_parts(physical))


def _endpoint_attributes(c: Context, physical: str) -> dict[str, Any]:
    found = _endpoint_found(c, physical)
    names = ("agentRuntimeEndpointArn", "agentRuntimeArn", "status", "id", "liveVersion",
             "targetVersion", "failureReason")  # fmt: skip
    return {name[0].upper() + name[1:]: found.get(name, "") for name in names}


def _endpoint_retag(c: Context, physical: str, tags: dict[str, str], gone: list[str]) -> None:
    _agentcore_retag(physical, c, tags, gone)


def _handler_said(message: str, code: str) -> str:
    return (
        f'Resource handler returned message: "{message}" '
        f"(RequestToken: {new_request_id()}, HandlerErrorCode: {code})"
    )


_CODES = {
    "AccessDenied": "AccessDenied", "AccessDeniedException": "AccessDenied",
    "UnauthorizedOperation": "AccessDenied", "ConflictException": "AlreadyExists",
    "EntityAlreadyExists": "AlreadyExists", "RepositoryAlreadyExistsException": "AlreadyExists",
    "ResourceAlreadyExistsException": "AlreadyExists", "ResourceExistsException": "AlreadyExists",
    "ResourceInUseException": "AlreadyExists", "AddressLimitExceeded": "ServiceLimitExceeded",
    "VpcLimitExceeded": "ServiceLimitExceeded",
    "ServiceQuotaExceededException": "ServiceLimitExceeded",
    "NatGatewayLimitExceeded": "ServiceLimitExceeded", "ResourceNotFoundException": "NotFound",
    "ValidationException": "InvalidRequest", "ThrottlingException": "Throttling",
}  # fmt: skip


def said_by(error: ClientError, service: str) -> str:
    """The reason of an event about an error of a service."""
    code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
    request = error.response["ResponseMetadata"].get("RequestId", "")
    text = f"{message} (Service: {service}, Status Code: {status}, Request ID: {request})"
    return _handler_said(text, _CODES.get(code, "GeneralServiceException"))


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


def _log_group_delete(c: Context, physical: str, p: Properties) -> None:
    c.client("logs").delete_log_group(logGroupName=physical)


_BUSY = ("DependencyViolation", "InvalidGroup.InUse")

KINDS: dict[str, Kind] = {
    "AWS::EC2::VPC": Kind(
        _vpc, _deleting("delete_vpc", "VpcId"), _vpc_attributes, _vpc_update,
        retag=_ec2_retag, in_use=_BUSY,
    ),
    "AWS::EC2::Subnet": Kind(
        _subnet, _deleting("delete_subnet", "SubnetId"), _subnet_attributes, _subnet_update,
        retag=_ec2_retag, in_use=_BUSY,
    ),
    "AWS::EC2::InternetGateway": Kind(
        _gateway, _deleting("delete_internet_gateway", "InternetGatewayId"), _gateway_attributes,
        _nothing, retag=_ec2_retag,
    ),
    "AWS::EC2::VPCGatewayAttachment": Kind(_attachment, _detach, _detached, in_use=_BUSY),
    "AWS::EC2::EIP": Kind(_eip, _eip_delete, _eip_attributes, _nothing, retag=_eip_retag),
    "AWS::EC2::NatGateway": Kind(
        _nat, _deleting("delete_nat_gateway", "NatGatewayId"), _nat_attributes, _nothing,
        _nat_settled, _nat_gone, _ec2_retag,
    ),
    "AWS::EC2::RouteTable": Kind(
        _table, _deleting("delete_route_table", "RouteTableId"), _table_attributes, _nothing,
        retag=_ec2_retag,
    ),
    "AWS::EC2::Route": Kind(_route, _route_delete, _route_attributes, _route_update),
    "AWS::EC2::SubnetRouteTableAssociation": Kind(
        _association, _disassociate, _association_attributes
    ),
    "AWS::EC2::SecurityGroup": Kind(
        _group, _deleting("delete_security_group", "GroupId"), _group_attributes, _group_update,
        retag=_ec2_retag, named_by="GroupName", in_use=_BUSY,
    ),
    "AWS::EC2::VPCEndpoint": Kind(
        _vpc_endpoint, _vpc_endpoint_delete, _vpc_endpoint_attributes, _nothing, retag=_ec2_retag
    ),
    "AWS::IAM::Role": Kind(
        _role, _role_delete, _role_attributes, _role_update, _role_settled, retag=_role_retag,
        named_by="RoleName",
    ),
    "AWS::ECR::Repository": Kind(
        _repository, _repository_delete, _repository_attributes, _repository_update,
        retag=_repository_retag, named_by="RepositoryName",
    ),
    "AWS::Logs::LogGroup": Kind(
        _log_group, _log_group_delete, _log_group_attributes, _log_group_update,
        retag=_log_group_retag, named_by="LogGroupName",
    ),
    "AWS::SecretsManager::Secret": Kind(
        _secret, _secret_delete, _secret_attributes, _secret_update, retag=_secret_retag,
        named_by="Name",
    ),
    "AWS::KinesisVideo::SignalingChannel": Kind(
        _channel, _channel_delete,
        lambda c, physical: {"Arn": _channel_info(c, physical)["ChannelARN"]},
        _channel_update, _channel_settled, _channel_gone, _channel_retag, "Name",
    ),
    "AWS::BedrockAgentCore::Runtime": Kind(
        _runtime, _runtime_delete, _runtime_attributes, _runtime_update, _runtime_settled,
        _runtime_gone, _runtime_retag, "AgentRuntimeName",
    ),
    "AWS::BedrockAgentCore::RuntimeEndpoint": Kind(
        _endpoint, _endpoint_delete, _endpoint_attributes, _endpoint_update, _endpoint_settled,
        _endpoint_gone, _endpoint_retag, "Name",
    ),
    "AWS::Lambda::Function": Kind(
        serverless.function, serverless.function_delete, serverless.function_attributes,
        serverless.function_update, serverless.function_settled, retag=serverless.function_retag,
        named_by="FunctionName",
    ),
    "AWS::Lambda::Url": Kind(
        serverless.url, serverless.url_delete, serverless.url_attributes, serverless.url_update
    ),
    "AWS::Lambda::Permission": Kind(
        serverless.permission, serverless.permission_delete, serverless.permission_attributes
    ),
}  # fmt: skip
