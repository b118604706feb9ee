"""Kills a deploy after each of its calls in turn. Takes minutes: `pytest -m exhaustive`."""

import pytest

from tests.cloud.deploying import Deployer
from tests.cloud.killing import calls_of_deploy, expect_finish, kill_deploy
from tests.cloud.test_deploy import edit
from tests.standins.aws import Aws
from voicecore.console.errors import ExitCode

SHARDS = 8
"""Number of tests that share the calls of a deploy: call n belongs to test n mod SHARDS."""

pytestmark = pytest.mark.exhaustive


@pytest.mark.parametrize("shard", range(SHARDS))
def test_kill_at_any_call_of_the_first_deploy(aws: Aws, vpc: Deployer, shard: int) -> None:
    before = aws.inventory()
    total = len(calls_of_deploy(aws, vpc))
    for call in range(shard + 1, total + 1, SHARDS):
        assert vpc.destroy(network=True).code == ExitCode.OK
        assert aws.inventory() == before
        kill_deploy(aws, vpc, call)
        expect_finish(vpc, call)


@pytest.mark.parametrize("shard", range(SHARDS))
def test_kill_at_any_call_of_an_update(aws: Aws, deployer: Deployer, shard: int) -> None:
    calls_of_deploy(aws, deployer)
    edit(deployer)
    total = len(calls_of_deploy(aws, deployer))
    for call in range(shard + 1, total + 1, SHARDS):
        edit(deployer)
        kill_deploy(aws, deployer, call)
        expect_finish(deployer, call)


def test_destroy_after_a_kill_at_any_call(aws: Aws, vpc: Deployer) -> None:
    before = aws.inventory()
    for call in range(5, 70, 5):
        kill_deploy(aws, vpc, call)
        destroyed = vpc.destroy(network=True)
        assert destroyed.code == ExitCode.OK, destroyed.stderr
        assert aws.inventory() == before
