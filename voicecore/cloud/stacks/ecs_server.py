"""A stage's session server where calls run through it: ECS Fargate behind a load balancer.

A call's sockets stay open for as long as it lasts, which no Lambda function may. The stack stands
beside the agent's, in the network of the project, and takes the place of `server_stack`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any
from urllib.parse import urlsplit

from voicecore.cloud.stacks import iam, network_stack, turn_channels
from voicecore.cloud.stacks.deployment import Deployment
from voicecore.cloud.stacks.env_split import Environment
from voicecore.cloud.stacks.lambda_server import (
    IMAGE_URI,
    RUNTIME_ARN,
    SECRET,
    SECRET_VERSION,
    SESSION_KEY,
    URL,
    log_group,
    with_keys,
)
from voicecore.cloud.stacks.network_stack import ANYWHERE, PUBLIC_SUBNETS, SUBNETS
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
from voicecore.project import aws_names

VCPUS = 1
GIGABYTES = 2
"""Of a task; the least memory that Fargate gives a whole vCPU (task_definition_parameters)."""

CALLS_PER_TASK = 25
"""At how many open calls a task another is started: half of what one vCPU carries without a late
frame, since a new task takes a minute or two to come while calls do not wait."""

DRAIN_ATTRIBUTE = "deregistration_delay.timeout_seconds"
"""The target group's attribute which says for how long a task that is to go keeps its calls."""

VPC = "Vpc"

CONTAINER = "server"
"""The name of the container in a task, and so the beginning of its log's."""

ADDRESS = "Address"
"""The output with what a domain of one's own must lead to; without such there is none."""

_PORT = 8080  # the image's own
_STOP_SECONDS = 120  # from SIGTERM to SIGKILL, the most that Fargate gives
# A call sends 50 frames a second. What is idle counts as open where a task is to go, and must end
# before the server itself ends it (at 150 s): else a webhook meets a closed connection now and
# then (ELB User Guide, edit-load-balancer-attributes).
_IDLE_SECONDS = 120
_LIFETIME_SECONDS = 28_800  # of a connection at the load balancer: as AgentCore's longest session
_LATEST_TLS = "ELBSecurityPolicy-TLS13-1-2-2021-06"
_SESSIONS = 50  # of a provider at once, as the server allows where nobody says another
_FILES = 65_536  # sockets at once; two a call

# The header by which the load balancer knows CloudFront, and the secret that it says.
_ORIGIN_HEADER = "X-Origin-Key"
_ORIGIN_KEY = "OriginKey"
_KEY_CHARACTERS = 43  # 256 bits of letters and digits

# CloudFront Developer Guide, managed policies: CachingDisabled, and AllViewer, which passes on what
# signatures are reckoned of and what makes a WebSocket.
_NO_CACHE = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
_ALL_OF_THE_VIEWER = "216adef6-5c7f-47e4-b989-5492eafa07d3"
# SecurityHeadersPolicy: the server is not told that its callers came by TLS, so CloudFront says
# Strict-Transport-Security in its place. The server's own headers stay as they are.
_ONLY_TLS = "67f7725c-6f97-4210-82d7-5512b31e9d03"

_HEALTH = (
    f"import urllib.request as u; u.urlopen('http://127.0.0.1:{_PORT}/health', timeout=4).read()"
)


