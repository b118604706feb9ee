"""Owns the gateway: AgentCore's data-plane API over HTTP and WebSocket, and the runtime's status.

Every request passes the same checks, in AWS's order: path, signature, runtime and endpoint, session
ID, headers, session. `Gateway.handle` is the only place that answers a refused request.

Nothing is answered without a signature, which covers the Host header: other users of the machine,
and web pages in its browsers, learn and reach nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar, cast

import aiohttp
from aiohttp import web

from voicecore.local.api_errors import ApiError, RequestRefused, agent_failed, validation_error
from voicecore.local.gateway.commands import read_command, stream_command
from voicecore.local.gateway.request import (
    CARD_PATH,
    SESSION_HEADER,
    STATUS_PATH,
    Operation,
    agent_headers,
    check_session_id,
    check_target,
    make_session_id,
    parse_target,
    session_id_of,
)
from voicecore.local.gateway.sigv4 import LocalCredentials, SignedRequest, verify, verify_fields
from voicecore.local.gateway.strict import strict_refusals
from voicecore.local.gateway.websocket_proxy import MESSAGE_LIMIT, WebSocketPeer, relay
from voicecore.local.limits import PAYLOAD_BYTES_MAX, STREAM_SECONDS, SYNC_REQUEST_SECONDS
from voicecore.local.sessions.clock import Clock
from voicecore.local.sessions.events import EventKind, RuntimeEvent, RuntimeStatus
from voicecore.local.sessions.live_session import CloseReason, LiveSession
from voicecore.local.sessions.session_table import SessionTable

if TYPE_CHECKING:
    from voicecore.local.gateway.jwt_authorizer import JwtAuthorizer, JwtVerifier

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class GatewayConfig:
    """The runtime that the gateway serves, and the requests that it accepts."""

    arn: str
    region: str
    qualifiers: Sequence[str]
    credentials: LocalCredentials
    allowlist: Sequence[str]
    strict: bool = False
    """Refuse also what AWS may refuse."""
    authorizer: JwtAuthorizer | None = None


@dataclass(frozen=True, slots=True)
class _AgentRequest:
    """A request that passed the checks; `headers` are those for the agent."""

    operation: Operation
    session_id: str
    headers: Mapping[str, str]
    body: bytes


class Gateway:
    """Answers the operations of the data plane."""

    def __init__(
        self,
        config: GatewayConfig,
        sessions: SessionTable,
        http: aiohttp.ClientSession,
        clock: Clock,
        on_event: Callable[[RuntimeEvent], None],
        status: Callable[[], RuntimeStatus],
    ) -> None:
        self._config = config
        self._sessions = sessions
        self._http = http
        self._clock = clock
        self._on_event = on_event
        self._status = status
        self._warned: set[str] = set()
        self._verifier = _verifier(config.authorizer)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a request; turn a refusal into its error response."""
        try:
            if request.raw_path == STATUS_PATH:
                await self._signed_body(request)
                return web.json_response(self._status().document())
            accepted = await self._check(request)
            match accepted.operation:
                case "stopruntimesession":
                    return self._stop(accepted)
                case "ws":
                    return await self._websocket(request, accepted)
                case "commands":
                    return await self._command(request, accepted)
                case "invocations":
                    return await self._invoke(request, accepted)
                case "agent-card":
                    return await self._invoke(request, accepted, "GET", CARD_PATH)
        except RequestRefused as refused:
            error = refused.error
            text = f"{error.status} {error.kind}: {error.message}"
            # A hang-up after the end of its session harms nothing, so it is only advice.
            late = request.path.endswith("/stopruntimesession") and error.status == 404
            kind: EventKind = "advice" if late else "refused"
            self._on_event(RuntimeEvent(kind, text, _named_session(request), error.hint))
            arn, region = self._config.arn, self._config.region
            challenge = self._verifier.challenge(error, arn, region) if self._verifier else {}
            headers = error.headers() | challenge
            return web.json_response(error.body(), status=error.status, headers=headers)

    async def _check(self, request: web.Request) -> _AgentRequest:
        path, _, query = request.raw_path.partition("?")
        config = self._config
        target = _unless_refused(
            parse_target(request.method, path, query, config.arn.split(":")[4])
        )
        body = await self._authorized_body(request)
        _unless_refused(check_target(target, config.arn, config.qualifiers))
        session_id = session_id_of(request.headers, query)
        if session_id is not None:
            _unless_refused(check_session_id(session_id))
        elif target.operation == "stopruntimesession":
            raise RequestRefused(
                validation_error("runtimeSessionId is required.", f"Send {SESSION_HEADER}.")
            )
        for error in strict_refusals(target, session_id, request.headers, query):
            self._refuse_or_warn(error)
        session_id = session_id or make_session_id()
        # An agent may see a token, and never a signature.
        hidden = "" if self._verifier else "authorization"
        sent = {name: v for name, v in request.headers.items() if name.lower() != hidden}
        headers = agent_headers(sent, query, config.allowlist, session_id, make_session_id())
        return _AgentRequest(target.operation, session_id, _unless_refused(headers), body)

    def _refuse_or_warn(self, error: ApiError) -> None:
        """Refuse a request that AWS may refuse, or warn of it once."""
        if self._config.strict:
            raise RequestRefused(error)
        if error.hint not in self._warned:
            self._warned.add(error.hint)
            text = f"AWS may refuse this, and --strict does: {error.message} {error.hint}"
            self._on_event(RuntimeEvent("advice", text))

    async def _authorized_body(self, request: web.Request) -> bytes:
        """Return the body of a request that the runtime's authorizer accepts."""
        if self._verifier is None:
            return await self._signed_body(request)
        presigned = "X-Amz-Signature" in request.query
        if error := await self._verifier.check(request.headers, presigned):
            raise RequestRefused(error)
        return await _body(request)

    async def _signed_body(self, request: web.Request) -> bytes:
        """Return the body of a request with a valid signature. Raises RequestRefused."""
        path, _, query = request.raw_path.partition("?")
        headers = list(request.headers.items())
        signed = SignedRequest(request.method, request.host, path, query, headers)
        check = (self._config.credentials, self._config.region, datetime.now(UTC))
        # First of all, so that a stranger's body is never read.
        _unless_refused(verify_fields(signed, *check))
        body = await _body(request)
        _unless_refused(verify(replace(signed, body=body), *check))
        return body

    def _stop(self, accepted: _AgentRequest) -> web.Response:
        self._sessions.stop(accepted.session_id)
        return web.json_response({}, headers={SESSION_HEADER: accepted.session_id})

    async def _command(self, request: web.Request, accepted: _AgentRequest) -> web.StreamResponse:
        command = _unless_refused(read_command(accepted.body))
        session = await self._sessions.obtain(accepted.session_id)
        return await stream_command(request, session, command, self._clock)

    async def _invoke(
        self,
        request: web.Request,
        accepted: _AgentRequest,
        method: str = "POST",
        path: str = "/invocations",
    ) -> web.StreamResponse:
        session = await self._sessions.obtain(accepted.session_id)
        with session.request():
            try:
                async with asyncio.timeout(self._clock.real(SYNC_REQUEST_SECONDS)):
                    answer = await self._http.request(
                        method,
                        _url(session, path),
                        data=accepted.body or None,
                        headers={**accepted.headers, **_key(session)},
                        allow_redirects=False,
                    )
            except aiohttp.ClientError as error:
                raise RequestRefused(await _agent_gone(session, error)) from error
            except TimeoutError as error:
                raise RequestRefused(
                    agent_failed(
                        "The agent did not answer within 15 minutes.",
                        "Answer at once and continue in a task that keeps /ping at HealthyBusy.",
                    )
                ) from error
            async with answer:
                if answer.status >= 300:
                    raise RequestRefused(await _agent_error(session, answer))
                return await self._stream(request, session, answer)

    async def _stream(
        self, request: web.Request, session: LiveSession, answer: aiohttp.ClientResponse
    ) -> web.StreamResponse:
        """Forward the answer piece by piece as it arrives, for at most 60 minutes."""
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
            # The status is already sent: only a broken transfer can still show the failure.
            reason = "60-minute limit" if isinstance(error, TimeoutError) else str(error)
            self._on_event(RuntimeEvent("refused", f"response cut: {reason}", session.id))
            if request.transport:
                request.transport.abort()
        return response

    async def _websocket(self, request: web.Request, accepted: _AgentRequest) -> web.StreamResponse:
        client = web.WebSocketResponse(
            autoping=False,  # control frames count as traffic, the relay must see them
            compress=False,
            decode_text=False,
            max_msg_size=MESSAGE_LIMIT,
            timeout=2.0,
            protocols=self._verifier.subprotocols if self._verifier else (),
        )
        if not client.can_prepare(request).ok:
            raise RequestRefused(
                validation_error(
                    "Not a WebSocket Upgrade Request", "Open /ws with a WebSocket client."
                )
            )
        session = await self._sessions.obtain(accepted.session_id)
        with session.connection() as ended:
            # An agent that still loads answers the upgrade late; the session is not idle meanwhile.
            with session.request():
                agent = await self._connect(session, accepted)
            try:
                client.headers[SESSION_HEADER] = session.id
                try:
                    await client.prepare(request)
                except ConnectionResetError:  # the caller left while the agent was connecting
                    return client
                close = await relay(
                    cast("WebSocketPeer", client),
                    cast("WebSocketPeer", agent),
                    session.touch,
                    ended,
                    self._clock.real(STREAM_SECONDS),
                )
            finally:
                await agent.close()
        self._report_close(session, close)
        return client

    async def _connect(
        self, session: LiveSession, accepted: _AgentRequest
    ) -> aiohttp.ClientWebSocketResponse[Any]:
        """Connect to the agent before answering the client: a refusal needs its HTTP status."""
        try:
            return await self._http.ws_connect(
                _url(session, "/ws"),
                headers={**accepted.headers, **_key(session)},
                autoping=False,
                compress=0,
                decode_text=False,
                max_msg_size=MESSAGE_LIMIT,
            )
        except aiohttp.WSServerHandshakeError as error:
            raise RequestRefused(
                agent_failed(
                    f"Received error ({error.status}) from runtime on /ws.",
                    "Serve GET /ws as a WebSocket and accept it before any check: the caller is "
                    f"already authenticated. Log: {_log(session)}",
                )
            ) from error
        except aiohttp.ClientError as error:
            raise RequestRefused(await _agent_gone(session, error)) from error

    def _report_close(self, session: LiveSession, close: CloseReason) -> None:
        if close.code == 1011:
            reason = close.reason or "the agent ended the connection with an error"
            hint = f"Log: {_log(session)}"
            self._on_event(RuntimeEvent("refused", f"1011: {reason}", session.id, hint))
        elif close.code in (1008, 1009):
            text = f"{close.code}: {close.reason}"
            hint = "Send audio in frames of 20 to 40 ms."
            self._on_event(RuntimeEvent("refused", text, session.id, hint))


