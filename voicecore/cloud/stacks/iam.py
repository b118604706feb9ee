"""What the agent may do in AWS, and what whoever deploys it must be allowed to do."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from voicecore.catalog import regions
from voicecore.cloud.stacks import turn_channels
from voicecore.cloud.stacks.deployment import Deployment
from voicecore.cloud.stacks.stack import Json, arn, sub
from voicecore.project import aws_names

_SERVICE = "bedrock-agentcore.amazonaws.com"
_LAMBDA = "lambda.amazonaws.com"
_TASKS = "ecs-tasks.amazonaws.com"
_PULL = ("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
_NETWORK_SERVICE = "network.bedrock-agentcore.amazonaws.com"

POLICY_MAX = 6144
"""Characters of a managed policy, without white space (IAM and STS quotas)."""


@dataclass(frozen=True)
class Statement:
    """One permission: these actions on these resources, under this condition."""

    sid: str
    actions: tuple[str, ...]
    resources: tuple[Any, ...] = ("*",)
    condition: Mapping[str, Json] | None = None

    @property
    def json(self) -> Json:
        """The statement in IAM's words."""
        statement: Json = {
            "Sid": self.sid,
            "Effect": "Allow",
            "Action": list(self.actions),
            "Resource": self.resources[0] if len(self.resources) == 1 else list(self.resources),
        }
        return statement | ({"Condition": dict(self.condition)} if self.condition else {})


def document(statements: Sequence[Statement]) -> Json:
    """A policy document."""
    return {"Version": "2012-10-17", "Statement": [s.json for s in statements]}


def server_trust() -> Json:
    """Who may take the session server's role: Lambda."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": _LAMBDA},
                "Action": "sts:AssumeRole",
            }
        ],
    }


def pulled_by_lambda(deployment: Deployment) -> Json:
    """The policy of the repository: Lambda may pull for functions of this project, none else.

    Lambda would add one itself, for all functions, if whoever deploys may change it
    (Lambda Developer Guide, images-create).
    """
    functions = arn("lambda", f"function:{aws_names.server_for(deployment.name, '*')}")
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "LambdaECRImageRetrievalPolicy",
                "Effect": "Allow",
                "Principal": {"Service": _LAMBDA},
                "Action": list(_PULL),
                "Condition": {"StringLike": {"aws:sourceArn": functions}},
            }
        ],
    }


def server_statements(
    deployment: Deployment, agent: Sequence[Any], secrets: Sequence[Any]
) -> list[Statement]:
    """What the session server's role allows: sessions of this one agent, its keys, its log.

    `agent` are the ARNs of runtime and endpoint, `secrets` those of what the server reads.
    """
    server = aws_names.server_for(deployment.name, deployment.stage.name)
    group = f"log-group:{aws_names.lambda_log_group_for(server)}"
    statements = [
        _sessions(agent),
        Statement("Secrets", ("secretsmanager:GetSecretValue",), tuple(secrets)),
        Statement(
            "Logs",
            ("logs:CreateLogStream", "logs:PutLogEvents"),
            (arn("logs", f"{group}:log-stream:*"),),
        ),
    ]
    return [*statements, *_turn(deployment)]


def task_trust() -> Json:
    """Who may take the roles of a server on ECS: tasks of this account and region only."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": _TASKS},
                "Action": "sts:AssumeRole",
                "Condition": {
                    "StringEquals": {"aws:SourceAccount": sub("${AWS::AccountId}")},
                    "ArnLike": {"aws:SourceArn": arn("ecs", "*")},
                },
            }
        ],
    }


def bridge_statements(deployment: Deployment, agent: Sequence[Any]) -> list[Statement]:
    """What a server on ECS may do: sessions of this one agent. Keys and log are ECS's own part.

    `agent` are the ARNs of runtime and endpoint.
    """
    return [_sessions(agent), *_turn(deployment)]


