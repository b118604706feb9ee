"""Owns the preflight checks of a session server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from voicecore.aws.errors import ignoring
from voicecore.aws.session import Aws
from voicecore.cloud.iam.server_deployer import server_deployer_statements
from voicecore.cloud.preflight import quotas
from voicecore.cloud.preflight.checks import CheckOutcome, CheckResult, PreflightCheck
from voicecore.cloud.preflight.names import name_results
from voicecore.cloud.preflight.permissions import check_permissions
from voicecore.cloud.preflight.quotas import check_quota
from voicecore.cloud.preflight.rules import check_lambda_pulls
from voicecore.cloud.resources import inventory
from voicecore.cloud.stacks.deployment import Deployment
from voicecore.cloud.stacks.ecs_tasks import max_tasks
from voicecore.project.project import ServerSettings


def server_checks(
    aws: Aws, deployment: Deployment, carries_calls: bool, new: bool
) -> list[PreflightCheck]:
    """Return the checks for a session server; `new`: its stack is not deployed yet."""
    name, stage = deployment.name, deployment.stage
    checks: list[PreflightCheck] = []
    if carries_calls and stage.server.domain:
        checks += [("certificate", lambda: [_check_certificate(aws, stage.server)])]
    if stage.repository and not carries_calls:
        checks += [("repository", lambda: check_lambda_pulls(aws, deployment))]
    if not new:
        return checks

    def check_needed() -> Iterable[CheckResult]:
        statements = server_deployer_statements(
            deployment, aws.account, aws.identity.partition, on_ecs=carries_calls
        )
        return check_permissions(aws, deployment, statements)

    checks += [
        (
            "names",
            lambda: name_results(
                inventory.server_resources(aws, name, stage.name, carries_calls), aws.region
            ),
        ),
        ("permissions", check_needed),
    ]
    if carries_calls:
        checks += [
            (
                "load-balancers",
                lambda: [check_quota(aws, quotas.BALANCERS, quotas.balancers_used, 1)],
            ),
            ("fargate", lambda: [_check_vcpus(aws, max_tasks(deployment))]),
        ]
    else:
        wanted = stage.server.concurrency
        checks.append(
            (
                "concurrency",
                lambda: [quotas.concurrency_result(quotas.function_limits(aws), wanted)],
            )
        )
    return checks


def certificate_result(
    server: ServerSettings, region: str, found: Mapping[str, Any] | None
) -> CheckResult:
    """Return whether a certificate is issued and covers the server's domain.

    `found` is DescribeCertificate's answer; None if AWS does not find the certificate.
    """
    arguments = f"--region {region} --certificate-arn {server.certificate}"
    request = (
        "Request one, and set it under [server] in voicecore.toml:\n"
        f"aws acm request-certificate --region {region} "
        f"--validation-method DNS --domain-name {server.domain}"
    )
    if found is None:
        why, fix = "this account has no certificate with that ARN", request
    elif found.get("Status") == "PENDING_VALIDATION":
        why = "it is PENDING_VALIDATION"
        fix = (
            "Create the DNS record that proves that you own the domain, then wait:\n"
            f"aws acm describe-certificate {arguments} "
            "--query Certificate.DomainValidationOptions\n"
            f"aws acm wait certificate-validated {arguments}"
        )
    elif found.get("Status") != "ISSUED":
        why, fix = f"it is {found.get('Status')}", request
    elif not covers(names := sorted(_names_in(found)), server.domain):
        why, fix = f"it is for {', '.join(names)}, not for {server.domain}", request
    else:
        return CheckResult("certificate", CheckOutcome.PASSED, f"for {server.domain}")
    return CheckResult("certificate", CheckOutcome.FAILED, why, fix)


def covers(names: Iterable[str], domain: str) -> bool:
    """Return True when a certificate name matches the domain; a * is one label (RFC 6125)."""
    above = domain.lower().partition(".")[2]
    return bool({name.lower() for name in names} & {domain.lower(), f"*.{above}"})


def _names_in(certificate: Mapping[str, Any]) -> set[str]:
    return {certificate["DomainName"], *certificate.get("SubjectAlternativeNames", ())}


def _check_certificate(aws: Aws, server: ServerSettings) -> CheckResult:
    found = None
    with ignoring("ResourceNotFoundException"):
        answer = aws.client("acm").describe_certificate(CertificateArn=server.certificate)
        found = answer["Certificate"]
    return certificate_result(server, aws.region, found)


def _check_vcpus(aws: Aws, tasks: int) -> CheckResult:
    allowed = quotas.allowed_of(aws, quotas.TASK_CPUS)
    return quotas.vcpu_result(allowed, quotas.vcpus_used(aws), tasks)
