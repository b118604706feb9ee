"""Owns the stack of a session server that carries calls: ECS Fargate behind a load balancer.

A call's sockets stay open for as long as the call lasts, longer than a Lambda function may run. The
stack is deployed beside the agent's, in the project's network, and replaces that of lambda_server.
"""

from __future__ import annotations

from collections.abc import Mapping

from voicecore.cloud.iam.server_roles import ecs_trust, start_role_statements, task_role_statements
from voicecore.cloud.stacks.deployment import Deployment
from voicecore.cloud.stacks.ecs_load_balancer import (
    ORIGIN_ADDRESSES,
    entry_resources,
    is_private,
    load_balancer,
    server_origin,
)
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
    private: bool = True,
) -> Stack:
    """Return the stack of the server with this image (by digest) for the agent with this ARN.

    `network` holds the outputs of the project's network stack, and ORIGIN_ADDRESSES.
    `secret_version` is the version of its secret's value, so that a new value restarts the server.
    `default_endpoint` is as in `agent_arns`. `private`: the load balancer is internal, where that
    is possible.
    """
    name, stage, region = deployment.name, deployment.stage.name, deployment.stage.region
    server = aws_names.server_for(name, stage)
    private = private and is_private(deployment, {})
    resources = {
        "TaskRole": server_role(
            deployment,
            aws_names.server_role_for(name, stage, region),
            f"Permissions of the session server of {name}",
            ecs_trust(),
            task_role_statements(
                deployment, agent_arns(deployment, default_endpoint), table_arns(env)
            ),
        ),
        "StartRole": server_role(
            deployment,
            aws_names.server_start_role_for(name, stage, region),
            f"Permissions of ECS to start the session server of {name}",
            ecs_trust(),
            start_role_statements(deployment, secret_arns(env)),
        ),
        "Log": log_group(deployment, aws_names.ecs_log_group_for(server)),
        **load_balancer(deployment, private),
        **entry_resources(deployment, private),
        **service_resources(deployment, env),
        **scaling(deployment),
    }
    parameters = _network_parameters(deployment, private)
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


def _network_parameters(deployment: Deployment, private: bool) -> dict[str, Parameter]:
    parameters = {
        VPC_ID: Parameter("The network: the output Vpc of its stack", "AWS::EC2::VPC::Id"),
        SUBNETS: Parameter(
            "Private subnets with a route to a NAT gateway, for the server",
            "List<AWS::EC2::Subnet::Id>",
        ),
    }
    if not private:
        parameters[PUBLIC_SUBNETS] = Parameter(
            "Public subnets in two zones, for the load balancer", "List<AWS::EC2::Subnet::Id>"
        )
    if not deployment.stage.server.domain:
        parameters[ORIGIN_ADDRESSES] = Parameter(
            "ID of the managed prefix list com.amazonaws.global.cloudfront.origin-facing (`aws ec2 "
            "describe-managed-prefix-lists`)",
            pattern="pl-[0-9a-f]+",
        )
    return parameters


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
