"""Versions of a stage: callers are moved back and forward without a build."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.cloud.deploying import Deployer
from tests.cloud.killing import kill_deploy
from tests.cloud.permissions import expect_granted, use_exported_policies
from tests.cloud.test_deploy import changes, edit
from tests.conftest import Result, Voicecore
from tests.standins.aws import Aws
from tests.standins.models.refusal import Refused
from voicecore.console.errors import ExitCode

STACK = "voicecore-line-dev"


def answers(aws: Aws) -> str:
    """Return AgentCore's version that answers callers."""
    (runtime,) = aws.client("bedrock-agentcore-control").list_agent_runtimes()["agentRuntimes"]
    try:
        answer = aws.client("bedrock-agentcore").invoke_agent_runtime(
            agentRuntimeArn=runtime["agentRuntimeArn"], qualifier="dev", payload=b"{}"
        )
    except ClientError as error:
        return str(error)
    return json.loads(answer["response"].read())["version"]


def deploy(deployer: Deployer, *messages: str, **options: Any) -> Result:
    """Deploy an edit for each message; return the result of the last."""
    results: list[Result] = []
    for message in messages:
        edit(deployer)
        results.append(deployer.deploy(message=message, **options))
        assert results[-1].code == ExitCode.OK, results[-1].stderr
    return results[-1]


def commit_of(deployer: Deployer) -> str:
    """Commit the project to a new repository, and return the commit."""
    identity = ["-c", "user.name=Ann", "-c", "user.email=ann@example.com"]
    for words in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "first"]):
        subprocess.run(["git", "-C", deployer.root, *words], check=True)
    return subprocess.check_output(
        ["git", "-C", deployer.root, "rev-parse", "HEAD"], text=True
    ).strip()


@pytest.fixture
def run(deployer: Deployer, voicecore: Voicecore) -> Callable[..., Result]:
    """Run a command in the project."""
    return lambda *words: voicecore(*words, cwd=deployer.root)


def test_callers_are_moved_back_and_forward(
    monkeypatch: pytest.MonkeyPatch, aws: Aws, deployer: Deployer, run: Callable[..., Result]
) -> None:
    use_exported_policies(monkeypatch, aws, deployer)
    deploy(deployer, "first")
    commit = commit_of(deployer)
    deploy(deployer, "kinder")
    first, second = "1", answers(aws)
    aws.journal.clear()
    planned = run("rollback", "--dry-run")
    assert "Callers move from v2 to v1:" in planned.stderr
    assert "They differ in: image." in planned.stderr
    assert "secret, permissions of the role, network, TURN and session server" in planned.stderr
    assert changes(aws) == []

    back = run("rollback", "--yes")
    assert back.code == ExitCode.OK, back.stderr
    assert "Callers reach v1" in back.stderr and "voicecore promote v2" in back.stderr
    assert changes(aws) == ["cloudformation:UpdateStack"]
    assert answers(aws) == first
    assert run("rollback", "--yes").code == ExitCode.OK
    assert answers(aws) == first, "a repeated rollback goes further back"

    listed = run("versions", "--json").json
    assert [(v["number"], v["live"], v["message"]) for v in listed["versions"]] == [
        (2, False, "kinder"), (1, True, "first")
    ]  # fmt: skip
    assert {v["by"] for v in listed["versions"]} == {"session"}
    assert [v["commit"] for v in listed["versions"]] == [f"{commit[:12]}-dirty", ""]
    assert "not the newest version; to list all, run:  voicecore versions" in run("status").stdout
    shown = run("versions")
    assert "v1   live" in shown.stdout and "voicecore promote v2" in shown.stderr

    forward = run("promote", "--yes", "--json").json
    assert (forward["changed"], forward["from"], forward["to"]) == (True, 1, 2)
    assert answers(aws) == second
    assert "nothing was changed" in deployer.deploy().stderr, "the deploy found a difference"
    expect_granted(aws, deployer, "agent-public")


def test_version_that_failed_or_is_not_promoted_meets_no_caller(
    aws: Aws, deployer: Deployer, run: Callable[..., Result]
) -> None:
    new = deployer.deploy(no_promote=True)
    assert "callers reach it despite --no-promote" in new.stderr
    assert answers(aws) == "1"
    edit(deployer)
    # CloudFormation's own updates are not a client's: this is the one that sets requireMMDSV2.
    refusal = Refused("ServiceQuotaExceededException", "Maximum number of versions reached.", 402)
    aws.faults.fail("bedrock-agentcore:UpdateAgentRuntime", refusal)
    assert deployer.deploy(no_promote=True).code == ExitCode.AWS_REFUSED
    refused = run("promote", "--yes")
    assert refused.code == ExitCode.FAILED and "voicecore deploy" in refused.stderr
    assert "Callers cannot be moved to v2: its deploy did not finish" in refused.stderr
    held = deployer.deploy(no_promote=True)
    assert answers(aws) == "1"
    assert "~ runtime: requireMMDSV2" in held.stderr and "~ endpoint" not in held.stderr
    assert "voicecore promote" in held.stderr
    assert "/runtime-endpoint/DEFAULT" in held.stderr
    aws.journal.clear()
    again = deployer.deploy(no_promote=True, json=True)
    assert changes(aws) == [] and not json.loads(again.stdout)["promoted"]
    deploy(deployer, "third", no_promote=True)
    assert run("promote", "--yes").code == ExitCode.OK
    third = answers(aws)
    assert third not in ("1", "3")
    assert run("rollback", "--yes").code == ExitCode.OK
    assert answers(aws) == "1", "rolled back to a version that no caller had reached"
    assert run("promote", "2", "--yes").code == ExitCode.OK
    assert answers(aws) == "3"
    assert "~ endpoint: version" in deployer.deploy().stderr
    assert answers(aws) == third


