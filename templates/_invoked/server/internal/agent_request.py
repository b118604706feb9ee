"""What the agent of a session is asked by way of /invocations, and how its refusals are told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .agentcore import AgentCore
from .api_errors import ApiError


async def ask(
    agentcore: AgentCore,
    session_id: str,
    kind: str,
    data: Mapping[str, Any],
    statuses: Mapping[str, int],
) -> dict[str, Any]:
    """What the session's agent answers; one that is not there is started. Raises ApiError.

    `statuses` are those of what it may refuse, by its codes; others are 502.
    """
    try:
        answer = await agentcore.invoke(session_id, {"type": kind, "data": data})
    except ValueError as error:
        raise ApiError(502, "bad_agent", "The agent answered no JSON.") from error
    refusal = answer.get("error")
    if isinstance(refusal, dict):
        code = str(refusal.get("code"))
        raise ApiError(statuses.get(code, 502), code, str(refusal.get("message")))
    if refusal:
        raise ApiError(502, "bad_agent", "The agent failed.")
    return answer
