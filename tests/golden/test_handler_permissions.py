"""The deployer policies hold what CloudFormation's handlers may call for each resource type.

CloudFormation acts as its caller. AWS publishes what the handlers of a type may call in its schema;
cfn-lint has a copy of all schemas.
"""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

import pytest

from tests.golden.test_permissions import (
    AGENT,
    CLOSED,
    IN_VPC,
    ON_ECS,
    OVER_WEBRTC,
    named,
    policies,
)
from tests.standins.aws.cloudformation.schemas import schema_of
from tests.unit.cloud.deployments import (
    ACCOUNT,
    DOMAIN,
    deployment,
    make_agent_stack,
    make_ecs_stack,
    make_lambda_stack,
    phone_deployment,
)
from voicecore.cloud.stacks.deployment import Deployment
from voicecore.cloud.stacks.images_stack import images_stack
from voicecore.cloud.stacks.network_stack import network_stack

ZONES = ("use1-az1", "use1-az2")
RULES: dict[str, Any] = {
    "permissions_boundary": f"arn:aws:iam::{ACCOUNT}:policy/boundary",
    "role_path": "/teams/voice/",
    "kms_key": f"arn:aws:kms:us-east-1:{ACCOUNT}:key/01234567-89ab-cdef-0123-456789abcdef",
}
DEPLOYMENTS = {
    "public": AGENT,
    "vpc": IN_VPC,
    "endpoints": CLOSED,
    "webrtc": OVER_WEBRTC,
    "ecs": ON_ECS,
    "rules": named("line", deployment(**RULES)),
    "ecs-rules": named("phone", phone_deployment(**RULES)),
    "ecs-domain": named("phone", phone_deployment(server=DOMAIN)),
}
# Permissions that no handler needs for our templates: resource type, permission, reason.
UNUSED = (
    ("*", "s3:*", "images are in ECR, and no log is delivered to a bucket"),
    ("*", "vpc-lattice:*", "endpoints lead to AWS's own services only"),
    ("AWS::ApplicationAutoScaling::*", "lambda:*", "only the ECS service scales"),
    ("AWS::ApplicationAutoScaling::*", "*:PutScheduledAction", "scaling follows a metric"),
    ("AWS::ApplicationAutoScaling::*", "*:DeleteScheduledAction", "scaling follows a metric"),
    ("AWS::BedrockAgentCore::Runtime", "*:PassCapacityProvider", "no instances of our own"),
    ("AWS::CloudFront::*", "*ConnectionGroup", "for distributions with tenants"),
    ("AWS::CloudFront::*", "*WithStagingConfig", "no staging distribution"),
    # Service Authorization Reference: CreateDistribution and TagResource authorize it.
    ("AWS::CloudFront::*", "*:CreateDistributionWithTags", "is not an IAM action"),
    ("AWS::CloudFront::VpcOrigin", "sts:AssumeRole", "the load balancer is in the same account"),
    ("AWS::DynamoDB::Table", "*:*TableReplica", "one region"),
    ("AWS::DynamoDB::Table", "*:*teItem", "items move only to replicas"),
    ("AWS::DynamoDB::Table", "*:BatchWriteItem", "items move only to replicas"),
    ("AWS::DynamoDB::Table", "*:[GP][eu]tItem", "items move only to replicas"),
    ("AWS::DynamoDB::Table", "*:Query", "items move only to replicas"),
    ("AWS::DynamoDB::Table", "*:Scan", "items move only to replicas"),
    ("AWS::DynamoDB::Table", "*Import*", "the table begins empty"),
    ("AWS::DynamoDB::Table", "logs:*", "the table begins empty"),
    ("AWS::DynamoDB::Table", "*ableKinesisStreamingDestination", "no stream"),
    ("AWS::DynamoDB::Table", "*:UpdateKinesisStreamingDestination", "no stream"),
    ("AWS::DynamoDB::Table", "kinesis:*", "no stream"),
    ("AWS::DynamoDB::Table", "*:PutResourcePolicy", "no policy of its own"),
    ("AWS::DynamoDB::Table", "*:DeleteResourcePolicy", "no policy of its own"),
    ("AWS::DynamoDB::Table", "*:UpdateContinuousBackups", "sessions need no backup"),
    ("AWS::DynamoDB::Table", "*:UpdateContributorInsights", "no insights"),
    ("AWS::EC2::EIP", "*:AcceptAddressTransfer", "the address is new"),
    ("AWS::EC2::EIP", "*:AssociateAddress", "the NAT gateway takes it by its ID"),
    ("AWS::EC2::NatGateway", "*NatGatewayAddress", "one address"),
    ("AWS::EC2::Subnet", "*SubnetCidrBlock", "IPv4 only"),
    ("AWS::EC2::VPC", "*:CreateVpcEncryptionControl", "no encryption control"),
    ("AWS::EC2::VPC", "*:ModifyVpcTenancy", "tenancy is the default"),
    ("AWS::EC2::VPCEndpoint", "vpce:AllowMultiRegion", "one region"),
    ("AWS::EC2::VPCGatewayAttachment", "*tachVpnGateway", "an internet gateway"),
    ("AWS::ECS::Cluster", "*:PutAccountSetting*", "the account's settings are its owner's"),
    ("AWS::ECS::Cluster", "*:PutClusterCapacityProviders", "Fargate by launch type"),
    ("AWS::ElasticLoadBalancingV2::*", "cognito-idp:*", "the server checks callers"),
    ("AWS::ElasticLoadBalancingV2::*", "*:ModifyCapacityReservation", "no reserved capacity"),
    ("AWS::ElasticLoadBalancingV2::*", "*Ip*Pools", "AWS's own addresses"),
    ("AWS::ElasticLoadBalancingV2::*", "*:SetIpAddressType", "IPv4 only"),
    ("AWS::ElasticLoadBalancingV2::*", "*isterTargets", "ECS registers its tasks"),
    ("AWS::IAM::Role", "*tachRolePolicy", "roles have inline policies only"),
    ("AWS::IAM::Role", "*:DeleteRolePermissionsBoundary", "a boundary stays"),
    ("AWS::Lambda::Function", "ec2:*", "in no VPC"),
    ("AWS::Lambda::Function", "elasticfilesystem:*", "no file system"),
    ("AWS::Lambda::Function", "s3files:*", "no file system"),
    ("AWS::Lambda::Function", "*CodeSigningConfig", "images cannot be signed this way"),
    ("AWS::Lambda::Function", "*:GetLayerVersion", "images have no Lambda layers"),
    ("AWS::Lambda::Function", "*:PassCapacityProvider", "no instances of our own"),
    ("AWS::Lambda::Function", "*:PublishVersion", "no versions"),
    ("AWS::Lambda::Function", "*:AssociateRuntimeAlias", "images have their own runtime"),
    ("AWS::Lambda::Function", "*:PutRuntimeManagementConfig", "images have their own runtime"),
    ("AWS::Lambda::Function", "*:PutFunctionRecursionConfig", "recursion stays the default"),
    ("AWS::Lambda::Function", "*:PutFunctionScalingConfig", "no instances of our own"),
    ("AWS::Logs::LogGroup", "*:PutDataProtectionPolicy", "nothing is masked"),
    ("AWS::Logs::LogGroup", "logs:*IndexPolicy", "no index"),
    ("AWS::Logs::LogGroup", "logs:*teResourcePolicy", "no policy of its own"),
    ("AWS::Logs::LogGroup", "logs:PutResourcePolicy", "no policy of its own"),
    ("AWS::Logs::LogGroup", "*:CreateLogDelivery", "no delivery"),
    ("AWS::Logs::LogGroup", "firehose:*", "no delivery"),
    ("AWS::Logs::LogGroup", "*:PutBearerTokenAuthentication", "writers sign"),
    ("AWS::Logs::LogGroup", "*:PutLogGroupDeletionProtection", "destroy deletes the group"),
    ("AWS::SecretsManager::Secret", "*Replicat*", "one region"),
)  # fmt: skip
# The same, for an account whose administrator prescribes nothing.
WITHOUT_RULES = (
    ("*", "kms:*", "AWS's own keys encrypt everything"),
    ("AWS::IAM::Role", "*:PutRolePermissionsBoundary", "no boundary"),
    ("AWS::Logs::LogGroup", "*ssociateKmsKey", "AWS's own keys encrypt everything"),
)
# The same, for an account with a key, which encrypts secrets, log groups and repositories.
WITH_KEY = tuple(
    (kind, "kms:*", "AWS's own keys encrypt it")
    for kind in ("AWS::DynamoDB::Table", "AWS::Lambda::Function")
)
# The same, for a network in which no server listens and for no network at all.
WITHOUT_LISTENERS = (("AWS::EC2::SecurityGroup", "*Ingress", "nothing listens"),)
WITHOUT_NETWORK = (("AWS::BedrockAgentCore::Runtime", "ec2:*", "AgentCore's own network"),)


