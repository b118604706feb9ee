"""Owns the stack of a stage's agent: execution role, TURN channels, secret, runtime and endpoint.

The log group is not in it: AgentCore creates it with the runtime, and a template that creates it
too fails (hashicorp/terraform-provider-aws#47629,
aws-cloudformation/cloudformation-coverage-roadmap#2460). Its retention time is set after the stack
is deployed.

The endpoint, which callers name, stays at its version while the runtime changes: CloudFormation
cannot set requireMMDSV2, and AgentCore refuses calls of a version without it. A second update of
this stack moves the endpoint once the new version is whole. Its version is a parameter, so that
the stack says where the endpoint is, a deploy that died before the second update is continued by
the next, and an update that is rolled back leaves callers where they were.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from voicecore.catalog import platforms
from voicecore.cloud.iam.execution_role import execution_role_statements, execution_role_trust
from voicecore.cloud.iam.role import role_resource
from voicecore.cloud.stacks import env_split, turn_channels, versions
from voicecore.cloud.stacks.deployment import Deployment
from voicecore.cloud.stacks.env_split import Environment
from voicecore.cloud.stacks.network_stack import SECURITY_GROUPS, SUBNETS
from voicecore.cloud.stacks.stack import (
    Json,
    Parameter,
    Resource,
    Stack,
    StackOutput,
    get_att,
    ref,
    sub,
    template,
)
from voicecore.cloud.stacks.versions import EARLIER_VERSIONS, LIVE_VERSION, NEW, NONE, Live, Version
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.project import aws_names
from voicecore.project.settings.network import VPC

IMAGE_URI = "ImageUri"

RUNTIME = "Runtime"
ENDPOINT = "Endpoint"
SECRET = "Secret"  # noqa: S105 - a logical ID

_DESCRIPTION_MAX = 1200  # characters (CloudFormation's schema)

_ARN_LENGTH = 160
"""Longer than any ARN: counts for a variable whose value is not known yet."""


class EnvironmentTooLarge(VoicecoreError):
    """The agent's variables do not fit into a runtime."""


def agent_stack(
    deployment: Deployment,
    env: Environment,
    history: Sequence[Version] = (),
    image_uri: str = "",
    subnets: Sequence[str] = (),
    security_groups: Sequence[str] = (),
    live: Live = NEW,
) -> Stack:
    """Return the stack of the agent with this image (by digest), in this network.

    `history` ends with the version that is deployed; `live` is what callers reach. Subnets and
    security groups in voicecore.toml override those given here. Raises EnvironmentTooLarge.
    """
    secret = _secret(deployment, env)
    own_role = {"Role": _role(deployment, ref(SECRET) if secret else None)}
    resources = {
        **({} if deployment.stage.role else own_role),
        **turn_channels.signaling_channels(deployment),
        **({SECRET: secret} if secret else {}),
        RUNTIME: _runtime(deployment, env, history),
        ENDPOINT: Resource(
            "AWS::BedrockAgentCore::RuntimeEndpoint",
            {
                "Name": aws_names.endpoint_name_for(deployment.stage.name),
                # Ref gives the runtime's ID, which no update changes. With GetAtt, a change set
                # would say that the endpoint may be replaced.
                "AgentRuntimeId": ref(RUNTIME),
                "AgentRuntimeVersion": ref(LIVE_VERSION),
                # Read by those who look at the endpoint in AWS's console.
                "Description": sub(f"Versions before: ${{{EARLIER_VERSIONS}}}"),
            },
        ),
    }
    values = {IMAGE_URI: image_uri, **live.parameters}
    if deployment.network == VPC:
        values |= {
            SUBNETS: ",".join(deployment.vpc.subnets or subnets),
            SECURITY_GROUPS: ",".join(deployment.vpc.security_groups or security_groups),
        }
    return Stack(
        name=aws_names.stack_name_for(deployment.name, deployment.stage.name),
        template=template(
            f"The voicecore project {deployment.name}, stage {deployment.stage.name}",
            resources,
            _parameters(deployment),
            _outputs(deployment, bool(secret)),
        ),
        parameters=values,
        tags=deployment.tags(),
    )


def foundation_of(stack: Stack) -> Stack:
    """Return the agent's stack without the runtime and its endpoint.

    It is deployed while image and network are being created. The role is then known everywhere and
    the secret has its value before the runtime is created, and a runtime that fails rolls back to
    this stack instead of deleting it.
    """
    return stack.without((RUNTIME, ENDPOINT))


def _parameters(deployment: Deployment) -> dict[str, Parameter]:
    parameters = {
        IMAGE_URI: Parameter(
            "The agent's image by its digest: "
            f"<account>.dkr.ecr.<region>.amazonaws.com/{aws_names.repository_for(deployment.name)}"
            "@sha256:<digest>",
            pattern=r"[^@:]+@sha256:[0-9a-f]{64}",
        ),
        LIVE_VERSION: Parameter(
            "Version of the runtime that callers reach; raise it when a newer one is READY and has "
            "requireMMDSV2"
        ),
        EARLIER_VERSIONS: Parameter(
            "Versions that callers reached before and `voicecore rollback` goes back to, or none",
            default=NONE,
        ),
    }
    if deployment.network == VPC:
        parameters |= {
            SUBNETS: Parameter(
                "Private subnets with a route to a NAT gateway, in availability zones that "
                "AgentCore supports",
                "List<AWS::EC2::Subnet::Id>",
            ),
            SECURITY_GROUPS: Parameter(
                "Security groups whose egress rules allow what the agent must reach",
                "List<AWS::EC2::SecurityGroup::Id>",
            ),
        }
    return parameters


