"""Owns the check of permissions: asks IAM's policy simulator for every action of a deploy."""

# botocore has no types.
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from botocore.exceptions import ClientError

from voicecore.aws.session import Aws
from voicecore.cloud.iam.service_role import caller_statements, service_role_statements
from voicecore.cloud.iam.statements import Statement
from voicecore.cloud.preflight.checks import CheckOutcome, CheckResult
from voicecore.cloud.stacks.deployment import Deployment


def check_permissions(
    aws: Aws, deployment: Deployment, statements: Iterable[Statement]
) -> Iterator[CheckResult]:
    """Yield a warning for the permissions that IAM's policy simulator denies, if any.

    The deploying identity needs `statements`, or with a service role that role most of them.
    """
    role = deployment.stage.service_role
    needed = [(principal_of(aws.identity.arn), caller_statements(statements, role))]
    needed += [(role, service_role_statements(statements))] if role else []
    for principal, own in needed:
        if principal is None:
            continue
        try:
            denied = denied_to(aws, principal, own)
        except ClientError as error:
            unknown = f"could not be checked: {error}"
            yield CheckResult("permissions", CheckOutcome.UNKNOWN, unknown)
            return
        if denied:
            who = role if principal == role else aws.identity.arn
            yield CheckResult(
                "permissions",
                CheckOutcome.UNKNOWN,
                f"IAM's policy simulator reports that {who} lacks {', '.join(denied)}",
            )


def denied_to(aws: Aws, principal: str, statements: Iterable[Statement]) -> list[str]:
    """Return the actions of these statements that IAM's policy simulator denies to a principal."""
    denied: list[str] = []
    for statement in statements:
        answer = aws.client("iam").simulate_principal_policy(
            PolicySourceArn=principal,
            ActionNames=list(statement.actions),
            ResourceArns=list(statement.resources),
            ContextEntries=list(context_entries(statement.condition or {})),
        )
        denied += denied_actions(answer["EvaluationResults"])
    return list(dict.fromkeys(denied))


def denied_actions(results: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the actions that SimulatePrincipalPolicy does not allow."""
    return [r["EvalActionName"] for r in results if r["EvalDecision"] != "allowed"]


def principal_of(arn: str) -> str | None:
    """Return the user or role whose policies IAM can simulate; None for the account's root.

    The ARN of a session lacks the path of its role. IAM does not find a role with a path by it,
    and the check's result is unknown.
    """
    kind, _, name = arn.split(":", 5)[5].partition("/")
    if kind == "assumed-role":
        partition, account = arn.split(":")[1], arn.split(":")[4]
        return f"arn:{partition}:iam::{account}:role/{name.split('/')[0]}"
    return arn if kind in ("user", "role") else None


def context_entries(condition: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield a statement's condition in the form that the simulator takes."""
    for operator in condition.values():
        for key, value in operator.items():
            values = cast("list[Any]", value) if isinstance(value, list) else [value]
            yield {
                "ContextKeyName": key,
                "ContextKeyValues": values,
                "ContextKeyType": "stringList" if len(values) > 1 else "string",
            }
