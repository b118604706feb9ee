"""Known failures: recognized by AWS's message, and explained in docs/known-failures.md."""

import re
from pathlib import Path

import pytest

from voicecore.aws.known_failures import KNOWN_FAILURES, find_known_failure

DOCS = (Path(__file__).parents[3] / "docs/known-failures.md").read_text()
ROWS = {int(n): row for n, row in re.findall(r"^\| (\d+) \|(.*)$", DOCS, re.M)}


def test_docs_explain_each_failure_under_its_own_number() -> None:
    assert sorted(ROWS) == list(range(1, len(ROWS) + 1))
    for row in ROWS.values():
        assert all(cell.strip() for cell in row.strip("|").split("|"))


def command_in(fix: str) -> str:
    """Return the last part of a fix, which docs show in the same words but for Markdown."""
    return fix.rpartition(":  ")[2].replace("`", "").rstrip(".")


def test_docs_mark_the_failures_that_voicecore_recognizes() -> None:
    marked = [row.replace("`", "") for row in ROWS.values() if row.startswith(" **")]
    assert len(marked) == len(KNOWN_FAILURES)
    for known in KNOWN_FAILURES:
        assert re.compile(known.pattern)
        assert any(command_in(known.fix) in row for row in marked), known.fix


def test_docs_say_what_is_found_before_a_deploy() -> None:
    found = {number for number, row in ROWS.items() if "before a deploy" in row}
    assert {4, 5, 7, 8, 11, 16, 41, 50} <= found


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (1, "ValidationException: Role validation failed for 'arn:aws:iam::1:role/x'"),
        (1, "The role defined for the function cannot be assumed by AgentCore"),
        (2, "Access denied while validating ECR URI '1.dkr.ecr.us-east-1.amazonaws.com/x'"),
        (
            65,
            "You can't create this secret because a secret with this name is already scheduled "
            "for deletion.",
        ),
        (4, "exec /usr/local/bin/python: exec format error"),
        (4, "Architecture incompatible for uri '…'. Supported architectures: [arm64]"),
        (5, "failed to satisfy constraint: must match [a-zA-Z][a-zA-Z0-9_]{0,47}"),
        (6, "Unknown service: 'bedrock-agentcore-control'. Valid service names are: acm"),
        (64, "platformVersion V2 is not supported in region sa-east-1"),
        (7, "NetworkModeConfig is required for VPC mode"),
        (8, "The following subnets are in unsupported availability zones: subnet-1 (use1-az3)"),
        (9, "ConflictException: Agent x is in status UPDATING"),
        (11, "environmentVariables: total size exceeds 4KB"),
        (12, "toomanyrequests: You have reached your pull rate limit"),
        (16, "Image size 3.1GB exceeds the limit of 2 GB"),
        (18, "Runtime initialization time exceeded. Please make sure … 30s"),
        (20, "failed to mount overlay: no such file"),
        (21, "This runtime is not MMDSv2-enabled"),
        (26, "maxVms limit exceeded"),
        (32, "resource sg-1 has a dependent object (DependencyViolation)"),
        (
            63,
            "Specified ReservedConcurrentExecutions for function decreases account's "
            "UnreservedConcurrentExecution below its minimum value of [100].",
        ),
        (43, "ClientLimitExceededException: rate exceeded"),
        (50, "not authorized to perform: bedrock:InvokeModelWithBidirectionalStream"),
    ],
)
def test_recognizes_message(number: int, message: str) -> None:
    known = find_known_failure(message)
    assert known is not None
    assert command_in(known.fix) in ROWS[number].replace("`", "")


@pytest.mark.parametrize("message", ["Rate exceeded", ""])
def test_does_not_recognize_other_messages(message: str) -> None:
    assert find_known_failure(message) is None