def start_statements(deployment: Deployment, secrets: Sequence[Any]) -> list[Statement]:
    """What ECS may do to start that server: pull its image, read its keys, write its log."""
    server = aws_names.server_for(deployment.name, deployment.stage.name)
    group = f"log-group:{aws_names.ecs_log_group_for(server)}"
    return [
        Statement(
            "EcrPull",
            (*_PULL, "ecr:BatchCheckLayerAvailability"),
            (arn("ecr", f"repository/{aws_names.repository_for(deployment.name)}"),),
        ),
        Statement("EcrToken", ("ecr:GetAuthorizationToken",)),
        Statement("Secrets", ("secretsmanager:GetSecretValue",), tuple(secrets)),
        Statement(
            "Logs",
            ("logs:CreateLogStream", "logs:PutLogEvents"),
            (arn("logs", f"{group}:log-stream:*"),),
        ),
    ]


def _sessions(agent: Sequence[Any]) -> Statement:
    return Statement(
        "Sessions",
        (
            "bedrock-agentcore:InvokeAgentRuntime",
            "bedrock-agentcore:InvokeAgentRuntimeWithWebSocketStream",
            "bedrock-agentcore:StopRuntimeSession",
        ),
        tuple(agent),
    )


def trust() -> Json:
    """Who may take the execution role: AgentCore, for runtimes of this account and region only.

    As runtime-permissions has it; without the conditions AgentCore could be made to use the role
    for somebody else (the confused deputy).
    """
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "AssumeRolePolicy",
                "Effect": "Allow",
                "Principal": {"Service": _SERVICE},
                "Action": "sts:AssumeRole",
                "Condition": {
                    "StringEquals": {"aws:SourceAccount": sub("${AWS::AccountId}")},
                    "ArnLike": {"aws:SourceArn": arn("bedrock-agentcore", "*")},
                },
            }
        ],
    }


def execution_statements(deployment: Deployment, secret: Any = None) -> list[Statement]:
    """What the execution role allows: what this pipeline and these transports use, no more.

    `secret` is the ARN of the secret with other providers' keys, if there is one. The statements
    are those of runtime-permissions, narrowed to what is this project's wherever IAM lets them.
    """
    groups = f"log-group:/aws/bedrock-agentcore/runtimes/{deployment.runtime_name}-*"
    statements = [
        Statement(
            "EcrPull",
            _PULL,
            (arn("ecr", f"repository/{aws_names.repository_for(deployment.name)}"),),
        ),
        Statement("EcrToken", ("ecr:GetAuthorizationToken",)),
        Statement(
            "LogsGroup",
            ("logs:CreateLogGroup", "logs:DescribeLogStreams"),
            (arn("logs", groups),),
        ),
        Statement("LogsList", ("logs:DescribeLogGroups",), (arn("logs", "log-group:*"),)),
        Statement(
            "LogsWrite",
            ("logs:CreateLogStream", "logs:PutLogEvents"),
            (arn("logs", f"{groups}:log-stream:*"),),
        ),
    ]
    for service in deployment.uses:
        if service.name in _OF_SERVICES:
            statements.append(_OF_SERVICES[service.name](deployment))
    if any(transport.invoked for transport in deployment.transports):
        # Its own, when its last call is over: no connection ends with that.
        runtimes = arn("bedrock-agentcore", f"runtime/{deployment.runtime_name}-*")
        statements.append(
            Statement("HangUp", ("bedrock-agentcore:StopRuntimeSession",), (runtimes,))
        )
    statements += _turn(deployment)
    if secret is not None:
        statements.append(Statement("Secrets", ("secretsmanager:GetSecretValue",), (secret,)))
    return statements


def _turn(deployment: Deployment) -> list[Statement]:
    """Credentials of the stage's own channels, where there are any."""
    if not turn_channels.pool_of(deployment):
        return []
    return [
        Statement(
            "Turn",
            (
                "kinesisvideo:DescribeSignalingChannel",
                "kinesisvideo:GetSignalingChannelEndpoint",
                "kinesisvideo:GetIceServerConfig",
            ),
            (arn("kinesisvideo", f"channel/{turn_channels.prefix_of(deployment)}*/*"),),
        )
    ]


def _sonic(deployment: Deployment) -> Statement:
    # AWS's samples differ in which of the two the bidirectional stream needs.
    return Statement(
        "BedrockSonic",
        ("bedrock:InvokeModel", "bedrock:InvokeModelWithBidirectionalStream"),
        (_model(regions.NOVA_SONIC_MODEL, "${AWS::Region}"),),
    )


