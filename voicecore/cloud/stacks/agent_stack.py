"""A stage's agent: its role, TURN channels, secret, runtime and endpoint.

Not the log group: AgentCore makes it with the runtime, and a template that makes it, too, fails
(hashicorp/terraform-provider-aws#47629, aws-cloudformation/cloudformation-coverage-roadmap#2460).
How long it keeps logs is set after the stack stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from voicecore.catalog.transports.record import HEADERS
from voicecore.cloud.stacks import env_split, iam, turn_channels, versions
from voicecore.cloud.stacks.deployment import Deployment
from voicecore.cloud.stacks.env_split import Environment
from voicecore.cloud.stacks.network_stack import SECURITY_GROUPS, SUBNETS
from voicecore.cloud.stacks.stack import (
    Json,
    Output,
    Parameter,
    Resource,
    Stack,
    get,
    ref,
    template,
)
from voicecore.cloud.stacks.versions import Version
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.project import aws_names
from voicecore.project.schema import VPC

IMAGE_URI = "ImageUri"

RUNTIME = "Runtime"
ENDPOINT = "Endpoint"
SECRET = "Secret"  # noqa: S105 - a logical id

_DESCRIPTION_MAX = 1200  # characters (CloudFormation's schema)

# Longer than any ARN that Ref gives: what a variable counts whose value is not known yet.
_ARN_LENGTH = 160


class EnvironmentTooLarge(VoicecoreError):
    """The agent's variables do not fit."""


def agent_stack(
    deployment: Deployment,
    settings: Environment,
    history: Sequence[Version] = (),
    image_uri: str = "",
    subnets: Sequence[str] = (),
    security_groups: Sequence[str] = (),
) -> Stack:
    """Everything of one stage; the image by its digest, the network by what its stack told.

    `history` ends with the version that this is. Subnets and security groups that voicecore.toml
    gives win over those told here. Raises EnvironmentTooLarge.
    """
    secret = _secret(deployment, settings)
    resources = {
        "Role": _role(deployment, ref(SECRET) if secret else None),
        **turn_channels.pool_of(deployment),
        **({SECRET: secret} if secret else {}),
        RUNTIME: _runtime(deployment, settings, history),
        ENDPOINT: Resource(
            "AWS::BedrockAgentCore::RuntimeEndpoint",
            {
                "Name": aws_names.endpoint_name_for(deployment.stage.name),
                # Its name for CloudFormation is its id, which no update changes: of GetAtt a change
                # set would say that the endpoint may have to be made anew.
                "AgentRuntimeId": ref(RUNTIME),
                "AgentRuntimeVersion": get(RUNTIME, "AgentRuntimeVersion"),
            },
        ),
    }
    parameters = {
        IMAGE_URI: Parameter(
            "The agent's image by its digest: "
            f"<account>.dkr.ecr.<region>.amazonaws.com/{aws_names.repository_for(deployment.name)}"
            "@sha256:<digest>",
            pattern=r"[^@:]+@sha256:[0-9a-f]{64}",
        )
    }
    values = {IMAGE_URI: image_uri}
    if deployment.network == VPC:
        parameters |= {
            SUBNETS: Parameter(
                "Private subnets whose route to the internet is a NAT gateway, in zones that "
                "AgentCore supports",
                "List<AWS::EC2::Subnet::Id>",
            ),
            SECURITY_GROUPS: Parameter(
                "Security groups that let out what the agent must reach",
                "List<AWS::EC2::SecurityGroup::Id>",
            ),
        }
        values |= {
            SUBNETS: ",".join(deployment.vpc.subnets or subnets),
            SECURITY_GROUPS: ",".join(deployment.vpc.security_groups or security_groups),
        }
    return Stack(
        name=aws_names.stack_name_for(deployment.name, deployment.stage.name),
        template=template(
            f"The voicecore project {deployment.name}, stage {deployment.stage.name}",
            resources,
            parameters,
            _outputs(bool(secret)),
        ),
        parameters=values,
        tags=deployment.tags(),
    )


