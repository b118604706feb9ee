"""The limits of AgentCore are those that AWS's guide states."""

from voicecore.local import limits


def test_limits_have_the_values_of_aws() -> None:
    # bedrock-agentcore-limits
    assert limits.PAYLOAD_BYTES_MAX == 100 * 1000**2
    assert limits.FRAME_BYTES_MAX == 64 * 1024
    assert limits.STREAM_SECONDS == 60 * 60
    assert limits.SYNC_REQUEST_SECONDS == 15 * 60
    assert limits.FRAMES_PER_SECOND_MAX == 250
    assert limits.SESSIONS_MAX == 2500
    # runtime-lifecycle-settings
    assert (limits.IDLE_TIMEOUT, limits.MAX_LIFETIME) == (15 * 60, 8 * 60 * 60)
    assert (limits.LIFECYCLE_MIN, limits.STOP_GRACE) == (60, 15)
    assert (limits.START_LIMIT, limits.START_LIMIT_V2) == (30, 2 * 60)
    # API, InvokeAgentRuntime; runtime-get-started-websocket; IAM guide, SigV4
    assert (limits.SESSION_ID_MIN, limits.SESSION_ID_MAX) == (33, 256)
    assert limits.SESSION_ID_SAFE_MAX == 100
    assert (limits.PRESIGNED_EXPIRES_MAX, limits.CLOCK_SKEW_MAX) == (5 * 60, 5 * 60)
    # Our own choice: AWS does not say after how many it ends a session.
    assert limits.MISSED_PINGS_MAX == 3
