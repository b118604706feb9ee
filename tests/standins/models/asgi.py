"""Owns the small part of ASGI that the stand-ins use."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from tests.standins.models.sigv4 import Request

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


async def start(send: Send, status: int, headers: Mapping[str, str]) -> None:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})


async def finish(send: Send, body: bytes = b"") -> None:
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def read_body(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body


def request_of(scope: Mapping[str, Any], body: bytes = b"") -> Request:
    """Return the request as it was sent: the path is not decoded."""
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    return Request(
        scope["method"],
        scope["raw_path"].decode(),
        scope["query_string"].decode(),
        headers,
        body,
    )
