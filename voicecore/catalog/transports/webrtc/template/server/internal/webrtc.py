"""How a WebRTC client reaches the agent: its offer goes through here, the call through a relay.

POST /sessions/<id>/api/offer brings an offer and gets the answer, PATCH brings the client's
addresses as it finds them: as Pipecat's SmallWebRTCTransport speaks it.
"""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from . import turn_sources
from .agent_request import ask
from .agentcore import AgentCore
from .api_errors import ApiError
from .api_models import SessionId

STATUSES = {
    "bad_candidate": 422,
    "bad_offer": 422,
    "no_relay": 503,
    "unknown_connection": 404,
}
"""The status of what the agent refuses. 4xx tells Pipecat's clients not to try again."""


class Offer(BaseModel):
    """A WebRTC offer; `pc_id` names the connection that it changes, `restart_pc` replaces it."""

    sdp: str = Field(min_length=3, max_length=65_536, pattern="^v=0", examples=["v=0\r\n..."])
    type: Literal["offer"] = "offer"
    pc_id: str | None = Field(default=None, max_length=200)
    restart_pc: bool | None = None


class Candidate(BaseModel):
    """An address of the client; an empty `candidate` says that there are no more."""

    candidate: str = Field(max_length=1000)
    sdp_mid: str | None = Field(default=None, max_length=100)
    sdp_mline_index: int | None = Field(default=None, ge=0, le=100)


class Candidates(BaseModel):
    """Addresses that the client has found since its offer."""

    pc_id: str = Field(max_length=200)
    candidates: list[Candidate] = Field(max_length=100)


class Answer(BaseModel):
    """The agent's answer to an offer."""

    sdp: str
    type: str
    pc_id: str


async def start(_: AgentCore, session_id: str) -> dict[str, Any]:
    """What the client needs to find its way: TURN servers, with credentials for this call."""
    try:
        servers = await turn_sources.for_browser()
    except turn_sources.NoTurn as error:
        raise ApiError(503, "no_turn", f"There are no TURN credentials: {error}.") from error
    listed = [
        {"urls": list(s.urls), "username": s.username, "credential": s.credential} for s in servers
    ]
    return {"iceConfig": {"iceServers": listed}}


def router(agentcore: AgentCore) -> APIRouter:
    """The routes that offers and candidates take."""
    routes = APIRouter(prefix="/sessions/{session_id}/api/offer")

    @routes.post("")
    async def offer(session_id: SessionId, body: Offer) -> Answer:
        data = body.model_dump(exclude_unset=True)
        answer = await ask(agentcore, session_id, "offer", data, STATUSES)
        try:
            return Answer.model_validate(answer.get("answer"))
        except ValueError as error:
            raise ApiError(502, "bad_agent", "The agent gave no answer to the offer.") from error

    @routes.patch("")
    async def candidates(session_id: SessionId, body: Candidates) -> dict[str, Any]:
        data = body.model_dump(exclude_unset=True)
        return await ask(agentcore, session_id, "ice-candidates", data, STATUSES)

    return routes
