"""The WebRTC transport: the client's offer passes through this server, the call uses a relay.

POST /sessions/<id>/api/offer takes an offer and returns the answer; PATCH takes addresses that the
client finds later: the protocol of SmallWebRTCTransport in Pipecat.
"""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter
from pydantic import AliasChoices, BaseModel, Field

from .agent_request import request_agent
from .agentcore import AgentCore
from .api_errors import ApiError
from .api_models import ClientData, SessionId
from .turn import sources
from .turn.source import NoTurnCredentials

STATUSES = {
    "bad_candidate": 422,
    "bad_offer": 422,
    "no_relay": 503,
    "unknown_connection": 404,
}
"""HTTP status by the agent's error code. Pipecat's clients do not retry after a 4xx."""


class Offer(BaseModel):
    """A WebRTC offer; `pc_id` names the connection that it changes, `restart_pc` replaces it."""

    sdp: str = Field(min_length=3, max_length=65_536, pattern="^v=0", examples=["v=0\r\n..."])
    type: Literal["offer"] = "offer"
    pc_id: str | None = Field(default=None, max_length=200)
    restart_pc: bool | None = None
    request_data: ClientData | None = Field(
        default=None, validation_alias=AliasChoices("request_data", "requestData")
    )


class Candidate(BaseModel):
    """An address of the client; an empty `candidate` means that there are no more."""

    candidate: str = Field(max_length=1000)
    sdp_mid: str | None = Field(default=None, max_length=100)
    sdp_mline_index: int | None = Field(default=None, ge=0, le=100)


class Candidates(BaseModel):
    """Addresses that the client has found since its offer."""

    pc_id: str = Field(max_length=200)
    candidates: list[Candidate] = Field(max_length=100)


class OfferAnswer(BaseModel):
    """The agent's answer to an offer."""

    sdp: str
    type: str
    pc_id: str


async def start(_: AgentCore, session_id: str) -> dict[str, Any]:
    """Return the TURN servers for the client, with credentials for this call. Raises ApiError."""
    try:
        servers = await sources.servers_for_browser()
    except NoTurnCredentials as error:
        raise ApiError(503, "no_turn", f"No TURN credentials: {error}.") from error
    listed = [
        {"urls": list(s.urls), "username": s.username, "credential": s.credential} for s in servers
    ]
    return {"iceConfig": {"iceServers": listed}}


def router(agentcore: AgentCore) -> APIRouter:
    """Return the routes for offers and candidates."""
    routes = APIRouter(prefix="/sessions/{session_id}/api/offer")

    @routes.post("")
    async def offer(session_id: SessionId, body: Offer) -> OfferAnswer:
        data = body.model_dump(exclude_unset=True)
        answer = await request_agent(agentcore, session_id, "offer", data, STATUSES)
        try:
            return OfferAnswer.model_validate(answer.get("answer"))
        except ValueError as error:
            raise ApiError(502, "bad_agent", "The agent did not answer the offer.") from error

    @routes.patch("")
    async def candidates(session_id: SessionId, body: Candidates) -> dict[str, Any]:
        data = body.model_dump(exclude_unset=True)
        return await request_agent(agentcore, session_id, "ice-candidates", data, STATUSES)

    return routes
