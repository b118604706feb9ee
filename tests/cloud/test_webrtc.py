"""WebRTC in AWS: the variables of the agent, and its TURN channels."""

import pytest

from tests.cloud.deploying import Deployer
from tests.cloud.permissions import expect_granted, use_exported_policies
from tests.conftest import Voicecore
from tests.standins.aws import Aws
from voicecore.console.errors import ExitCode


def variables_of_agent(aws: Aws) -> dict[str, str]:
    """Return the environment variables of the only runtime."""
    control = aws.client("bedrock-agentcore-control")
    (runtime,) = control.list_agent_runtimes()["agentRuntimes"]
    found = control.get_agent_runtime(agentRuntimeId=runtime["agentRuntimeId"])
    return found["environmentVariables"]


def channels(aws: Aws) -> list[str]:
    listed = aws.client("kinesisvideo").list_signaling_channels()["ChannelInfoList"]
    return [channel["ChannelName"] for channel in listed]


def test_turn_source_can_change(
    monkeypatch: pytest.MonkeyPatch, aws: Aws, deployer: Deployer, voicecore: Voicecore
) -> None:
    toml = deployer.root / "voicecore.toml"
    public = 'network = "public"\n' + toml.read_text().replace('["websocket"]', '["webrtc"]')
    toml.write_text(public)
    use_exported_policies(monkeypatch, aws, deployer)
    deployed = deployer.deploy()
    assert deployed.code == ExitCode.OK, deployed.stderr
    assert "blocks outbound UDP" in deployed.stderr
    assert channels(aws) == [f"{variables_of_agent(aws)['TURN_CHANNEL_PREFIX']}1"]

    kinesis, (channel,) = aws.client("kinesisvideo"), channels(aws)
    arn = kinesis.describe_signaling_channel(ChannelName=channel)["ChannelInfo"]["ChannelARN"]
    kinesis.delete_signaling_channel(ChannelARN=arn)
    assert (
        "Channel1 of voicecore-line-dev was deleted"
        in voicecore("status", cwd=deployer.root).stdout
    )
    restored = deployer.deploy()
    assert "+ TURN channel: deleted by hand" in restored.stderr
    assert channels(aws) == [channel]

    toml.write_text(f'{public}\n[turn]\nsource = "coturn"\n')
    servers = "turns:turn.example.com:443?transport=tcp"
    (deployer.root / "agent/.env").write_text(f"COTURN_URLS={servers}\nCOTURN_SECRET=hidden\n")
    deployed = deployer.deploy()
    assert deployed.code == ExitCode.OK, deployed.stderr
    assert channels(aws) == []
    variables = variables_of_agent(aws)
    assert (variables["TURN_SOURCE"], variables["NETWORK_MODE"]) == ("coturn", "PUBLIC")
    assert variables["COTURN_URLS"] == servers
    assert "hidden" not in str(variables)
    # A policy for coturn knows no channels: deleting the earlier ones needs the policy before.
    toml.write_text(public)
    expect_granted(aws, deployer, "agent-webrtc")
