"""Owns the checks of what an administrator prescribes: roles, policies, a key, a repository."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, cast

from voicecore.aws.errors import ignoring
from voicecore.aws.session import Aws
from voicecore.cloud.iam.execution_role import execution_role_statements, execution_role_trust
from voicecore.cloud.iam.server_roles import repository_policy
from voicecore.cloud.iam.service_role import CLOUDFORMATION
from voicecore.cloud.iam.statements import (
    AGENTCORE,
    LAMBDA,
    ArnScope,
    Statement,
    policy_document,
    resolved,
    trust_policy,
)
from voicecore.cloud.preflight.checks import CheckOutcome, CheckResult, PreflightCheck
from voicecore.cloud.preflight.permissions import denied_to
from voicecore.cloud.resources.deployed_stack import DeployedStack
from voicecore.cloud.stacks.deployment import Deployment
from voicecore.cloud.stacks.stack import Json
from voicecore.project import aws_names


def rule_checks(
    aws: Aws, deployment: Deployment, stack: DeployedStack | None, has_secret: bool
) -> list[PreflightCheck]:
    """Return the checks of what the stage's settings name; `stack` is the agent's, if deployed.

    The role is checked again only when it changes: the policy simulator takes seconds.
    """
    stage = deployment.stage
    checks: list[PreflightCheck] = []
    if stage.role and (stack is None or stack.outputs.get("RoleArn") != stage.role):
        checks.append(("role", lambda: _check_role(aws, deployment, has_secret)))
    if stage.permissions_boundary:
        checks.append(("boundary", lambda: _check_boundary(aws, stage.permissions_boundary)))
    if stage.service_role:
        checks.append(("service-role", lambda: _check_service_role(aws, stage.service_role)))
    if stage.kms_key:
        checks.append(("key", lambda: _check_key(aws, stage.kms_key)))
    if stage.repository:
        checks.append(("repository", lambda: _check_repository(aws, stage.repository)))
    return checks


def required_policy(deployment: Deployment, scope: ArnScope, has_secret: bool) -> Json:
    """Return the policy that an existing execution role needs."""
    return policy_document(_required(deployment, scope, has_secret))


def required_trust(scope: ArnScope) -> Json:
    """Return the trust policy that an existing execution role needs."""
    trust: Json = resolved(execution_role_trust(), scope)
    return trust


def trusts(trust: Mapping[str, Any], service: str, context: Mapping[str, str]) -> bool:
    """Return True when a trust policy lets a service assume the role, in this context.

    Conditions on other keys than those of the context are not judged here, and count as met.
    """
    return any(
        statement["Effect"] == "Allow"
        and service in _texts(_service_of(statement.get("Principal", {})))
        and any(fnmatchcase("sts:AssumeRole", each) for each in _texts(statement.get("Action", [])))
        and _holds(statement.get("Condition", {}), context)
        for statement in _listed(trust["Statement"])
    )


def key_results(
    key: str, region: str, described: Mapping[str, Any], policy: Mapping[str, Any]
) -> Iterator[CheckResult]:
    """Yield what keeps a key from encrypting secrets and logs, by DescribeKey and its policy."""
    if described["KeyState"] != "Enabled":
        yield CheckResult(
            "kms_key",
            CheckOutcome.FAILED,
            f"{key} is {described['KeyState']}",
            f"Enable it, or name another in voicecore.toml:  aws kms enable-key --key-id {key} "
            f"--region {region}",
        )
    logs = f"logs.{region}.amazonaws.com"
    if not any(
        statement["Effect"] == "Allow" and logs in _texts(_service_of(statement["Principal"]))
        for statement in _listed(policy["Statement"])
    ):
        yield CheckResult(
            "kms_key",
            CheckOutcome.FAILED,
            f"the policy of {key} does not let CloudWatch Logs use it",
            f"Add this statement to the key's policy:\n{json.dumps(_logs_statement(key, logs))}",
        )


def _check_role(aws: Aws, deployment: Deployment, has_secret: bool) -> Iterator[CheckResult]:
    role = deployment.stage.role
    scope = ArnScope.of(deployment, aws.account, aws.identity.partition)
    trust = _trust_of(aws, role)
    if trust is None:
        yield _missing("role", role)
        return
    runtime = f"runtime/{deployment.runtime_name}-0123456789"
    context = {
        "aws:SourceAccount": aws.account,
        "aws:SourceArn": scope.arns("bedrock-agentcore", runtime)[0],
    }
    if not trusts(trust, AGENTCORE, context):
        yield _no_trust("role", role, AGENTCORE, required_trust(scope))
    if denied := denied_to(aws, role, _required(deployment, scope, has_secret)):
        policy = json.dumps(required_policy(deployment, scope, has_secret), indent=2)
        yield CheckResult(
            "role",
            CheckOutcome.FAILED,
            f"{role} lacks {', '.join(denied)}",
            f"Give the role {role} this policy:\n{policy}",
        )


def _check_boundary(aws: Aws, policy: str) -> Iterator[CheckResult]:
    with ignoring("NoSuchEntity"):
        aws.client("iam").get_policy(PolicyArn=policy)
        return
    yield _missing("permissions_boundary", policy)


def _check_service_role(aws: Aws, role: str) -> Iterator[CheckResult]:
    trust = _trust_of(aws, role)
    if trust is None:
        yield _missing("service_role", role)
    elif not trusts(trust, CLOUDFORMATION, {}):
        yield _no_trust("service_role", role, CLOUDFORMATION, trust_policy(CLOUDFORMATION))


def _check_key(aws: Aws, key: str) -> Iterator[CheckResult]:
    kms = aws.client("kms")
    with ignoring("NotFoundException"):
        described = kms.describe_key(KeyId=key)["KeyMetadata"]
        policy = json.loads(kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"])
        yield from key_results(key, aws.region, described, policy)
        return
    yield _missing("kms_key", key)


def _check_repository(aws: Aws, uri: str) -> Iterator[CheckResult]:
    host, _, name = uri.partition("/")
    with ignoring("RepositoryNotFoundException"):
        aws.client("ecr").describe_repositories(
            registryId=host.partition(".")[0], repositoryNames=[name]
        )
        return
    yield _missing("repository", uri)


def check_lambda_pulls(aws: Aws, deployment: Deployment) -> Iterator[CheckResult]:
    """Yield a warning if a repository that exists does not let Lambda pull the server's image.

    Lambda adds the statement itself if the deploying identity may change the policy.
    """
    host, _, name = deployment.stage.repository.partition("/")
    statements: Iterable[Json] = ()
    with ignoring("RepositoryPolicyNotFoundException", "RepositoryNotFoundException"):
        answer = aws.client("ecr").get_repository_policy(
            registryId=host.partition(".")[0], repositoryName=name
        )
        statements = _listed(json.loads(answer["policyText"])["Statement"])
    if not any(LAMBDA in _texts(_service_of(each.get("Principal", {}))) for each in statements):
        scope = ArnScope.of(deployment, aws.account, aws.identity.partition)
        policy = json.dumps(resolved(repository_policy(deployment), scope))
        yield CheckResult(
            "repository",
            CheckOutcome.UNKNOWN,
            f"{deployment.stage.repository} has no policy that lets Lambda pull: {policy}",
        )


def _required(deployment: Deployment, scope: ArnScope, has_secret: bool) -> list[Statement]:
    secret = aws_names.secret_name_for(deployment.name, deployment.stage.name)
    arn = scope.arns("secretsmanager", f"secret:{secret}-*")[0] if has_secret else None
    return [
        Statement(
            each.sid,
            each.actions,
            tuple(resolved(list(each.resources), scope)),
            resolved(dict(each.condition or {}), scope),
        )
        for each in execution_role_statements(deployment, arn)
    ]


def _trust_of(aws: Aws, role: str) -> Mapping[str, Any] | None:
    """Return the role's trust policy; None if there is no such role."""
    with ignoring("NoSuchEntity"):
        found = aws.client("iam").get_role(RoleName=role.rpartition("/")[2])["Role"]
        return found["AssumeRolePolicyDocument"] if found["Arn"] == role else None
    return None


