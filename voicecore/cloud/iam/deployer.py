"""Owns the policy of the deploying identity for the agent: its stacks, image, network and logs.

CloudFormation acts with the caller's permissions, so the policy covers what the stacks create. It
is limited to resources with the names of project and stage wherever IAM can tell.
"""

from __future__ import annotations

from collections.abc import Sequence

from voicecore.cloud.iam.statements import (
    AGENTCORE,
    ArnScope,
    Statement,
    linked_role,
    pass_role,
    service_actions,
)
from voicecore.cloud.stacks import turn_channels
from voicecore.cloud.stacks.deployment import Deployment
from voicecore.project import aws_names
from voicecore.project.settings import account_rules
from voicecore.project.settings.network import VPC

# Services that create a role in the account: the first at the account's first runtime, in any
# network (runtime-permissions), the second at its first runtime in a VPC (agentcore-vpc).
_IDENTITY = (
    "runtime-identity.bedrock-agentcore.amazonaws.com",
    "AWSServiceRoleForBedrockAgentCoreRuntimeIdentity",
)
_NETWORK = ("network.bedrock-agentcore.amazonaws.com", "AWSServiceRoleForBedrockAgentCoreNetwork")


def deployer_statements(
    deployment: Deployment, account: str, partition: str = "aws"
) -> list[Statement]:
    """Return what an identity needs to deploy and destroy this stage's agent."""
    scope = ArnScope.of(deployment, account, partition)
    return [
        *_stack_statements(deployment, scope),
        *_model_statements(deployment, scope),
        *_role_statements(deployment, scope),
        *_runtime_statements(deployment, scope),
        *_trace_statements(deployment, scope),
        *_turn_statements(deployment, scope),
        *_network_statements(deployment, scope),
        *_key_statements(deployment),
        *_boundary_statements(deployment),
    ]


def role_statement(sid: str, deployment: Deployment, roles: Sequence[str]) -> Statement:
    """Return the permission to create and change these roles."""
    bounded = " PutRolePermissionsBoundary" if deployment.stage.permissions_boundary else ""
    return Statement(sid, service_actions("iam", _ROLE_ACTIONS + bounded), tuple(roles))


def log_actions(deployment: Deployment) -> tuple[str, ...]:
    """Return the actions on a log group that the stage creates."""
    key = " AssociateKmsKey DisassociateKmsKey" if deployment.stage.kms_key else ""
    return service_actions("logs", _LOG_ACTIONS + key)


def _stack_statements(deployment: Deployment, scope: ArnScope) -> list[Statement]:
    name, stage = deployment.name, deployment.stage.name
    stacks = (
        aws_names.images_stack_name_for(name),
        aws_names.network_stack_name_for(name),
        aws_names.stack_name_for(name, stage),
        # Every deploy checks whether there is a session server.
        aws_names.server_for(name, stage),
    )
    return [
        Statement(
            "Stacks",
            service_actions("cloudformation", _STACK_ACTIONS),
            scope.arns("cloudformation", *(f"stack/{stack}/*" for stack in stacks)),
        ),
        Statement("Look", _READ_ACTIONS),
        # Preflight asks IAM's simulator which permissions are missing.
        Statement(
            "Foresee", ("iam:SimulatePrincipalPolicy",), scope.arns("iam", "user/*", "role/*")
        ),
        _repository_statement(deployment, scope),
    ]


def _repository_statement(deployment: Deployment, scope: ArnScope) -> Statement:
    if uri := deployment.stage.repository:
        arn = account_rules.repository_arn(uri, scope.partition)
        return Statement("Images", service_actions("ecr", _IMAGE_ACTIONS), (arn,))
    return Statement(
        "Images",
        service_actions("ecr", _REPOSITORY_ACTIONS + _IMAGE_ACTIONS),
        scope.arns("ecr", f"repository/{aws_names.repository_for(deployment.name)}"),
    )


def _model_statements(deployment: Deployment, scope: ArnScope) -> list[Statement]:
    """Return what the preflight checks of the agent's models read."""
    models = [service.model for service in deployment.uses if service.model]
    if not models:
        return []
    bedrock = f"arn:{scope.partition}:bedrock:{scope.region}"
    profiles = [model.name_in(scope.region) for model in models if model.by_profile]
    reads = "GetFoundationModel GetInferenceProfile" if profiles else "GetFoundationModel"
    return [
        Statement(
            "Models",
            service_actions("bedrock", reads),
            (
                *(f"{bedrock}::foundation-model/{model.id}" for model in models),
                *scope.arns("bedrock", *(f"inference-profile/{name}" for name in profiles)),
            ),
        )
    ]


