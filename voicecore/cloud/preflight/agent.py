"""Owns the preflight checks of an agent and of the stacks that stages share."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import timedelta

from voicecore.aws.errors import CLOCK_TOLERANCE, clock_error
from voicecore.aws.session import Aws
from voicecore.cloud.iam.deployer import deployer_statements
from voicecore.cloud.preflight import quotas
from voicecore.cloud.preflight.checks import CheckOutcome, CheckResult, PreflightCheck
from voicecore.cloud.preflight.models import model_checks
from voicecore.cloud.preflight.names import name_results
from voicecore.cloud.preflight.network import (
    availability_zones,
    check_endpoints,
    check_given_network,
    zone_result,
)
from voicecore.cloud.preflight.permissions import check_permissions
from voicecore.cloud.preflight.quotas import check_quota
from voicecore.cloud.preflight.traces import trace_results
from voicecore.cloud.resources import inventory
from voicecore.cloud.stacks.deployment import Deployment
from voicecore.project import aws_names


def agent_checks(
    aws: Aws, deployment: Deployment, existing: Collection[str], has_secret: bool = False
) -> list[PreflightCheck]:
    """Return the checks for an agent; `existing` are the names of stacks that are deployed.

    A deployed stack already counts toward quotas, and its names are taken by itself. `has_secret`:
    the agent reads one.
    """
    checks: list[PreflightCheck] = [
        ("clock", lambda: [clock_result(aws.identity.skew)]),
        ("sessions", lambda: [quotas.session_result(quotas.allowed_of(aws, quotas.SESSIONS))]),
    ]
    checks += model_checks(aws, deployment)
    images = aws_names.images_stack_name_for(deployment.name)
    if images not in existing and not deployment.stage.repository:
        checks += [
            (
                "names",
                lambda: name_results(inventory.image_resources(aws, deployment.name), aws.region),
            ),
        ]
    if aws_names.stack_name_for(deployment.name, deployment.stage.name) not in existing:
        checks += _new_stage_checks(aws, deployment)
    if (
        deployment.creates_network
        and aws_names.network_stack_name_for(deployment.name) not in existing
    ):
        checks += _new_network_checks(aws, deployment)
    if deployment.creates_network and deployment.vpc.endpoints:
        checks += [("endpoints", lambda: [check_endpoints(aws, deployment)])]
    if deployment.traced:
        checks += [("traces", lambda: trace_results(aws, deployment))]
    if deployment.vpc.given:
        checks += [("network", lambda: check_given_network(aws, deployment, has_secret))]
    return checks


def _new_stage_checks(aws: Aws, deployment: Deployment) -> list[PreflightCheck]:
    name, stage = deployment.name, deployment.stage.name

    def check_needed() -> Iterator[CheckResult]:
        statements = deployer_statements(deployment, aws.account, aws.identity.partition)
        return check_permissions(aws, deployment, statements)

    return [
        ("names", lambda: name_results(inventory.agent_resources(aws, name, stage), aws.region)),
        ("runtimes", lambda: [check_quota(aws, quotas.RUNTIMES, quotas.runtimes_used, 1)]),
        # Only for a new stage: its creator may also change it, and the simulator takes seconds.
        ("permissions", check_needed),
    ]


def _new_network_checks(aws: Aws, deployment: Deployment) -> list[PreflightCheck]:
    checks: list[PreflightCheck] = [
        ("zones", lambda: [zone_result(aws.region, availability_zones(aws))]),
        ("vpcs", lambda: [check_quota(aws, quotas.VPCS, quotas.vpcs_used, 1)]),
    ]
    if deployment.vpc.endpoints:
        return checks
    gateways = 2 if deployment.vpc.ha else 1
    return [
        *checks,
        (
            "addresses",
            lambda: [check_quota(aws, quotas.ADDRESSES, quotas.addresses_used, gateways)],
        ),
    ]


def clock_result(skew: timedelta) -> CheckResult:
    """Return whether AWS accepts signatures made with this machine's clock."""
    if abs(skew) <= CLOCK_TOLERANCE:
        difference = f"{abs(skew).total_seconds():.0f} s from AWS's clock"
        return CheckResult("clock", CheckOutcome.PASSED, difference)
    wrong = clock_error(skew)
    return CheckResult("clock", CheckOutcome.FAILED, wrong.message, wrong.hint or "")
