"""Owns the quotas that a deploy uses: what AWS allows, what is used, and how to request more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil

from voicecore.aws.errors import ignoring
from voicecore.aws.session import Aws
from voicecore.cloud.preflight.checks import CheckOutcome, CheckResult
from voicecore.cloud.stacks.ecs_tasks import VCPUS
from voicecore.cloud.stacks.lambda_server import ACCOUNT_LIMIT, UNRESERVED


@dataclass(frozen=True)
class Quota:
    """A quota of AWS as Service Quotas lists it."""

    title: str
    service: str
    code: str
    default: int


# Service Quotas: Amazon VPC and EC2 (vpc-limits, autumn 2026).
ADDRESSES = Quota("Elastic IP addresses", "ec2", "L-0263D0A3", 5)
VPCS = Quota("VPCs", "vpc", "L-F678F1CE", 5)
# bedrock-agentcore-limits; some new accounts have a lower quota, even 0.
SESSIONS = Quota("AgentCore sessions at once", "bedrock-agentcore", "L-3E5722B2", 2500)
# These defaults are those of new accounts (ECS and ELB service quotas).
TASK_CPUS = Quota("vCPUs of Fargate", "fargate", "L-3032A538", 6)
BALANCERS = Quota("load balancers", "elasticloadbalancing", "L-53DA6B97", 50)
EXECUTIONS = Quota("Lambda concurrency", "lambda", "L-B99A9384", ACCOUNT_LIMIT)
RUNTIMES = Quota("AgentCore runtimes", "bedrock-agentcore", "L-F4575653", 1000)


def check_quota(aws: Aws, quota: Quota, used: Callable[[Aws], int], needed: int) -> CheckResult:
    """Ask AWS for the quota and what is used of it, and return whether `needed` more fit."""
    return quota_result(quota, allowed_of(aws, quota), used(aws), needed)


def quota_result(quota: Quota, allowed: float, used: int, needed: int) -> CheckResult:
    """Return whether `needed` more fit into a quota."""
    if used + needed <= allowed:
        return CheckResult(quota.title, CheckOutcome.PASSED, f"{used} of {allowed:.0f} used")
    return CheckResult(
        quota.title,
        CheckOutcome.FAILED,
        f"{used} of {allowed:.0f} are used in this region; the deploy needs {needed} more",
        f"Release some, or request an increase:\n{_increase(quota, used + needed)}",
    )


def session_result(allowed: float) -> CheckResult:
    """Return whether the account may have sessions; the quota of some new accounts is 0."""
    if allowed >= 1:
        return CheckResult(SESSIONS.title, CheckOutcome.PASSED, f"{allowed:.0f}")
    return CheckResult(
        SESSIONS.title,
        CheckOutcome.FAILED,
        "the quota is 0 in this region, as in some new accounts",
        f"Request an increase:\n{_increase(SESSIONS, 10)}",
    )


def vcpu_result(allowed: float, used: int, tasks: int) -> CheckResult:
    """Return whether Fargate has room for a server's first task and its successor beside it.

    When the `tasks` for the peak number of calls do not all fit, the result is a warning.
    """
    first = quota_result(TASK_CPUS, allowed, used, 2 * VCPUS)
    most = used + tasks * VCPUS
    if first.outcome is not CheckOutcome.PASSED or most <= allowed:
        return first
    return CheckResult(
        TASK_CPUS.title,
        CheckOutcome.UNKNOWN,
        f"peak_calls needs {tasks} tasks, and the quota has room for {allowed - used:.0f}. With "
        "more calls than those carry, audio will be poor. Request an increase:  "
        f"{_increase(TASK_CPUS, most)}",
    )


def allowed_of(aws: Aws, quota: Quota) -> float:
    """Return the quota's value in this account and region."""
    with ignoring("NoSuchResourceException"):
        answer = aws.client("service-quotas").get_service_quota(
            ServiceCode=quota.service, QuotaCode=quota.code
        )
        return float(answer["Quota"]["Value"])
    # Service Quotas may have no record of a quota that was never changed.
    return quota.default


@dataclass(frozen=True)
class FunctionLimits:
    """Executions of Lambda functions at once, in this account and region."""

    total: int
    unreserved: int
    """Those that no function has reserved."""


def function_limits(aws: Aws) -> FunctionLimits:
    """Return the account's limits; AWS's defaults if it does not say."""
    with ignoring("AccessDeniedException"):
        limits = aws.client("lambda").get_account_settings()["AccountLimit"]
        return FunctionLimits(
            limits["ConcurrentExecutions"], limits["UnreservedConcurrentExecutions"]
        )
    return FunctionLimits(ACCOUNT_LIMIT, ACCOUNT_LIMIT)


def concurrency_result(limits: FunctionLimits, wanted: int) -> CheckResult:
    """Return whether a new server can reserve as many executions at once, or needs not to."""
    title, free = "Lambda concurrency", limits.unreserved - UNRESERVED
    if limits.total < wanted + UNRESERVED:
        why = f"nothing is reserved: the account runs at most {limits.total} at once"
        return CheckResult(title, CheckOutcome.PASSED, why)
    if free >= wanted:
        return CheckResult(title, CheckOutcome.PASSED, f"{wanted} of {free} that are free")
    lower = f"Set concurrency under [server] in voicecore.toml to {free} or less, or request an "
    return CheckResult(
        title,
        CheckOutcome.FAILED,
        f"the server reserves {wanted} executions at once, and other functions have reserved all "
        f"but {max(0, free)}",
        ("Request an " if free < 1 else lower)
        + f"increase:\n{_increase(EXECUTIONS, limits.total + wanted)}",
    )


def addresses_used(aws: Aws) -> int:
    """Return the number of Elastic IP addresses."""
    return len(aws.client("ec2").describe_addresses()["Addresses"])


def vpcs_used(aws: Aws) -> int:
    """Return the number of VPCs."""
    pages = aws.client("ec2").get_paginator("describe_vpcs").paginate()
    return sum(len(page["Vpcs"]) for page in pages)


def runtimes_used(aws: Aws) -> int:
    """Return the number of AgentCore runtimes."""
    control = aws.client("bedrock-agentcore-control")
    pages = control.get_paginator("list_agent_runtimes").paginate()
    return sum(len(page["agentRuntimes"]) for page in pages)


def balancers_used(aws: Aws) -> int:
    """Return the number of Application Load Balancers."""
    pages = aws.client("elbv2").get_paginator("describe_load_balancers").paginate()
    return sum(each["Type"] == "application" for page in pages for each in page["LoadBalancers"])


def vcpus_used(aws: Aws) -> int:
    """Return the vCPUs of running Fargate tasks, from CloudWatch (monitoring-fargate-usage)."""
    now = datetime.now(UTC)
    points = aws.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/Usage",
        MetricName="ResourceCount",
        Dimensions=[
            {"Name": "Service", "Value": "Fargate"},
            {"Name": "Type", "Value": "Resource"},
            {"Name": "Resource", "Value": "vCPU"},
            {"Name": "Class", "Value": "Standard/OnDemand"},
        ],
        StartTime=now - timedelta(minutes=15),
        EndTime=now,
        Period=300,
        Statistics=["Maximum"],
    )["Datapoints"]
    return ceil(max((point["Maximum"] for point in points), default=0))


def _increase(quota: Quota, value: int) -> str:
    return (
        "aws service-quotas request-service-quota-increase "
        f"--service-code {quota.service} --quota-code {quota.code} --desired-value {value}"
    )