def _role_statements(deployment: Deployment, scope: ArnScope) -> list[Statement]:
    stage = deployment.stage
    role = aws_names.role_name_for(deployment.name, stage.name, scope.region)
    arns = scope.roles(stage.role_path, role)
    if stage.role:
        # Every deploy looks whether the name of its own role is taken.
        reads = Statement("Role", ("iam:GetRole",), (stage.role, *arns))
        return [reads, pass_role("RoleToAgentCore", (stage.role,), AGENTCORE)]
    return [
        role_statement("Role", deployment, arns),
        pass_role("RoleToAgentCore", arns, AGENTCORE),
    ]


def _runtime_statements(deployment: Deployment, scope: ArnScope) -> list[Statement]:
    secret = aws_names.secret_name_for(deployment.name, deployment.stage.name)
    groups = f"log-group:{aws_names.log_group_for(deployment.runtime_name, '*')}"
    return [
        # AgentCore has given the runtime no ID yet, so IAM has no name to go by.
        Statement("NewRuntime", service_actions("bedrock-agentcore", _NEW_RUNTIME_ACTIONS)),
        linked_role("AgentCoreIdentity", scope, *_IDENTITY),
        Statement(
            "Runtime",
            service_actions("bedrock-agentcore", _RUNTIME_ACTIONS),
            scope.arns(
                "bedrock-agentcore",
                f"runtime/{deployment.runtime_name}-*",
                "workload-identity-directory/*",
            ),
        ),
        Statement(
            "Logs",
            log_actions(deployment),
            scope.arns("logs", groups, f"{groups}:log-stream:*"),
        ),
        Statement(
            "Secret",
            service_actions("secretsmanager", SECRET_ACTIONS),
            # Secrets Manager appends six characters of its own.
            scope.arns("secretsmanager", f"secret:{secret}-*"),
        ),
    ]


def _trace_statements(deployment: Deployment, scope: ArnScope) -> list[Statement]:
    """Return what the preflight check of traces, and `voicecore traces`, read."""
    if not deployment.traced:
        return []
    group = f"log-group:{aws_names.SPAN_GROUP}"
    return [
        Statement("TransactionSearch", ("xray:GetTraceSegmentDestination",)),
        Statement(
            "Spans",
            ("logs:FilterLogEvents",),
            scope.arns("logs", group, f"{group}:log-stream:*"),
        ),
    ]


def _turn_statements(deployment: Deployment, scope: ArnScope) -> list[Statement]:
    if not deployment.uses_kvs:
        return []
    return [
        Statement(
            "Turn",
            service_actions("kinesisvideo", _CHANNEL_ACTIONS),
            scope.arns("kinesisvideo", f"channel/{turn_channels.channel_prefix(deployment)}*/*"),
        )
    ]


def _network_statements(deployment: Deployment, scope: ArnScope) -> list[Statement]:
    statements: list[Statement] = []
    if deployment.network == VPC:
        statements += [
            linked_role("AgentCoreInterfaces", scope, *_NETWORK),
            Statement("LookAtNetwork", service_actions("ec2", _READ_NETWORK_ACTIONS)),
        ]
    if deployment.creates_network:
        # The IDs that EC2 gives are not known before, and few of these actions take conditions.
        more = _ENDPOINT_ACTIONS if deployment.vpc.endpoints else ""
        statements.append(
            Statement(
                "Network",
                service_actions("ec2", _NETWORK_ACTIONS + more),
                condition={"StringEquals": {"aws:RequestedRegion": scope.region}},
            )
        )
    return statements


def _key_statements(deployment: Deployment) -> list[Statement]:
    """Return what CloudFormation, Secrets Manager and ECR do with the key for their caller."""
    key, region = deployment.stage.kms_key, deployment.stage.region
    if not key:
        return []
    through = {"kms:ViaService": [f"{service}.{region}.{_DOMAIN}" for service in _KEY_USERS]}
    return [
        Statement("Key", service_actions("kms", "DescribeKey GetKeyPolicy"), (key,)),
        Statement(
            "KeyThroughServices",
            service_actions("kms", "CreateGrant RetireGrant DescribeKey GenerateDataKey Decrypt"),
            (key,),
            {"StringEquals": through},
        ),
    ]


def _boundary_statements(deployment: Deployment) -> list[Statement]:
    boundary = deployment.stage.permissions_boundary
    return [Statement("Boundary", ("iam:GetPolicy",), (boundary,))] if boundary else []