def unused_by(of: Deployment) -> tuple[tuple[str, str, str], ...]:
    """Return the permissions that are not needed for this deployment."""
    unused = UNUSED + (WITH_KEY if of.stage.kms_key else WITHOUT_RULES)
    if of.has_phones or of.vpc.endpoints:
        return unused
    return unused + (WITHOUT_LISTENERS if of.creates_network else WITHOUT_NETWORK)


def may_call(of: Deployment) -> Iterator[tuple[str, str, str]]:
    """Yield resource type, handler and permission for all resources of a deployment.

    Deploys, drift detection and destroys call all handlers but `list`.
    """
    stacks = [images_stack(of), make_agent_stack(of, KEY="x")]
    stacks += [network_stack(of, ZONES)] if of.creates_network else []
    stacks += [make_ecs_stack(of, KEY="x") if of.has_phones else make_lambda_stack(of, KEY="x")]
    for kind in {r["Type"] for stack in stacks for r in stack.resources.values()}:
        schema = schema_of(kind, "us-east-1")
        assert schema is not None
        for handler, calls in schema.get("handlers", {}).items():
            if handler != "list":
                for permission in calls["permissions"]:
                    yield kind, handler, permission


def denied(of: Deployment) -> Iterator[tuple[str, str, str]]:
    """Yield what handlers may call and the policies lack."""
    allowed = {action for statement in policies(of) for action in statement.actions}
    yield from (call for call in may_call(of) if call[2] not in allowed)


def is_unused(kind: str, permission: str, unused: tuple[str, str, str]) -> bool:
    return fnmatchcase(kind, unused[0]) and fnmatchcase(permission, unused[1])


@pytest.mark.parametrize("of", DEPLOYMENTS.values(), ids=DEPLOYMENTS)
def test_policies_allow_what_handlers_may_call(of: Deployment) -> None:
    lacking = [
        f"{permission}: {kind}, {handler}"
        for kind, handler, permission in sorted(denied(of))
        if not any(is_unused(kind, permission, each) for each in unused_by(of))
    ]
    assert lacking == []


def test_every_exception_is_for_a_permission_that_the_policies_lack() -> None:
    every = {call for of in DEPLOYMENTS.values() for call in denied(of)}
    for unused in UNUSED:
        assert any(is_unused(kind, permission, unused) for kind, _, permission in every), unused
