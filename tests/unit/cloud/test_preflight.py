"""What preflight makes of AWS's answers."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from voicecore.cloud.deploy import preflight
from voicecore.cloud.deploy.inventory import Thing
from voicecore.cloud.deploy.preflight import Finding, NotReady, Verdict, refuse
from voicecore.cloud.stacks.deployment import Deployment, deployment_of
from voicecore.cloud.stacks.network_stack import Egress
from voicecore.project.project import Project, ServerSettings, Stage

REFUSED, GOOD = Verdict.REFUSED, Verdict.GOOD


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


def test_all_that_would_fail_is_told_at_once_and_each_fix_once() -> None:
    refused = [Finding(f"c{n}", REFUSED, f"m{n}", "fix it") for n in (1, 2)]
    with pytest.raises(NotReady) as error:
        refuse([*refused, Finding("c3", GOOD, ""), Finding("c4", Verdict.UNKNOWN, "?")])
    assert error.value.message == (
        "2 things would make the deploy fail; nothing was changed:\n  c1: m1\n  c2: m2"
    )
    assert error.value.hint == "fix it"


def test_nothing_is_refused_for_what_could_not_be_asked() -> None:
    refuse([Finding("c", Verdict.UNKNOWN, "?"), Finding("c", GOOD, "")])


@pytest.mark.parametrize(
    ("minutes", "verdict"), [(0, GOOD), (3, GOOD), (-3, GOOD), (6, REFUSED), (-6, REFUSED)]
)
def test_a_wrong_clock_is_refused(minutes: int, verdict: Verdict) -> None:
    assert preflight.of_clock(timedelta(minutes=minutes)).verdict is verdict


@pytest.mark.parametrize(("used", "wanted", "verdict"), [(4, 1, GOOD), (5, 1, REFUSED)])
def test_quotas(used: int, wanted: int, verdict: Verdict) -> None:
    finding = preflight.of_quota(preflight.ADDRESSES, 5.0, used, wanted)
    assert finding.verdict is verdict
    if verdict is REFUSED:
        assert "request-service-quota-increase --service-code ec2" in finding.fix
        assert "--desired-value 6" in finding.fix


@pytest.mark.parametrize(("allowed", "verdict"), [(0, REFUSED), (1, GOOD), (2500, GOOD)])
def test_new_accounts_may_have_no_sessions(allowed: int, verdict: Verdict) -> None:
    assert preflight.of_sessions(allowed).verdict is verdict


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        ({"us-east-1a": "use1-az1", "us-east-1b": "use1-az4"}, GOOD),
        ({"us-east-1a": "use1-az3", "us-east-1b": "use1-az4"}, REFUSED),
    ],
)
def test_zones(found: dict[str, str], verdict: Verdict) -> None:
    assert preflight.of_zones("us-east-1", found).verdict is verdict


OPEN = {
    "regionAvailability": "AVAILABLE",
    "authorizationStatus": "AUTHORIZED",
    "entitlementAvailability": "AVAILABLE",
}


@pytest.mark.parametrize(
    ("change", "verdict", "said"),
    [
        ({}, GOOD, "open"),
        ({"regionAvailability": "NOT_AVAILABLE"}, REFUSED, "does not offer it in eu-west-1"),
        ({"authorizationStatus": "NOT_AUTHORIZED"}, REFUSED, "no access"),
        ({"entitlementAvailability": "NOT_AVAILABLE"}, REFUSED, "no access"),
    ],
)
def test_models(change: dict[str, str], verdict: Verdict, said: str) -> None:
    finding = preflight.of_model("amazon.nova-2-sonic-v1:0", "eu-west-1", OPEN | change)
    assert finding.verdict is verdict
    assert said in finding.message


def test_the_models_are_those_that_the_agent_calls() -> None:
    assert preflight.models_of(deployment()) == ["amazon.nova-2-sonic-v1:0"]
    assert preflight.models_of(deployment("cascade")) == ["amazon.nova-2-lite-v1:0"]
    assert preflight.models_of(deployment("offline")) == []


def test_taken_names_are_refused_but_old_log_groups_are_in_nobodys_way() -> None:
    taken = [Thing("runtime", "x_dev-1"), Thing("log group", "/aws/x"), Thing("role", "r")]
    findings = list(preflight.of_names(taken))
    assert [f.verdict for f in findings] == [REFUSED, REFUSED]
    assert "runtime x_dev-1" in findings[0].message


HTTPS = Egress("tcp", 443, 443)


@pytest.mark.parametrize(
    ("groups", "said"),
    [
        ({"sg-1": ("vpc-1", [Egress("-1", 0, 65535)])}, []),
        ({"sg-1": ("vpc-1", [])}, ["let out no TCP 443"]),
        ({"sg-1": ("vpc-2", [HTTPS])}, ["sg-1 is in vpc-2"]),
    ],
)
def test_given_security_groups(groups: Any, said: list[str]) -> None:
    findings = list(preflight.of_groups([HTTPS], "vpc-1", groups))
    assert len(findings) == len(said)
    for finding, words in zip(findings, said, strict=True):
        assert words in finding.message


def table(routes: list[dict[str, str]], *associations: dict[str, Any]) -> dict[str, Any]:
    return {"VpcId": "vpc-1", "Routes": routes, "Associations": list(associations)}


NAT = [{"DestinationCidrBlock": "0.0.0.0/0", "NatGatewayId": "nat-1"}]
IGW = [
    {"DestinationCidrBlock": "10.0.0.0/16", "GatewayId": "local"},
    {"DestinationCidrBlock": "0.0.0.0/0", "GatewayId": "igw-1"},
]


@pytest.mark.parametrize(
    ("tables", "way"),
    [
        ([table(NAT, {"SubnetId": "s-1"}), table(IGW, {"Main": True})], "nat-1"),
        ([table(NAT, {"SubnetId": "s-2"}), table(IGW, {"Main": True})], "igw-1"),
        ([table([], {"SubnetId": "s-1"}), table(IGW, {"Main": True})], ""),
        ([], ""),
    ],
)
def test_the_way_out_is_by_the_subnets_own_table_or_the_main_one(tables: Any, way: str) -> None:
    assert preflight.way_out("s-1", "vpc-1", tables) == way


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
def test_whose_policies_are_simulated(arn: str, principal: str | None) -> None:
    assert preflight.principal_of(arn) == principal


def test_what_the_simulator_denies() -> None:
    results = [
        {"EvalActionName": "iam:PassRole", "EvalDecision": "implicitDeny"},
        {"EvalActionName": "ecr:PutImage", "EvalDecision": "allowed"},
        {"EvalActionName": "ec2:CreateVpc", "EvalDecision": "explicitDeny"},
    ]
    assert preflight.denied(results) == ["iam:PassRole", "ec2:CreateVpc"]


class NoAws:
    """Which checks there are depends on no answer."""

    region = "us-east-1"


def names_of(deployment: Deployment, *standing: str) -> set[str]:
    aws: Any = NoAws()
    return {name for name, _ in preflight.checks_for(aws, deployment, standing)}


def test_what_stands_is_not_asked_for_room_again() -> None:
    public = deployment()
    assert {"runtimes", "names"} <= names_of(public)
    assert not {"addresses", "zones"} & names_of(public)
    assert not {"runtimes", "names"} & names_of(public, "voicecore-x-dev", "voicecore-x-images")
    vpc = replace(public, network="vpc")
    assert {"addresses", "VPCs", "zones"} <= names_of(vpc)
    assert "addresses" not in names_of(vpc, "voicecore-x-network")


@pytest.mark.parametrize(
    ("allowed", "used", "tasks", "verdict"),
    [
        (6, 0, 2, GOOD),
        (6, 4, 2, GOOD),
        (6, 5, 1, REFUSED),  # a successor has no room beside the first
        (6, 0, 7, Verdict.UNKNOWN),  # the most calls do not fit, and fewer do
    ],
)
def test_there_is_room_at_fargate(allowed: int, used: int, tasks: int, verdict: Verdict) -> None:
    finding = preflight.of_vcpus(allowed, used, tasks)
    assert finding.verdict is verdict
    if verdict is not GOOD:
        assert "--service-code fargate --quota-code L-3032A538" in finding.fix + finding.message


CERTIFIED = ServerSettings("phone.example.com", "arn:aws:acm:us-east-1:1:certificate/x")
ISSUED = {"Status": "ISSUED", "DomainName": "phone.example.com"}


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (ISSUED, "for phone.example.com"),
        (ISSUED | {"DomainName": "*.Example.com"}, "for phone.example.com"),
        (ISSUED | {"DomainName": "x.de", "SubjectAlternativeNames": ["phone.example.com"]}, "for "),
        (ISSUED | {"DomainName": "*.com"}, "it is for *.com, not for phone.example.com"),
        (ISSUED | {"DomainName": "example.com"}, "it is for example.com"),
        (ISSUED | {"Status": "PENDING_VALIDATION"}, "it is PENDING_VALIDATION"),
        (ISSUED | {"Status": "EXPIRED"}, "it is EXPIRED"),
        (None, "there is none"),
    ],
)
def test_a_certificate_is_issued_and_for_the_domain(found: dict[str, Any], said: str) -> None:
    finding = preflight.of_certificate(CERTIFIED, "us-east-1", found)
    assert finding.message.startswith(said)
    assert (finding.verdict is GOOD) == said.startswith("for ")
    if finding.verdict is REFUSED:
        assert "aws acm " in finding.fix and "us-east-1" in finding.fix


def test_a_permission_for_several_values_is_foreseen_with_each() -> None:
    condition = {"StringEquals": {"a:one": "x", "a:several": ["x", "y"]}}
    one, several = preflight.context_of(condition)
    assert (one["ContextKeyValues"], one["ContextKeyType"]) == (["x"], "string")
    assert (several["ContextKeyValues"], several["ContextKeyType"]) == (["x", "y"], "stringList")