def _text(deployment: Deployment) -> Statement:
    # An inference profile passes the call on to its model in any region of its geography.
    profile = regions.inference_profile_for(deployment.stage.region)
    return Statement(
        "BedrockText",
        ("bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"),
        (_model(regions.NOVA_LITE_MODEL, "*"), arn("bedrock", f"inference-profile/{profile}")),
    )


def _transcribe(_: Deployment) -> Statement:
    return Statement(
        "Transcribe",
        # Pipecat opens the second; IAM knows no resources for them.
        ("transcribe:StartStreamTranscription", "transcribe:StartStreamTranscriptionWebSocket"),
    )


def _polly(_: Deployment) -> Statement:
    return Statement("Polly", ("polly:SynthesizeSpeech",))


_OF_SERVICES: dict[str, Callable[[Deployment], Statement]] = {
    "nova-2-sonic": _sonic,
    "nova-lite": _text,
    "transcribe": _transcribe,
    "polly": _polly,
}
"""What each service of AWS's own needs; others need a key, and no permission."""


def _model(model: str, region: str) -> Json:
    return sub(f"arn:${{AWS::Partition}}:bedrock:{region}::foundation-model/{model}")


def deployer_statements(
    deployment: Deployment, account: str, partition: str = "aws"
) -> list[Statement]:
    """What whoever deploys this stage must be allowed to do.

    CloudFormation acts with the caller's permissions, so they cover what the stacks make; only
    things that carry the names of project and stage, wherever IAM can tell.
    """
    name, stage, region = deployment.name, deployment.stage.name, deployment.stage.region

    def within(service: str, *resources: str, region: str = region) -> tuple[str, ...]:
        return tuple(f"arn:{partition}:{service}:{region}:{account}:{r}" for r in resources)

    role = within("iam", f"role/{aws_names.role_name_for(name, stage, region)}", region="")
    stacks = (
        aws_names.images_stack_name_for(name),
        aws_names.network_stack_name_for(name),
        aws_names.stack_name_for(name, stage),
        # Whether a server stands is looked at by every deploy.
        aws_names.server_for(name, stage),
    )
    groups = f"log-group:{aws_names.log_group_for(deployment.runtime_name, '*')}"
    statements = [
        Statement(
            "Stacks",
            _actions("cloudformation", _STACK_ACTIONS),
            within("cloudformation", *(f"stack/{stack}/*" for stack in stacks)),
        ),
        Statement(
            "Look",
            (
                "bedrock-agentcore:ListAgentRuntimeEndpoints",
                "bedrock-agentcore:ListAgentRuntimeVersions",
                "bedrock-agentcore:ListAgentRuntimes",
                "bedrock:GetFoundationModelAvailability",
                "cloudformation:DescribeStackDriftDetectionStatus",
                "cloudformation:ListStacks",
                "cloudwatch:GetMetricStatistics",
                "cloudwatch:ListMetrics",
                "ecr:GetAuthorizationToken",
                "kinesisvideo:ListSignalingChannels",
                "logs:DescribeLogGroups",
                "servicequotas:GetServiceQuota",
                "tag:GetResources",
            ),
        ),
        # By which preflight tells beforehand what is not allowed.
        Statement(
            "Foresee",
            ("iam:SimulatePrincipalPolicy",),
            within("iam", "user/*", "role/*", region=""),
        ),
        Statement(
            "Images",
            _actions("ecr", _REPOSITORY_ACTIONS),
            within("ecr", f"repository/{aws_names.repository_for(name)}"),
        ),
        Statement("Role", _actions("iam", _ROLE_ACTIONS), role),
        Statement(
            "RoleToAgentCore",
            ("iam:PassRole",),
            role,
            {"StringEquals": {"iam:PassedToService": _SERVICE}},
        ),
        # AgentCore has given the runtime no id yet, so IAM has no name to go by.
        Statement("NewRuntime", _actions("bedrock-agentcore", _NEW_RUNTIME_ACTIONS)),
        Statement(
            "Runtime",
            _actions("bedrock-agentcore", _RUNTIME_ACTIONS),
            within(
                "bedrock-agentcore",
                f"runtime/{deployment.runtime_name}-*",
                "workload-identity-directory/*",
            ),
        ),
        Statement(
            "Logs",
            _actions("logs", _LOG_ACTIONS),
            within("logs", groups, f"{groups}:log-stream:*"),
        ),
        Statement(
            "Secret",
            _actions("secretsmanager", _KEY_ACTIONS),
            # Secrets Manager puts six characters of its own at the end.
            within("secretsmanager", f"secret:{aws_names.secret_name_for(name, stage)}-*"),
        ),
    ]
    if deployment.asks_kvs:
        statements.append(
            Statement(
                "Turn",
                _actions("kinesisvideo", _CHANNEL_ACTIONS),
                within("kinesisvideo", f"channel/{turn_channels.prefix_of(deployment)}*/*"),
            )
        )
    if deployment.network == "vpc":
        statements += [
            Statement(
                "AgentCoreInterfaces",
                ("iam:CreateServiceLinkedRole",),
                within(
                    "iam",
                    f"role/aws-service-role/{_NETWORK_SERVICE}/"
                    "AWSServiceRoleForBedrockAgentCoreNetwork",
                    region="",
                ),
                {"StringEquals": {"iam:AWSServiceName": _NETWORK_SERVICE}},
            ),
            Statement("LookAtNetwork", _actions("ec2", _LOOK_AT_NETWORK_ACTIONS)),
        ]
    if deployment.makes_network:
        # Ids of what EC2 makes are not known before, and few of these actions take conditions.
        statements.append(
            Statement(
                "Network",
                _actions("ec2", _NETWORK_ACTIONS),
                condition={"StringEquals": {"aws:RequestedRegion": region}},
            )
        )
    return statements


