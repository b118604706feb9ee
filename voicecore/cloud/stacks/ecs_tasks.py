"""Owns what runs a session server on ECS: cluster, task definition, service and scaling."""

from __future__ import annotations

from math import ceil
from typing import Any
from urllib.parse import urlsplit

from voicecore.cloud.stacks import network_stack, turn_channels
from voicecore.cloud.stacks.deployment import Deployment
from voicecore.cloud.stacks.ecs_load_balancer import (
    PORT,
    entry_id,
    security_rule,
    server_origin,
)
from voicecore.cloud.stacks.env_split import Environment
from voicecore.cloud.stacks.network_stack import ANYWHERE, SUBNETS, VPC_ID
from voicecore.cloud.stacks.server_stack import (
    IMAGE_URI,
    RUNTIME_ARN,
    SECRET,
    SECRET_VERSION,
    SESSION_KEY,
    STORE,
    endpoint_variable,
    store_variable,
)
from voicecore.cloud.stacks.stack import Json, Resource, get_att, ref, sub
from voicecore.project import aws_names

VCPUS = 1
GIGABYTES = 2
"""Size of a task: the least memory that Fargate gives a whole vCPU (task_definition_parameters)."""

CALLS_PER_TASK = 25
"""Open calls per task above which another task is started: half of what one vCPU carries without a
late frame, because a new task takes a minute or two to start and calls do not wait."""

CONTAINER = "server"
"""Name of the container in a task; its log streams start with it."""

_STOP_SECONDS = 120  # from SIGTERM to SIGKILL, the most that Fargate allows
_SESSIONS = 50  # of a provider at once: the server's default
_OPEN_FILES = 65_536  # sockets at once; a call has two

_HEALTH_CHECK = (
    f"import urllib.request as u; u.urlopen('http://127.0.0.1:{PORT}/health', timeout=4).read()"
)


def max_tasks(deployment: Deployment) -> int:
    """Return how many tasks run at most."""
    return ceil(deployment.stage.server.peak_calls / CALLS_PER_TASK)


def service_resources(deployment: Deployment, env: Environment) -> dict[str, Resource]:
    """Return the cluster and the service whose tasks run the server."""
    name = aws_names.server_for(deployment.name, deployment.stage.name)
    return {
        "Cluster": Resource("AWS::ECS::Cluster", {"ClusterName": name}),
        "ServerGroup": _security_group(deployment, env),
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
                "ContainerDefinitions": [_container(deployment, env)],
            },
        ),
        "Service": _service(deployment, name),
    }


def scaling(deployment: Deployment) -> dict[str, Resource]:
    """Return the scaling of the service by open calls, as the load balancer counts them.

    A metric of the server's own would cost money and a permission, and say the same. Each call has
    two connections at the load balancer: the caller's and the task's.
    """
    name = aws_names.server_for(deployment.name, deployment.stage.name)
    return {
        "Scaling": Resource(
            "AWS::ApplicationAutoScaling::ScalableTarget",
            {
                "ServiceNamespace": "ecs",
                "ScalableDimension": "ecs:service:DesiredCount",
                # Not the service's attribute: whenever the service changes, a change set would say
                # that this target may be replaced.
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
                    "CustomizedMetricSpecification": {"Metrics": _calls_per_task(name)},
                },
            },
        ),
    }


def _security_group(deployment: Deployment, env: Environment) -> Resource:
    from_load_balancer = {"SourceSecurityGroupId": get_att("DoorGroup", "GroupId")}
    return Resource(
        "AWS::EC2::SecurityGroup",
        {
            # EC2 replaces a group whose description changes, so this one stays as it is.
            "GroupDescription": f"What the session server of {deployment.name} may reach",
            "VpcId": ref(VPC_ID),
            "SecurityGroupIngress": [security_rule("The load balancer", PORT, from_load_balancer)],
            "SecurityGroupEgress": [
                security_rule(description, port, {"CidrIp": ANYWHERE})
                for description, port in _egress(env)
            ],
        },
    )


def _egress(env: Environment) -> list[tuple[str, int]]:
    """Return the ports that the server must reach: AWS, providers, and its session table if any."""
    ports = [("AWS and phone providers", 443)]
    if store := env.secret.get(STORE):
        ports.append(("The session table", urlsplit(store).port or 6379))
    return ports