def ecs_server_stack(
    deployment: Deployment,
    settings: Environment,
    image_uri: str = "",
    runtime_arn: str = "",
    secret_version: str = "",
    network: Mapping[str, str] | None = None,
) -> Stack:
    """The server with this image (by its digest), for the agent with this ARN.

    `network` is what the outputs of the project's network say. `secret_version` is that of its
    secret's value, so that another value starts it anew.
    """
    name, stage = deployment.name, deployment.stage.name
    domain = deployment.stage.server.domain
    door = _own_door(deployment) if domain else _cloudfront(deployment)
    resources = {
        "TaskRole": _task_role(deployment),
        "StartRole": _start_role(deployment, settings),
        "Log": log_group(
            deployment, aws_names.ecs_log_group_for(aws_names.server_for(name, stage))
        ),
        **_balancer(deployment),
        **door,
        **_service(deployment, settings),
        **_scaling(deployment),
    }
    parameters = {
        VPC: Parameter("The network: the output Vpc of its stack", "AWS::EC2::VPC::Id"),
        PUBLIC_SUBNETS: Parameter(
            "Where the load balancer is: public subnets in two zones", "List<AWS::EC2::Subnet::Id>"
        ),
        SUBNETS: Parameter(
            "Where the server is: private subnets that reach the internet by NAT",
            "List<AWS::EC2::Subnet::Id>",
        ),
    }
    told = network or {}
    values = {
        IMAGE_URI: image_uri,
        RUNTIME_ARN: runtime_arn,
        SECRET_VERSION: secret_version,
        **{key: told.get(key, "") for key in parameters},
    }
    outputs = {
        URL: StackOutput("Where providers and clients call", join("", [_origin(deployment), "/"])),
        "Cluster": StackOutput("The cluster", ref("Cluster")),
        "Service": StackOutput("The service in it", get_att("Service", "Name")),
    }
    if domain:
        outputs[ADDRESS] = StackOutput(
            "What the domain must lead to, by a CNAME or alias record",
            get_att("LoadBalancer", "DNSName"),
        )
    description = (
        f"The session server of the voicecore project {name}, stage {stage}, which carries its "
        "calls"
    )
    return with_keys(deployment, settings, description, resources, outputs, values, parameters)


def max_tasks(deployment: Deployment) -> int:
    """How many tasks run at most."""
    return ceil(deployment.stage.server.peak_calls / CALLS_PER_TASK)


def _origin(deployment: Deployment) -> Any:
    """The origin by which the world calls the server."""
    domain = deployment.stage.server.domain
    return f"https://{domain}" if domain else sub("https://${Distribution.DomainName}")


def _balancer(deployment: Deployment) -> dict[str, Resource]:
    """The load balancer in the public subnets, and the group of its targets."""
    port = 443 if deployment.stage.server.domain else 80
    # CloudFront has written who calls already; of others the load balancer says it itself.
    forwarded = "append" if deployment.stage.server.domain else "preserve"
    return {
        "DoorGroup": Resource(
            "AWS::EC2::SecurityGroup",
            {
                "GroupDescription": f"What the load balancer of {deployment.name} takes",
                "VpcId": ref(VPC),
                "SecurityGroupIngress": [_rule("Callers", port, {"CidrIp": ANYWHERE})],
                "SecurityGroupEgress": [_rule("The server", _PORT, {"CidrIp": network_stack.CIDR})],
            },
        ),
        "LoadBalancer": Resource(
            "AWS::ElasticLoadBalancingV2::LoadBalancer",
            {
                "Type": "application",
                "Scheme": "internet-facing",
                "IpAddressType": "ipv4",
                "Subnets": ref(PUBLIC_SUBNETS),
                "SecurityGroups": [get_att("DoorGroup", "GroupId")],
                "LoadBalancerAttributes": _attributes(
                    {
                        "idle_timeout.timeout_seconds": _IDLE_SECONDS,
                        "client_keep_alive.seconds": _LIFETIME_SECONDS,
                        "routing.http.drop_invalid_header_fields.enabled": "true",
                        "routing.http.xff_header_processing.mode": forwarded,
                    }
                ),
            },
        ),
        "Targets": Resource(
            "AWS::ElasticLoadBalancingV2::TargetGroup",
            {
                "TargetType": "ip",
                "Protocol": "HTTP",
                "Port": _PORT,
                "VpcId": ref(VPC),
                "HealthCheckPath": "/health",
                "HealthCheckIntervalSeconds": 10,
                "HealthCheckTimeoutSeconds": 5,
                "HealthyThresholdCount": 2,
                "UnhealthyThresholdCount": 3,
                "Matcher": {"HttpCode": "200"},
                "TargetGroupAttributes": _attributes(
                    {
                        # A task that is to go takes no new calls, and keeps those that it has:
                        # ECS stops it when the load balancer has no more for it to wait for, and
                        # no sooner is an update over (ECS, load-balancer-connection-draining).
                        DRAIN_ATTRIBUTE: 60 * deployment.stage.server.drain_minutes,
                        # By turns, a new task would get as many calls as one that is full.
                        "load_balancing.algorithm.type": "least_outstanding_requests",
                    }
                ),
            },
        ),
    }


