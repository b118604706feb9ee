"""A runtime that somebody changed or deleted by hand is restored by the next deploy."""

from typing import Any

from tests.cloud.deploying import Deployer
from tests.standins.aws import Aws
from voicecore.console.errors import ExitCode


def change_runtime_by_hand(aws: Aws, change: dict[str, Any]) -> None:
    control = aws.client("bedrock-agentcore-control")
    found = control.list_agent_runtimes()["agentRuntimes"][0]["agentRuntimeId"]
    now = control.get_agent_runtime(agentRuntimeId=found)
    kept = ("agentRuntimeArtifact", "roleArn", "networkConfiguration", "environmentVariables")
    control.update_agent_runtime(
        agentRuntimeId=found, **{k: now[k] for k in kept if k in now} | change
    )


def test_platform_changed_by_hand_is_reported_and_restored(aws: Aws, deployer: Deployer) -> None:
    deployer.deploy()
    change_runtime_by_hand(aws, {"platformVersion": "V1"})
    deployed = deployer.deploy()
    assert "was changed by hand: its platform is v1" in deployed.stderr
    assert "nothing was changed" in deployer.deploy().stderr


def test_runtime_changed_by_hand_is_reported_and_restored(aws: Aws, deployer: Deployer) -> None:
    deployer.deploy()
    change_runtime_by_hand(aws, {"environmentVariables": {"MINE": "1"}})
    deployed = deployer.deploy()
    assert deployed.code == ExitCode.OK, deployed.stderr
    assert "was changed by hand: its variables are MINE" in deployed.stderr
    assert "nothing was changed" in deployer.deploy().stderr


def test_runtime_deleted_by_hand_is_recreated(aws: Aws, deployer: Deployer) -> None:
    deployer.deploy()
    control = aws.client("bedrock-agentcore-control")
    found = control.list_agent_runtimes()["agentRuntimes"][0]["agentRuntimeId"]
    control.delete_agent_runtime_endpoint(agentRuntimeId=found, endpointName="dev")
    control.delete_agent_runtime(agentRuntimeId=found)
    deployed = deployer.deploy()
    assert deployed.code == ExitCode.OK, deployed.stderr
    assert "was changed by hand: it was deleted" in deployed.stderr
    assert "nothing was changed" in deployer.deploy().stderr


def test_mmdsv2_is_turned_on_again_without_losing_settings(aws: Aws, deployer: Deployer) -> None:
    (deployer.root / "agent" / ".env").write_text("LOG_LEVEL=DEBUG")
    deployer.deploy()
    change_runtime_by_hand(aws, {"metadataConfiguration": {"requireMMDSV2": False}})
    assert deployer.deploy().code == ExitCode.OK
    control = aws.client("bedrock-agentcore-control")
    found = control.list_agent_runtimes()["agentRuntimes"][0]["agentRuntimeId"]
    runtime = control.get_agent_runtime(agentRuntimeId=found)
    assert runtime["metadataConfiguration"] == {"requireMMDSV2": True}
    assert runtime["environmentVariables"]["LOG_LEVEL"] == "DEBUG"