def _service(deployment: Deployment, name: str) -> Resource:
    return Resource(
        "AWS::ECS::Service",
        {
            "ServiceName": name,
            "Cluster": ref("Cluster"),
            "TaskDefinition": ref("Task"),
            "LaunchType": "FARGATE",
            # ECS would stop tasks, and so cut calls, to spread them over zones.
            "AvailabilityZoneRebalancing": "DISABLED",
            # No DesiredCount: an update would undo what scaling did.
            "DeploymentConfiguration": {
                "MinimumHealthyPercent": 100,
                "MaximumPercent": 200,
                "DeploymentCircuitBreaker": {"Enable": True, "Rollback": True},
            },
            "HealthCheckGracePeriodSeconds": 60,
            "LoadBalancers": [
                {
                    "ContainerName": CONTAINER,
                    "ContainerPort": PORT,
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
        # ECS accepts a target group only when a load balancer uses it.
        depends_on=(entry_id(deployment),),
    )


def _container(deployment: Deployment, env: Environment) -> Json:
    return {
        "Name": CONTAINER,
        "Image": ref(IMAGE_URI),
        "Essential": True,
        "PortMappings": [{"ContainerPort": PORT, "Protocol": "tcp"}],
        "Environment": [
            {"Name": name, "Value": value} for name, value in _variables(deployment, env).items()
        ],
        "Secrets": [{"Name": n, "ValueFrom": sub(source)} for n, source in _secrets(env).items()],
        "StopTimeout": _STOP_SECONDS,
        "HealthCheck": {
            "Command": ["CMD", "python", "-c", _HEALTH_CHECK],
            "Interval": 10,
            "Timeout": 5,
            "Retries": 3,
            "StartPeriod": 30,
        },
        "Ulimits": [{"Name": "nofile", "SoftLimit": _OPEN_FILES, "HardLimit": _OPEN_FILES}],
        "LogConfiguration": {
            "LogDriver": "awslogs",
            "Options": {
                "awslogs-group": ref("Log"),
                "awslogs-region": ref("AWS::Region"),
                "awslogs-stream-prefix": CONTAINER,
            },
        },
    }


def _variables(deployment: Deployment, env: Environment) -> dict[str, Any]:
    sessions = {"SESSIONS_AT_ONCE": str(max(_SESSIONS, deployment.stage.server.peak_calls))}
    own: dict[str, Any] = {
        "AWS_REGION": deployment.stage.region,
        "AGENT_RUNTIME_ARN": ref(RUNTIME_ARN),
        **endpoint_variable(deployment),
        # Providers sign their requests with it; behind the load balancer nothing else tells it.
        "PUBLIC_URL": server_origin(deployment),
        "TRUSTED_PROXIES": network_stack.CIDR,
        **store_variable(env),
    }
    return turn_channels.turn_variables(deployment) | sessions | dict(env.plain) | own


def _secrets(env: Environment) -> dict[str, str]:
    """Return the secret variables, which ECS fills in: the server's role may read no secret."""
    return {
        "SESSION_API_KEY": f"${{{SESSION_KEY}}}:SESSION_API_KEY::",
        # By version, so that a new value makes a new task definition.
        **{n: f"${{{SECRET}}}:{n}::${{{SECRET_VERSION}}}" for n in sorted(env.secret)},
    }


def _calls_per_task(server: str) -> list[Json]:
    targets = {"TargetGroup": get_att("Targets", "TargetGroupFullName")}
    service = {"ClusterName": server, "ServiceName": server}
    return [
        _metric("connections", "ApplicationELB", "ActiveConnectionCount", "Sum", _balancer()),
        _metric("tasks", "ApplicationELB", "HealthyHostCount", "Maximum", targets | _balancer()),
        # Tasks that drain are not healthy targets, and their calls are counted: they count as
        # tasks, too. A running task is one or three samples a minute (ECS Developer Guide,
        # service_utilization), and an update runs at most twice as many tasks.
        _metric("samples", "ECS", "CPUUtilization", "SampleCount", service),
        {
            "Id": "running",
            "Expression": "FILL(samples, 0) / IF(FILL(samples, 0) > 2 * tasks, 3, 1)",
            "ReturnData": False,
        },
        {
            "Id": "calls",
            "Label": "Open calls per task",
            # Without connections the load balancer reports nothing, and scaling would do nothing.
            "Expression": (
                "FILL(connections, 0) / 2 / IF(tasks > 0, IF(running > tasks, running, tasks), 1)"
            ),
            "ReturnData": True,
        },
    ]


def _balancer() -> Json:
    return {"LoadBalancer": get_att("LoadBalancer", "LoadBalancerFullName")}


def _metric(id: str, namespace: str, name: str, stat: str, dimensions: Json) -> Json:
    metric = {
        "Namespace": f"AWS/{namespace}",
        "MetricName": name,
        "Dimensions": [{"Name": k, "Value": v} for k, v in dimensions.items()],
    }
    return {"Id": id, "MetricStat": {"Metric": metric, "Stat": stat}, "ReturnData": False}