def _own_door(deployment: Deployment) -> dict[str, Resource]:
    """HTTPS by the certificate that is given."""
    return {
        "Listener": Resource(
            "AWS::ElasticLoadBalancingV2::Listener",
            {
                "LoadBalancerArn": ref("LoadBalancer"),
                "Protocol": "HTTPS",
                "Port": 443,
                "SslPolicy": _LATEST_TLS,
                "Certificates": [{"CertificateArn": deployment.stage.server.certificate}],
                "DefaultActions": [_forward()],
            },
        )
    }


def _forward() -> Json:
    return {"Type": "forward", "TargetGroupArn": ref("Targets")}


def _cloudfront(deployment: Deployment) -> dict[str, Resource]:
    """HTTPS by CloudFront's own certificate; nobody else is let in."""
    return {
        _ORIGIN_KEY: Resource(
            "AWS::SecretsManager::Secret",
            {
                "Name": aws_names.origin_key_for(deployment.name, deployment.stage.name),
                "Description": "By which the load balancer knows CloudFront, as JSON",
                "GenerateSecretString": {
                    "SecretStringTemplate": "{}",
                    "GenerateStringKey": "KEY",
                    "PasswordLength": _KEY_CHARACTERS,
                    "ExcludePunctuation": True,
                },
            },
        ),
        "Listener": Resource(
            "AWS::ElasticLoadBalancingV2::Listener",
            {
                "LoadBalancerArn": ref("LoadBalancer"),
                "Protocol": "HTTP",
                "Port": 80,
                "DefaultActions": [
                    {
                        "Type": "fixed-response",
                        "FixedResponseConfig": {
                            "StatusCode": "403",
                            "ContentType": "text/plain",
                            "MessageBody": "Call by HTTPS.",
                        },
                    }
                ],
            },
        ),
        "FromCloudFront": Resource(
            "AWS::ElasticLoadBalancingV2::ListenerRule",
            {
                "ListenerArn": ref("Listener"),
                "Priority": 1,
                "Conditions": [
                    {
                        "Field": "http-header",
                        "HttpHeaderConfig": {
                            "HttpHeaderName": _ORIGIN_HEADER,
                            "Values": [_origin_key()],
                        },
                    }
                ],
                "Actions": [_forward()],
            },
        ),
        "Distribution": Resource(
            "AWS::CloudFront::Distribution",
            {
                "DistributionConfig": {
                    "Comment": aws_names.server_for(deployment.name, deployment.stage.name),
                    "Enabled": True,
                    "Origins": [
                        {
                            "Id": "balancer",
                            "DomainName": get_att("LoadBalancer", "DNSName"),
                            "CustomOriginConfig": {
                                "OriginProtocolPolicy": "http-only",
                                "HTTPPort": 80,
                                # A session may take 30 s to start.
                                "OriginReadTimeout": 60,
                            },
                            "OriginCustomHeaders": [
                                {"HeaderName": _ORIGIN_HEADER, "HeaderValue": _origin_key()}
                            ],
                        }
                    ],
                    "DefaultCacheBehavior": {
                        "TargetOriginId": "balancer",
                        "ViewerProtocolPolicy": "https-only",
                        "AllowedMethods": [
                            "GET", "HEAD", "OPTIONS", "PUT", "PATCH", "POST", "DELETE",
                        ],
                        "CachePolicyId": _NO_CACHE,
                        "OriginRequestPolicyId": _ALL_OF_THE_VIEWER,
                        "ResponseHeadersPolicyId": _ONLY_TLS,
                    },
                }
            },
        ),
    }  # fmt: skip


def _origin_key() -> Json:
    """Resolved by CloudFormation: the key is in no template, and in no parameter."""
    return sub(f"{{{{resolve:secretsmanager:${{{_ORIGIN_KEY}}}:SecretString:KEY}}}}")