def server_deployer_statements(
    deployment: Deployment, account: str, partition: str = "aws", *, bridged: bool = False
) -> list[Statement]:
    """What putting the session server into AWS takes besides, and taking it out again.

    `bridged`: as one that carries calls.
    """
    if bridged:
        return _bridge_deployer_statements(deployment, account, partition)
    name, stage, region = deployment.name, deployment.stage.name, deployment.stage.region
    here = f"{region}:{account}"
    server = aws_names.server_for(name, stage)
    role = f"arn:{partition}:iam::{account}:role/{aws_names.server_role_for(name, stage, region)}"
    group = f"arn:{partition}:logs:{here}:log-group:{aws_names.lambda_log_group_for(server)}"
    secret = (
        f"arn:{partition}:secretsmanager:{here}:secret:{aws_names.secret_name_for(name, stage)}"
    )
    return [
        Statement(
            "Server",
            _actions("lambda", _FUNCTION_ACTIONS),
            (f"arn:{partition}:lambda:{here}:function:{server}",),
        ),
        Statement(
            "ServerLogs",
            _actions("logs", _LOG_ACTIONS),
            (group, f"{group}:log-stream:*"),
        ),
        Statement(
            "ServerSecrets",
            _actions("secretsmanager", _KEY_ACTIONS),
            (f"{secret}/*",),
        ),
        # It makes the key up, and belongs to no secret (Service Authorization Reference).
        Statement("NewKey", ("secretsmanager:GetRandomPassword",)),
        Statement("ServerRole", _actions("iam", _ROLE_ACTIONS), (role,)),
        Statement(
            "ServerRoleToLambda",
            ("iam:PassRole",),
            (role,),
            {"StringEquals": {"iam:PassedToService": _LAMBDA}},
        ),
    ]


