"""A killed deploy is finished by the next one, wherever it was killed.

Here a deploy is killed once at each kind of call that changes something, one after another;
test_killed_at_every_call.py kills a new deploy at every single call.
"""

from dataclasses import replace

import pytest

from tests.cloud.deploying import Deployer
from tests.cloud.killing import calls_of_deploy, expect_finish, kill_deploy
from tests.cloud.test_deploy import edit
from tests.standins.aws import NONE, Aws
from voicecore.console.errors import ExitCode

HOUR = 3600.0  # seconds

# The action, and the number of its call.
FIRST = [
    ("cloudformation:CreateStack", 3),
    ("ecr:PutImage", 1),
    ("secretsmanager:PutSecretValue", 1),
    ("cloudformation:UpdateStack", 1),
    ("logs:CreateLogGroup", 1),
    ("logs:PutRetentionPolicy", 2),
]
NEXT = [
    ("ecr:PutImage", 1),
    ("secretsmanager:PutSecretValue", 1),
    ("cloudformation:CreateChangeSet", 1),
    ("cloudformation:DeleteChangeSet", 1),
    ("cloudformation:UpdateStack", 1),
    ("bedrock-agentcore:UpdateAgentRuntime", 1),
    ("cloudformation:UpdateStack", 2),
]


def change(deployer: Deployer, key: int) -> None:
    """Change the bot and a secret variable."""
    edit(deployer)
    (deployer.root / "agent/.env").write_text(f"KEY_OF_MINE={key}\n")


def kill_at_each(aws: Aws, deployer: Deployer, calls: list[tuple[str, int]]) -> None:
    """Kill deploys at later and later calls: each continues the one before, with a new change."""
    for number, (action, call) in enumerate(calls, start=1):
        change(deployer, number)
        killed = kill_deploy(aws, deployer, call, action=action)
        assert killed, f"{action} was not called\n{deployer.log}"
    expect_finish(deployer, calls)


def test_killed_first_deploys_are_finished_by_the_next(aws: Aws, vpc: Deployer) -> None:
    before = aws.inventory()
    change(vpc, 0)
    assert kill_deploy(aws, vpc, 1, action="cloudformation:CreateStack")
    expect_finish(vpc, "the first of three stacks")
    assert vpc.destroy(network=True).code == ExitCode.OK
    kill_at_each(aws, vpc, FIRST)
    assert vpc.destroy(network=True).code == ExitCode.OK
    assert aws.inventory() == before
    changed = {entry.action for entry in calls_of_deploy(aws, vpc) if entry.changes}
    assert changed == {action for action, _ in FIRST}


def test_killed_updates_are_finished_by_the_next(aws: Aws, deployer: Deployer) -> None:
    change(deployer, 0)
    assert deployer.deploy().code == ExitCode.OK
    kill_at_each(aws, deployer, NEXT)
    change(deployer, len(NEXT) + 1)
    changed = {entry.action for entry in calls_of_deploy(aws, deployer) if entry.changes}
    assert changed == {action for action, _ in NEXT}


def test_deploy_killed_before_its_release_is_finished_without_a_version(
    aws: Aws, deployer: Deployer
) -> None:
    assert deployer.deploy().code == ExitCode.OK
    edit(deployer)
    assert kill_deploy(aws, deployer, 1, action="bedrock-agentcore:UpdateAgentRuntime")
    aws.journal.clear()
    again = deployer.deploy()
    assert again.code == ExitCode.OK, again.stderr
    assert "~ endpoint: version" in again.stderr and "~ runtime" not in again.stderr
    changed = {e.action for e in aws.journal if e.by != "client" and e.changes}
    assert changed == {"bedrock-agentcore:UpdateAgentRuntimeEndpoint"}
    assert "nothing was changed" in deployer.deploy().stderr


@pytest.mark.parametrize("durations", [replace(NONE, runtime=3.0)])
@pytest.mark.parametrize("then", ["deploy", "destroy"])
def test_runtime_in_the_making_is_waited_for(aws: Aws, deployer: Deployer, then: str) -> None:
    assert deployer.deploy().code == ExitCode.OK
    edit(deployer)
    assert kill_deploy(aws, deployer, 1, action="bedrock-agentcore:UpdateAgentRuntime")
    # The next command finds it unfinished, however long its own start takes.
    aws.clock.advance(-HOUR)
    get = "bedrock-agentcore:GetAgentRuntime"
    aws.faults.after_calls(1, lambda: aws.clock.advance(HOUR), lose=False, of=get)
    edit(deployer)
    done = deployer.deploy() if then == "deploy" else deployer.destroy()
    assert done.code == ExitCode.OK, done.stderr
    assert (then == "destroy") or "still preparing version 3 of the runtime" in done.stderr


@pytest.mark.parametrize("call", [20, 50])
def test_destroy_deletes_what_a_killed_deploy_left(aws: Aws, vpc: Deployer, call: int) -> None:
    before = aws.inventory()
    kill_deploy(aws, vpc, call)
    destroyed = vpc.destroy(network=True)
    assert destroyed.code == ExitCode.OK, destroyed.stderr
    assert aws.inventory() == before
