"""Owns who reaches the agent during `voicecore dev`: the gateway, and no other program.

The gateway gives each agent a key of its own and sends it with each request. Without it, every
user of the machine and every web page in its browsers could use the agent and its AWS credentials.
In AWS there is no key, because only AgentCore reaches the agent.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

VARIABLE = "LOCAL_RUNTIME_KEY"
HEADER = "x-local-runtime-key"
REFUSAL = "This agent answers only the gateway of `voicecore dev`. Talk to it:  voicecore talk"


class GatewayOnly:
    """Refuses requests without the key, and those of web pages, with 403."""

    def __init__(self, app: ASGIApp, key: str) -> None:
        self._app, self._key = app, key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or admits(Headers(scope=scope), self._key):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": ""})
        else:
            await JSONResponse({"message": REFUSAL}, 403)(scope, receive, send)


def admits(headers: Mapping[str, str], key: bytes) -> bool:
    """Return True if a request with these headers, in lower case, is the gateway's."""
    sent = headers.get(HEADER, "").encode()
    # Browsers add Origin; the gateway passes none on.
    return hmac.compare_digest(sent, key) and "origin" not in headers
