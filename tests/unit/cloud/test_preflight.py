"""Results of preflight checks, from AWS's answers."""

from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.standins.aws_answers import AwsAnswers
from voicecore.cloud.preflight import agent, names, network, permissions, quotas, rules, server
from voicecore.cloud.preflight.check_names import CHECK_NAMES
from voicecore.cloud.preflight.checks import (
    CheckOutcome,
    CheckResult,
    PreflightFailed,
    require_passed,
)
from voicecore.cloud.resources.inventory import FoundResource
from voicecore.cloud.stacks.deployment import Deployment, deployment_of
from voicecore.cloud.stacks.network_stack import Egress
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.project.project import Project, ServerSettings, Stage, Vpc
from voicecore.project.settings.account_rules import AccountRules
from voicecore.project.settings.network import VPC

FAILED, PASSED, UNKNOWN = CheckOutcome.FAILED, CheckOutcome.PASSED, CheckOutcome.UNKNOWN


def deployment(pipeline: str = "nova-sonic") -> Deployment:
    stage = Stage("dev", "us-east-1")
    project = Project(
        root=Path("/p"),
        name="x",
        transports=("websocket",),
        pipeline=pipeline,
        region="us-east-1",
        services={"stt": "deepgram", "llm": "nova-lite", "tts": "polly"},
        stages={"dev": stage},
    )
    return deployment_of(project)


def test_all_failed_checks_are_reported_at_once_and_each_fix_once() -> None:
    failed = [CheckResult(f"c{n}", FAILED, f"m{n}", "fix it", "zones") for n in (1, 2)]
    with pytest.raises(PreflightFailed) as error:
        require_passed(
            [*failed, CheckResult("c3", PASSED, ""), CheckResult("c4", UNKNOWN, "?")],
            "voicecore deploy",
        )
    assert error.value.message == (
        "2 preflight checks failed; nothing was changed:\n  c1: m1\n  c2: m2"
    )
    skip = "voicecore deploy --skip-check zones"
    assert error.value.hint == f"fix it\nIf a check is wrong here, skip it:  {skip}"


def test_refused_files_are_reported_beside_failed_checks_and_cannot_be_skipped() -> None:
    refusal = VoicecoreError("uv.lock is out of date", "uv lock", ExitCode.BAD_PROJECT)
    passed, failed = CheckResult("c", PASSED, ""), CheckResult("c", FAILED, "m", "fix", "role")
    with pytest.raises(PreflightFailed) as error:
        require_passed([passed, failed], "voicecore deploy", [refusal])
    assert error.value.message.endswith("\n  c: m\n  image: uv.lock is out of date")
    skip = "If a check is wrong here, skip it:  voicecore deploy --skip-check role"
    assert error.value.hint == f"fix\nuv lock\n{skip}"
    with pytest.raises(PreflightFailed) as error:
        require_passed([passed], "voicecore deploy", [refusal, refusal])
    assert error.value.hint == "uv lock"
    with pytest.raises(VoicecoreError) as alone:
        require_passed([passed], "voicecore deploy", [refusal])
    assert alone.value is refusal


def test_unknown_results_do_not_stop_a_deploy() -> None:
    require_passed([CheckResult("c", UNKNOWN, "?"), CheckResult("c", PASSED, "")], "again")


@pytest.mark.parametrize(
    ("minutes", "outcome"), [(0, PASSED), (3, PASSED), (-3, PASSED), (6, FAILED), (-6, FAILED)]
)
def test_wrong_clock_fails(minutes: int, outcome: CheckOutcome) -> None:
    assert agent.clock_result(timedelta(minutes=minutes)).outcome is outcome


@pytest.mark.parametrize(("used", "needed", "outcome"), [(4, 1, PASSED), (5, 1, FAILED)])
def test_full_quota_fails(used: int, needed: int, outcome: CheckOutcome) -> None:
    result = quotas.quota_result(quotas.ADDRESSES, 5.0, used, needed)
    assert result.outcome is outcome
    if outcome is FAILED:
        assert "request-service-quota-increase --service-code ec2" in result.fix
        assert "--desired-value 6" in result.fix


