"""Generates the table of the preflight checks."""

from __future__ import annotations

from docs.generators.markdown import same, table
from voicecore.cloud.preflight.check_names import CHECK_NAMES


def checks() -> str:
    """Return the preflight checks."""
    same("preflight checks", set(CHECK_NAMES), set(_CHECKS))
    return table(("check", "passes if"), ((f"`{name}`", _CHECKS[name]) for name in CHECK_NAMES))


_CHECKS = {
    "addresses": "The account may have the Elastic IP addresses of a new network.",
    "boundary": "The permissions boundary exists.",
    "build": "CodeBuild in this region can build an image that this machine cannot.",
    "certificate": "The certificate for `domain` is issued, and is for that domain.",
    "clock": "This machine's clock is within 5 minutes of the clock of AWS.",
    "concurrency": "Lambda can reserve `concurrency` for the session server.",
    "endpoints": "The region offers the VPC endpoints of `endpoints = true`.",
    "fargate": "Fargate has room for the tasks of the session server.",
    "key": "The KMS key exists, is enabled, and CloudWatch Logs may use it.",
    "load-balancers": "The account may have one more load balancer.",
    "models": "The account may call the pipeline's models in this region.",
    "names": "No resource outside the stacks has a name that a new stack uses.",
    "network": "Your own subnets and security groups let the agent reach what it needs.",
    "permissions": "IAM's policy simulator allows the deploying identity all that a deploy calls.",
    "repository": "The ECR repository exists.",
    "role": "AgentCore may assume the execution role, which has the permissions it needs.",
    "runtimes": "The account may have one more runtime.",
    "service-role": "CloudFormation may assume its service role.",
    "sessions": "The account may have sessions at all.",
    "traces": "With `traces = true`: the agent has AWS's package, and Transaction Search is on.",
    "vpcs": "The account may have one more VPC.",
    "zones": "The account has two zones that AgentCore supports.",
}
