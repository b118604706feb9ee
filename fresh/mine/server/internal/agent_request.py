"""Owns requests to a session's agent over /invocations, and how its errors become ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .agentcore import AgentCore
from .api_errors import ApiError


async def request_agent(
    agentcore: AgentCore,
    session_id: str,
    kind: str,
    data: Mapping[str, Any],
    statuses: Mapping[str, int],
) -> dict[str, Any]:
    """Return the answer of the session's agent, which is started if needed. Raises ApiError.

    `statuses` maps the agent's error codes to HTTP statuses; any other code is a 502.
    """
    try:
        answer = await agentcore.invoke(session_id, {"type": kind, "data": data})
    except ValueError as error:
        raise ApiError(502, "bad_agent", "The agent's answer is not JSON.") from error
    refusal = answer.get("error")
    if isinstance(refusal, dict):
        code = str(refusal.get("code"))
        raise ApiError(statuses.get(code, 502), code, str(refusal.get("message")))
    if refusal:
        raise ApiError(502, "bad_agent", "The agent failed.")
    return answer
