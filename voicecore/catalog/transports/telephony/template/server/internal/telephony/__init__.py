"""The telephony transport: a phone provider's calls, bridged to the agent."""

from __future__ import annotations

from ..agentcore import EXPIRES_SECONDS, AgentCore


async def start(agentcore: AgentCore, session_id: str) -> dict[str, str | int]:
    """Return where your own equipment can send a provider's frames, within `expiresIn` seconds."""
    url = await agentcore.websocket_url(session_id, "telephony")
    return {"wsUrl": url, "expiresIn": EXPIRES_SECONDS}