@pytest.mark.parametrize(("ha", "outcome"), [(False, PASSED), (True, FAILED)])
def test_each_nat_gateway_needs_an_address(ha: bool, outcome: CheckOutcome) -> None:
    four_of_five: Any = AwsAnswers(
        {
            "service-quotas": {"get_service_quota": {"Quota": {"Value": 5.0}}},
            "ec2": {"describe_addresses": {"Addresses": [{}] * 4}},
        }
    )
    of = replace(deployment(), network=VPC, vpc=Vpc(ha=ha))
    checks = dict(agent.agent_checks(four_of_five, of, existing=()))
    assert [result.outcome for result in checks["addresses"]()] == [outcome]


def test_only_application_load_balancers_count_toward_the_quota() -> None:
    types = ("application", "network", "gateway", "application")
    listed = {"LoadBalancers": [{"Type": each} for each in types]}
    aws: Any = AwsAnswers({"elbv2": {"describe_load_balancers": listed}})
    assert quotas.balancers_used(aws) == 2


@pytest.mark.parametrize(("allowed", "outcome"), [(0, FAILED), (1, PASSED), (2500, PASSED)])
def test_account_without_sessions_fails(allowed: int, outcome: CheckOutcome) -> None:
    assert quotas.session_result(allowed).outcome is outcome


@pytest.mark.parametrize(
    ("available", "outcome"),
    [
        ({"us-east-1a": "use1-az1", "us-east-1b": "use1-az4"}, PASSED),
        ({"us-east-1a": "use1-az3", "us-east-1b": "use1-az4"}, FAILED),
    ],
)
def test_too_few_zones_fail(available: dict[str, str], outcome: CheckOutcome) -> None:
    assert network.zone_result("us-east-1", available).outcome is outcome


def test_taken_names_fail_except_for_old_log_groups() -> None:
    taken = [
        FoundResource("runtime", "x_dev-1"),
        FoundResource("log group", "/aws/x"),
        FoundResource("role", "r"),
    ]
    results = list(names.name_results(taken, "us-east-1"))
    assert [result.outcome for result in results] == [FAILED, FAILED]
    assert "runtime named x_dev-1" in results[0].message


HTTPS = Egress("tcp", 443, 443)


@pytest.mark.parametrize(
    ("arn", "principal"),
    [
        ("arn:aws:sts::1:assumed-role/dev/ada", "arn:aws:iam::1:role/dev"),
        ("arn:aws-us-gov:sts::1:assumed-role/dev/ada", "arn:aws-us-gov:iam::1:role/dev"),
        ("arn:aws:iam::1:user/team/ada", "arn:aws:iam::1:user/team/ada"),
        ("arn:aws:iam::1:root", None),
        ("arn:aws:sts::1:federated-user/ada", None),
    ],
)
def test_principal_whose_policies_are_simulated(arn: str, principal: str | None) -> None:
    assert permissions.principal_of(arn) == principal


def test_actions_that_the_simulator_denies() -> None:
    results = [
        {"EvalActionName": "iam:PassRole", "EvalDecision": "implicitDeny"},
        {"EvalActionName": "ecr:PutImage", "EvalDecision": "allowed"},
        {"EvalActionName": "ec2:CreateVpc", "EvalDecision": "explicitDeny"},
    ]
    assert permissions.denied_actions(results) == ["iam:PassRole", "ec2:CreateVpc"]


class UnusedAws:
    """The list of checks does not depend on answers."""

    region = "us-east-1"


def names_of(deployment: Deployment, *existing: str) -> set[str]:
    aws: Any = UnusedAws()
    return {name for name, _ in agent.agent_checks(aws, deployment, existing)}


