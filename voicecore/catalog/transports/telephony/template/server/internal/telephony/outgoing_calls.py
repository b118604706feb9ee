"""Owns calls that your programs control: placing, status, hang-up and transfer."""

from __future__ import annotations

import time

from pydantic import BaseModel, ConfigDict, Field

from .. import logs
from ..agentcore import AgentCore
from ..api_errors import ApiError
from ..session_table import Table, end
from .open_calls import OpenCalls
from .phone_settings import PhoneSettings
from .provider import e164, session_id_for, session_of
from .provider_api import ProviderApi, read_answer
from .tickets import Tickets

# Most providers let a phone ring for this long.
RING_SECONDS = 60


class CallRequest(BaseModel):
    """The body of POST /phone/calls."""

    model_config = ConfigDict(extra="forbid")

    to: str = Field(max_length=30, examples=["+14155550100"])
    provider: str | None = Field(default=None, max_length=20)


class TransferRequest(BaseModel):
    """The body of POST /phone/calls/<id>/transfer."""

    model_config = ConfigDict(extra="forbid")

    to: str = Field(max_length=30, examples=["+14155550100"])


class PlacedCall(BaseModel):
    """A call that is being placed."""

    callId: str
    provider: str
    sessionId: str


class CallState(BaseModel):
    """The status of a call, in its provider's words."""

    callId: str
    provider: str
    status: str


class OutgoingCalls:
    """The calls of your programs; each method raises ApiError."""

    def __init__(
        self,
        settings: PhoneSettings,
        agentcore: AgentCore,
        api: ProviderApi,
        open_calls: OpenCalls,
        tickets: Tickets,
        table: Table,
    ) -> None:
        self._settings, self._agentcore, self._api = settings, agentcore, api
        self._open_calls, self._tickets, self._table = open_calls, tickets, table

    async def place(self, body: CallRequest) -> PlacedCall:
        """Call a number; the agent speaks with the person who answers."""
        self._open_calls.require_open()
        name, provider = self._api.provider(body.provider)
        if not self._settings.numbers:
            raise ApiError(422, "no_number", "PHONE_NUMBERS has no number to call from.")
        caller, url = self._settings.numbers[0], f"{self._settings.public_url}/phone/{name}"
        place = provider.place_request(caller, e164(body.to), url, f"{url}/status")
        call_id = read_answer(await self._api.request(place), provider.placed_call_id)
        session_id = session_id_for(name, call_id)
        self._open_calls.expect(session_id, RING_SECONDS)
        logs.write("call_placed", session_id, provider=name)
        return PlacedCall(callId=call_id, provider=name, sessionId=session_id)

    async def status(self, call_id: str, name: str | None) -> CallState:
        """Return the status of a call."""
        name, document = await self._api.find_call(call_id, name)
        status = read_answer(document, self._api.provider(name)[1].status_in)
        return CallState(callId=call_id, provider=name, status=status)

    async def hang_up(self, call_id: str, name: str | None) -> None:
        """End a call and its session."""
        name, provider = await self._api.provider_of(call_id, name)
        session = session_of(name, call_id)
        # First, so that its ticket opens no media socket from here on.
        await end(self._table, session)
        if request := provider.hang_up_request(call_id):
            await self._api.request(request)
        await self._agentcore.stop(session.id)
        await self._table.release(session)

    async def transfer(self, call_id: str, name: str | None, body: TransferRequest) -> None:
        """Connect a call to a number instead of the agent."""
        name, provider = await self._api.provider_of(call_id, name)
        number = e164(body.to)
        ticket = self._tickets.issue(f"dial-{name}", number, time.time())
        url = f"{self._settings.public_url}/phone/{name}/dial/{ticket}"
        await self._api.request(provider.transfer_request(call_id, number, url))
