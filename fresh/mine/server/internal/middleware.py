"""Owns what applies to every request: limits of number, size and time, headers, and metrics."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .api_errors import ApiError, answer_of
from .limits import REQUESTS, too_many
from .metrics import Metrics
from .networks import InProgress, PerMinute, network_of

# An offer of audio, video and messages takes 8 kB.
BODY_BYTES = 131_072
BODY_SECONDS = 10
# A server has no more connections, but on AWS Lambda others count them.
REQUESTS_IN_PROGRESS = 1024

HEADERS = [
    (b"cache-control", b"no-store"),  # a signed URL is a secret
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (
        b"permissions-policy",
        b"microphone=(self), camera=(), geolocation=(), display-capture=()",
    ),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
]
# For a year; sent only if the request came over TLS, as reported by the proxy.
ONLY_TLS = b"max-age=31536000"


class RequestMiddleware:
    """Wraps the app, as plain ASGI: Starlette's base class for middleware halves the speed."""

    def __init__(self, app: ASGIApp, metrics: Metrics, requests_per_minute: int) -> None:
        self._app, self._metrics = app, metrics
        self._per_minute = PerMinute(requests_per_minute)
        self._in_progress = InProgress(REQUESTS_IN_PROGRESS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        network = network_of((scope.get("client") or ("",))[0])
        # Load balancers check the health of the server, and may share an address with clients.
        if scope.get("path") != "/health" and not self._per_minute.allows(network):
            refusal = too_many(REQUESTS, self._per_minute.most)
            await self._answer(answer_of(refusal), scope, receive, send)
        elif self._in_progress.enter(network):
            try:
                await self._answer(self._app, scope, receive, send)
            finally:
                self._in_progress.leave(network)
        else:
            refusal = ApiError(429, "too_many", "Too many requests from your network at once.", 1)
            await self._answer(answer_of(refusal), scope, receive, send)

    async def _answer(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._answer_handshake(app, scope, receive, send)
            return
        started, status = time.perf_counter(), 500
        body = Body(scope, receive)

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                present = {name for name, _ in message["headers"]}
                headers = [(name, value) for name, value in HEADERS if name not in present]
                if scope["scheme"] == "https":
                    headers.append((b"strict-transport-security", ONLY_TLS))
                if status == 413:
                    headers.append((b"connection", b"close"))
                message["headers"] = [*message["headers"], *headers]
            elif status == 413 and not message.get("more_body", False):
                # To close now would reset the connection, and the client could not read the answer
                # (RFC 9112, 9.6).
                await send({**message, "more_body": True})
                await body.discard()
                message = {"type": "http.response.body"}
            await send(message)

        try:
            await app(scope, body.receive, answer)
        finally:
            # The route, not the path: callers must not create new series.
            route = getattr(scope.get("route"), "path", "other")
            seconds = time.perf_counter() - started
            self._metrics.request(route, scope["method"], status, seconds)

    async def _answer_handshake(
        self, app: ASGIApp, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Answer the handshake of a WebSocket, and count it, whether it is accepted or not."""
        started = time.perf_counter()
        statuses = {"websocket.accept": 101, "websocket.close": 403}
        counted = False

        async def answer(message: Message) -> None:
            nonlocal counted
            if not counted:
                counted = True
                route = getattr(scope.get("route"), "path", "other")
                status = statuses.get(message["type"]) or message["status"]
                self._metrics.request(route, "GET", status, time.perf_counter() - started)
            await send(message)

        await app(scope, receive, answer)


class Body:
    """The body of a request, up to a size and a time."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._receive = receive
        self._announced = Headers(scope=scope).get("content-length", "0")
        self._received, self._complete = 0, False
        self._until = asyncio.get_running_loop().time() + BODY_SECONDS

    async def receive(self) -> Message:
        """Return the next part. Raises ApiError if the body is too large or too slow."""
        if self._complete:  # only the end of the connection is left
            return await self._receive()
        too_large = ApiError(413, "too_large", f"A body may have {BODY_BYTES} bytes.")
        if not self._announced.isdecimal() or int(self._announced[:20]) > BODY_BYTES:
            raise too_large
        try:
            message = await self._next()
        except TimeoutError:
            raise ApiError(408, "too_slow", "The body did not arrive in time.") from None
        self._received += len(message.get("body", b""))
        if self._received > BODY_BYTES:
            raise too_large
        return message

    async def discard(self) -> None:
        """Read the rest, for as long as a body may take."""
        with suppress(TimeoutError):
            while not self._complete:
                await self._next()

    async def _next(self) -> Message:
        async with asyncio.timeout_at(self._until):
            message = await self._receive()
        self._complete = not message.get("more_body", False)
        return message
