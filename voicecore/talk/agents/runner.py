"""Owns sessions of Pipecat's development runner (`bot.py`), which has /start and /api/offer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import aiohttp

from voicecore.console.proxies import proxy_for
from voicecore.talk.agents.source import OfferSource
from voicecore.talk.no_answer import why_no_answer
from voicecore.talk.session_client import (
    OfferRefused,
    ServerUnreachable,
    SessionRefused,
    StartedSession,
    detail_of,
    document_of,
    session_in,
)

_SECONDS = 40
_ADVICE = "The terminal in which the bot runs shows what it reports."


class Runner(OfferSource):
    """The runner at `url`. Without `starts`, it is an older one that only answers offers."""

    is_ours = is_aws = False
    advice = _ADVICE

    def __init__(
        self, http: aiohttp.ClientSession, url: str, transport: str, starts: bool = True
    ) -> None:
        self._http, self._url = http, url.rstrip("/")
        self._transport, self._starts = transport, starts

    async def start(self) -> StartedSession:
        """Start a session. Raises ServerUnreachable or SessionRefused."""
        if not self._starts:
            return StartedSession("", "")
        status, answer = await self._post("/start", {"transport": self._transport})
        if status != 200:
            raise SessionRefused(
                f"The runner at {self._url} did not start a session ({status}): "
                f"{detail_of(answer)}",
                _ADVICE,
            )
        try:
            found = session_in({"sessionId": "", **_without_null(answer)})
        except ValueError as error:
            raise SessionRefused(f"The runner's answer is malformed: {error}.", _ADVICE) from None
        socket = _reachable(self._url, found.ws_url, found.token) if found.ws_url else ""
        return StartedSession(found.id, "", socket, found.ice_servers)

    async def resume(self, session: StartedSession) -> StartedSession:
        """Start another: a runner's session is one connection."""
        return await self.start()

    async def stop(self, session: StartedSession) -> None:
        """Do nothing: the end of the connection ends it."""

    async def offer(self, session: StartedSession, offer: Mapping[str, Any]) -> dict[str, Any]:
        """Return the bot's answer to a WebRTC offer. Raises ServerUnreachable or OfferRefused."""
        path = f"/sessions/{quote(session.id, safe='')}" if session.id else ""
        status, answer = await self._post(f"{path}/api/offer", offer)
        if status != 200:
            raise OfferRefused(status, answer)
        return answer

    async def _post(self, path: str, body: object) -> tuple[int, dict[str, Any]]:
        """Return status and document of the answer. Raises ServerUnreachable."""
        url = self._url + path
        try:
            async with self._http.post(
                url,
                json=body,
                timeout=aiohttp.ClientTimeout(total=_SECONDS),
                proxy=proxy_for(url),
            ) as response:
                return response.status, await document_of(response)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            reason, advice = why_no_answer(error, url, _ADVICE)
            raise ServerUnreachable(
                f"The runner at {self._url} does not answer: {reason}.", advice
            ) from error


def _without_null(answer: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if value is not None}


def _reachable(url: str, socket: str, token: str) -> str:
    """Return the bot's WebSocket at the address of the runner, which names the one it binds."""
    own = urlsplit(url)
    query = f"token={quote(token, safe='')}" if token else urlsplit(socket).query
    scheme = own.scheme.replace("http", "ws", 1)
    return urlunsplit((scheme, own.netloc, urlsplit(socket).path, query, ""))
