"""A stage's session server: a Lambda function with a URL of its own, its role, keys and log.

A stack beside the agent's, so that either can change or go without the other.
"""

from __future__ import annotations

from collections.abc import Mapping

from voicecore.cloud.stacks import env_split, iam, turn_channels
from voicecore.cloud.stacks.deployment import Deployment
from voicecore.cloud.stacks.env_split import Environment
from voicecore.cloud.stacks.stack import (
    Json,
    Output,
    Parameter,
    Resource,
    Stack,
    get,
    ref,
    sub,
    template,
)
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.project import aws_names

IMAGE_URI = "ImageUri"
RUNTIME_ARN = "RuntimeArn"
SECRET_VERSION = "SecretVersion"  # noqa: S105 - a parameter's name

FUNCTION = "Function"
SECRET = "Secret"  # noqa: S105 - a logical id
SESSION_KEY = "SessionKey"

URL = "Url"
"""The output that says where the server is."""

_COMMAND = ("python", "-m", "awslambdaric", "internal.lambda_handler.handler")
"""In the place of the image's own, which serves HTTP."""

# An offer waits for an agent that starts (30 s at most: AgentCore), after TURN servers answered.
_TIMEOUT = 60  # seconds
# With memory comes CPU, a whole one at 1769 MB (Lambda quotas): so a first request waits for
# imports about as long as on a laptop, and the process itself takes some 150.
_MEMORY = 1769  # MB
# Letters and digits alone: 256 bits, and no header or shell minds any of them.
_KEY_CHARACTERS = 43

_ARN_LENGTH = 160


class ServerEnvironmentTooLarge(VoicecoreError):
    """The server's variables do not fit."""


def server_stack(
    deployment: Deployment,
    settings: Environment,
    image_uri: str = "",
    runtime_arn: str = "",
    secret_version: str = "",
) -> Stack:
    """The server with this image (by its digest), for the agent with this ARN.

    `secret_version` is that of its secret's value, so that another value starts it anew. Raises
    ServerEnvironmentTooLarge.
    """
    name, stage = deployment.name, deployment.stage.name
    resources = {
        "Role": _role(deployment, settings),
        # Made here, and not by Lambda at the first request: so it keeps logs no longer than it
        # should, and goes with the stack.
        "Log": log_group(
            deployment, aws_names.lambda_log_group_for(aws_names.server_for(name, stage))
        ),
        FUNCTION: _function(deployment, settings),
        URL: Resource(
            "AWS::Lambda::Url",
            # The server itself knows its callers, by key, invite or token.
            {"TargetFunctionArn": get(FUNCTION, "Arn"), "AuthType": "NONE"},
        ),
        # Since October 2025 such a URL needs both (Lambda Developer Guide, urls-auth); the second
        # is of use by the URL only.
        "MayAsk": _permission("lambda:InvokeFunctionUrl", {"FunctionUrlAuthType": "NONE"}),
        "MayInvoke": _permission("lambda:InvokeFunction", {"InvokedViaFunctionUrl": True}),
    }
    outputs = {
        URL: Output("Where clients ask for sessions", get(URL, "FunctionUrl")),
        "FunctionName": Output("The function", ref(FUNCTION)),
    }
    values = {IMAGE_URI: image_uri, RUNTIME_ARN: runtime_arn, SECRET_VERSION: secret_version}
    description = f"The session server of the voicecore project {name}, stage {stage}"
    return with_keys(deployment, settings, description, resources, outputs, values)


def with_keys(
    deployment: Deployment,
    settings: Environment,
    description: str,
    resources: Mapping[str, Resource],
    outputs: Mapping[str, Output],
    values: Mapping[str, str],
    parameters: Mapping[str, Parameter] | None = None,
) -> Stack:
    """A server's stack, of what is its own and what all servers have: image, agent and keys.

    `values` are those of IMAGE_URI, RUNTIME_ARN, SECRET_VERSION and its own `parameters`.
    """
    keys = {SESSION_KEY: _session_key(deployment)}
    known = {
        IMAGE_URI: _image_parameter(deployment),
        RUNTIME_ARN: _runtime_parameter(),
        **(parameters or {}),
    }
    told = {"SessionKeyArn": Output("Where the key for clients is", ref(SESSION_KEY))}
    if settings.secret:
        keys[SECRET] = _secret_of(deployment)
        known[SECRET_VERSION] = Parameter("The version of the secret's value", default="")
        told["SecretArn"] = Output("Where the server's keys are", ref(SECRET))
    return Stack(
        name=aws_names.server_for(deployment.name, deployment.stage.name),
        template=template(description, {**resources, **keys}, known, {**outputs, **told}),
        parameters={name: values[name] for name in known},
        tags=deployment.tags(),
    )