def _bridge_deployer_statements(
    deployment: Deployment, account: str, partition: str
) -> list[Statement]:
    """The same where calls run through the server, on ECS behind a load balancer."""
    name, stage, region = deployment.name, deployment.stage.name, deployment.stage.region
    server = aws_names.server_for(name, stage)
    here = f"{region}:{account}"
    # ELB, EC2 and CloudFront give ids that nobody knows before.
    in_region = {"StringEquals": {"aws:RequestedRegion": region}}

    def of(service: str, *resources: str, region: str = here) -> tuple[str, ...]:
        return tuple(f"arn:{partition}:{service}:{region}:{r}" for r in resources)

    group = f"log-group:{aws_names.ecs_log_group_for(server)}"
    roles = of(
        "iam",
        *(
            f"role/{role_for(name, stage, region)}"
            for role_for in (aws_names.server_role_for, aws_names.server_start_role_for)
        ),
        region=f":{account}",
    )
    statements = [
        Statement("Server", _actions("ecs", _CLUSTER_ACTIONS), of("ecs", f"cluster/{server}")),
        Statement(
            "ServerTasks", _actions("ecs", _TASKS_ACTIONS), of("ecs", f"task-definition/{server}:*")
        ),
        Statement(
            "ServerService", _actions("ecs", _SERVICE_ACTIONS), of("ecs", f"service/{server}/*")
        ),
        Statement("ServerTask", ("ecs:DescribeTasks",), of("ecs", f"task/{server}/*")),
        # Whether there is one of the other kind.
        Statement(
            "ServerFunction",
            ("lambda:GetFunctionConfiguration",),
            of("lambda", f"function:{server}"),
        ),
        # These know no resources (Service Authorization Reference).
        Statement(
            "ServerLook",
            (
                *_actions("ecs", "DescribeTaskDefinition DeregisterTaskDefinition ListTasks"),
                *_actions("elasticloadbalancing", _LOOK_AT_BALANCER_ACTIONS),
                "ec2:DescribeAccountAttributes",
                "ec2:DescribeInternetGateways",
                "ec2:DescribeSecurityGroups",
                "ec2:DescribeSubnets",
                "ec2:DescribeVpcs",
                "application-autoscaling:DescribeScalableTargets",
                "application-autoscaling:DescribeScalingPolicies",
            ),
        ),
        Statement(
            "ServerBalancer",
            _actions("elasticloadbalancing", _BALANCER_ACTIONS),
            of(
                "elasticloadbalancing",
                "loadbalancer/app/*/*",
                "targetgroup/*/*",
                "listener/app/*/*/*",
                "listener-rule/app/*/*/*/*",
            ),
        ),
        Statement("ServerGroups", _actions("ec2", _GROUP_ACTIONS), ("*",), in_region),
        Statement(
            "ServerScaling",
            _actions("application-autoscaling", _SCALING_ACTIONS),
            of("application-autoscaling", "scalable-target/*"),
        ),
        Statement(
            "ServerAlarms",
            _actions("cloudwatch", "PutMetricAlarm DescribeAlarms DeleteAlarms"),
            of("cloudwatch", f"alarm:TargetTracking-service/{server}/*"),
        ),
        Statement(
            "ServerLogs", _actions("logs", _LOG_ACTIONS), of("logs", group, f"{group}:log-stream:*")
        ),
        Statement(
            "ServerSecrets",
            _actions("secretsmanager", _KEY_ACTIONS),
            of("secretsmanager", f"secret:{aws_names.secret_name_for(name, stage)}/*"),
        ),
        Statement("NewKey", ("secretsmanager:GetRandomPassword",)),
        Statement("ServerRoles", _actions("iam", _ROLE_ACTIONS), roles),
        Statement(
            "ServerRolesToEcs",
            ("iam:PassRole",),
            roles,
            {"StringEquals": {"iam:PassedToService": _TASKS}},
        ),
        # In an account that never had any of these.
        Statement(
            "ServerServices",
            ("iam:CreateServiceLinkedRole",),
            of("iam", "role/aws-service-role/*", region=f":{account}"),
            {"StringEquals": {"iam:AWSServiceName": list(_LINKED_SERVICES)}},
        ),
    ]
    if not deployment.stage.server.domain:
        statements += [
            Statement(
                "NewServerFront", ("cloudfront:CreateDistribution", "cloudfront:ListDistributions")
            ),
            Statement(
                "ServerFront",
                _actions("cloudfront", _FRONT_ACTIONS),
                of("cloudfront", "distribution/*", region=f":{account}"),
            ),
        ]
    else:
        certificate = (deployment.stage.server.certificate,)
        statements.append(Statement("Certificate", ("acm:DescribeCertificate",), certificate))
    return statements


