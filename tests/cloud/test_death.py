"""A deploy that dies is finished by the next one, wherever it died.

Here it dies once at each kind of call that changes something, one death after the other; at any
call, each from the beginning: test_every_death.py.
"""

import pytest

from tests.cloud.deploying import Deployer
from tests.cloud.dying import calls_of_a_deploy, dies, finishes
from tests.cloud.test_life import edit
from tests.standins.aws import Aws
from voicecore.console.errors import ExitCode

# The action, and which of its calls.
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
]


def change(deployer: Deployer, key: int) -> None:
    """Another bot, and another key."""
    edit(deployer)
    (deployer.root / "agent/.env").write_text(f"KEY_OF_MINE={key}\n")


def dies_at_each(aws: Aws, deployer: Deployer, deaths: list[tuple[str, int]]) -> None:
    """Each deploy goes on where the one before died, has something new, too, and dies later."""
    for number, (action, call) in enumerate(deaths, start=1):
        change(deployer, number)
        assert dies(aws, deployer, call, of=action), f"{action} was not called\n{deployer.log}"
    finishes(deployer, deaths)


def test_first_deploys(aws: Aws, vpc: Deployer) -> None:
    before = aws.inventory()
    change(vpc, 0)
    assert dies(aws, vpc, 1, of="cloudformation:CreateStack")
    finishes(vpc, "the first of three stacks")
    assert vpc.destroy(network=True).code == ExitCode.OK
    dies_at_each(aws, vpc, FIRST)
    assert vpc.destroy(network=True).code == ExitCode.OK
    assert aws.inventory() == before
    changed = {entry.action for entry in calls_of_a_deploy(aws, vpc) if entry.changes}
    assert changed == {action for action, _ in FIRST}


def test_next_deploys(aws: Aws, deployer: Deployer) -> None:
    change(deployer, 0)
    assert deployer.deploy().code == ExitCode.OK
    dies_at_each(aws, deployer, NEXT)
    change(deployer, len(NEXT) + 1)
    changed = {entry.action for entry in calls_of_a_deploy(aws, deployer) if entry.changes}
    assert changed == {action for action, _ in NEXT}


@pytest.mark.parametrize("call", [20, 50])
def test_a_destroy_goes_on_where_a_deploy_died(aws: Aws, vpc: Deployer, call: int) -> None:
    before = aws.inventory()
    dies(aws, vpc, call)
    destroyed = vpc.destroy(network=True)
    assert destroyed.code == ExitCode.OK, destroyed.stderr
    assert aws.inventory() == before