def _secret(deployment: Deployment, env: Environment) -> Resource | None:
    """Return the secret for agent/.env, still empty: no value goes through a template."""
    if not env.secret:
        return None
    return Resource(
        "AWS::SecretsManager::Secret",
        {
            "Name": aws_names.secret_name_for(deployment.name, deployment.stage.name),
            "Description": "Secret variables of the agent, as JSON",
            **deployment.encryption,
        },
    )


def _role(deployment: Deployment, secret: Any) -> Resource:
    name, stage = deployment.name, deployment.stage
    return role_resource(
        deployment,
        aws_names.role_name_for(name, stage.name, stage.region),
        f"Permissions of the agents of {name}",
        execution_role_trust(),
        "agent",
        execution_role_statements(deployment, secret),
    )


def _role_arn(deployment: Deployment) -> Any:
    return deployment.stage.role or get_att("Role", "Arn")


def _runtime(deployment: Deployment, env: Environment, history: Sequence[Version]) -> Resource:
    network: Json = {"NetworkMode": deployment.network.upper()}
    if deployment.network == VPC:
        network["NetworkModeConfig"] = {
            "Subnets": ref(SUBNETS),
            "SecurityGroups": ref(SECURITY_GROUPS),
        }
    properties: Json = {
        "AgentRuntimeName": deployment.runtime_name,
        # Said always: the platform of a runtime that does not say it has changed before.
        "PlatformVersion": deployment.stage.platform.upper(),
        "AgentRuntimeArtifact": {"ContainerConfiguration": {"ContainerUri": ref(IMAGE_URI)}},
        "RoleArn": _role_arn(deployment),
        "NetworkConfiguration": network,
        "ProtocolConfiguration": "HTTP",
        "LifecycleConfiguration": {
            "IdleRuntimeSessionTimeout": deployment.stage.idle_timeout,
            "MaxLifetime": deployment.stage.max_lifetime,
        },
        "RequestHeaderConfiguration": {"RequestHeaderAllowlist": list(deployment.request_headers)},
        "EnvironmentVariables": _variables(deployment, env),
    }
    if history:
        # AgentCore keeps the description with each version.
        properties["Description"] = history[-1].title[:_DESCRIPTION_MAX]
        properties["Tags"] = versions.tags_of(history)
    return Resource("AWS::BedrockAgentCore::Runtime", properties)


def _variables(deployment: Deployment, env: Environment) -> Json:
    known = (
        {name: deployment.stage.region for name in ("AWS_REGION", "AWS_DEFAULT_REGION")}
        | {platforms.VARIABLE: deployment.stage.platform}
        | ({"TRACES": "true"} if deployment.traced else {})
        | turn_channels.turn_variables(deployment)
        | deployment.model_variables
        | dict(env.plain)
    )
    arns: Json = {env_split.SECRET_VARIABLE: ref(SECRET)} if env.secret else {}
    size = env_split.bytes_of(known | {name: "x" * _ARN_LENGTH for name in arns})
    platform = deployment.stage.platform
    bytes_max = platforms.ENVIRONMENT_BYTES[platform]
    if size > bytes_max or len(known) + len(arns) > env_split.COUNT_MAX:
        other = platforms.ENVIRONMENT_BYTES[platforms.V1]
        raise EnvironmentTooLarge(
            f"The agent's {len(known) + len(arns)} variables take {size} bytes; AgentCore allows "
            f"{env_split.COUNT_MAX} variables and {bytes_max} bytes on platform {platform}.",
            "Shorten them in agent/.env"
            + (
                f', or set platform = "{platforms.V1}" ({other} bytes).'
                if bytes_max < other
                else "."
            ),
            ExitCode.BAD_PROJECT,
        )
    return known | arns


def _outputs(deployment: Deployment, secret: bool) -> dict[str, StackOutput]:
    outputs = {
        "RoleArn": StackOutput("ARN of the execution role", _role_arn(deployment)),
        "RuntimeArn": StackOutput("ARN of the runtime", get_att(RUNTIME, "AgentRuntimeArn")),
        "RuntimeId": StackOutput(
            "ID of the runtime, which names its log groups", get_att(RUNTIME, "AgentRuntimeId")
        ),
        "RuntimeVersion": StackOutput(
            "AgentCore's version of the runtime", get_att(RUNTIME, "AgentRuntimeVersion")
        ),
        "EndpointArn": StackOutput(
            "ARN of the stage's endpoint", get_att(ENDPOINT, "AgentRuntimeEndpointArn")
        ),
    }
    if secret:
        outputs["SecretArn"] = StackOutput("Secret with the agent's keys", ref(SECRET))
    return outputs
