"""Results of preflight checks, from AWS's answers."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.standins.aws_answers import AwsAnswers
from tests.unit.cloud.deployments import OWN_VPC
from voicecore.cloud.preflight import agent, names, network, permissions, quotas, server
from voicecore.cloud.preflight.checks import (
    CheckOutcome,
    CheckResult,
    PreflightFailed,
    require_passed,
)
from voicecore.cloud.resources.inventory import FoundResource
from voicecore.cloud.stacks.deployment import Deployment, deployment_of
from voicecore.cloud.stacks.network_stack import Egress
from voicecore.project.network_settings import VPC
from voicecore.project.project import Project, ServerSettings, Stage, Vpc

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
    failed = [CheckResult(f"c{n}", FAILED, f"m{n}", "fix it") for n in (1, 2)]
    with pytest.raises(PreflightFailed) as error:
        require_passed([*failed, CheckResult("c3", PASSED, ""), CheckResult("c4", UNKNOWN, "?")])
    assert error.value.message == (
        "2 preflight checks failed; nothing was changed:\n  c1: m1\n  c2: m2"
    )
    assert error.value.hint == "fix it"


def test_unknown_results_do_not_stop_a_deploy() -> None:
    require_passed([CheckResult("c", UNKNOWN, "?"), CheckResult("c", PASSED, "")])


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
    ("groups", "texts"),
    [
        ({"sg-1": ("vpc-1", [Egress("-1", 0, 65535)])}, []),
        ({"sg-1": ("vpc-1", [])}, ["do not allow outbound TCP 443"]),
        ({"sg-1": ("vpc-2", [HTTPS])}, ["sg-1 is in vpc-2"]),
    ],
)
def test_security_groups_that_block_the_agent_fail(groups: Any, texts: list[str]) -> None:
    results = list(network.security_group_results([HTTPS], "vpc-1", groups))
    assert len(results) == len(texts)
    for result, text in zip(results, texts, strict=True):
        assert text in result.message


def table(routes: list[dict[str, str]], *associations: dict[str, Any]) -> dict[str, Any]:
    return {"VpcId": "vpc-1", "Routes": routes, "Associations": list(associations)}


NAT = [{"DestinationCidrBlock": "0.0.0.0/0", "NatGatewayId": "nat-1"}]
IGW = [
    {"DestinationCidrBlock": "10.0.0.0/16", "GatewayId": "local"},
    {"DestinationCidrBlock": "0.0.0.0/0", "GatewayId": "igw-1"},
]


@pytest.mark.parametrize(
    ("tables", "target"),
    [
        ([table(NAT, {"SubnetId": "s-1"}), table(IGW, {"Main": True})], "nat-1"),
        ([table(NAT, {"SubnetId": "s-2"}), table(IGW, {"Main": True})], "igw-1"),
        ([table([], {"SubnetId": "s-1"}), table(IGW, {"Main": True})], ""),
        ([], ""),
    ],
)
def test_default_route_is_in_the_subnets_own_table_or_the_main_one(
    tables: Any, target: str
) -> None:
    assert network.default_route("s-1", "vpc-1", tables) == target


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
    assert {"addresses", "VPCs", "zones"} <= names_of(vpc)
    assert "addresses" not in names_of(vpc, "voicecore-x-network")


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


@pytest.mark.parametrize(("reached", "allowed"), [("0.0.0.0/0", True), ("10.0.0.0/8", False)])
def test_outbound_rules_count_only_if_they_reach_the_internet(reached: str, allowed: bool) -> None:
    subnet = {"VpcId": "vpc-1"}
    subnets = [
        subnet | {"SubnetId": id, "AvailabilityZoneId": f"use1-az{n}"}
        for n, id in enumerate(OWN_VPC.subnets, 1)
    ]
    route = {"DestinationCidrBlock": "0.0.0.0/0", "NatGatewayId": "nat-1"}
    table = {"VpcId": "vpc-1", "Associations": [{"Main": True}], "Routes": [route]}
    group = {
        "GroupId": OWN_VPC.security_groups[0],
        "VpcId": "vpc-1",
        "IpPermissionsEgress": [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": reached}]}],
    }
    answers = {
        "describe_subnets": {"Subnets": subnets},
        "describe_route_tables": {"RouteTables": [table]},
        "describe_security_groups": {"SecurityGroups": [group]},
    }
    aws: Any = AwsAnswers({"ec2": answers})
    of = replace(deployment(), network=VPC, vpc=OWN_VPC)
    messages = " ".join(result.message for result in network.check_given_network(aws, of))
    assert ("do not allow outbound" in messages) is not allowed, messages


def test_condition_with_several_values_is_simulated_with_all_of_them() -> None:
    condition = {"StringEquals": {"a:one": "x", "a:several": ["x", "y"]}}
    one, several = permissions.context_entries(condition)
    assert (one["ContextKeyValues"], one["ContextKeyType"]) == (["x"], "string")
    assert (several["ContextKeyValues"], several["ContextKeyType"]) == (["x", "y"], "stringList")
