"""Owns the permissions of the session server's roles, on Lambda and on ECS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from voicecore.cloud.iam.execution_role import turn_statements
from voicecore.cloud.iam.statements import (
    ECS_TASKS,
    IMAGE_PULL,
    LAMBDA,
    Statement,
    key_statements,
    repository_arn,
    service_actions,
    trust_policy,
)
from voicecore.cloud.stacks.deployment import Deployment
from voicecore.cloud.stacks.stack import Json, arn, sub
from voicecore.project import aws_names


def lambda_trust() -> Json:
    """Return the trust policy of the function's role."""
    return trust_policy(LAMBDA)


def lambda_role_statements(
    deployment: Deployment, agent: Sequence[Any], secrets: Sequence[Any], table: Sequence[Any]
) -> list[Statement]:
    """Return what the function's role allows: sessions of this one agent, its keys, table and log.

    `agent` holds the ARNs of runtime and endpoint, `secrets` those of the secrets that it reads,
    `table` that of the session table, if there is one.
    """
    server = aws_names.server_for(deployment.name, deployment.stage.name)
    statements = [
        _session_statement(agent),
        _secrets_statement(secrets),
        *key_statements(deployment),
        _log_statement(aws_names.lambda_log_group_for(server)),
    ]
    return [*statements, *_table_statements(table), *turn_statements(deployment)]


def repository_policy(deployment: Deployment) -> Json:
    """Return the ECR repository's policy: only Lambda, for this project's functions, may pull.

    Lambda would add a policy itself, for all functions, if the deploying identity may change it
    (Lambda Developer Guide, images-create).
    """
    functions = arn("lambda", f"function:{aws_names.server_for(deployment.name, '*')}")
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "LambdaECRImageRetrievalPolicy",
                "Effect": "Allow",
                "Principal": {"Service": LAMBDA},
                "Action": list(IMAGE_PULL),
                "Condition": {"StringLike": {"aws:sourceArn": functions}},
            }
        ],
    }


def ecs_trust() -> Json:
    """Return the trust policy of both ECS roles: tasks of this account and region only."""
    condition = {
        "StringEquals": {"aws:SourceAccount": sub("${AWS::AccountId}")},
        "ArnLike": {"aws:SourceArn": arn("ecs", "*")},
    }
    return trust_policy(ECS_TASKS, condition)


def task_role_statements(
    deployment: Deployment, agent: Sequence[Any], table: Sequence[Any]
) -> list[Statement]:
    """Return what the server on ECS may do: sessions of this one agent, and its table.

    `agent` and `table` are as in `lambda_role_statements`. ECS itself handles the keys and the log,
    with the role of `start_role_statements`.
    """
    return [
        _session_statement(agent),
        *_table_statements(table),
        *turn_statements(deployment),
    ]


def start_role_statements(deployment: Deployment, secrets: Sequence[Any]) -> list[Statement]:
    """Return what ECS may do to start a task: pull its image, read its keys, write its log."""
    server = aws_names.server_for(deployment.name, deployment.stage.name)
    return [
        Statement(
            "EcrPull",
            (*IMAGE_PULL, "ecr:BatchCheckLayerAvailability"),
            (repository_arn(deployment),),
        ),
        Statement("EcrToken", ("ecr:GetAuthorizationToken",)),
        _secrets_statement(secrets),
        *key_statements(deployment),
        _log_statement(aws_names.ecs_log_group_for(server)),
    ]


def _session_statement(agent: Sequence[Any]) -> Statement:
    return Statement(
        "Sessions",
        (
            "bedrock-agentcore:InvokeAgentRuntime",
            "bedrock-agentcore:InvokeAgentRuntimeWithWebSocketStream",
            "bedrock-agentcore:StopRuntimeSession",
        ),
        tuple(agent),
    )


def _table_statements(table: Sequence[Any]) -> list[Statement]:
    actions = service_actions("dynamodb", "GetItem PutItem UpdateItem DeleteItem Query")
    return [Statement("SessionTable", actions, tuple(table))] if table else []


def _secrets_statement(secrets: Sequence[Any]) -> Statement:
    return Statement("Secrets", ("secretsmanager:GetSecretValue",), tuple(secrets))


def _log_statement(group: str) -> Statement:
    return Statement(
        "Logs",
        ("logs:CreateLogStream", "logs:PutLogEvents"),
        (arn("logs", f"log-group:{group}:log-stream:*"),),
    )
