"""The WebSocket transport: the client connects to AgentCore directly, with a presigned URL."""

from __future__ import annotations

from .agentcore import EXPIRES_SECONDS, AgentCore


async def start(agentcore: AgentCore, session_id: str) -> dict[str, str | int]:
    """Return what the client needs to connect within `expiresIn` seconds."""
    return {
        "wsUrl": await agentcore.websocket_url(session_id),
        "expiresIn": EXPIRES_SECONDS,
    }
