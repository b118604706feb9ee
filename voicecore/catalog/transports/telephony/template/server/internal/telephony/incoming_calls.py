"""Owns what providers ask of this server: webhooks about calls, and their media sockets.

A provider sends a signed request to /phone/<provider> for each call. The answer names a media
socket at /phone/<provider>/media/<ticket>, which the bridge connects to the agent.
"""

from __future__ import annotations

import hashlib
import time
from sys import maxsize

from botocore.exceptions import BotoCoreError, ClientError
from fastapi import Request, Response, WebSocket
from starlette.requests import HTTPConnection

from .. import logs
from ..access import Session
from ..agentcore import AgentCore
from ..api_errors import ApiError
from ..limits import Limits
from ..metrics import Metrics
from ..session_table import LEASE_SECONDS, Table, has_ended
from . import tickets
from .bridge import Bridge, Ending, Undecodable, Unreachable
from .open_calls import OpenCalls
from .phone_settings import PhoneSettings
from .provider import BadStart, Call, Forged, Provider, Signed, Webhook, session_of
from .provider_api import ProviderApi
from .tickets import Tickets

# The same request within this time is a replay.
REPLAY_SECONDS = 3600
# From the answer to a webhook until its media socket opens.
ANSWERED_SECONDS = 3
# Providers' words for a call that is not over.
LIVE = ("queued", "initiated", "started", "ringing", "in-progress", "answered")


