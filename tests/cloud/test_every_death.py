"""A deploy is killed after each of its calls in turn. Takes minutes: `pytest -m exhaustive`."""

import pytest

from tests.cloud.deploying import Deployer
from tests.cloud.dying import calls_of_a_deploy, dies, finishes
from tests.cloud.test_life import edit
from tests.standins.aws import Aws
from voicecore.console.errors import ExitCode

SHARDS = 8
"""The calls of a deploy are divided among so many tests: call n is in test n mod SHARDS."""

pytestmark = pytest.mark.exhaustive


@pytest.mark.parametrize("shard", range(SHARDS))
def test_death_at_any_call_of_the_first_deploy(aws: Aws, vpc: Deployer, shard: int) -> None:
    before = aws.inventory()
    total = len(calls_of_a_deploy(aws, vpc))
    for call in range(shard + 1, total + 1, SHARDS):
        assert vpc.destroy(network=True).code == ExitCode.OK
        assert aws.inventory() == before
        dies(aws, vpc, call)
        finishes(vpc, call)


@pytest.mark.parametrize("shard", range(SHARDS))
def test_death_at_any_call_of_the_next_deploy(aws: Aws, deployer: Deployer, shard: int) -> None:
    calls_of_a_deploy(aws, deployer)
    edit(deployer)
    total = len(calls_of_a_deploy(aws, deployer))
    for call in range(shard + 1, total + 1, SHARDS):
        edit(deployer)
        dies(aws, deployer, call)
        finishes(deployer, call)


def test_a_destroy_goes_on_wherever_a_deploy_died(aws: Aws, vpc: Deployer) -> None:
    before = aws.inventory()
    for call in range(5, 70, 5):
        dies(aws, vpc, call)
        destroyed = vpc.destroy(network=True)
        assert destroyed.code == ExitCode.OK, destroyed.stderr
        assert aws.inventory() == before
