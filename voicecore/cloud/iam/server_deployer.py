"""Owns the policy of the deploying identity for the session server, on Lambda and on ECS."""

from __future__ import annotations

from voicecore.cloud.iam.deployer import SECRET_ACTIONS, log_actions, role_statement
from voicecore.cloud.iam.statements import (
    ECS_TASKS,
    LAMBDA,
    ArnScope,
    Statement,
    linked_role,
    pass_role,
    service_actions,
)
from voicecore.cloud.stacks.deployment import Deployment
from voicecore.project import aws_names


def server_deployer_statements(
    deployment: Deployment, account: str, partition: str = "aws", *, on_ecs: bool = False
) -> list[Statement]:
    """Return what an identity needs to deploy and destroy this stage's session server.

    `on_ecs` is True for a server that carries calls.
    """
    scope = ArnScope.of(deployment, account, partition)
    if not on_ecs:
        return _lambda_statements(deployment, scope)
    return [
        *_ecs_statements(deployment, scope),
        *_load_balancer_statements(deployment, scope),
        *_ecs_shared_statements(deployment, scope),
        *_entry_statements(deployment, scope),
    ]


def _lambda_statements(deployment: Deployment, scope: ArnScope) -> list[Statement]:
    name, stage = deployment.name, deployment.stage.name
    server = aws_names.server_for(name, stage)
    path = deployment.stage.role_path
    role = scope.roles(path, aws_names.server_role_for(name, stage, scope.region))
    return [
        Statement(
            "Server",
            service_actions("lambda", _FUNCTION_ACTIONS),
            scope.arns("lambda", f"function:{server}"),
        ),
        Statement("FunctionLimits", ("lambda:GetAccountSettings",)),
        *_log_statements(deployment, aws_names.lambda_log_group_for(server), scope),
        *_secret_statements(deployment, scope),
        _table_statement(server, scope),
        role_statement("ServerRole", deployment, role),
        pass_role("ServerRoleToLambda", role, LAMBDA),
    ]


def _ecs_statements(deployment: Deployment, scope: ArnScope) -> list[Statement]:
    server = aws_names.server_for(deployment.name, deployment.stage.name)
    return [
        Statement(
            "Server",
            service_actions("ecs", _CLUSTER_ACTIONS),
            scope.arns("ecs", f"cluster/{server}"),
        ),
        Statement(
            "ServerTasks",
            service_actions("ecs", _TASK_DEFINITION_ACTIONS),
            scope.arns("ecs", f"task-definition/{server}:*"),
        ),
        Statement(
            "ServerService",
            service_actions("ecs", _SERVICE_ACTIONS),
            scope.arns("ecs", f"service/{server}/*", f"service-deployment/{server}/*/*"),
        ),
        Statement("ServerTask", ("ecs:DescribeTasks",), scope.arns("ecs", f"task/{server}/*")),
        # To see whether the stage has a server on Lambda.
        Statement(
            "ServerFunction",
            ("lambda:GetFunctionConfiguration",),
            scope.arns("lambda", f"function:{server}"),
        ),
        # These take no resources (Service Authorization Reference).
        Statement(
            "ServerLook",
            (
                *service_actions(
                    "ecs", "DescribeTaskDefinition DeregisterTaskDefinition ListTasks"
                ),
                *service_actions("elasticloadbalancing", _READ_LOAD_BALANCER_ACTIONS),
                "ec2:DescribeAccountAttributes",
                "ec2:DescribeInstances",
                "ec2:DescribeInternetGateways",
                "ec2:DescribeSecurityGroups",
                "ec2:DescribeSubnets",
                "ec2:DescribeVpcs",
                "application-autoscaling:DescribeScalableTargets",
                "application-autoscaling:DescribeScalingPolicies",
                "application-autoscaling:DescribeScheduledActions",
                "cloudwatch:GetMetricData",
            ),
        ),
    ]