def _service(deployment: Deployment, settings: Environment) -> dict[str, Resource]:
    """The tasks that run the server."""
    name = aws_names.server_for(deployment.name, deployment.stage.name)
    entered_by = "Listener" if deployment.stage.server.domain else "FromCloudFront"
    return {
        "Cluster": Resource("AWS::ECS::Cluster", {"ClusterName": name}),
        "ServerGroup": Resource(
            "AWS::EC2::SecurityGroup",
            {
                "GroupDescription": f"What the session server of {deployment.name} may reach",
                "VpcId": ref(VPC),
                "SecurityGroupIngress": [
                    _rule(
                        "The load balancer",
                        _PORT,
                        {"SourceSecurityGroupId": get_att("DoorGroup", "GroupId")},
                    )
                ],
                "SecurityGroupEgress": [
                    _rule(what, port, {"CidrIp": ANYWHERE}) for what, port in _reaches(settings)
                ],
            },
        ),
        "Task": Resource(
            "AWS::ECS::TaskDefinition",
            {
                "Family": name,
                "RequiresCompatibilities": ["FARGATE"],
                "NetworkMode": "awsvpc",
                "RuntimePlatform": {"CpuArchitecture": "ARM64", "OperatingSystemFamily": "LINUX"},
                "Cpu": str(VCPUS * 1024),
                "Memory": str(GIGABYTES * 1024),
                "ExecutionRoleArn": get_att("StartRole", "Arn"),
                "TaskRoleArn": get_att("TaskRole", "Arn"),
                "ContainerDefinitions": [_container(deployment, settings)],
            },
        ),
        "Service": Resource(
            "AWS::ECS::Service",
            {
                "ServiceName": name,
                "Cluster": ref("Cluster"),
                "TaskDefinition": ref("Task"),
                "LaunchType": "FARGATE",
                # How many there are is not said: an update would undo what scaling did.
                "DeploymentConfiguration": {
                    "MinimumHealthyPercent": 100,
                    "MaximumPercent": 200,
                    "DeploymentCircuitBreaker": {"Enable": True, "Rollback": True},
                },
                "HealthCheckGracePeriodSeconds": 60,
                "LoadBalancers": [
                    {
                        "ContainerName": CONTAINER,
                        "ContainerPort": _PORT,
                        "TargetGroupArn": ref("Targets"),
                    }
                ],
                "NetworkConfiguration": {
                    "AwsvpcConfiguration": {
                        "AssignPublicIp": "DISABLED",
                        "Subnets": ref(SUBNETS),
                        "SecurityGroups": [get_att("ServerGroup", "GroupId")],
                    }
                },
                "PropagateTags": "SERVICE",
            },
            # ECS takes no target group that no load balancer uses.
            depends_on=(entered_by,),
        ),
    }


def _container(deployment: Deployment, settings: Environment) -> Json:
    calls = {"SESSIONS_AT_ONCE": str(max(_SESSIONS, deployment.stage.server.peak_calls))}
    known = turn_channels.turn_variables(deployment) | calls | dict(settings.plain)
    told: dict[str, Any] = {
        "AWS_REGION": deployment.stage.region,
        "AGENT_RUNTIME_ARN": ref(RUNTIME_ARN),
        # What providers sign their requests with; behind the load balancer nothing else says it.
        "PUBLIC_URL": _origin(deployment),
        "TRUSTED_PROXIES": network_stack.CIDR,
    }
    # Secrets are put into the environment by ECS: the server itself may read none of them.
    session = f"${{{SESSION_KEY}}}:SESSION_API_KEY::"
    secrets = {
        "SESSION_API_KEY": session,
        # By version, so that another value is another task definition.
        **{n: f"${{{SECRET}}}:{n}::${{{SECRET_VERSION}}}" for n in sorted(settings.secret)},
    }
    return {
        "Name": CONTAINER,
        "Image": ref(IMAGE_URI),
        "Essential": True,
        "PortMappings": [{"ContainerPort": _PORT, "Protocol": "tcp"}],
        "Environment": [{"Name": n, "Value": v} for n, v in (known | told).items()],
        "Secrets": [{"Name": n, "ValueFrom": sub(where)} for n, where in secrets.items()],
        "StopTimeout": _STOP_SECONDS,
        "HealthCheck": {
            "Command": ["CMD", "python", "-c", _HEALTH],
            "Interval": 10,
            "Timeout": 5,
            "Retries": 3,
            "StartPeriod": 30,
        },
        "Ulimits": [{"Name": "nofile", "SoftLimit": _FILES, "HardLimit": _FILES}],
        "LogConfiguration": {
            "LogDriver": "awslogs",
            "Options": {
                "awslogs-group": ref("Log"),
                "awslogs-region": ref("AWS::Region"),
                "awslogs-stream-prefix": CONTAINER,
            },
        },
    }


