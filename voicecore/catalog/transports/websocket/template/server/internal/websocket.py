"""How a WebSocket client reaches the agent: straight, by a signed URL."""

from __future__ import annotations

from .agentcore import EXPIRES_SECONDS, AgentCore


async def start(agentcore: AgentCore, session_id: str) -> dict[str, str | int]:
    """What the client needs to connect within `expiresIn` seconds."""
    return {
        "wsUrl": await agentcore.websocket_url(session_id),
        "expiresIn": EXPIRES_SECONDS,
    }