def _load_balancer_statements(deployment: Deployment, scope: ArnScope) -> list[Statement]:
    server = aws_names.server_for(deployment.name, deployment.stage.name)
    return [
        # ELB, EC2 and CloudFront choose the IDs, so they are not known before.
        Statement(
            "ServerBalancer",
            service_actions("elasticloadbalancing", _LOAD_BALANCER_ACTIONS),
            scope.arns(
                "elasticloadbalancing",
                "loadbalancer/app/*/*",
                "targetgroup/*/*",
                "listener/app/*/*/*",
                "listener-rule/app/*/*/*/*",
            ),
        ),
        Statement(
            "ServerGroups",
            service_actions("ec2", _SECURITY_GROUP_ACTIONS),
            condition={"StringEquals": {"aws:RequestedRegion": scope.region}},
        ),
        Statement(
            "ServerScaling",
            service_actions("application-autoscaling", _SCALING_ACTIONS),
            scope.arns("application-autoscaling", "scalable-target/*"),
        ),
        Statement(
            "ServerAlarms",
            service_actions("cloudwatch", "PutMetricAlarm DescribeAlarms DeleteAlarms"),
            scope.arns("cloudwatch", f"alarm:TargetTracking-service/{server}/*"),
        ),
    ]


def _ecs_shared_statements(deployment: Deployment, scope: ArnScope) -> list[Statement]:
    name, stage, region = deployment.name, deployment.stage.name, scope.region
    roles = scope.roles(
        deployment.stage.role_path,
        aws_names.server_role_for(name, stage, region),
        aws_names.server_start_role_for(name, stage, region),
    )
    server = aws_names.server_for(name, stage)
    return [
        *_log_statements(deployment, aws_names.ecs_log_group_for(server), scope),
        *_secret_statements(deployment, scope),
        _table_statement(server, scope),
        role_statement("ServerRoles", deployment, roles),
        pass_role("ServerRolesToEcs", roles, ECS_TASKS),
        *(linked_role(sid, scope, *service) for sid, service in _LINKED_SERVICES.items()),
    ]


def _entry_statements(deployment: Deployment, scope: ArnScope) -> list[Statement]:
    if deployment.stage.server.domain:
        certificate = (deployment.stage.server.certificate,)
        return [Statement("Certificate", ("acm:DescribeCertificate",), certificate)]
    return [
        Statement(
            "NewServerFront", ("cloudfront:CreateDistribution", "cloudfront:ListDistributions")
        ),
        Statement(
            "ServerFront",
            service_actions("cloudfront", _DISTRIBUTION_ACTIONS),
            scope.arns("cloudfront", "distribution/*"),
        ),
        # These take no resource.
        Statement(
            "ServerOrigins",
            (
                "cloudfront:CreateVpcOrigin",
                "cloudfront:ListVpcOrigins",
                "ec2:DescribeManagedPrefixLists",
            ),
        ),
        Statement(
            "ServerOrigin",
            service_actions("cloudfront", _ORIGIN_ACTIONS),
            scope.arns("cloudfront", "vpcorigin/*"),
        ),
        linked_role(
            "OriginRole",
            scope,
            "vpcorigin.cloudfront.amazonaws.com",
            "AWSServiceRoleForCloudFrontVPCOrigin",
        ),
    ]


def _log_statements(deployment: Deployment, group: str, scope: ArnScope) -> list[Statement]:
    group = f"log-group:{group}"
    return [
        Statement(
            "ServerLogs",
            log_actions(deployment) + service_actions("logs", _LOG_GROUP_ACTIONS),
            scope.arns("logs", group, f"{group}:log-stream:*"),
        ),
        # These take no resources (Service Authorization Reference).
        Statement("ServerLogPolicies", service_actions("logs", _READ_LOG_GROUP_ACTIONS)),
    ]


def _table_statement(server: str, scope: ArnScope) -> Statement:
    actions = service_actions("dynamodb", _TABLE_ACTIONS)
    return Statement("ServerTable", actions, scope.arns("dynamodb", f"table/{server}"))


def _secret_statements(deployment: Deployment, scope: ArnScope) -> list[Statement]:
    secret = aws_names.secret_name_for(deployment.name, deployment.stage.name)
    return [
        Statement(
            "ServerSecrets",
            service_actions("secretsmanager", SECRET_ACTIONS),
            scope.arns("secretsmanager", f"secret:{secret}/*"),
        ),
        # It generates the key, and takes no secret (Service Authorization Reference).
        Statement("NewKey", ("secretsmanager:GetRandomPassword",)),
    ]


