"""The deployer policies allow the calls that tests/cloud recorded, and little else.

Each record has the calls of some commands and their resources; see `tests/cloud/permissions.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from tests.golden import FILES, assert_golden
from tests.standins.aws.access import ACCOUNT, Access, granted
from tests.unit.cloud.deployments import WEBRTC, deployment, phone_deployment
from voicecore.cloud.iam.codebuild import codebuild_statements
from voicecore.cloud.iam.deployer import deployer_statements
from voicecore.cloud.iam.server_deployer import server_deployer_statements
from voicecore.cloud.iam.statements import Statement
from voicecore.cloud.stacks.deployment import Deployment
from voicecore.project.project import Vpc
from voicecore.project.settings.network import VPC

RUNTIME = f"arn:aws:bedrock-agentcore:us-east-1:{ACCOUNT}:runtime/line_dev-0123456789"
# `talk --remote` calls AgentCore's data plane, by the runtime's ARN and the name of its endpoint
# (Service Authorization Reference); no journal has these calls.
TALK = {
    Access(f"bedrock-agentcore:{action}", arn)
    for action in ("InvokeAgentRuntimeWithWebSocketStream", "StopRuntimeSession")
    for arn in (RUNTIME, f"{RUNTIME}/runtime-endpoint/dev")
}


def recorded(name: str) -> set[Access]:
    """Return the accesses of a record."""
    lines = (FILES / "permissions" / f"{name}.txt").read_text().splitlines()
    return {Access(action, arn) for action, _, arn in (line.partition(" ") for line in lines)}


def recorded_of(project: str) -> set[Access]:
    """Return all accesses that were recorded in a project of this name."""
    return {a for name, (of, more) in RECORDS.items() if of.name == project
            for a in recorded(name) | more}  # fmt: skip


def named(name: str, of: Deployment) -> Deployment:
    return replace(of, name=name)


def policies(of: Deployment) -> list[Statement]:
    """Return the statements that `voicecore deploy --server --export` writes."""
    server = server_deployer_statements(of, ACCOUNT, on_ecs=of.has_phones)
    return [*deployer_statements(of, ACCOUNT), *server, *codebuild_statements(of, ACCOUNT)]


AGENT = named("line", deployment())
IN_VPC = named("line", deployment(network=VPC))
CLOSED = named("line", deployment(network=VPC, vpc=Vpc(endpoints=True)))
OVER_WEBRTC = named("line", deployment("nova-sonic", WEBRTC))
ON_ECS = named("phone", phone_deployment())
BUILT = named("my-agent", deployment(region="eu-west-1"))
# AWS chooses the names of these services' resources.
NAMELESS = ("application-autoscaling", "cloudfront", "elasticloadbalancing")
# These read, for all resources of the account, or create a role that the account has once.
SHARED = {
    "bedrock-agentcore:ListAgentRuntimeEndpoints",
    "bedrock-agentcore:ListAgentRuntimeVersions",
    "cloudformation:DescribeStacks",
    "bedrock:GetFoundationModel",  # AWS's own
    "ecs:ListTasks",
    "iam:CreateServiceLinkedRole",
    "iam:SimulatePrincipalPolicy",
}
# Autoscaling creates alarms for the caller, and CloudFormation reads policies of log groups, which
# the stand-in does not.
ALARM = f"arn:aws:cloudwatch:us-east-1:{ACCOUNT}:alarm:TargetTracking-service/voicecore-phone-dev"
LOG_POLICIES = {Access(f"logs:Describe{kind}Policies", "") for kind in ("Index", "Resource")}
OF_SERVICES = LOG_POLICIES | {
    Access(f"cloudwatch:{action}", f"{ALARM}-server/voicecore-phone-dev-server-AlarmHigh-0")
    for action in ("PutMetricAlarm", "DescribeAlarms", "DeleteAlarms")
}
RECORDS: Mapping[str, tuple[Deployment, set[Access]]] = {
    "agent-public": (AGENT, TALK),
    "agent-vpc": (IN_VPC, set()),
    "agent-endpoints": (CLOSED, set()),
    "agent-webrtc": (OVER_WEBRTC, set()),
    "logs-live": (AGENT, set()),
    "server-lambda": (AGENT, LOG_POLICIES),
    "server-ecs": (ON_ECS, OF_SERVICES),
    "builds": (BUILT, set()),
}


@pytest.mark.parametrize("name", RECORDS)
def test_policies_allow_every_call_on_its_resource(name: str) -> None:
    of, more = RECORDS[name]
    policy = [statement.json for statement in policies(of)]
    assert [str(a) for a in sorted(recorded(name) | more) if not granted(policy, a)] == []


def allowed_here(*others: Deployment) -> list[Access]:
    """Return the recorded accesses to named resources that policies of others allow, too."""
    policy = [statement.json for of in others for statement in policies(of)]
    here = {access for name in RECORDS for access in recorded(name)} | TALK | OF_SERVICES
    named_here = [a for a in sorted(here) if a.arn and not a.action.startswith(NAMELESS)]
    return [a for a in named_here if a.action not in SHARED and granted(policy, a)]


def test_policies_of_another_project_allow_nothing_here() -> None:
    assert allowed_here(named("else", IN_VPC), named("else", ON_ECS)) == []


def test_policies_of_another_stage_allow_only_what_stages_share() -> None:
    others = [replace(of, stage=replace(of.stage, name="de")) for of in (IN_VPC, AGENT, ON_ECS)]
    assert [str(access) for access in allowed_here(*others) if "dev" in access.arn] == []


def test_every_statement_is_used_and_permissions_without_a_call_are_known() -> None:
    used: set[str] = set()
    every: set[str] = set()
    for of in (IN_VPC, CLOSED, OVER_WEBRTC, ON_ECS, BUILT):
        for statement in policies(of):
            calls = [call for call in recorded_of(of.name) if granted([statement.json], call)]
            used |= {f"{statement.sid} {call.action}" for call in calls}
            every |= {f"{statement.sid} {action}" for action in statement.actions}
    assert {line.split()[0] for line in every} == {line.split()[0] for line in used}
    assert_golden("permissions/not-called.txt", "".join(f"{x}\n" for x in sorted(every - used)))
