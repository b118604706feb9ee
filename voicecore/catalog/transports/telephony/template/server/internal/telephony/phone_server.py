"""Owns the routes below /phone, and connects the parts that answer them."""

# No `from __future__ import annotations`: FastAPI could not resolve the types inside functions.

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Depends, Header

from ..access import Access
from ..agentcore import AgentCore
from ..api_errors import ApiError, answers
from ..limits import Limits
from ..metrics import Metrics
from ..session_table import Table
from ..settings import Settings
from . import phone_settings
from .incoming_calls import IncomingCalls
from .open_calls import OpenCalls
from .outgoing_calls import CallRequest, CallState, OutgoingCalls, PlacedCall, TransferRequest
from .provider_api import ProviderApi
from .tickets import Tickets


class PhoneServer:
    """The phone part of the session server."""

    def __init__(
        self,
        environment: Mapping[str, str],
        settings: Settings,
        agentcore: AgentCore,
        access: Access,
        limits: Limits,
        table: Table,
        metrics: Metrics,
    ) -> None:
        phone = phone_settings.read(environment)
        tickets = Tickets(settings.key, table)
        self._access, self._api = access, ProviderApi(phone.providers)
        self.open_calls = OpenCalls(phone.drain_seconds)
        shared = (phone, agentcore, self._api, self.open_calls, tickets)
        self._outgoing = OutgoingCalls(*shared, table)
        self._incoming = IncomingCalls(*shared, limits, table, metrics)

    def router(self) -> APIRouter:
        """Return the HTTP routes of your programs and of providers."""
        routes = APIRouter(prefix="/phone", lifespan=self._api.open)
        own = APIRouter(
            prefix="/calls",
            dependencies=[Depends(self._require_key)],
            responses=answers(401, 404, 422, 429, 502, 503, 504),
        )

        @own.post("")
        async def place(body: CallRequest) -> PlacedCall:
            return await self._outgoing.place(body)

        @own.get("/{call_id}")
        async def status(call_id: str, provider: str | None = None) -> CallState:
            return await self._outgoing.status(call_id, provider)

        @own.delete("/{call_id}", status_code=204)
        async def hang_up(call_id: str, provider: str | None = None) -> None:
            await self._outgoing.hang_up(call_id, provider)

        @own.post("/{call_id}/transfer", status_code=204)
        async def transfer(
            call_id: str, body: TransferRequest, provider: str | None = None
        ) -> None:
            await self._outgoing.transfer(call_id, provider, body)

        routes.include_router(own)
        for method in ("GET", "POST"):
            add = routes.get if method == "GET" else routes.post
            add("/{name}", include_in_schema=False)(self._incoming.answer)
            add("/{name}/status", include_in_schema=False)(self._incoming.status)
        routes.post("/{name}/dial/{ticket}", include_in_schema=False)(self._incoming.dial)
        return routes

    def media_router(self) -> APIRouter:
        """Return the route of the media sockets."""
        routes = APIRouter(prefix="/phone")
        routes.websocket("/{name}/media/{ticket}")(self._incoming.media)
        return routes

    async def _require_key(self, authorization: Annotated[str, Header()] = "") -> None:
        """Raise ApiError unless the header has the server's key: calls cost money."""
        if not self._access.has_key(authorization):
            raise ApiError(401, "unauthorized", "Send the header Authorization: Bearer <key>.")