_FUNCTION_ACTIONS = """
    CreateFunction GetFunction GetFunctionConfiguration UpdateFunctionCode
    UpdateFunctionConfiguration DeleteFunction GetFunctionCodeSigningConfig
    CreateFunctionUrlConfig GetFunctionUrlConfig UpdateFunctionUrlConfig DeleteFunctionUrlConfig
    AddPermission RemovePermission GetPolicy ListTags TagResource UntagResource InvokeFunction
    PutFunctionConcurrency DeleteFunctionConcurrency GetFunctionRecursionConfig
    GetFunctionScalingConfig GetRuntimeManagementConfig
"""
_LOG_GROUP_ACTIONS = """
    UntagResource DeleteRetentionPolicy GetDataProtectionPolicy DeleteDataProtectionPolicy
"""
_READ_LOG_GROUP_ACTIONS = "DescribeIndexPolicies DescribeResourcePolicies"
_TABLE_ACTIONS = """
    CreateTable DescribeTable UpdateTable DeleteTable DescribeTimeToLive UpdateTimeToLive
    TagResource UntagResource ListTagsOfResource DescribeContinuousBackups
    DescribeContributorInsights DescribeKinesisStreamingDestination GetResourcePolicy
"""
_CLUSTER_ACTIONS = """
    CreateCluster DescribeClusters UpdateCluster UpdateClusterSettings DeleteCluster TagResource
    UntagResource ListTagsForResource
"""
_TASK_DEFINITION_ACTIONS = "RegisterTaskDefinition TagResource UntagResource ListTagsForResource"
_SERVICE_ACTIONS = """
    CreateService DescribeServices UpdateService DeleteService TagResource UntagResource
    ListTagsForResource ListServiceDeployments DescribeServiceDeployments StopServiceDeployment
"""
_READ_LOAD_BALANCER_ACTIONS = """
    DescribeLoadBalancers DescribeLoadBalancerAttributes DescribeTargetGroups
    DescribeTargetGroupAttributes DescribeTargetHealth DescribeListeners DescribeListenerAttributes
    DescribeRules DescribeTags DescribeCapacityReservation
"""
_LOAD_BALANCER_ACTIONS = """
    CreateLoadBalancer ModifyLoadBalancerAttributes SetSubnets SetSecurityGroups DeleteLoadBalancer
    CreateTargetGroup ModifyTargetGroup ModifyTargetGroupAttributes DeleteTargetGroup CreateListener
    ModifyListener ModifyListenerAttributes DeleteListener CreateRule ModifyRule SetRulePriorities
    DeleteRule AddTags RemoveTags
"""
_SECURITY_GROUP_ACTIONS = """
    CreateSecurityGroup AuthorizeSecurityGroupIngress RevokeSecurityGroupIngress
    AuthorizeSecurityGroupEgress RevokeSecurityGroupEgress DeleteSecurityGroup CreateTags DeleteTags
    UpdateSecurityGroupRuleDescriptionsIngress UpdateSecurityGroupRuleDescriptionsEgress
"""
_SCALING_ACTIONS = """
    RegisterScalableTarget DeregisterScalableTarget PutScalingPolicy
    DeleteScalingPolicy TagResource UntagResource ListTagsForResource
"""
_DISTRIBUTION_ACTIONS = """
    GetDistribution GetDistributionConfig UpdateDistribution DeleteDistribution TagResource
    UntagResource ListTagsForResource
"""
_ORIGIN_ACTIONS = """
    GetVpcOrigin UpdateVpcOrigin DeleteVpcOrigin TagResource UntagResource ListTagsForResource
"""
# Services that create a role in an account which has not used them before, and its name.
_LINKED_SERVICES = {
    "EcsRole": ("ecs.amazonaws.com", "AWSServiceRoleForECS"),
    "BalancingRole": (
        "elasticloadbalancing.amazonaws.com",
        "AWSServiceRoleForElasticLoadBalancing",
    ),
    "ScalingRole": (
        "ecs.application-autoscaling.amazonaws.com",
        "AWSServiceRoleForApplicationAutoScaling_ECSService",
    ),
}