def _missing(check: str, what: str) -> CheckResult:
    """Return that what a setting names, by which the check is shown, is not there."""
    return CheckResult(
        check,
        CheckOutcome.FAILED,
        f"{what} does not exist in this account",
        f"Correct `{check}` in voicecore.toml.",
    )


def _no_trust(check: str, role: str, service: str, needed: Json) -> CheckResult:
    return CheckResult(
        check,
        CheckOutcome.FAILED,
        f"{role} does not let {service} assume it",
        f"Give the role {role} this trust policy:\n{json.dumps(needed, indent=2)}",
    )


def _logs_statement(key: str, service: str) -> Json:
    return {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": ["kms:Encrypt*", "kms:Decrypt*", "kms:ReEncrypt*", "kms:GenerateDataKey*",
                   "kms:Describe*"],
        "Resource": key,
    }  # fmt: skip


def _holds(condition: Mapping[str, Mapping[str, Any]], context: Mapping[str, str]) -> bool:
    return all(
        any(fnmatchcase(context[key], value) for value in _texts(values))
        for test in condition.values()
        for key, values in test.items()
        if key in context
    )


def _service_of(principal: Any) -> Any:
    return cast("Json", principal).get("Service", []) if isinstance(principal, dict) else []


def _texts(value: Any) -> Sequence[str]:
    return [value] if isinstance(value, str) else cast("list[str]", value)


def _listed(value: Any) -> Iterable[Json]:
    return cast("list[Json]", value if isinstance(value, list) else [value])