_DOMAIN = "amazonaws.com"
_KEY_USERS = ("ecr", "secretsmanager")
_READ_ACTIONS = (
    "bedrock-agentcore:ListAgentRuntimeEndpoints",
    "bedrock-agentcore:ListAgentRuntimeVersions",
    "bedrock-agentcore:ListAgentRuntimes",
    "bedrock:GetFoundationModelAvailability",
    "cloudformation:DescribeStackDriftDetectionStatus",
    # Without a stack's name, it is authorized on all stacks, together with ListStacks.
    "cloudformation:DescribeStacks",
    "cloudformation:ListStacks",
    "cloudwatch:GetMetricStatistics",
    "cloudwatch:ListMetrics",
    "ecr:GetAuthorizationToken",
    "kinesisvideo:ListSignalingChannels",
    "logs:DescribeLogGroups",
    "servicequotas:GetServiceQuota",
    "tag:GetResources",
)
_STACK_ACTIONS = """
    CreateStack UpdateStack CreateChangeSet DescribeChangeSet ExecuteChangeSet DeleteChangeSet
    DescribeStackEvents ListStackResources GetTemplate DeleteStack RollbackStack
    ContinueUpdateRollback DetectStackDrift DescribeStackResourceDrifts TagResource
"""
_REPOSITORY_ACTIONS = """
    CreateRepository DeleteRepository PutLifecyclePolicy GetLifecyclePolicy
    DeleteLifecyclePolicy PutImageScanningConfiguration PutImageTagMutability SetRepositoryPolicy
    DeleteRepositoryPolicy TagResource UntagResource BatchDeleteImage
"""
_IMAGE_ACTIONS = """
    DescribeRepositories GetRepositoryPolicy ListTagsForResource DescribeImages BatchGetImage
    BatchCheckLayerAvailability GetDownloadUrlForLayer InitiateLayerUpload UploadLayerPart
    CompleteLayerUpload PutImage
"""
_ROLE_ACTIONS = """
    CreateRole GetRole DeleteRole UpdateRole UpdateRoleDescription UpdateAssumeRolePolicy TagRole
    UntagRole PutRolePolicy GetRolePolicy DeleteRolePolicy ListRolePolicies ListRoleTags
    ListAttachedRolePolicies
"""
_NEW_RUNTIME_ACTIONS = "CreateAgentRuntime CreateWorkloadIdentity"
_RUNTIME_ACTIONS = """
    GetAgentRuntime UpdateAgentRuntime DeleteAgentRuntime
    CreateAgentRuntimeEndpoint GetAgentRuntimeEndpoint UpdateAgentRuntimeEndpoint
    DeleteAgentRuntimeEndpoint DeleteWorkloadIdentity
    TagResource UntagResource ListTagsForResource
    InvokeAgentRuntime InvokeAgentRuntimeWithWebSocketStream StopRuntimeSession
"""
_LOG_ACTIONS = """
    CreateLogGroup DeleteLogGroup PutRetentionPolicy TagResource ListTagsForResource
    DescribeLogStreams FilterLogEvents GetLogEvents StartLiveTail
"""
SECRET_ACTIONS = """
    CreateSecret DescribeSecret GetSecretValue PutSecretValue UpdateSecret DeleteSecret TagResource
    UntagResource
"""  # noqa: S105 - names of actions
_CHANNEL_ACTIONS = """
    CreateSignalingChannel DescribeSignalingChannel UpdateSignalingChannel DeleteSignalingChannel
    TagResource UntagResource ListTagsForResource GetSignalingChannelEndpoint GetIceServerConfig
"""
_READ_NETWORK_ACTIONS = """
    DescribeAvailabilityZones DescribeSubnets DescribeSecurityGroups DescribeRouteTables
    DescribeVpcs DescribeNetworkInterfaces CreateNetworkInterface DescribeVpcEndpoints
"""
_NETWORK_ACTIONS = """
    CreateVpc ModifyVpcAttribute DescribeVpcAttribute DeleteVpc CreateInternetGateway
    AttachInternetGateway DetachInternetGateway DescribeInternetGateways DeleteInternetGateway
    CreateSubnet ModifySubnetAttribute DeleteSubnet CreateRouteTable AssociateRouteTable
    DisassociateRouteTable CreateRoute ReplaceRoute DeleteRoute DeleteRouteTable AllocateAddress
    DescribeAddresses ReleaseAddress CreateNatGateway DescribeNatGateways DeleteNatGateway
    CreateSecurityGroup AuthorizeSecurityGroupEgress RevokeSecurityGroupEgress DeleteSecurityGroup
    CreateVpcEndpoint ModifyVpcEndpoint DeleteVpcEndpoints CreateTags
    DeleteTags DisassociateAddress ReplaceRouteTableAssociation DescribeInstances
    UpdateSecurityGroupRuleDescriptionsEgress DescribeNetworkAcls DescribeVpcEncryptionControls
    DescribeVpnGateways
"""
_ENDPOINT_ACTIONS = """
    DescribeVpcEndpointServices AuthorizeSecurityGroupIngress RevokeSecurityGroupIngress
    UpdateSecurityGroupRuleDescriptionsIngress
"""