def build_statements(
    deployment: Deployment, account: str, partition: str = "aws"
) -> list[Statement]:
    """What building in AWS takes besides, and removing what builds left there (image/codebuild)."""
    name, region = deployment.name, deployment.stage.region
    bucket = f"arn:{partition}:s3:::{aws_names.builder_bucket_for(name, account, region)}"
    group = f"log-group:{aws_names.builder_log_group_for(name)}"
    role = f"arn:{partition}:iam::{account}:role/{aws_names.builder_role_for(name, region)}"
    here = f"{region}:{account}"
    return [
        Statement(
            "Builds",
            _actions("codebuild", _BUILD_ACTIONS),
            (f"arn:{partition}:codebuild:{here}:project/{aws_names.builder_for(name)}",),
        ),
        Statement("BuildSources", _actions("s3", _BUCKET_ACTIONS), (bucket, f"{bucket}/*")),
        Statement(
            "BuildLogs",
            _actions("logs", _BUILD_LOG_ACTIONS),
            tuple(
                f"arn:{partition}:logs:{here}:{kind}" for kind in (group, f"{group}:log-stream:*")
            ),
        ),
        Statement("BuildRole", _actions("iam", _BUILD_ROLE_ACTIONS), (role,)),
        Statement(
            "BuildRoleToCodeBuild",
            ("iam:PassRole",),
            (role,),
            {"StringEquals": {"iam:PassedToService": "codebuild.amazonaws.com"}},
        ),
    ]


def documents(statements: Iterable[Statement]) -> list[Json]:
    """The statements in as few policies as hold them, each no larger than IAM takes."""
    parts: list[list[Statement]] = [[]]
    for statement in statements:
        if parts[-1] and _size(document([*parts[-1], statement])) > POLICY_MAX:
            parts.append([])
        parts[-1].append(statement)
    return [document(part) for part in parts]


def _size(policy: Json) -> int:
    return len(json.dumps(policy, separators=(",", ":")))


def _actions(service: str, verbs: str) -> tuple[str, ...]:
    return tuple(f"{service}:{verb}" for verb in verbs.split())