def foundation_of(stack: Stack) -> Stack:
    """The agent's stack before there is an image: all but the runtime and what stands on it.

    It is brought up while image and network are being made. So the role is known everywhere and
    the secret has its value when the runtime comes, and a runtime that fails falls back to this
    instead of taking the whole stack with it.
    """
    return stack.without((RUNTIME, ENDPOINT))


def _secret(deployment: Deployment, settings: Environment) -> Resource | None:
    """The secret for other providers' keys, still empty: no value goes through a template."""
    if not settings.secret:
        return None
    return Resource(
        "AWS::SecretsManager::Secret",
        {
            "Name": aws_names.secret_name_for(deployment.name, deployment.stage.name),
            "Description": "Variables of the agent that nobody else should see, as JSON",
        },
    )


def _role(deployment: Deployment, secret: Any) -> Resource:
    statements = iam.execution_statements(deployment, secret)
    return Resource(
        "AWS::IAM::Role",
        {
            "RoleName": aws_names.role_name_for(
                deployment.name, deployment.stage.name, deployment.stage.region
            ),
            "Description": f"What agents of {deployment.name} may do",
            "AssumeRolePolicyDocument": iam.trust(),
            "Policies": [{"PolicyName": "agent", "PolicyDocument": iam.document(statements)}],
        },
    )


def _runtime(deployment: Deployment, settings: Environment, history: Sequence[Version]) -> Resource:
    network: Json = {"NetworkMode": deployment.network.upper()}
    if deployment.network == VPC:
        network["NetworkModeConfig"] = {
            "Subnets": ref(SUBNETS),
            "SecurityGroups": ref(SECURITY_GROUPS),
        }
    properties: Json = {
        "AgentRuntimeName": deployment.runtime_name,
        "AgentRuntimeArtifact": {"ContainerConfiguration": {"ContainerUri": ref(IMAGE_URI)}},
        "RoleArn": get("Role", "Arn"),
        "NetworkConfiguration": network,
        "ProtocolConfiguration": "HTTP",
        "LifecycleConfiguration": {
            "IdleRuntimeSessionTimeout": deployment.stage.idle_timeout,
            "MaxLifetime": deployment.stage.max_lifetime,
        },
        "RequestHeaderConfiguration": {"RequestHeaderAllowlist": list(HEADERS)},
        "EnvironmentVariables": _variables(deployment, settings),
    }
    if history:
        # AgentCore keeps the description with each of its own versions.
        properties["Description"] = history[-1].title[:_DESCRIPTION_MAX]
        properties["Tags"] = versions.tags_of(history)
    return Resource("AWS::BedrockAgentCore::Runtime", properties)


def _variables(deployment: Deployment, settings: Environment) -> Json:
    known = (
        {name: deployment.stage.region for name in ("AWS_REGION", "AWS_DEFAULT_REGION")}
        | turn_channels.variables_of(deployment)
        | dict(settings.plain)
    )
    told: Json = {env_split.SECRET_VARIABLE: ref(SECRET)} if settings.secret else {}
    size = env_split.size_of(known | {name: "x" * _ARN_LENGTH for name in told})
    if size > env_split.BYTES_MAX or len(known) + len(told) > env_split.COUNT_MAX:
        raise EnvironmentTooLarge(
            f"The agent's {len(known) + len(told)} variables take {size} bytes; AgentCore has "
            f"room for {env_split.COUNT_MAX} of {env_split.BYTES_MAX} bytes together.",
            "Shorten them in agent/.env.",
            ExitCode.BAD_PROJECT,
        )
    return known | told


def _outputs(secret: bool) -> dict[str, Output]:
    outputs = {
        "RoleArn": Output("The agent's role", get("Role", "Arn")),
        "RuntimeArn": Output("What callers invoke", get(RUNTIME, "AgentRuntimeArn")),
        "RuntimeId": Output("The runtime, as its logs are named", get(RUNTIME, "AgentRuntimeId")),
        "RuntimeVersion": Output(
            "AgentCore's own count of versions", get(RUNTIME, "AgentRuntimeVersion")
        ),
        "EndpointArn": Output("The stage's endpoint", get(ENDPOINT, "AgentRuntimeEndpointArn")),
    }
    if secret:
        outputs["SecretArn"] = Output("Where the agent finds keys", ref(SECRET))
    return outputs