class IncomingCalls:
    """Answers webhooks, and carries the audio of calls."""

    def __init__(
        self,
        settings: PhoneSettings,
        agentcore: AgentCore,
        api: ProviderApi,
        open_calls: OpenCalls,
        tickets: Tickets,
        limits: Limits,
        table: Table,
        metrics: Metrics,
    ) -> None:
        self._settings, self._agentcore, self._api = settings, agentcore, api
        self._open_calls, self._tickets = open_calls, tickets
        self._limits, self._table, self._metrics = limits, table, metrics

    async def answer(self, name: str, request: Request) -> Response:
        """Tell the provider what to do with a call. Raises ApiError."""
        name, provider = self._api.provider(name)
        signed = await self._signed(name, provider, request)
        call = provider.incoming_call(signed.fields)
        if not call.id:
            raise ApiError(422, "no_call", "The request is not about a call.")
        session, answer = session_of(name, call.id), provider.reject_answer()
        if not self._open_calls.expects(session.id):
            self._open_calls.require_open()  # before it is used: another server may accept it
        await self._use(name, signed)
        self._open_calls.forget(session.id)
        if not self._serves(call):
            logs.write("call_refused", session.id, "WARNING", provider=name, why="unknown number")
        elif await self._has_room(session, self._is_direct(name)):
            async with self._limits.released_on_failure(session):
                media_url = await self._media_url(name, call, session)
            answer = provider.connect_answer(call, media_url)
            self._open_calls.expect(session.id, ANSWERED_SECONDS)
            logs.write("call_answered", session.id, provider=name)
        return Response(answer.body, answer.status, media_type=answer.type)

    async def status(self, name: str, request: Request) -> Response:
        """Record the status of a call. Raises ApiError."""
        name, provider = self._api.provider(name)
        signed = await self._signed(name, provider, request)
        await self._use(name, signed)
        call_id, status = provider.call_status(signed.fields)
        session = session_of(name, call_id)
        logs.write("call_status", session.id, provider=name, status=status[:40])
        if status not in LIVE:  # its media socket may never have opened
            self._open_calls.forget(session.id)
            await self._table.release(session)
        return Response(status_code=204)

    async def dial(self, name: str, ticket: str, request: Request) -> Response:
        """Tell the provider the number that a call is transferred to. Raises ApiError."""
        name, provider = self._api.provider(name)
        await self._use(name, await self._signed(name, provider, request))
        try:
            number = await self._tickets.redeem(f"dial-{name}", ticket, time.time())
        except Forged as error:
            raise ApiError(403, "forged", f"The request is not valid: {error}.") from error
        answer = provider.dial_answer(number)
        return Response(answer.body, answer.status, media_type=answer.type)

    async def media(self, socket: WebSocket, name: str, ticket: str) -> None:
        """Carry the audio of a call until it ends."""
        provider = self._settings.providers.get(name)
        try:
            if provider is None:
                raise Forged("unknown provider")
            provider.check_media(self._webhook(socket, "GET"))
            call_id = await self._tickets.redeem(f"media-{name}", ticket, time.time())
            session, began = session_of(name, call_id), time.monotonic()
            if await has_ended(self._table, session):
                raise Forged("its call has ended")
        except Forged as error:
            logs.write("media_refused", level="WARNING", provider=name[:20], why=str(error))
            await socket.close()  # before it is accepted: HTTP 403
            return
        # Another copy of the server may have answered and counted the call; it has its place.
        await self._table.hold(session, maxsize)
        seconds = self._settings.stream_seconds
        bridge = Bridge(socket, provider, self._agentcore, self._api.http, session.id, seconds)
        self._open_calls.add(bridge, session.id)
        by = "the server"
        try:
            await socket.accept()
            by = await self._carry(bridge, provider, call_id, session.id)
        finally:
            await bridge.close()
            self._open_calls.remove(bridge)
            await self._table.release(session)
            lasted = round(time.monotonic() - began, 1)
            logs.write("call_ended", session.id, provider=name, by=by, seconds=lasted)

    async def _carry(
        self, bridge: Bridge, provider: Provider, call_id: str, session_id: str
    ) -> str:
        """Carry a call from its first frame to its end; return the side that ended it."""
        try:
            await bridge.open(call_id)
        except BadStart as error:
            await bridge.close(1008, f"not the start of a call: {error}"[:120])
            await self._api.end_call(provider, call_id)
            return f"the server: {error}"
        self._metrics.session("started", "telephony")
        try:
            by = await self._converse(bridge, session_id)
            if by != Ending.CALLER.value:
                await bridge.finish()
                await self._api.end_call(provider, call_id)
            return by
        finally:
            await self._stop(session_id)

    async def _converse(self, bridge: Bridge, session_id: str) -> str:
        try:
            ending = await bridge.carry()
            if ending is Ending.SERVER:
                await bridge.apologize()
            return ending.value
        except (Unreachable, BotoCoreError) as error:
            reason = str(error) or type(error).__name__
            logs.write("agent_unreachable", session_id, "ERROR", why=reason)
            await bridge.apologize()
            return "the server: no agent"
        except Undecodable as error:
            why = f"its audio is {error}; offer only G.711 (PCMU, PCMA) at the provider"
            logs.write("call_not_decoded", session_id, "ERROR", why=why)
            await bridge.apologize()
            return "the server: unknown audio"

    async def _stop(self, session_id: str) -> None:
        try:
            await self._agentcore.stop(session_id)
        except (BotoCoreError, ClientError, TimeoutError) as error:  # it ends when it is idle
            logs.write("session_not_stopped", session_id, "WARNING", why=type(error).__name__)
        self._metrics.session("stopped", "telephony")

    async def _signed(self, name: str, provider: Provider, request: Request) -> Signed:
        """Return what the provider has signed of this request. Raises ApiError."""
        webhook = self._webhook(request, request.method, await request.body())
        try:
            return provider.check(webhook, time.time())
        except Forged as error:
            raise _refused(name, error) from error

    async def _use(self, name: str, signed: Signed) -> None:
        """Raise ApiError if a request with this signature was used before."""
        digest = hashlib.sha256(signed.once).hexdigest()
        if signed.once and not await self._table.once(f"{name}-{digest}", REPLAY_SECONDS):
            raise _refused(name, Forged("it is a replay"))

    def _serves(self, call: Call) -> bool:
        """Return True if one of the call's numbers is ours: the called one, or the caller's."""
        numbers = {f"+{number.lstrip('+')}" for number in (call.caller, call.called)}
        return not self._settings.numbers or bool(numbers & set(self._settings.numbers))

    def _is_direct(self, name: str) -> bool:
        """Return True if the provider connects to the agent itself, past this server."""
        return name == "vonage" and self._settings.vonage_direct

    async def _has_room(self, session: Session, direct: bool) -> bool:
        """Count the call for as long as its ticket is valid, or it may last; False if too many."""
        try:
            await self._limits.hold(session, LEASE_SECONDS if direct else tickets.SECONDS)
        except ApiError:
            logs.write("call_refused", session.id, "WARNING", why="too many at once")
            return False
        return True

    async def _media_url(self, name: str, call: Call, session: Session) -> str:
        if self._is_direct(name):
            return await self._agentcore.websocket_url(session.id, Transport="telephony")
        ticket = self._tickets.issue(f"media-{name}", call.id, time.time())
        base = self._settings.public_url.replace("http", "ws", 1)
        return f"{base}/phone/{name}/media/{ticket}"

    def _webhook(self, request: HTTPConnection, method: str, body: bytes = b"") -> Webhook:
        base = self._settings.public_url
        if request.scope["type"] == "websocket":
            base = base.replace("http", "ws", 1)
        query = request.scope["query_string"].decode("latin-1")
        path = request.scope["raw_path"].decode("latin-1")
        url = f"{base}{path}{'?' * bool(query)}{query}"
        return Webhook(method, url, dict(request.headers), body)


def _refused(name: str, reason: Forged) -> ApiError:
    """Log why a webhook is refused, and return the answer to it."""
    logs.write("webhook_refused", level="WARNING", provider=name, why=str(reason))
    return ApiError(401, "forged", f"The request is not from {name}: {reason}.")
