"""The front door: AgentCore's data-plane API over HTTP and WebSocket.

Every request goes through the same gates, in AWS's order: path, signature, runtime and endpoint,
session id, headers, session. What a gate refuses is answered in `FrontDoor.handle` and only there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

import aiohttp
from aiohttp import web

from voicecore.local.gateway.errors import Refusal, Refused, agent_failed, validation
from voicecore.local.gateway.limits import PAYLOAD_BYTES_MAX, STREAM_SECONDS, SYNC_REQUEST_SECONDS
from voicecore.local.gateway.request import (
    SESSION_HEADER,
    Operation,
    agent_headers,
    check_session_id,
    check_target,
    make_session_id,
    parse_target,
    session_id_of,
)
from voicecore.local.gateway.sigv4 import LocalCredentials, SignedRequest, verify
from voicecore.local.gateway.websocket_proxy import MESSAGE_LIMIT, Close, Socket, relay
from voicecore.local.sessions.clock import Clock
from voicecore.local.sessions.events import EventKind, RuntimeEvent
from voicecore.local.sessions.sessions import Session, Sessions

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Door:
    """Whom the front door lets in, and to what."""

    arn: str
    region: str
    qualifiers: Sequence[str]
    credentials: LocalCredentials
    allowlist: Sequence[str]


@dataclass(frozen=True, slots=True)
class _Call:
    """A request that passed the gates; `headers` are those for the agent."""

    operation: Operation
    session_id: str
    headers: Mapping[str, str]
    body: bytes


class FrontDoor:
    """Answers the data plane's three operations."""

    def __init__(
        self,
        door: Door,
        sessions: Sessions,
        http: aiohttp.ClientSession,
        clock: Clock,
        on_event: Callable[[RuntimeEvent], None],
    ) -> None:
        self._door = door
        self._sessions = sessions
        self._http = http
        self._clock = clock
        self._on_event = on_event

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a request; the one place where a refusal becomes a response."""
        try:
            call = await self._admit(request)
            if call.operation == "stopruntimesession":
                return self._stop(call)
            if call.operation == "ws":
                return await self._websocket(request, call)
            return await self._invoke(request, call)
        except Refused as refused:
            refusal = refused.refusal
            text = f"{refusal.status} {refusal.kind}: {refusal.message}"
            # A hang-up that comes too late is worth a word, but it is nobody's trouble.
            late = request.path.endswith("/stopruntimesession") and refusal.status == 404
            kind: EventKind = "advice" if late else "refused"
            self._on_event(RuntimeEvent(kind, text, hint=refusal.hint))
            return web.json_response(
                refusal.body(), status=refusal.status, headers=refusal.headers()
            )

    async def _admit(self, request: web.Request) -> _Call:
        path, _, query = request.raw_path.partition("?")
        door = self._door
        target = _pass(parse_target(request.method, path, query, door.arn.split(":")[4]))
        body = await _body(request)
        signed = SignedRequest(
            request.method, request.host, path, query, list(request.headers.items()), body
        )
        _pass(verify(signed, door.credentials, door.region, datetime.now(UTC)))
        _pass(check_target(target, door.arn, door.qualifiers))
        session_id = session_id_of(request.headers, query)
        if session_id is not None:
            _pass(check_session_id(session_id))
        elif target.operation == "stopruntimesession":
            raise Refused(validation("runtimeSessionId is required.", f"Send {SESSION_HEADER}."))
        session_id = session_id or make_session_id()
        headers = agent_headers(
            request.headers, query, door.allowlist, session_id, make_session_id()
        )
        return _Call(target.operation, session_id, _pass(headers), body)

    def _stop(self, call: _Call) -> web.Response:
        self._sessions.stop(call.session_id)
        return web.json_response({}, headers={SESSION_HEADER: call.session_id})

    async def _invoke(self, request: web.Request, call: _Call) -> web.StreamResponse:
        session = await self._sessions.obtain(call.session_id)
        with session.request():
            try:
                async with asyncio.timeout(self._clock.real(SYNC_REQUEST_SECONDS)):
                    answer = await self._http.post(
                        _url(session, "/invocations"),
                        data=call.body,
                        headers=call.headers,
                        allow_redirects=False,
                    )
            except aiohttp.ClientError as error:
                raise Refused(await _agent_gone(session, error)) from error
            except TimeoutError as error:
                raise Refused(
                    agent_failed(
                        "The agent did not answer within 15 minutes.",
                        "Answer at once and work on in a task that keeps /ping at HealthyBusy.",
                    )
                ) from error
            async with answer:
                if answer.status >= 300:
                    raise Refused(await _agent_answered(session, answer))
                return await self._stream(request, session, answer)

    async def _stream(
        self, request: web.Request, session: Session, answer: aiohttp.ClientResponse
    ) -> web.StreamResponse:
        """Pass the answer on in the pieces it comes in, for at most 60 minutes."""
        response = web.StreamResponse(headers={SESSION_HEADER: session.id})
        response.content_type = answer.content_type
        response.content_length = answer.content_length
        await response.prepare(request)
        try:
            async with asyncio.timeout(self._clock.real(STREAM_SECONDS)):
                async for chunk in answer.content.iter_any():
                    session.touch()
                    await response.write(chunk)
                await response.write_eof()
        except (TimeoutError, aiohttp.ClientError, ConnectionError) as error:
            # The status is sent: a broken transfer is the only way left to say so.
            reason = "60-minute limit" if isinstance(error, TimeoutError) else str(error)
            self._on_event(RuntimeEvent("refused", f"response cut: {reason}", session.id))
            if request.transport:
                request.transport.abort()
        return response

    async def _websocket(self, request: web.Request, call: _Call) -> web.StreamResponse:
        client = web.WebSocketResponse(
            autoping=False,  # control frames count as traffic, the relay must see them
            compress=False,
            decode_text=False,
            max_msg_size=MESSAGE_LIMIT,
            timeout=2.0,
        )
        if not client.can_prepare(request).ok:
            raise Refused(
                validation("Not a WebSocket Upgrade Request", "Open /ws with a WebSocket client.")
            )
        session = await self._sessions.obtain(call.session_id)
        with session.connection() as ended:
            # An agent that still loads answers the upgrade late; until then it is no idle session.
            with session.request():
                agent = await self._dial(session, call)
            try:
                client.headers[SESSION_HEADER] = session.id
                try:
                    await client.prepare(request)
                except ConnectionResetError:  # the caller left while the agent was dialled
                    return client
                close = await relay(
                    cast("Socket", client),
                    cast("Socket", agent),
                    session.touch,
                    ended,
                    self._clock.real(STREAM_SECONDS),
                )
            finally:
                await agent.close()
        self._note(session, close)
        return client

    async def _dial(self, session: Session, call: _Call) -> aiohttp.ClientWebSocketResponse[Any]:
        """Connect to the agent before the client is answered: a refusal needs its status."""
        try:
            return await self._http.ws_connect(
                _url(session, "/ws"),
                headers=call.headers,
                autoping=False,
                compress=0,
                decode_text=False,
                max_msg_size=MESSAGE_LIMIT,
            )
        except aiohttp.WSServerHandshakeError as error:
            raise Refused(
                agent_failed(
                    f"Received error ({error.status}) from runtime on /ws.",
                    "Serve GET /ws as a WebSocket and accept before checking anything: the caller "
                    f"is authenticated already. Log: {_log(session)}",
                )
            ) from error
        except aiohttp.ClientError as error:
            raise Refused(await _agent_gone(session, error)) from error

    def _note(self, session: Session, close: Close) -> None:
        if close.code == 1011:
            reason = close.reason or "the agent ended the connection with an error"
            self._on_event(
                RuntimeEvent("refused", f"1011: {reason}", session.id, f"Log: {_log(session)}")
            )
        elif close.code in (1008, 1009):
            hint = "Send audio in frames of 20 to 40 ms."
            self._on_event(
                RuntimeEvent("refused", f"{close.code}: {close.reason}", session.id, hint)
            )


def _pass(value: _T | Refusal) -> _T:
    """Return what a gate let through; raise what it refused."""
    if isinstance(value, Refusal):
        raise Refused(value)
    return value


async def _body(request: web.Request) -> bytes:
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise Refused(
            validation(
                f"The payload is larger than {PAYLOAD_BYTES_MAX} bytes.", "Pass a reference to it."
            )
        ) from error


def _url(session: Session, path: str) -> str:
    return f"{session.agent.url if session.agent else 'http://127.0.0.1:0'}{path}"


def _log(session: Session) -> str:
    return str(session.agent.log_path) if session.agent else "none"


async def _agent_answered(session: Session, answer: aiohttp.ClientResponse) -> Refusal:
    said = (await answer.content.read(500)).decode(errors="replace").strip()
    return agent_failed(
        f"Received error ({answer.status}) from runtime. Please check your CloudWatch logs for "
        "more information.",
        f"The agent said: {said or 'nothing'}. Log: {_log(session)}",
    )


async def _agent_gone(session: Session, error: aiohttp.ClientError) -> Refusal:
    """Return why there was no answer: the crash if there was one, else the connection's error."""
    agent = session.agent
    if agent is not None:
        await asyncio.wait({agent.exited}, timeout=1.0)
        if agent.exited.done():
            crash = await agent.crash()
            return agent_failed(crash.message, crash.hint or "")
    return agent_failed(f"The runtime closed the connection: {error}.", f"Log: {_log(session)}")
