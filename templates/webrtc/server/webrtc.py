"""How a WebRTC client reaches the agent: its offer goes through here, the call through a relay.

POST /sessions/<id>/api/offer brings an offer and gets the answer, PATCH brings the client's
addresses as it finds them: as Pipecat's SmallWebRTCTransport speaks it.
"""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter, Request

import ice
from agentcore import AgentCore
from refusal import ApiError

# An offer of audio, video and messages takes 8 kB.
BODY_BYTES = 131_072

STATUSES = {
    "bad_candidate": 400,
    "bad_offer": 400,
    "no_relay": 503,
    "unknown_connection": 404,
}
"""The status of what the agent refuses. 4xx tells Pipecat's clients not to try again."""


async def start(_: AgentCore, session_id: str) -> dict[str, Any]:
    """What the client needs to find its way: TURN servers, with credentials for this call."""
    try:
        servers = await ice.for_browser()
    except ice.NoTurn as error:
        raise ApiError(503, "no_turn", f"There are no TURN credentials: {error}.") from error
    listed = [
        {"urls": list(s.urls), "username": s.username, "credential": s.credential} for s in servers
    ]
    return {"iceConfig": {"iceServers": listed}}


def router(agentcore: AgentCore) -> APIRouter:
    """The routes that offers and candidates take."""
    routes = APIRouter(prefix="/sessions/{session_id}/api/offer")

    @routes.post("")
    async def offer(session_id: str, request: Request) -> dict[str, Any]:
        answer = await ask(agentcore, session_id, "offer", request)
        return answer["answer"]

    @routes.patch("")
    async def candidates(session_id: str, request: Request) -> dict[str, Any]:
        return await ask(agentcore, session_id, "ice-candidates", request)

    return routes


async def ask(agentcore: AgentCore, session_id: str, kind: str, request: Request) -> dict[str, Any]:
    """What the session's agent answers to the request's body. Raises ApiError."""
    data = await body_of(request)
    try:
        answer = await agentcore.invoke(session_id, {"type": kind, "data": data})
    except ValueError as error:
        raise ApiError(502, "bad_agent", "The agent answered no JSON.") from error
    refusal = answer.get("error")
    if isinstance(refusal, dict):
        code = str(refusal.get("code"))
        raise ApiError(STATUSES.get(code, 502), code, str(refusal.get("message")))
    if refusal or (kind == "offer" and not isinstance(answer.get("answer"), dict)):
        raise ApiError(502, "bad_agent", "The agent gave no answer to the offer.")
    return answer


async def body_of(request: Request) -> Any:
    """The JSON that a request brings. Raises ApiError."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES:
            raise ApiError(413, "too_large", f"A body may have {BODY_BYTES} bytes.")
    try:
        return json.loads(body)
    except ValueError as error:
        raise ApiError(400, "bad_json", "The body is no JSON.") from error