def test_mistakes_change_nothing(aws: Aws, deployer: Deployer, run: Callable[..., Result]) -> None:
    for command in ("versions", "promote", "rollback"):
        missing = run(command)
        assert missing.code == ExitCode.NOT_DEPLOYED
        assert "line · dev is not deployed" in missing.stderr
    assert run("rollback", "--stage", "prod").code == ExitCode.BAD_PROJECT
    deploy(deployer, "first")
    aws.journal.clear()
    nothing = run("rollback", "--yes")
    assert nothing.code == ExitCode.FAILED and "no version before v1" in nothing.stderr
    unknown = run("promote", "9", "--yes", "--json")
    assert unknown.code == ExitCode.USAGE
    assert "it has v1" in unknown.json["error"]["message"]
    same = run("promote", "--yes")
    assert same.code == ExitCode.OK and "Callers reach v1 already" in same.stderr
    assert changes(aws) == []
    deploy(deployer, "second")
    digest = run("versions", "--json").json["versions"][1]["image"]
    aws.journal.clear()
    asked = run("rollback")
    assert asked.code == ExitCode.USAGE and "voicecore rollback --yes" in asked.stderr
    aws.client("ecr").batch_delete_image(
        repositoryName="voicecore/line", imageIds=[{"imageDigest": digest}]
    )
    aws.journal.clear()
    refused = run("rollback", "--yes")
    assert refused.code == ExitCode.FAILED
    assert "v1: its image was deleted from ECR. Nothing was changed." in refused.stderr
    assert changes(aws) == []
    assert "its image was deleted from ECR" in run("versions").stdout


def test_stage_whose_update_failed_is_rolled_back(
    aws: Aws, deployer: Deployer, run: Callable[..., Result]
) -> None:
    deploy(deployer, "first", "second")
    edit(deployer)
    aws.faults.fail_resource("Runtime", "broken", times=2, during="UPDATE")
    assert "UPDATE_ROLLBACK_FAILED" in deployer.deploy().stderr
    back = run("rollback", "--yes")
    assert back.code == ExitCode.OK, back.stderr
    assert answers(aws) == "1"
    listed = run("versions", "--json").json
    assert [v["number"] for v in listed["versions"]] == [2, 1] and listed["live"] == 1


def test_killed_move_is_finished_by_the_same_command(
    aws: Aws, deployer: Deployer, run: Callable[..., Result]
) -> None:
    deploy(deployer, "first", "second")
    for command, expected in (("rollback", 1), ("promote", 2)):
        for action in ("bedrock-agentcore:ListAgentRuntimeVersions", "cloudformation:UpdateStack"):
            assert kill_deploy(aws, deployer, 1, action, command=command), deployer.log
        again = run(command, "--yes", "--json")
        assert again.code == ExitCode.OK, again.stderr
        assert again.json["to"] == expected
        assert run("versions", "--json").json["live"] == expected
    assert "nothing was changed" in deployer.deploy().stderr
    expect_move_by_hand_to_be_told(aws, run)


def expect_move_by_hand_to_be_told(aws: Aws, run: Callable[..., Result]) -> None:
    """Move and delete the endpoint by hand, and check that the commands tell it."""
    second = answers(aws)
    control = aws.client("bedrock-agentcore-control")
    (runtime,) = control.list_agent_runtimes()["agentRuntimes"]

    def move_by_hand(version: str) -> None:
        control.update_agent_runtime_endpoint(
            agentRuntimeId=runtime["agentRuntimeId"],
            endpointName="dev",
            agentRuntimeVersion=version,
        )
        assert answers(aws) == version

    move_by_hand("1")
    shown = run("versions")
    assert "The endpoint dev was moved by hand: AgentCore's version 1" in shown.stderr
    assert run("promote", "--yes").code == ExitCode.OK
    assert answers(aws) == second
    assert "by hand" not in run("versions").stderr
    move_by_hand("1")
    kept = run("promote", "v1", "--yes")
    assert "Callers stay at v1" in kept.stderr
    assert answers(aws) == "1" and "by hand" not in run("versions").stderr
    control.delete_agent_runtime_endpoint(
        agentRuntimeId=runtime["agentRuntimeId"], endpointName="dev"
    )
    assert "The endpoint dev was deleted by hand" in run("rollback", "--yes").stderr
