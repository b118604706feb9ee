"""The limits of AgentCore that no fast test can reach, as AWS's guide states them."""

from voicecore.local import limits


def test_limits_have_the_values_of_aws() -> None:
    # bedrock-agentcore-limits
    assert limits.PAYLOAD_BYTES_MAX == 100 * 1000**2
    assert limits.FRAME_BYTES_MAX == 64 * 1024
    assert limits.STREAM_SECONDS == 60 * 60
    assert limits.SYNC_REQUEST_SECONDS == 15 * 60
    assert limits.SESSIONS_MAX == 2500
    # runtime-lifecycle-settings
    assert (limits.IDLE_TIMEOUT, limits.MAX_LIFETIME) == (15 * 60, 8 * 60 * 60)