def _verifier(authorizer: JwtAuthorizer | None) -> JwtVerifier | None:
    if authorizer is None:
        return None
    from voicecore.local.gateway.jwt_authorizer import JwtVerifier

    return JwtVerifier(authorizer)


def _unless_refused(result: _T | ApiError) -> _T:
    """Return the result of a check. Raises RequestRefused if it is an error."""
    if isinstance(result, ApiError):
        raise RequestRefused(result)
    return result


async def _body(request: web.Request) -> bytes:
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise RequestRefused(
            validation_error(
                f"The payload is larger than {PAYLOAD_BYTES_MAX} bytes.",
                "Send a reference to the data instead.",
            )
        ) from error


def _named_session(request: web.Request) -> str | None:
    """Return the session that a refused request names; None if it names none."""
    named = session_id_of(request.headers, request.raw_path.partition("?")[2])
    return named if named and check_session_id(named) is None else None


def _url(session: LiveSession, path: str) -> str:
    return f"{session.agent.url if session.agent else 'http://127.0.0.1:0'}{path}"


def _key(session: LiveSession) -> Mapping[str, str]:
    return session.agent.headers if session.agent else {}


def _log(session: LiveSession) -> str:
    return str(session.agent.log_path) if session.agent else "none"


async def _agent_error(session: LiveSession, answer: aiohttp.ClientResponse) -> ApiError:
    said = (await answer.content.read(500)).decode(errors="replace").strip()
    return agent_failed(
        f"Received error ({answer.status}) from runtime. Please check your CloudWatch logs for "
        "more information.",
        f"The agent answered: {said or 'nothing'}. Log: {_log(session)}",
    )


async def _agent_gone(session: LiveSession, error: aiohttp.ClientError) -> ApiError:
    """Return the reason for the missing answer: the agent's crash, or the connection's error."""
    agent = session.agent
    if agent is not None:
        await asyncio.wait({agent.exited}, timeout=1.0)
        if agent.exited.done():
            crash = await agent.crash()
            return agent_failed(crash.message, crash.hint or "")
    return agent_failed(f"The runtime closed the connection: {error}.", f"Log: {_log(session)}")
