"""The telephony transport: a phone provider's calls, bridged to the agent."""

from __future__ import annotations

from ..agentcore import AgentCore
from ..opened_url import opened_url


async def start(agentcore: AgentCore, session_id: str) -> dict[str, str | int]:
    """Return where your own equipment can send a provider's frames. Raises ApiError."""
    return await opened_url(agentcore, session_id, "telephony")
