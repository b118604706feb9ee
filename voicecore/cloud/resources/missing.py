"""Owns what of a stack was deleted by hand: asks each service whether a resource still exists.

CloudFormation does not notice: a template that did not change changes nothing. Its drift detection
takes a minute for a stack, which a deploy without changes would wait for; these questions take less
than a second together and need no permission that a deploy lacks.
"""

# botocore has no types.
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from voicecore.aws.errors import code_of, is_denied
from voicecore.aws.session import Aws
from voicecore.cloud.resources.deployed_stack import MissingResource

_ABSENT = re.compile("NotFound|NoSuch")

# Services list a deleted resource for a while, in one of these states. A secret that is scheduled
# for deletion counts as existing: its name stays taken (`secrets`).
_GONE = {"deleted", "deleting", "failed", "inactive", "draining"}

Question = Callable[[Aws, str], list[Mapping[str, Any]]]
"""Returns the resource with this physical ID, as a list with one entry; empty if it is gone."""


def missing_resources(aws: Aws, listed: Iterable[Mapping[str, Any]]) -> tuple[MissingResource, ...]:
    """Return those of a stack's resources, from ListStackResources, that do not exist any more.

    Types that are not known here, and those that may not be read, count as existing.
    """
    asked = [
        MissingResource(e["LogicalResourceId"], e["ResourceType"], e["PhysicalResourceId"])
        for e in listed
        if e["ResourceType"] in _QUESTIONS
        and e.get("PhysicalResourceId")
        and e["ResourceStatus"].endswith("_COMPLETE")
        and e["ResourceStatus"] != "DELETE_COMPLETE"
    ]
    with ThreadPoolExecutor(max_workers=8) as pool:
        exist = list(pool.map(partial(_exists, aws), asked))
    return tuple(each for each, there in zip(asked, exist, strict=True) if not there)


def _exists(aws: Aws, resource: MissingResource) -> bool:
    try:
        found = _QUESTIONS[resource.type](aws, resource.physical)
    except ClientError as error:
        if _ABSENT.search(code_of(error)):
            return False
        if is_denied(error):
            return True
        raise
    states = ({str(each.get("State")).lower(), str(each.get("status")).lower()} for each in found)
    return any(not _GONE & each for each in states)


def _one(service: str, operation: str, parameter: str) -> Question:
    """Return the question to an operation that describes one resource, or raises."""
    return lambda aws, id: [getattr(aws.client(service), operation)(**{parameter: id})]


def _listed(service: str, operation: str, parameter: str, answer: str) -> Question:
    """Return the question to an operation that takes a list of IDs, and answers with a list."""
    return lambda aws, id: getattr(aws.client(service), operation)(**{parameter: [id]})[answer]


def _log_group(aws: Aws, name: str) -> list[Mapping[str, Any]]:
    found = aws.client("logs").describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    return [group for group in found if group["logGroupName"] == name]


def _route(aws: Aws, id: str) -> list[Mapping[str, Any]]:
    table, _, block = id.partition("|")
    if not block:
        return [{}]  # another form of ID names no route that could be looked up
    found = aws.client("ec2").describe_route_tables(RouteTableIds=[table])["RouteTables"]
    routes = [route for each in found for route in each["Routes"]]
    return [route for route in routes if route.get("DestinationCidrBlock") == block]


def _association(aws: Aws, id: str) -> list[Mapping[str, Any]]:
    asked = [{"Name": "association.route-table-association-id", "Values": [id]}]
    return aws.client("ec2").describe_route_tables(Filters=asked)["RouteTables"]


def _endpoint(aws: Aws, arn: str) -> list[Mapping[str, Any]]:
    runtime, _, name = arn.partition("runtime/")[2].partition("/runtime-endpoint/")
    control = aws.client("bedrock-agentcore-control")
    return [control.get_agent_runtime_endpoint(agentRuntimeId=runtime, endpointName=name)]


def _service(aws: Aws, arn: str) -> list[Mapping[str, Any]]:
    cluster = arn.split("/")[1]
    return aws.client("ecs").describe_services(cluster=cluster, services=[arn])["services"]


