"""Owns requests to the providers' APIs, and the search for the provider of a call."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from fastapi import FastAPI

from .. import logs
from ..api_errors import ApiError
from ..proxies import proxy_for
from .provider import ApiCall, Provider

API_SECONDS = 10


class ProviderApi:
    """The APIs of the configured providers."""

    def __init__(self, providers: dict[str, Provider]) -> None:
        self._providers = providers
        self.http: Any = None
        """The HTTP client, while the server runs."""

    @asynccontextmanager
    async def open(self, _: FastAPI) -> AsyncIterator[None]:
        """Keep connections to agents and providers open in the block."""
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as self.http:
            yield

    def provider(self, name: str | None) -> tuple[str, Provider]:
        """Return the provider with this name; without a name, the only one. Raises ApiError."""
        known = self._providers
        if name is None and len(known) == 1:
            name = next(iter(known))
        if name is None:
            message = f"Choose a provider: provider={' or '.join(known)}."
            raise ApiError(422, "which_provider", message)
        if name not in known:
            message = f"Unknown provider. This server has {' and '.join(known)}."
            raise ApiError(404, "unknown_provider", message)
        return name, known[name]

    async def provider_of(self, call_id: str, name: str | None) -> tuple[str, Provider]:
        """Return the provider with this name, or the one that has the call. Raises ApiError."""
        if name is None and len(self._providers) > 1:
            name, _ = await self.find_call(call_id, name)
        return self.provider(name)

    async def find_call(self, call_id: str, name: str | None) -> tuple[str, dict[str, Any]]:
        """Return the provider's name and its answer about a call. Raises ApiError."""
        names = list(self._providers) if name is None else [name]
        answers = await asyncio.gather(
            *(self.request(self.provider(n)[1].status_request(call_id)) for n in names),
            return_exceptions=True,
        )
        for found, answer in zip(names, answers, strict=True):
            if not isinstance(answer, BaseException):
                return found, answer
        errors = [answer for answer in answers if isinstance(answer, BaseException)]
        if len(errors) == 1:
            raise errors[0]
        silent = [e for e in errors if isinstance(e, ApiError) and e.status_code in (503, 504)]
        raise silent[0] if silent else ApiError(404, "no_call", "No provider has this call.")

    async def end_call(self, provider: Provider, call_id: str) -> None:
        """End a call; log a failure. Closing its media socket ends the call too, but later."""
        try:
            if request := provider.hang_up_request(call_id):
                await self.request(request)
        except ApiError as error:
            logs.write("call_not_ended", level="WARNING", why=str(error.detail))

    async def request(self, call: ApiCall) -> dict[str, Any]:
        """Return the JSON object that a provider answers. Raises ApiError."""
        timeout = aiohttp.ClientTimeout(total=API_SECONDS)
        try:
            async with self.http.request(
                call.method,
                call.url,
                headers=call.headers,
                data=call.body or None,
                timeout=timeout,
                proxy=proxy_for(call.url),
            ) as answer:
                body = await answer.read()
        except TimeoutError as error:
            message = "The provider did not answer in time."
            raise ApiError(504, "provider_timeout", message) from error
        except aiohttp.ClientError as error:
            message = "The provider cannot be reached."
            raise ApiError(503, "provider_unreachable", message) from error
        if answer.status == 404:
            raise ApiError(404, "no_call", "The provider does not have this call.")
        if answer.status >= 400:
            message = f"The provider refused: HTTP {answer.status}."
            raise ApiError(502, "provider_refused", message)
        try:
            document = json.loads(body or b"{}")
        except ValueError:
            document = {}
        return document if isinstance(document, dict) else {}


def read_answer(document: dict[str, Any], read: Callable[[dict[str, Any]], str]) -> str:
    """Return what `read` finds in a provider's answer. Raises ApiError if it is missing."""
    try:
        return read(document)
    except (KeyError, TypeError) as error:
        message = "The provider's answer is not as expected."
        raise ApiError(502, "provider_refused", message) from error
