"""Values that the local runtime shares with AWS."""

from voicecore.local.runtime import local_arn


def test_local_arn_has_the_format_of_aws() -> None:
    arn = local_arn("my_agent", "us-west-2")
    assert arn == "arn:aws:bedrock-agentcore:us-west-2:000000000000:runtime/my_agent-local00000"
