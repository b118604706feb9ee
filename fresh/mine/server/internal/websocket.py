"""The WebSocket transport: the client connects to AgentCore directly, with a presigned URL."""

from __future__ import annotations

from .agentcore import AgentCore
from .opened_url import opened_url


async def start(agentcore: AgentCore, session_id: str) -> dict[str, str | int]:
    """Return what the client needs to connect. Raises ApiError."""
    return await opened_url(agentcore, session_id, "websocket")
