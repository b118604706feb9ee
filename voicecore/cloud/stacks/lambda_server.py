"""Owns the stack of a session server on Lambda: the function, its URL, role, keys and log.

It is a stack beside the agent's, so that either can change or be deleted without the other.
"""

from __future__ import annotations

from voicecore.cloud.iam.server_roles import lambda_role_statements, lambda_trust
from voicecore.cloud.stacks import env_split, turn_channels
from voicecore.cloud.stacks.deployment import Deployment
from voicecore.cloud.stacks.env_split import Environment
from voicecore.cloud.stacks.server_stack import (
    IMAGE_URI,
    RUNTIME_ARN,
    SECRET,
    SECRET_VERSION,
    SESSION_KEY,
    URL,
    agent_arns,
    endpoint_variable,
    log_group,
    secret_arns,
    server_role,
    server_stack,
    store_variable,
    table_arns,
)
from voicecore.cloud.stacks.stack import Json, Resource, Stack, StackOutput, get_att, ref
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.project import aws_names

FUNCTION = "Function"

_COMMAND = ("python", "-m", "awslambdaric", "internal.lambda_handler.handler")
"""Replaces the image's own command, which serves HTTP."""

# An offer waits for an agent that starts (30 s at most: AgentCore), after the TURN servers' answer.
_TIMEOUT = 60  # seconds
# CPU grows with memory, to a whole vCPU at 1769 MB (Lambda quotas). The first caller of a function
# waits 0.5 s for its start there, 0.9 s at 1024 MB and 1.8 s at 512 MB (benchmarks/coldstart.py,
# RESULTS.md). The process itself needs 74 MB; a start takes one core, so that more would not help.
MEMORY = 1769  # MB

UNRESERVED = 100
"""Executions at once that an account must leave for its other functions (Lambda Developer Guide,
configuration-concurrency)."""

ACCOUNT_LIMIT = 1000
"""AWS's default of the executions at once in an account and region (Lambda quotas)."""

_ARN_LENGTH = 160
"""Longer than any ARN: counts for a variable whose value is not known yet."""


class ServerEnvironmentTooLarge(VoicecoreError):
    """The server's variables do not fit into a Lambda function."""


def lambda_server_stack(
    deployment: Deployment,
    env: Environment,
    image_uri: str = "",
    runtime_arn: str = "",
    secret_version: str = "",
    account_limit: int = ACCOUNT_LIMIT,
    default_endpoint: bool = False,
) -> Stack:
    """Return the stack of the server with this image (by digest) for the agent with this ARN.

    `secret_version` is the version of its secret's value, so that a new value restarts the server.
    `account_limit`: executions at once that the account may have in the region.
    `default_endpoint` is as in `agent_arns`.
    Raises ServerEnvironmentTooLarge.
    """
    name, stage = deployment.name, deployment.stage.name
    server = aws_names.server_for(name, stage)
    resources = {
        "Role": server_role(
            deployment,
            aws_names.server_role_for(name, stage, deployment.stage.region),
            f"Permissions of the session server of {name}",
            lambda_trust(),
            lambda_role_statements(
                deployment,
                agent_arns(deployment, default_endpoint),
                secret_arns(env),
                table_arns(env),
            ),
        ),
        # Created here rather than by Lambda at the first request, so that it has a retention time
        # and is deleted with the stack.
        "Log": log_group(deployment, aws_names.lambda_log_group_for(server)),
        FUNCTION: _function(deployment, env, account_limit),
        URL: Resource(
            "AWS::Lambda::Url",
            # The server authenticates its callers itself, by key, invite or token.
            {"TargetFunctionArn": get_att(FUNCTION, "Arn"), "AuthType": "NONE"},
        ),
        # Since October 2025 a public URL needs both permissions (Lambda Developer Guide,
        # urls-auth); the second applies to calls through the URL only.
        "MayAsk": _permission("lambda:InvokeFunctionUrl", {"FunctionUrlAuthType": "NONE"}),
        "MayInvoke": _permission("lambda:InvokeFunction", {"InvokedViaFunctionUrl": True}),
    }
    outputs = {
        URL: StackOutput("URL where clients start sessions", get_att(URL, "FunctionUrl")),
        "FunctionName": StackOutput("Name of the function", ref(FUNCTION)),
    }
    values = {IMAGE_URI: image_uri, RUNTIME_ARN: runtime_arn, SECRET_VERSION: secret_version}
    description = f"The session server of the voicecore project {name}, stage {stage}"
    return server_stack(deployment, env, description, resources, outputs, values)


def executions(deployment: Deployment, account_limit: int) -> tuple[int, bool]:
    """Return how many requests the server answers at once, and whether it reserves them.

    A new account may run so few functions at once that it can reserve nothing, and needs not to.
    """
    wanted = deployment.stage.server.concurrency
    reserves = account_limit >= wanted + UNRESERVED
    return (wanted if reserves else account_limit), reserves


def _function(deployment: Deployment, env: Environment, account_limit: int) -> Resource:
    at_once, reserves = executions(deployment, account_limit)
    return Resource(
        "AWS::Lambda::Function",
        {
            "FunctionName": aws_names.server_for(deployment.name, deployment.stage.name),
            "Description": f"Session server of the voice agent {deployment.name}",
            "PackageType": "Image",
            "Code": {"ImageUri": ref(IMAGE_URI)},
            "ImageConfig": {"Command": list(_COMMAND)},
            "Architectures": ["arm64"],
            "Role": get_att("Role", "Arn"),
            "MemorySize": MEMORY,
            "Timeout": _TIMEOUT,
            "LoggingConfig": {"LogGroup": ref("Log")},
            "Environment": {"Variables": _variables(deployment, env)},
            # Whatever strangers send, no more is run, and paid for, at once.
            **({"ReservedConcurrentExecutions": at_once} if reserves else {}),
        },
    )


def _permission(action: str, condition: Json) -> Resource:
    return Resource(
        "AWS::Lambda::Permission",
        {"Action": action, "FunctionName": get_att(FUNCTION, "Arn"), "Principal": "*"} | condition,
    )


def _variables(deployment: Deployment, env: Environment) -> Json:
    """Return the function's variables; Lambda itself sets its region."""
    known = turn_channels.turn_variables(deployment) | dict(env.plain)
    known |= endpoint_variable(deployment)
    arns: Json = {
        "AGENT_RUNTIME_ARN": ref(RUNTIME_ARN),
        "SESSION_SECRET_ARN": ref(SESSION_KEY),
        **store_variable(env),
    }
    if env.secret:
        arns["SERVER_SECRET_ARN"] = ref(SECRET)
        arns["SERVER_SECRET_VERSION"] = ref(SECRET_VERSION)
    size = env_split.bytes_of(known | {name: "x" * _ARN_LENGTH for name in arns})
    if size > env_split.SERVER_BYTES_MAX:
        raise ServerEnvironmentTooLarge(
            f"The server's {len(known) + len(arns)} variables take {size} bytes; Lambda allows "
            f"{env_split.SERVER_BYTES_MAX}.",
            "Shorten them in server/.env.",
            ExitCode.BAD_PROJECT,
        )
    return known | arns
