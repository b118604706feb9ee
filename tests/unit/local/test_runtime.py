"""Values that the local runtime shares with AWS."""

import pytest

from voicecore.local.runtime import local_arn


@pytest.mark.parametrize(
    ("region", "partition"), [("us-west-2", "aws"), ("us-gov-west-1", "aws-us-gov")]
)
def test_local_arn_has_the_format_of_aws(region: str, partition: str) -> None:
    head = f"arn:{partition}:bedrock-agentcore:{region}"
    assert local_arn("my_agent", region) == f"{head}:000000000000:runtime/my_agent-local00000"