def test_deployed_stacks_are_not_checked_against_quotas_again() -> None:
    public = deployment()
    assert {"runtimes", "names"} <= names_of(public)
    assert not {"addresses", "zones"} & names_of(public)
    assert not {"runtimes", "names"} & names_of(public, "voicecore-x-dev", "voicecore-x-images")
    vpc = replace(public, network="vpc")
    assert {"addresses", "vpcs", "zones"} <= names_of(vpc)
    assert "addresses" not in names_of(vpc, "voicecore-x-network")


def test_every_check_can_be_skipped_by_its_name() -> None:
    aws: Any = UnusedAws()
    given = Vpc(("subnet-1",), ("sg-1",))
    found = {"build"}  # of an image
    for vpc in (Vpc(), Vpc(endpoints=True), given):
        found |= names_of(replace(deployment("cascade"), network="vpc", vpc=vpc, traced=True))
    for domain in ("", "phone.example.com"):
        of = deployment()
        of = replace(of, stage=replace(of.stage, server=ServerSettings(domain, "arn:x")))
        for on_ecs in (True, False):
            found |= {name for name, _ in server.server_checks(aws, of, on_ecs, new=True)}
    given = AccountRules(
        role="r", permissions_boundary="b", service_role="s", kms_key="k", repository="u"
    )
    of = replace(deployment(), stage=replace(deployment().stage, **asdict(given)))
    found |= {name for name, _ in rules.rule_checks(aws, of, None, has_secret=False)}
    assert found == set(CHECK_NAMES)


@pytest.mark.parametrize(
    ("allowed", "used", "tasks", "outcome"),
    [
        (6, 0, 2, PASSED),
        (6, 4, 2, PASSED),
        (6, 5, 1, FAILED),  # no room for a successor beside the first task
        (6, 0, 7, UNKNOWN),  # room for fewer tasks than the peak needs
    ],
)
def test_room_for_tasks_on_fargate(
    allowed: int, used: int, tasks: int, outcome: CheckOutcome
) -> None:
    result = quotas.vcpu_result(allowed, used, tasks)
    assert result.outcome is outcome
    if outcome is not PASSED:
        assert "--service-code fargate --quota-code L-3032A538" in result.fix + result.message


DOMAIN = ServerSettings("phone.example.com", "arn:aws:acm:us-east-1:1:certificate/x")
ISSUED = {"Status": "ISSUED", "DomainName": "phone.example.com"}


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (ISSUED, "for phone.example.com"),
        (ISSUED | {"DomainName": "*.Example.com"}, "for phone.example.com"),
        (ISSUED | {"DomainName": "x.de", "SubjectAlternativeNames": ["phone.example.com"]}, "for "),
        (ISSUED | {"DomainName": "*.com"}, "it is for *.com, not for phone.example.com"),
        (ISSUED | {"DomainName": "example.com"}, "it is for example.com"),
        (ISSUED | {"Status": "PENDING_VALIDATION"}, "it is PENDING_VALIDATION"),
        (ISSUED | {"Status": "EXPIRED"}, "it is EXPIRED"),
        (None, "this account has no certificate"),
    ],
)
def test_certificate_must_be_issued_for_the_domain(found: dict[str, Any], text: str) -> None:
    result = server.certificate_result(DOMAIN, "us-east-1", found)
    assert result.message.startswith(text)
    assert (result.outcome is PASSED) == text.startswith("for ")
    if result.outcome is FAILED:
        assert "aws acm " in result.fix and "us-east-1" in result.fix


def test_condition_with_several_values_is_simulated_with_all_of_them() -> None:
    condition = {"StringEquals": {"a:one": "x", "a:several": ["x", "y"]}}
    one, several = permissions.context_entries(condition)
    assert (one["ContextKeyValues"], one["ContextKeyType"]) == (["x"], "string")
    assert (several["ContextKeyValues"], several["ContextKeyType"]) == (["x", "y"], "stringList")