def _scaling(deployment: Deployment) -> dict[str, Resource]:
    """Tasks by open calls, as the load balancer counts them.

    A metric of the server's own would cost money and a permission, and tell the same. Each call
    has two connections there, its caller's and its task's.
    """
    name = aws_names.server_for(deployment.name, deployment.stage.name)
    return {
        "Scaling": Resource(
            "AWS::ApplicationAutoScaling::ScalableTarget",
            {
                "ServiceNamespace": "ecs",
                "ScalableDimension": "ecs:service:DesiredCount",
                # Not by the service's attribute: whenever that changes, a change set would have
                # to say that this might be another.
                "ResourceId": f"service/{name}/{name}",
                "MinCapacity": 1,
                "MaxCapacity": max_tasks(deployment),
            },
            depends_on=("Service",),
        ),
        "ByCalls": Resource(
            "AWS::ApplicationAutoScaling::ScalingPolicy",
            {
                "PolicyName": "calls",
                "PolicyType": "TargetTrackingScaling",
                "ScalingTargetId": ref("Scaling"),
                "TargetTrackingScalingPolicyConfiguration": {
                    "TargetValue": CALLS_PER_TASK,
                    "ScaleOutCooldown": 60,
                    "ScaleInCooldown": 600,
                    "CustomizedMetricSpecification": {
                        "Metrics": [
                            _metric("connections", "ActiveConnectionCount", "Sum", _of_balancer()),
                            _metric(
                                "tasks",
                                "HealthyHostCount",
                                "Maximum",
                                {"TargetGroup": get_att("Targets", "TargetGroupFullName")}
                                | _of_balancer(),
                            ),
                            {
                                "Id": "calls",
                                "Label": "Open calls of a task",
                                # Nothing is counted of no connections, and nothing done of nothing.
                                "Expression": "FILL(connections, 0) / 2 / IF(tasks > 0, tasks, 1)",
                                "ReturnData": True,
                            },
                        ]
                    },
                },
            },
        ),
    }


def _of_balancer() -> Json:
    return {"LoadBalancer": get_att("LoadBalancer", "LoadBalancerFullName")}


def _metric(id: str, name: str, stat: str, dimensions: Json) -> Json:
    metric = {
        "Namespace": "AWS/ApplicationELB",
        "MetricName": name,
        "Dimensions": [{"Name": key, "Value": value} for key, value in dimensions.items()],
    }
    return {"Id": id, "MetricStat": {"Metric": metric, "Stat": stat}, "ReturnData": False}


def _task_role(deployment: Deployment) -> Resource:
    name, stage = deployment.name, deployment.stage
    agent = [ref(RUNTIME_ARN), sub(f"${{{RUNTIME_ARN}}}/runtime-endpoint/DEFAULT")]
    return _role(
        aws_names.server_role_for(name, stage.name, stage.region),
        f"What the session server of {name} may do",
        iam.task_role_statements(deployment, agent),
    )


def _start_role(deployment: Deployment, settings: Environment) -> Resource:
    name, stage = deployment.name, deployment.stage
    secrets = [ref(SESSION_KEY), *([ref(SECRET)] if settings.secret else [])]
    return _role(
        aws_names.server_start_role_for(name, stage.name, stage.region),
        f"What ECS may do to start the session server of {name}",
        iam.start_role_statements(deployment, secrets),
    )


def _role(name: str, description: str, statements: list[iam.Statement]) -> Resource:
    return Resource(
        "AWS::IAM::Role",
        {
            "RoleName": name,
            "Description": description,
            "AssumeRolePolicyDocument": iam.ecs_tasks_trust(),
            "Policies": [
                {"PolicyName": "server", "PolicyDocument": iam.policy_document(statements)}
            ],
        },
    )


def _reaches(settings: Environment) -> list[tuple[str, int]]:
    """The ports that the server must reach: AWS and providers, and a session table if there is."""
    ports = [("AWS and telephone providers", 443)]
    if store := settings.secret.get("SESSION_STORE"):
        ports.append(("The session table", urlsplit(store).port or 6379))
    return ports


def _rule(what: str, port: int, peer: Json) -> Json:
    return {"Description": what, "IpProtocol": "tcp", "FromPort": port, "ToPort": port} | peer


def _attributes(values: Mapping[str, Any]) -> list[Json]:
    return [{"Key": key, "Value": str(value)} for key, value in values.items()]
