"""Rules of an account: trust, keys, what a deploy keeps, and who needs which permission."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from tests.standins.aws_answers import ClientAnswers
from tests.unit.cloud.deployments import (
    ACCOUNT,
    WEBRTC,
    deployment,
    make_agent_stack,
    make_ecs_stack,
    make_lambda_stack,
    phone_deployment,
    resolve,
    statements_of,
)
from voicecore.cloud.deploy.export import JSON, exported_files
from voicecore.cloud.deploy.request import DeployRequest
from voicecore.cloud.iam.deployer import deployer_statements
from voicecore.cloud.iam.service_role import caller_statements, service_role_statements
from voicecore.cloud.iam.statements import AGENTCORE, ArnScope, trust_policy
from voicecore.cloud.preflight.rules import (
    check_lambda_pulls,
    key_results,
    required_policy,
    required_trust,
    trusts,
)
from voicecore.cloud.resources.deployed_stack import DeployedStack
from voicecore.cloud.resources.kept import is_same, keeping
from voicecore.cloud.stacks.env_split import Environment
from voicecore.cloud.stacks.images_stack import images_stack
from voicecore.cloud.stacks.stack import Stack
from voicecore.project.settings.account_rules import AccountRules

KEY = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/01234567-89ab-cdef-0123-456789abcdef"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/teams/agent"
BOUNDARY = f"arn:aws:iam::{ACCOUNT}:policy/boundary"
SCOPE = ArnScope("aws", ACCOUNT, "us-east-1")
CONTEXT = {"aws:SourceAccount": ACCOUNT,
           "aws:SourceArn": f"arn:aws:bedrock-agentcore:us-east-1:{ACCOUNT}:runtime/x"}  # fmt: skip


def deployed(stack: Stack, **tags: str) -> DeployedStack:
    """Return the stack as it stands, with these tags more."""
    return DeployedStack(
        "id", stack.name, "CREATE_COMPLETE", parameters=stack.parameters, tags=stack.tags | tags
    )


def test_tags_of_others_stay_and_own_ones_can_be_removed() -> None:
    before = make_agent_stack(deployment(tags={"Team": "voice", "Owner": "ada"}))
    stands = deployed(before, CostCenter="42")
    assert is_same(before, stands, before.document)
    after = make_agent_stack(deployment(tags={"Team": "voice"}))
    assert not is_same(after, stands, before.document)
    kept = keeping(after, stands, before.document)
    assert kept.all_tags == after.tags | {"CostCenter": "42"}
    # A stack of before records has only tags of others, and AWS's own cannot be set.
    old = deployed(after, CostCenter="42", **{"aws:servicecatalog:x": "y"})
    assert is_same(after, old, after.template)
    assert keeping(after, old, after.template).all_tags == after.tags | {"CostCenter": "42"}


def test_boundary_of_others_stays_and_a_path_cannot_change() -> None:
    before = make_agent_stack(deployment(role_path="/old/"))
    template = before.document
    template["Resources"]["Role"]["Properties"]["PermissionsBoundary"] = BOUNDARY
    stands = deployed(before)
    new = make_agent_stack(deployment(role_path="/new/"))
    assert is_same(new, stands, template)
    own = make_agent_stack(deployment(permissions_boundary=f"{BOUNDARY}-2"))
    kept = keeping(own, stands, template).resources["Role"]["Properties"]
    assert (kept["PermissionsBoundary"], kept["Path"]) == (f"{BOUNDARY}-2", "/old/")


def test_repository_keeps_its_key() -> None:
    before = images_stack(deployment())
    assert is_same(images_stack(deployment(kms_key=KEY)), deployed(before), before.document)


def test_key_encrypts_secrets_and_logs_and_their_readers_may_decrypt() -> None:
    rules: dict[str, Any] = {"kms_key": KEY, "permissions_boundary": BOUNDARY}
    of, phone = deployment("cascade", WEBRTC, **rules), phone_deployment(**rules)
    for stack, readers in (
        (make_agent_stack(of, KEY="x"), ["Role"]),
        (make_lambda_stack(of, KEY="x"), ["Role"]),
        (make_ecs_stack(phone, KEY="x"), ["StartRole"]),
    ):
        for resource in stack.resources.values():
            properties = resource["Properties"]
            if resource["Type"] in ("AWS::SecretsManager::Secret", "AWS::Logs::LogGroup"):
                assert properties["KmsKeyId"] == KEY
            if resource["Type"] == "AWS::IAM::Role":
                assert properties["PermissionsBoundary"] == BOUNDARY
        for reader in readers:
            (statement,) = [s for s in statements_of(stack, reader) if s["Sid"] == "Key"]
            assert (statement["Action"], statement["Resource"]) == (["kms:Decrypt"], KEY)


def test_tags_of_a_stage_are_not_on_what_stages_share() -> None:
    of = replace(deployment(tags={"A": "stage"}), shared=AccountRules(tags={"A": "project"}))
    assert make_agent_stack(of).tags["A"] == "stage"
    assert images_stack(of).tags["A"] == "project"


def test_existing_role_is_in_no_stack_and_gets_the_policy_of_a_new_one() -> None:
    of = deployment("cascade", WEBRTC)
    own, given = (make_agent_stack(each, KEY="x") for each in
                  (of, replace(of, stage=replace(of.stage, role=ROLE))))  # fmt: skip
    assert "Role" not in given.resources
    assert given.resources["Runtime"]["Properties"]["RoleArn"] == ROLE
    needed = required_policy(of, SCOPE, has_secret=True)["Statement"]
    named = {each["Sid"]: each for each in resolve(statements_of(own))}
    assert {each["Sid"] for each in needed} == set(named)
    for each in needed:
        if each["Sid"] != "Secrets":
            assert each == named[each["Sid"]]


@pytest.mark.parametrize(
    ("trust", "trusted"),
    [
        (required_trust(SCOPE), True),
        (trust_policy(AGENTCORE), True),
        (trust_policy("lambda.amazonaws.com"), False),
        (required_trust(replace(SCOPE, account="210987654321")), False),
        (required_trust(replace(SCOPE, region="eu-west-1")), False),
        (
            {
                "Statement": {
                    "Effect": "Allow",
                    "Principal": {"Service": ["ec2.amazonaws.com", AGENTCORE]},
                    "Action": "sts:*",
                    "Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-1"}},
                }
            },
            True,
        ),
        ({"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"}]}, False),
    ],
)
def test_trust_is_judged_by_service_and_source(trust: dict[str, Any], trusted: bool) -> None:
    assert trusts(trust, AGENTCORE, CONTEXT) is trusted


def test_key_must_be_enabled_and_usable_by_logs() -> None:
    allowed = {"Effect": "Allow", "Principal": {"Service": "logs.us-east-1.amazonaws.com"}}
    assert not [*key_results(KEY, "us-east-1", {"KeyState": "Enabled"}, {"Statement": allowed})]
    root = {"Effect": "Allow", "Principal": {"AWS": "x"}}
    found = [*key_results(KEY, "us-east-1", {"KeyState": "Disabled"}, {"Statement": [root]})]
    assert [each.fix.partition("  ")[0].partition(":\n")[0] for each in found] == [
        "Enable it, or name another in voicecore.toml:",
        "Add this statement to the key's policy",
    ]


@pytest.mark.parametrize(
    ("answer", "warned"),
    [
        ({"policyText": '{"Statement": {"Principal": {"Service": "lambda.amazonaws.com"}}}'}, 0),
        ({"policyText": '{"Statement": [{"Principal": "*"}]}'}, 1),
    ],
)
def test_repository_without_a_policy_for_lambda_is_warned_of(
    answer: dict[str, str], warned: int
) -> None:
    identity = SimpleNamespace(partition="aws")
    client = ClientAnswers({"get_repository_policy": answer})
    aws: Any = SimpleNamespace(client=lambda _: client, account=ACCOUNT, identity=identity)
    of = deployment(repository=f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/team/voice")
    assert len([*check_lambda_pulls(aws, of)]) == warned


def test_service_role_takes_what_stacks_create_from_the_caller() -> None:
    statements = deployer_statements(deployment(), ACCOUNT)
    assert caller_statements(statements, "") == statements
    own = {a for s in caller_statements(statements, ROLE) for a in s.actions}
    theirs = {a for s in service_role_statements(statements) for a in s.actions}
    assert not own & {"iam:CreateRole", "ecr:CreateRepository", "secretsmanager:CreateSecret"}
    assert {"iam:PassRole", "ecr:PutImage", "secretsmanager:PutSecretValue"} <= own
    assert {"iam:CreateRole", "iam:PassRole", "ecr:CreateRepository"} <= theirs
    assert "cloudformation:CreateStack" in own - theirs


def test_export_as_json_has_a_readme_that_names_every_file() -> None:
    project: Any = None
    secret = Environment({}, {"KEY": "x"})
    request = DeployRequest(project, deployment(service_role=ROLE), secret, None, "", ())
    files = exported_files(request, JSON)
    readme = files.pop("README.md")
    assert "voicecore-support-line-dev.json" in files and "service-role-policy-1.json" in files
    assert [name for name in files if f"`{name}`" not in readme] == []
    assert "--template-file voicecore-support-line-dev.json" in readme
    assert "put-secret-value --secret-id voicecore/support-line/dev" in readme
