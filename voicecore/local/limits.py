"""Owns the limits of AgentCore's data plane, each with the AWS page that states it.

"limits page" is https://docs.aws.amazon.com/bedrock-agentcore/latest/devguide/bedrock-agentcore-limits.html
and the other names are pages of the same guide. Durations are seconds, sizes bytes.
"""

from __future__ import annotations

# Session IDs: requests may have 33 to 256 characters (API, SessionType), but the response pattern
# is [a-zA-Z0-9][a-zA-Z0-9-_]* up to 100 (API, SessionId): only 33 to 100 works in both directions.
SESSION_ID_MIN = 33
SESSION_ID_MAX = 256
SESSION_ID_SAFE_MAX = 100

# runtime-get-started-websocket; botocore itself would sign longer ones.
PRESIGNED_EXPIRES_MAX = 300
# AWS refuses header signatures whose date is further than this from its own clock (IAM guide,
# "Troubleshoot Signature Version 4").
CLOCK_SKEW_MAX = 300

# limits page. The WebSocket page says 32 KB; we enforce the larger, agents should stay below both.
FRAME_BYTES_MAX = 64 * 1024
FRAMES_PER_SECOND_MAX = 250
STREAM_SECONDS = 3600.0
SYNC_REQUEST_SECONDS = 900.0
PAYLOAD_BYTES_MAX = 100_000_000
SESSIONS_MAX = 2500  # "active session workloads", error name maxVms; 5000 in two regions

# API, InvokeAgentRuntimeCommandRequestBody
COMMAND_BYTES_MAX = 65_536
COMMAND_SECONDS = 300
COMMAND_SECONDS_MAX = 3600

# runtime-lifecycle-settings
IDLE_TIMEOUT = 900.0
MAX_LIFETIME = 28_800.0
LIFECYCLE_MIN = 60.0
STOP_GRACE = 15.0

# Platform V1 answers 424 when /ping is not healthy by then (aws/bedrock-agentcore-sdk-python#599).
START_LIMIT = 30.0
START_LIMIT_V2 = 120.0  # runtime-v2-optimize
# Measured by users, fastagent-sh/fastagent#314.
PING_INTERVAL = 2.0
# AWS says that it ends a session without ping answers, not after how many: this is our choice.
MISSED_PINGS_MAX = 3

# API, InvokeAgentRuntime
USER_ID_MAX = 1024
TRACE_HEADER_MAX = {
    "x-amzn-trace-id": 128,
    "traceparent": 128,
    "tracestate": 512,
    "baggage": 8192,
}
# runtime-header-allowlist
HEADER_VALUE_MAX = 4096
