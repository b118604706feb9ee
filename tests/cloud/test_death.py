"""A deploy that dies anywhere is finished by the next one."""

import os
import signal
import time

import pytest

from tests.cloud.deploying import Deployer
from tests.cloud.test_life import edit
from tests.lab.aws import Aws
from voicecore.errors import ExitCode

SHARDS = 8
"""The calls of a deploy are divided among so many tests: call n is in test n mod SHARDS."""


def calls_of_a_deploy(aws: Aws, deployer: Deployer) -> int:
    aws.journal.clear()
    process = deployer.start(aws.environment)
    process.join(60)
    assert process.exitcode == ExitCode.OK, deployer.log
    return sum(entry.by == "client" for entry in aws.journal)


def dies_at(aws: Aws, deployer: Deployer, call: int) -> None:
    """A deploy is killed when its call was carried out, and never learns the answer."""
    killed: list[int] = []
    process = None

    def kill() -> None:
        while process is None or process.pid is None:
            time.sleep(0.001)
        os.kill(process.pid, signal.SIGKILL)
        killed.append(call)

    aws.faults.after_calls(call, kill)
    process = deployer.start(aws.environment)
    process.join(60)
    aws.faults.clear()
    assert not killed or process.exitcode == -signal.SIGKILL


def finishes(deployer: Deployer, call: int) -> None:
    again = deployer.deploy()
    assert again.code == ExitCode.OK, f"after death at call {call}:\n{again.stderr}"
    assert "nothing was changed" in deployer.deploy().stderr, f"after death at call {call}"


@pytest.mark.parametrize("shard", range(SHARDS))
def test_death_at_any_call_of_the_first_deploy(aws: Aws, vpc: Deployer, shard: int) -> None:
    before = aws.inventory()
    total = calls_of_a_deploy(aws, vpc)
    for call in range(shard + 1, total + 1, SHARDS):
        assert vpc.destroy(network=True).code == ExitCode.OK
        assert aws.inventory() == before
        dies_at(aws, vpc, call)
        finishes(vpc, call)


@pytest.mark.parametrize("shard", range(SHARDS))
def test_death_at_any_call_of_the_next_deploy(aws: Aws, deployer: Deployer, shard: int) -> None:
    calls_of_a_deploy(aws, deployer)
    edit(deployer)
    total = calls_of_a_deploy(aws, deployer)
    for call in range(shard + 1, total + 1, SHARDS):
        edit(deployer)
        dies_at(aws, deployer, call)
        finishes(deployer, call)


def test_a_destroy_goes_on_where_a_deploy_died(aws: Aws, vpc: Deployer) -> None:
    before = aws.inventory()
    for call in (10, 20, 30, 40, 50):
        dies_at(aws, vpc, call)
        destroyed = vpc.destroy(network=True)
        assert destroyed.code == ExitCode.OK, destroyed.stderr
        assert aws.inventory() == before