_STACK_ACTIONS = """
    CreateStack UpdateStack CreateChangeSet DescribeChangeSet ExecuteChangeSet DeleteChangeSet
    DescribeStacks DescribeStackEvents ListStackResources GetTemplate DeleteStack RollbackStack
    ContinueUpdateRollback DetectStackDrift DescribeStackResourceDrifts TagResource
"""
_REPOSITORY_ACTIONS = """
    CreateRepository DescribeRepositories DeleteRepository PutLifecyclePolicy GetLifecyclePolicy
    PutImageScanningConfiguration PutImageTagMutability SetRepositoryPolicy GetRepositoryPolicy
    DeleteRepositoryPolicy TagResource UntagResource
    ListTagsForResource DescribeImages BatchDeleteImage BatchGetImage BatchCheckLayerAvailability
    GetDownloadUrlForLayer InitiateLayerUpload UploadLayerPart CompleteLayerUpload PutImage
"""
_ROLE_ACTIONS = """
    CreateRole GetRole DeleteRole UpdateRole UpdateAssumeRolePolicy TagRole UntagRole PutRolePolicy
    GetRolePolicy DeleteRolePolicy ListRolePolicies ListAttachedRolePolicies ListRoleTags
"""
_NEW_RUNTIME_ACTIONS = "CreateAgentRuntime CreateWorkloadIdentity"
_RUNTIME_ACTIONS = """
    GetAgentRuntime UpdateAgentRuntime DeleteAgentRuntime
    CreateAgentRuntimeEndpoint GetAgentRuntimeEndpoint UpdateAgentRuntimeEndpoint
    DeleteAgentRuntimeEndpoint DeleteWorkloadIdentity
    TagResource UntagResource ListTagsForResource
    InvokeAgentRuntime InvokeAgentRuntimeWithWebSocketStream StopRuntimeSession
"""
_FUNCTION_ACTIONS = """
    CreateFunction GetFunction GetFunctionConfiguration UpdateFunctionCode
    UpdateFunctionConfiguration DeleteFunction GetFunctionCodeSigningConfig
    CreateFunctionUrlConfig GetFunctionUrlConfig UpdateFunctionUrlConfig DeleteFunctionUrlConfig
    AddPermission RemovePermission GetPolicy ListTags TagResource UntagResource InvokeFunction
"""
_CLUSTER_ACTIONS = "CreateCluster DescribeClusters DeleteCluster TagResource UntagResource"
_TASKS_ACTIONS = "RegisterTaskDefinition TagResource UntagResource"
_SERVICE_ACTIONS = """
    CreateService DescribeServices UpdateService DeleteService TagResource UntagResource
"""
_LOOK_AT_BALANCER_ACTIONS = """
    DescribeLoadBalancers DescribeLoadBalancerAttributes DescribeTargetGroups
    DescribeTargetGroupAttributes DescribeTargetHealth DescribeListeners DescribeRules DescribeTags
"""
_BALANCER_ACTIONS = """
    CreateLoadBalancer ModifyLoadBalancerAttributes SetSubnets SetSecurityGroups DeleteLoadBalancer
    CreateTargetGroup ModifyTargetGroup ModifyTargetGroupAttributes DeleteTargetGroup CreateListener
    ModifyListener DeleteListener CreateRule ModifyRule DeleteRule AddTags RemoveTags
"""
_GROUP_ACTIONS = """
    CreateSecurityGroup AuthorizeSecurityGroupIngress RevokeSecurityGroupIngress
    AuthorizeSecurityGroupEgress RevokeSecurityGroupEgress DeleteSecurityGroup CreateTags DeleteTags
"""
_SCALING_ACTIONS = """
    RegisterScalableTarget DeregisterScalableTarget PutScalingPolicy
    DeleteScalingPolicy TagResource UntagResource ListTagsForResource
"""
_FRONT_ACTIONS = """
    GetDistribution UpdateDistribution DeleteDistribution TagResource
    UntagResource ListTagsForResource
"""
_LINKED_SERVICES = (
    "ecs.amazonaws.com",
    "elasticloadbalancing.amazonaws.com",
    "ecs.application-autoscaling.amazonaws.com",
)
_BUILD_ACTIONS = """
    CreateProject UpdateProject BatchGetProjects DeleteProject StartBuild StopBuild BatchGetBuilds
"""
_BUCKET_ACTIONS = """
    CreateBucket DeleteBucket ListBucket GetBucketTagging PutBucketTagging
    PutBucketPublicAccessBlock PutBucketPolicy PutLifecycleConfiguration PutObject DeleteObject
"""
_BUILD_LOG_ACTIONS = """
    CreateLogGroup DeleteLogGroup PutRetentionPolicy TagResource ListTagsForResource GetLogEvents
"""
_BUILD_ROLE_ACTIONS = """
    CreateRole GetRole DeleteRole UpdateAssumeRolePolicy TagRole PutRolePolicy DeleteRolePolicy
"""
_LOG_ACTIONS = """
    CreateLogGroup DeleteLogGroup PutRetentionPolicy TagResource ListTagsForResource
    DescribeLogStreams FilterLogEvents GetLogEvents StartLiveTail
"""
_KEY_ACTIONS = """
    CreateSecret DescribeSecret GetSecretValue PutSecretValue UpdateSecret DeleteSecret TagResource
    UntagResource
"""
_CHANNEL_ACTIONS = """
    CreateSignalingChannel DescribeSignalingChannel UpdateSignalingChannel DeleteSignalingChannel
    TagResource UntagResource ListTagsForResource GetSignalingChannelEndpoint GetIceServerConfig
"""
_LOOK_AT_NETWORK_ACTIONS = """
    DescribeAvailabilityZones DescribeSubnets DescribeSecurityGroups DescribeRouteTables
    DescribeVpcs DescribeNetworkInterfaces CreateNetworkInterface
"""
_NETWORK_ACTIONS = """
    CreateVpc ModifyVpcAttribute DescribeVpcAttribute DeleteVpc CreateInternetGateway
    AttachInternetGateway DetachInternetGateway DescribeInternetGateways DeleteInternetGateway
    CreateSubnet ModifySubnetAttribute DeleteSubnet CreateRouteTable AssociateRouteTable
    DisassociateRouteTable CreateRoute ReplaceRoute DeleteRoute DeleteRouteTable AllocateAddress
    DescribeAddresses ReleaseAddress CreateNatGateway DescribeNatGateways DeleteNatGateway
    CreateSecurityGroup AuthorizeSecurityGroupEgress RevokeSecurityGroupEgress DeleteSecurityGroup
    CreateVpcEndpoint ModifyVpcEndpoint DescribeVpcEndpoints DeleteVpcEndpoints CreateTags
    DeleteTags
"""
