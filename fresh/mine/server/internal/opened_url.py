"""Owns the URLs that clients connect to themselves: they work until the session ends."""

from __future__ import annotations

from .agentcore import EXPIRES_SECONDS, AgentCore


async def opened_url(agentcore: AgentCore, session_id: str, transport: str) -> dict[str, str | int]:
    """Return what the client needs to connect within `expiresIn` seconds.

    A hang-up ends the session's microVM, and the URL would start another. So the agent, told by
    `Opened`, accepts the URL only in a microVM that this request has reached; its value tells
    another which session of which endpoint it has to stop.
    """
    await agentcore.open_session(session_id, transport)
    url = await agentcore.websocket_url(session_id, Opened=agentcore.endpoint_arn)
    return {"wsUrl": url, "expiresIn": EXPIRES_SECONDS}
