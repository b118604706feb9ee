"""AgentCore keeps network interfaces for hours; destroy reports them and finishes later."""

import json
import threading
import time
from dataclasses import replace

import pytest

from tests.cloud.deploying import Deployer
from tests.standins.aws import NONE, Aws, Durations
from voicecore.console.errors import ExitCode

HOURS = 3600


@pytest.fixture
def durations() -> Durations:
    return replace(NONE, interfaces_linger=8 * HOURS)


def nat_gateways(aws: Aws) -> list[str]:
    found = aws.client("ec2").describe_nat_gateways()["NatGateways"]
    return [gateway["State"] for gateway in found if gateway["State"] != "deleted"]


def deploy_with_interfaces(aws: Aws, deployer: Deployer) -> None:
    """Deploy a runtime, with which AgentCore creates its network interfaces."""
    deployed = deployer.deploy()
    assert deployed.code == ExitCode.OK, deployed.stderr
    interfaces = aws.client("ec2").describe_network_interfaces()["NetworkInterfaces"]
    assert any(entry["InterfaceType"] == "agentic_ai" for entry in interfaces)


def test_resources_that_cost_are_deleted_at_once_and_the_rest_later(
    aws: Aws, vpc: Deployer
) -> None:
    before = aws.inventory()
    deploy_with_interfaces(aws, vpc)
    held = vpc.destroy(network=True)
    assert held.code == ExitCode.OK, held.stderr
    assert "AgentCore keeps" in held.stderr
    assert "(8.0 h)" in held.stderr
    assert "To delete the rest then, run:  voicecore destroy --network" in held.stderr
    assert nat_gateways(aws) == []
    assert aws.client("ec2").describe_addresses()["Addresses"] == []

    early = json.loads(vpc.destroy(network=True, json=True).stdout)
    assert early["held"]["interfaces"]
    aws.clock.advance(9 * HOURS)
    done = vpc.destroy(network=True)
    assert done.code == ExitCode.OK, done.stderr
    assert "Nothing is left." in done.stderr
    assert aws.inventory() == before


def test_destroy_waits_for_the_interfaces(aws: Aws, vpc: Deployer) -> None:
    before = aws.inventory()
    deploy_with_interfaces(aws, vpc)

    def let_hours_pass() -> None:
        while nat_gateways(aws):
            time.sleep(0.1)
        aws.journal.clear()
        while len(aws.journal.find("ec2:DescribeNetworkInterfaces")) < 2:  # until it waits
            time.sleep(0.1)
        aws.clock.advance(9 * HOURS)

    passing = threading.Thread(target=let_hours_pass)
    passing.start()
    waited = vpc.destroy(network=True, wait=True)
    passing.join()
    assert waited.code == ExitCode.OK, waited.stderr
    assert "Nothing is left." in waited.stderr
    assert aws.inventory() == before


def test_deploy_recreates_the_network_once_it_is_deleted(aws: Aws, vpc: Deployer) -> None:
    deploy_with_interfaces(aws, vpc)
    assert vpc.destroy(network=True).code == ExitCode.OK
    busy = vpc.deploy()
    assert busy.code == ExitCode.AWS_REFUSED
    assert "voicecore-line-network" in busy.stderr
    aws.clock.advance(9 * HOURS)
    again = vpc.deploy()
    assert again.code == ExitCode.OK, again.stderr
