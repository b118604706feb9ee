"""Owns what applies to every request: limits of size and time, answer headers, and metrics."""

from __future__ import annotations

import asyncio
import time

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .api_errors import ApiError
from .metrics import Metrics

# An offer of audio, video and messages takes 8 kB.
BODY_BYTES = 131_072
BODY_SECONDS = 10

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

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500

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
            await send(message)

        try:
            await self._app(scope, limited(scope, receive), answer)
        finally:
            # The route, not the path: callers must not create new series.
            route = getattr(scope.get("route"), "path", "other")
            seconds = time.perf_counter() - started
            self._metrics.request(route, scope["method"], status, seconds)


def limited(scope: Scope, receive: Receive) -> Receive:
    """Return a `receive` that raises ApiError for a body that is too large or too slow."""
    too_large = ApiError(413, "too_large", f"A body may have {BODY_BYTES} bytes.")
    announced = Headers(scope=scope).get("content-length", "0")
    received, complete = 0, False
    until = asyncio.get_running_loop().time() + BODY_SECONDS

    async def receive_limited() -> Message:
        nonlocal received, complete
        if complete:  # only the end of the connection is left
            return await receive()
        if not announced.isdecimal() or int(announced[:20]) > BODY_BYTES:
            raise too_large
        try:
            async with asyncio.timeout_at(until):
                message = await receive()
        except TimeoutError:
            raise ApiError(408, "too_slow", "The body did not arrive in time.") from None
        received += len(message.get("body", b""))
        complete = not message.get("more_body", False)
        if received > BODY_BYTES:
            raise too_large
        return message

    return receive_limited
