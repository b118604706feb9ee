"""Owns what every session server's stack has, on Lambda or ECS: image, agent, keys, table, log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voicecore.cloud.iam.role import role_resource
from voicecore.cloud.iam.statements import Statement
from voicecore.cloud.stacks.deployment import Deployment
from voicecore.cloud.stacks.env_split import Environment
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
from voicecore.project import aws_names

IMAGE_URI = "ImageUri"
RUNTIME_ARN = "RuntimeArn"
SECRET_VERSION = "SecretVersion"  # noqa: S105 - a parameter's name

SECRET = "Secret"  # noqa: S105 - a logical ID
SESSION_KEY = "SessionKey"
TABLE = "SessionTable"
STORE = "SESSION_STORE"
"""Variable that tells the server which session table it shares with its other copies."""

AGENT_ENDPOINT = "AGENT_ENDPOINT"
"""Variable that tells the server which endpoint of the runtime it calls."""

URL = "Url"
"""The output with the server's URL."""

# Letters and digits only: 256 bits, and no header or shell treats any of them specially.
_KEY_CHARACTERS = 43


def server_stack(
    deployment: Deployment,
    env: Environment,
    description: str,
    resources: Mapping[str, Resource],
    outputs: Mapping[str, StackOutput],
    values: Mapping[str, str],
    parameters: Mapping[str, Parameter] | None = None,
) -> Stack:
    """Return a server's stack: the given parts, and those that all servers have.

    `values` holds IMAGE_URI, RUNTIME_ARN, SECRET_VERSION and the values of `parameters`.
    """
    keys = {SESSION_KEY: _session_key(deployment)}
    if has_table(env):
        keys[TABLE] = session_table(aws_names.server_for(deployment.name, deployment.stage.name))
    declared = {
        IMAGE_URI: Parameter(
            "The server's image by its digest: "
            f"<account>.dkr.ecr.<region>.amazonaws.com/{aws_names.repository_for(deployment.name)}"
            "@sha256:<digest>",
            pattern=r"[^@:]+@sha256:[0-9a-f]{64}",
        ),
        RUNTIME_ARN: Parameter("The agent: the output RuntimeArn of its stack"),
        **(parameters or {}),
    }
    arns = {"SessionKeyArn": StackOutput("Secret with the clients' key", ref(SESSION_KEY))}
    if env.secret:
        keys[SECRET] = _secret(deployment)
        declared[SECRET_VERSION] = Parameter("The version of the secret's value", default="")
        arns["SecretArn"] = StackOutput("Secret with the server's own keys", ref(SECRET))
    return Stack(
        name=aws_names.server_for(deployment.name, deployment.stage.name),
        template=template(description, {**resources, **keys}, declared, {**outputs, **arns}),
        parameters={name: values[name] for name in declared},
        tags=deployment.tags(),
    )


def server_role(
    deployment: Deployment,
    name: str,
    description: str,
    trust: Json,
    statements: list[Statement],
) -> Resource:
    """Return a role of the server."""
    return role_resource(deployment, name, description, trust, "server", statements)


def agent_arns(deployment: Deployment, default_endpoint: bool = False) -> list[Json]:
    """Return the ARNs of the agent's runtime and endpoint: AWS authorizes a call on both.

    `default_endpoint`: for a server of before AGENT_ENDPOINT, which calls DEFAULT.
    """
    names = [aws_names.endpoint_name_for(deployment.stage.name)]
    names += ["DEFAULT"] if default_endpoint else []
    endpoints = (f"${{{RUNTIME_ARN}}}/runtime-endpoint/{name}" for name in names)
    return [ref(RUNTIME_ARN), *map(sub, endpoints)]


def endpoint_variable(deployment: Deployment) -> dict[str, str]:
    """Return the variable that names the stage's endpoint."""
    return {AGENT_ENDPOINT: aws_names.endpoint_name_for(deployment.stage.name)}


def secret_arns(env: Environment) -> list[Any]:
    """Return the ARNs of the secrets that the server reads."""
    return [ref(SESSION_KEY), *([ref(SECRET)] if env.secret else [])]


def has_table(env: Environment) -> bool:
    """Return True unless server/.env names another session table, such as a Redis."""
    return STORE not in env.secret


def table_arns(env: Environment) -> list[Json]:
    """Return the ARN of the session table, if the stack has it."""
    return [get_att(TABLE, "Arn")] if has_table(env) else []


def store_variable(env: Environment) -> Json:
    """Return the variable that names the session table, if the stack has it."""
    return {STORE: sub(f"dynamodb://${{{TABLE}}}")} if has_table(env) else {}


def session_table(name: str) -> Resource:
    """Return the session table that all copies of the server share, as dynamodb_table.py uses it.

    On demand: it costs nothing without requests, and is never too small for a burst.
    """
    keys = {"subject": "HASH", "part": "RANGE"}
    return Resource(
        "AWS::DynamoDB::Table",
        {
            "TableName": name,
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{"AttributeName": key, "AttributeType": "S"} for key in keys],
            "KeySchema": [{"AttributeName": key, "KeyType": kind} for key, kind in keys.items()],
            "TimeToLiveSpecification": {"AttributeName": "expires", "Enabled": True},
        },
    )


def generated_secret(deployment: Deployment, name: str, description: str, key: str) -> Resource:
    """Return a secret whose value Secrets Manager generates: a JSON object with one `key`."""
    return Resource(
        "AWS::SecretsManager::Secret",
        {
            "Name": name,
            "Description": description,
            "GenerateSecretString": {
                "SecretStringTemplate": "{}",
                "GenerateStringKey": key,
                "PasswordLength": _KEY_CHARACTERS,
                "ExcludePunctuation": True,
            },
            **deployment.encryption,
        },
    )


def log_group(deployment: Deployment, name: str) -> Resource:
    """Return the server's log group."""
    days = deployment.stage.log_retention_days
    properties = {"LogGroupName": name, "RetentionInDays": days, **deployment.encryption}
    return Resource("AWS::Logs::LogGroup", properties)


def _session_key(deployment: Deployment) -> Resource:
    return generated_secret(
        deployment,
        aws_names.session_key_for(deployment.name, deployment.stage.name),
        "Key with which clients start sessions, as JSON",
        "SESSION_API_KEY",
    )


def _secret(deployment: Deployment) -> Resource:
    """Return the secret for server/.env, still empty: no value goes through a template."""
    return Resource(
        "AWS::SecretsManager::Secret",
        {
            "Name": aws_names.server_secret_for(deployment.name, deployment.stage.name),
            "Description": "Secret variables of the session server, as JSON",
            **deployment.encryption,
        },
    )
