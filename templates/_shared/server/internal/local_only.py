"""Owns which requests reach a server that `voicecore dev` runs: not those of foreign web pages.

A browser lets any page send requests to this machine, and a page whose name leads to 127.0.0.1 read
the answers (DNS rebinding). No page has the server's key, but none has any business here either.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

HOST = "This server has another name. To use this one, set PUBLIC_URL in server/.env to its URL."
PAGE = "Pages of other sites cannot use this server; ALLOWED_ORIGINS in server/.env can name them."


class LocalOnly:
    """Answers requests for these hosts, of its own page, of these origins, and of programs.

    All pages may load `public`: voice.js, which tells a developer that ALLOWED_ORIGINS is missing.
    """

    def __init__(
        self, app: ASGIApp, hosts: Sequence[str], origins: Sequence[str], public: Sequence[str]
    ) -> None:
        self._app, self._hosts, self._origins, self._public = app, hosts, origins, public

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_request = scope["type"] != "lifespan"
        refusal = self._refusal(scope["path"], Headers(scope=scope)) if is_request else ""
        if not refusal:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": ""})
        else:
            body = {"error": {"code": "not_local", "message": refusal}}
            await JSONResponse(body, 403)(scope, receive, send)

    def _refusal(self, path: str, headers: Headers) -> str:
        host, origin = headers.get("host", ""), headers.get("origin")
        if name_of(host) not in self._hosts:
            return HOST
        if path in self._public:
            return ""
        # Browsers send Sec-Fetch-Site, also where they send no Origin (W3C, Fetch Metadata). A link
        # to the page is a navigation.
        other_site = headers.get("sec-fetch-site") == "cross-site"
        embedded = other_site and headers.get("sec-fetch-mode") != "navigate"
        foreign = origin is not None and origin.partition("://")[2] != host
        return PAGE if (embedded or foreign) and origin not in self._origins else ""


def name_of(host: str) -> str | None:
    """Return a Host header without its port; None if it is malformed."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None