def _scaling_target(aws: Aws, id: str) -> list[Mapping[str, Any]]:
    resource, dimension, namespace = id.split("|")
    return aws.client("application-autoscaling").describe_scalable_targets(
        ServiceNamespace=namespace, ResourceIds=[resource], ScalableDimension=dimension
    )["ScalableTargets"]


def _scaling_policy(aws: Aws, arn: str) -> list[Mapping[str, Any]]:
    found = aws.client("application-autoscaling").describe_scaling_policies(
        ServiceNamespace="ecs", PolicyNames=[arn.rpartition("/")[2]]
    )["ScalingPolicies"]
    return [policy for policy in found if policy["PolicyARN"] == arn]


_CONTROL = "bedrock-agentcore-control"

_QUESTIONS: Mapping[str, Question] = {
    "AWS::ApplicationAutoScaling::ScalableTarget": _scaling_target,
    "AWS::ApplicationAutoScaling::ScalingPolicy": _scaling_policy,
    "AWS::BedrockAgentCore::Runtime": _one(_CONTROL, "get_agent_runtime", "agentRuntimeId"),
    "AWS::BedrockAgentCore::RuntimeEndpoint": _endpoint,
    "AWS::CloudFront::Distribution": _one("cloudfront", "get_distribution", "Id"),
    "AWS::CloudFront::VpcOrigin": _one("cloudfront", "get_vpc_origin", "Id"),
    "AWS::DynamoDB::Table": _one("dynamodb", "describe_table", "TableName"),
    "AWS::EC2::EIP": _listed("ec2", "describe_addresses", "PublicIps", "Addresses"),
    "AWS::EC2::InternetGateway": _listed(
        "ec2", "describe_internet_gateways", "InternetGatewayIds", "InternetGateways"
    ),
    "AWS::EC2::NatGateway": _listed("ec2", "describe_nat_gateways", "NatGatewayIds", "NatGateways"),
    "AWS::EC2::Route": _route,
    "AWS::EC2::RouteTable": _listed("ec2", "describe_route_tables", "RouteTableIds", "RouteTables"),
    "AWS::EC2::SecurityGroup": _listed(
        "ec2", "describe_security_groups", "GroupIds", "SecurityGroups"
    ),
    "AWS::EC2::Subnet": _listed("ec2", "describe_subnets", "SubnetIds", "Subnets"),
    "AWS::EC2::SubnetRouteTableAssociation": _association,
    "AWS::EC2::VPC": _listed("ec2", "describe_vpcs", "VpcIds", "Vpcs"),
    "AWS::EC2::VPCEndpoint": _listed(
        "ec2", "describe_vpc_endpoints", "VpcEndpointIds", "VpcEndpoints"
    ),
    "AWS::ECR::Repository": _listed(
        "ecr", "describe_repositories", "repositoryNames", "repositories"
    ),
    "AWS::ECS::Cluster": _listed("ecs", "describe_clusters", "clusters", "clusters"),
    "AWS::ECS::Service": _service,
    "AWS::ElasticLoadBalancingV2::Listener": _listed(
        "elbv2", "describe_listeners", "ListenerArns", "Listeners"
    ),
    "AWS::ElasticLoadBalancingV2::ListenerRule": _listed(
        "elbv2", "describe_rules", "RuleArns", "Rules"
    ),
    "AWS::ElasticLoadBalancingV2::LoadBalancer": _listed(
        "elbv2", "describe_load_balancers", "LoadBalancerArns", "LoadBalancers"
    ),
    "AWS::ElasticLoadBalancingV2::TargetGroup": _listed(
        "elbv2", "describe_target_groups", "TargetGroupArns", "TargetGroups"
    ),
    "AWS::IAM::Role": _one("iam", "get_role", "RoleName"),
    "AWS::KinesisVideo::SignalingChannel": _one(
        "kinesisvideo", "describe_signaling_channel", "ChannelName"
    ),
    "AWS::Lambda::Function": _one("lambda", "get_function_configuration", "FunctionName"),
    "AWS::Lambda::Url": _one("lambda", "get_function_url_config", "FunctionName"),
    "AWS::Logs::LogGroup": _log_group,
    "AWS::SecretsManager::Secret": _one("secretsmanager", "describe_secret", "SecretId"),
}
