"""Owns the stack of a session server that carries calls: ECS Fargate behind a load balancer.

A call's sockets stay open for as long as the call lasts, longer than a Lambda function may run. The
stack is deployed beside the agent's, in the project's network, and replaces that of lambda_server.
"""

from __future__ import annotations

from collections.abc import Mapping

from voicecore.cloud.iam.server_roles import ecs_trust, start_role_statements, task_role_statements
from voicecore.cloud.stacks.deployment import Deployment
from voicecore.cloud.stacks.ecs_load_balancer import entry_resources, load_balancer, server_origin
from voicecore.cloud.stacks.ecs_tasks import scaling, service_resources
from voicecore.cloud.stacks.env_split import Environment
from voicecore.cloud.stacks.network_stack import PUBLIC_SUBNETS, SUBNETS, VPC_ID
from voicecore.cloud.stacks.server_stack import (
    IMAGE_URI,
    RUNTIME_ARN,
    SECRET_VERSION,
    URL,
    agent_arns,
    log_group,
    secret_arns,
    server_role,
    server_stack,
    table_arns,
)
from voicecore.cloud.stacks.stack import Parameter, Stack, StackOutput, get_att, join, ref
from voicecore.project import aws_names

ADDRESS = "Address"
"""The output with the DNS name that your own domain must point to; absent without a domain."""


def ecs_server_stack(
    deployment: Deployment,
    env: Environment,
    image_uri: str = "",
    runtime_arn: str = "",
    secret_version: str = "",
    network: Mapping[str, str] | None = None,
    default_endpoint: bool = False,
) -> Stack:
    """Return the stack of the server with this image (by digest) for the agent with this ARN.

    `network` holds the outputs of the project's network stack. `secret_version` is the version of
    its secret's value, so that a new value restarts the server. `default_endpoint` is as in
    `agent_arns`.
    """
    name, stage, region = deployment.name, deployment.stage.name, deployment.stage.region
    server = aws_names.server_for(name, stage)
    resources = {
        "TaskRole": server_role(
            aws_names.server_role_for(name, stage, region),
            f"Permissions of the session server of {name}",
            ecs_trust(),
            task_role_statements(
                deployment, agent_arns(deployment, default_endpoint), table_arns(env)
            ),
        ),
        "StartRole": server_role(
            aws_names.server_start_role_for(name, stage, region),
            f"Permissions of ECS to start the session server of {name}",
            ecs_trust(),
            start_role_statements(deployment, secret_arns(env)),
        ),
        "Log": log_group(deployment, aws_names.ecs_log_group_for(server)),
        **load_balancer(deployment),
        **entry_resources(deployment),
        **service_resources(deployment, env),
        **scaling(deployment),
    }
    parameters = _network_parameters()
    given = network or {}
    values = {
        IMAGE_URI: image_uri,
        RUNTIME_ARN: runtime_arn,
        SECRET_VERSION: secret_version,
        **{key: given.get(key, "") for key in parameters},
    }
    description = (
        f"The session server of the voicecore project {name}, stage {stage}, which carries its "
        "calls"
    )
    outputs = _outputs(deployment)
    return server_stack(deployment, env, description, resources, outputs, values, parameters)


def _network_parameters() -> dict[str, Parameter]:
    return {
        VPC_ID: Parameter("The network: the output Vpc of its stack", "AWS::EC2::VPC::Id"),
        PUBLIC_SUBNETS: Parameter(
            "Public subnets in two zones, for the load balancer", "List<AWS::EC2::Subnet::Id>"
        ),
        SUBNETS: Parameter(
            "Private subnets with a route to a NAT gateway, for the server",
            "List<AWS::EC2::Subnet::Id>",
        ),
    }


def _outputs(deployment: Deployment) -> dict[str, StackOutput]:
    outputs = {
        URL: StackOutput(
            "URL for phone providers and clients", join("", [server_origin(deployment), "/"])
        ),
        "Cluster": StackOutput("The ECS cluster", ref("Cluster")),
        "Service": StackOutput("The ECS service", get_att("Service", "Name")),
    }
    if deployment.stage.server.domain:
        outputs[ADDRESS] = StackOutput(
            "DNS name that the domain must point to, by a CNAME or alias record",
            get_att("LoadBalancer", "DNSName"),
        )
    return outputs