def _session_key(deployment: Deployment) -> Resource:
    """The key for clients, which Secrets Manager makes up."""
    return Resource(
        "AWS::SecretsManager::Secret",
        {
            "Name": aws_names.session_key_for(deployment.name, deployment.stage.name),
            "Description": "The key by which clients get sessions, as JSON",
            "GenerateSecretString": {
                "SecretStringTemplate": "{}",
                "GenerateStringKey": "SESSION_API_KEY",
                "PasswordLength": _KEY_CHARACTERS,
                "ExcludePunctuation": True,
            },
        },
    )


def _secret_of(deployment: Deployment) -> Resource:
    """The secret for what server/.env has, still empty: no value goes through a template."""
    return Resource(
        "AWS::SecretsManager::Secret",
        {
            "Name": aws_names.server_secret_for(deployment.name, deployment.stage.name),
            "Description": "Variables of the server that nobody else should see, as JSON",
        },
    )


def log_group(deployment: Deployment, name: str) -> Resource:
    """The server's log group."""
    days = deployment.stage.log_retention_days
    return Resource("AWS::Logs::LogGroup", {"LogGroupName": name, "RetentionInDays": days})


def _image_parameter(deployment: Deployment) -> Parameter:
    """The image of the server."""
    return Parameter(
        "The server's image by its digest: "
        f"<account>.dkr.ecr.<region>.amazonaws.com/{aws_names.repository_for(deployment.name)}"
        "@sha256:<digest>",
        pattern=r"[^@:]+@sha256:[0-9a-f]{64}",
    )


def _runtime_parameter() -> Parameter:
    """The agent that the server is for."""
    return Parameter("The agent: the output RuntimeArn of its stack")


def _role(deployment: Deployment, settings: Environment) -> Resource:
    secrets = [ref(SESSION_KEY), *([ref(SECRET)] if settings.secret else [])]
    agent = [ref(RUNTIME_ARN), sub(f"${{{RUNTIME_ARN}}}/runtime-endpoint/DEFAULT")]
    statements = iam.server_statements(deployment, agent, secrets)
    name, stage = deployment.name, deployment.stage
    return Resource(
        "AWS::IAM::Role",
        {
            "RoleName": aws_names.server_role_for(name, stage.name, stage.region),
            "Description": f"What the session server of {name} may do",
            "AssumeRolePolicyDocument": iam.server_trust(),
            "Policies": [{"PolicyName": "server", "PolicyDocument": iam.document(statements)}],
        },
    )


def _function(deployment: Deployment, settings: Environment) -> Resource:
    return Resource(
        "AWS::Lambda::Function",
        {
            "FunctionName": aws_names.server_for(deployment.name, deployment.stage.name),
            "Description": f"Hands out sessions with the voice agent {deployment.name}",
            "PackageType": "Image",
            "Code": {"ImageUri": ref(IMAGE_URI)},
            "ImageConfig": {"Command": list(_COMMAND)},
            "Architectures": ["arm64"],
            "Role": get("Role", "Arn"),
            "MemorySize": _MEMORY,
            "Timeout": _TIMEOUT,
            "LoggingConfig": {"LogGroup": ref("Log")},
            "Environment": {"Variables": _variables(deployment, settings)},
        },
    )


def _permission(action: str, condition: Json) -> Resource:
    return Resource(
        "AWS::Lambda::Permission",
        {"Action": action, "FunctionName": get(FUNCTION, "Arn"), "Principal": "*"} | condition,
    )


def _variables(deployment: Deployment, settings: Environment) -> Json:
    """What the function is told; its region it knows, for Lambda says it."""
    known = turn_channels.variables_of(deployment) | dict(settings.plain)
    told: Json = {
        "AGENT_RUNTIME_ARN": ref(RUNTIME_ARN),
        "SESSION_SECRET_ARN": ref(SESSION_KEY),
    }
    if settings.secret:
        told["SERVER_SECRET_ARN"] = ref(SECRET)
        told["SERVER_SECRET_VERSION"] = ref(SECRET_VERSION)
    size = env_split.size_of(known | {name: "x" * _ARN_LENGTH for name in told})
    if size > env_split.SERVER_BYTES_MAX:
        raise ServerEnvironmentTooLarge(
            f"The server's {len(known) + len(told)} variables take {size} bytes; Lambda has room "
            f"for {env_split.SERVER_BYTES_MAX}.",
            "Shorten them in server/.env.",
            ExitCode.BAD_PROJECT,
        )
    return known | told
