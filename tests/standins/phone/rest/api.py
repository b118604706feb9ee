"""Parts that the REST APIs share: requests, refusals, basic authentication."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    from tests.standins.phone.provider import Call, Provider

E164 = re.compile(r"\+?[1-9]\d{6,14}")

Endpoint = Callable[[web.Request, Mapping[str, Any]], tuple[int, object]]
"""Returns status and body of the answer to a request with this body. Raises Refused."""
Route = tuple[str, str, Endpoint]
"""Method, path and endpoint."""


class Refused(Exception):
    """The API refuses a request with this status and body."""

    def __init__(self, status: int, body: object) -> None:
        super().__init__(status, body)
        self.status, self.body = status, body


class PhoneApi:
    """The REST API of one account."""

    def __init__(self, provider: Provider) -> None:
        self.provider, self.secrets = provider, provider.secrets

    def routes(self) -> list[Route]:
        raise NotImplementedError

    def call(self, request: web.Request, missing: Refused) -> Call:
        """Return the call named in the path. Raises `missing`."""
        found = self.provider.calls.get(request.match_info["call"])
        if found is None:
            raise missing
        return found

    def require_basic(
        self, request: web.Request, user: str, password: str, refused: Refused
    ) -> None:
        """Raise `refused` unless the request has the login in these two variables."""
        login = f"{self.secrets[user]}:{self.secrets[password]}"
        expected = f"Basic {base64.b64encode(login.encode()).decode()}"
        if request.headers.get("Authorization") != expected:
            raise refused

    def owns(self, number: str) -> bool:
        """Return whether the number is one of the account's."""
        return digits(number) in map(digits, self.secrets["PHONE_NUMBERS"].split(","))


def handler(endpoint: Endpoint) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        try:
            status, body = endpoint(request, await _body(request))
        except Refused as refused:
            status, body = refused.status, refused.body
        return (
            web.Response(status=status) if body is None else web.json_response(body, status=status)
        )

    return handle


async def _body(request: web.Request) -> dict[str, Any]:
    if request.content_type == "application/json":
        try:
            return dict(json.loads(await request.read() or b"{}"))
        except ValueError:
            return {}
    return dict(await request.post())


def digits(number: object) -> str:
    return str(number).removeprefix("+")
