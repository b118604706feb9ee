"""The catalogue: complete, and recognised in AWS's own words."""

import re

import pytest

from voicecore.aws.known_failures import FAILURES, Check, find_known_failure


def test_all_sixty_two_are_there_in_order() -> None:
    assert [failure.number for failure in FAILURES] == list(range(1, 63))


def test_each_says_why_and_what_helps() -> None:
    for failure in FAILURES:
        assert failure.symptom and failure.cause and failure.fix
        re.compile(failure.pattern)


def test_what_can_be_found_before_a_deploy_is_known() -> None:
    found = {f.number for f in FAILURES if f.check is Check.DEPLOY}
    assert {4, 5, 7, 8, 11, 16, 41, 50} <= found


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (1, "ValidationException: Role validation failed for 'arn:aws:iam::1:role/x'"),
        (1, "The role defined for the function cannot be assumed by AgentCore"),
        (2, "Access denied while validating ECR URI '1.dkr.ecr.us-east-1.amazonaws.com/x'"),
        (4, "exec /usr/local/bin/python: exec format error"),
        (4, "Architecture incompatible for uri '…'. Supported architectures: [arm64]"),
        (5, "failed to satisfy constraint: must match [a-zA-Z][a-zA-Z0-9_]{0,47}"),
        (6, "Unknown service: 'bedrock-agentcore-control'. Valid service names are: acm"),
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
        (43, "ClientLimitExceededException: rate exceeded"),
        (50, "not authorized to perform: bedrock:InvokeModelWithBidirectionalStream"),
    ],
)
def test_awss_words_are_recognised(number: int, words: str) -> None:
    failure = find_known_failure(words)
    assert failure is not None and failure.number == number


def test_other_words_are_not() -> None:
    assert find_known_failure("Rate exceeded") is None
    assert find_known_failure("") is None
