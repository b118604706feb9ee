"""A stage is deployed, observed and destroyed, against the stand-in of AWS.

tests/cloud has each of these in every variation; here they are once, for `make unit`.
"""

from __future__ import annotations

import json

from tests.cloud.conftest import aws, deployer, durations, home
from tests.cloud.deploying import Deployer
from tests.conftest import Voicecore
from tests.standins.aws import Aws
from voicecore.console.errors import ExitCode

__all__ = ["aws", "deployer", "durations", "home"]


def test_stage_from_its_first_deploy_to_nothing(
    aws: Aws, deployer: Deployer, voicecore: Voicecore
) -> None:
    before, root = aws.inventory(), deployer.root
    first = deployer.deploy(message="first")
    assert first.code == ExitCode.OK, first.stderr
    status = voicecore("status", "--json", cwd=root).json["stages"][0]
    assert status["runtime"]["status"] == "READY"
    assert [version["message"] for version in status["versions"]] == ["first"]
    aws.agent_says(status["runtime"]["id"], "hello")
    assert "hello" in voicecore("logs", cwd=root).stdout

    bot = root / "agent/bot.py"
    bot.write_text(f"{bot.read_text()}# edited\n")
    planned = deployer.deploy(dry_run=True, json=True)
    assert planned.code == ExitCode.OK, planned.stderr
    assert "runtime" in planned.stdout

    destroyed = deployer.destroy()
    assert destroyed.code == ExitCode.OK, destroyed.stderr
    assert "Nothing is left." in destroyed.stderr
    assert aws.inventory() == before
    for alone, what in (("only_network", "network of"), ("only_server", "session server of")):
        assert f"has no {what} line" in deployer.destroy(**{alone: True}).stderr
    assert json.loads(deployer.destroy(json=True).stdout)["removed"] == []
