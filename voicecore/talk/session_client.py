"""Owns requests to a session server: start, resume and stop a session, answer a WebRTC offer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import quote

import aiohttp
from yarl import URL

from voicecore.console import json_text
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.console.proxies import proxy_for
from voicecore.talk.no_answer import why_no_answer

_TIMEOUT = aiohttp.ClientTimeout(total=40)
"""Seconds; a cold start at AgentCore may take 30 (aws/bedrock-agentcore-sdk-python#599)."""

_BODY_MAX = 1_000_000
"""Bytes of an answer: an SDP has 10,000."""
_DETAIL_MAX = 2000
"""Characters of a server's own words in an error."""
_HEADER_TEXT = re.compile(r"[!-~]{0,4096}")
"""Characters of an ID or a token, which goes into a URL or a header."""


class ServerUnreachable(VoicecoreError):
    """No server answers at the session server's URL."""


class KeyRefused(VoicecoreError):
    """The session server does not accept this key."""


class SessionRefused(VoicecoreError):
    """The session server answered without a session."""


class AgentUnavailable(SessionRefused):
    """AWS, or the agent, gave the session server no session; the same request may work later."""


AGENT_REPORTS = (
    "See what the agent reports:  voicecore logs   (or `voicecore dev` in another terminal, for an "
    "agent on this machine)"
)


START_OWN = "Start the project's own with `voicecore dev`, or omit --url."


class OfferRefused(VoicecoreError):
    """The agent, or AgentCore in front of it, refused a WebRTC offer."""

    session_id = ""
    """The session of the call; empty if it has none."""

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        code = code_of(body)
        super().__init__(
            f"The agent refused the connection ({status}): {detail_of(body)}",
            _HINTS.get(code, AGENT_REPORTS),
            ExitCode.AWS_REFUSED if code == "aws_refused" else ExitCode.FAILED,
        )


_DAILY_KEY = "Put the key from dashboard.daily.co/developers into server/.env:\nDAILY_API_KEY=…"
_HINTS = {
    "no_relay": "See which TURN source fails, and why:  voicecore turn check",
    "no_daily_key": _DAILY_KEY,
    "daily_key_refused": _DAILY_KEY,
    "unknown_transport": "Omit --transport, or add it to the project:  voicecore add --help",
}
"""Hints for refusals, by code."""


@dataclass(frozen=True)
class IceServer:
    """A TURN server, with credentials for this call."""

    urls: tuple[str, ...]
    username: str
    credential: str


@dataclass(frozen=True)
class DailyRoom:
    """A room at Daily, and the token to join it."""

    url: str
    token: str


@dataclass(frozen=True)
class StartedSession:
    """A session, with the credentials for one connection to it within 300 s."""

    id: str
    token: str
    ws_url: str = ""
    ice_servers: tuple[IceServer, ...] = ()
    room: DailyRoom | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    """Headers that open the WebSocket."""


class SessionClient:
    """Asks the session server at `url` for sessions of one transport.

    `grants`: fields of the server's answer, one of which must be there to open a connection.
    """

    is_ours = is_aws = True
    advice = AGENT_REPORTS

    def __init__(
        self,
        http: aiohttp.ClientSession,
        url: str,
        key: str,
        transport: str,
        grants: Sequence[str],
    ) -> None:
        self._http, self.url, self._key = http, url.rstrip("/"), key
        self._transport, self._grants = transport, grants

    async def start(self) -> StartedSession:
        """Start a session. Raises ServerUnreachable, KeyRefused or SessionRefused."""
        return await self._start({"transport": self._transport})

    async def resume(self, session: StartedSession) -> StartedSession:
        """Return the same session with fresh credentials. Raises as start does."""
        return await self._start(
            {"transport": self._transport, "sessionId": session.id, "token": session.token}
        )

    async def stop(self, session: StartedSession) -> None:
        """End the session, so that its silence is not billed. Raises as start does."""
        status, body = await self._request(
            "DELETE", f"/sessions/{quote(session.id, safe='')}", _owner(session)
        )
        if status not in (200, 204, 404):  # 404: it has ended already
            raise _refusal(self.url, status, body)

    async def offer(self, session: StartedSession, offer: Mapping[str, Any]) -> dict[str, Any]:
        """Return the agent's answer to a WebRTC offer.

        Raises ServerUnreachable, KeyRefused or OfferRefused.
        """
        path = f"/sessions/{session.id}/api/offer"
        status, body = await self._request("POST", path, _owner(session), offer)
        if status != 200:
            refusal = _refusal(self.url, status, body)
            raise refusal if isinstance(refusal, KeyRefused) else OfferRefused(status, body)
        return body

    async def _start(self, request: Mapping[str, str]) -> StartedSession:
        status, body = await self._request("POST", "/start", {}, request)
        if status != 200:
            raise _refusal(self.url, status, body)
        if not any(body.get(field) for field in self._grants) or not body.get("sessionId"):
            raise SessionRefused(
                f"The answer of the session server at {self.url} lacks sessionId or "
                f"{self._grants[0]}.",
                f"Is it the server of a voicecore project with the transport {self._transport}?",
            )
        try:
            return session_in(body)
        except ValueError as error:
            raise SessionRefused(
                f"The answer of the session server at {self.url} is malformed: {error}.",
                "Is it the server of a voicecore project?",
            ) from None

    async def _request(
        self, method: str, path: str, headers: Mapping[str, str], body: object = None
    ) -> tuple[int, dict[str, Any]]:
        try:
            async with self._http.request(
                method,
                self.url + path,
                headers={"Authorization": f"Bearer {self._key}", **headers},
                json=body,
                timeout=_TIMEOUT,
                proxy=proxy_for(self.url),
            ) as response:
                return response.status, await document_of(response)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            # ValueError of a URL that no host has
            reason, advice = why_no_answer(error, self.url, START_OWN)
            raise ServerUnreachable(
                f"The session server at {self.url} does not answer: {reason}.", advice
            ) from error


async def body_of(response: aiohttp.ClientResponse) -> bytes:
    """Return the body of a server's answer. Raises aiohttp.ClientError if it exceeds 1 MB."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > _BODY_MAX:
            raise aiohttp.ClientPayloadError(f"its answer is longer than {_BODY_MAX:,} bytes")
    return bytes(body)


async def document_of(response: aiohttp.ClientResponse) -> dict[str, Any]:
    """Return the JSON object in an answer, or an answer of another kind as its `detail`.

    Raises aiohttp.ClientError if it exceeds 1 MB.
    """
    body = await body_of(response)
    try:
        document = json_text.parse(body)
    except json_text.NotJson:
        return {"detail": body[:300].decode(errors="replace")}
    return cast("dict[str, Any]", document) if isinstance(document, dict) else {}


def detail_of(body: Mapping[str, Any]) -> str:
    """Return a server's words for a refusal."""
    detail = body.get("detail") or body.get("error") or body.get("message") or ""
    if isinstance(detail, dict):  # the form of a generated server
        detail = cast("dict[str, Any]", detail).get("message", "")
    return str(detail)[:_DETAIL_MAX]


def code_of(body: Mapping[str, Any]) -> str:
    """Return a server's code for a refusal."""
    error = body.get("error")
    return str(cast("dict[str, Any]", error).get("code", "")) if isinstance(error, dict) else ""


def _owner(session: StartedSession) -> dict[str, str]:
    return {"X-Session-Token": session.token}


def session_in(body: Mapping[str, Any]) -> StartedSession:
    """Return the session in an answer to /start. Raises ValueError with what is wrong."""
    session, token = str(body["sessionId"]), str(body.get("token", ""))
    for name, text in (("sessionId", session), ("token", token)):
        if not _HEADER_TEXT.fullmatch(text):
            raise ValueError(f"its {name} has characters other than visible ASCII, or over 4,096")
    ws_url = str(body.get("wsUrl") or body.get("ws_url") or "")
    if ws_url and not _is_address(ws_url):
        raise ValueError(f"its wsUrl {ws_url[:100]!r} is not the URL of a WebSocket")
    room = DailyRoom(str(body.get("roomUrl", "")), str(body.get("roomToken", "")))
    try:
        ice_servers = tuple(_ice_servers(body.get("iceConfig") or {}))
    except (AttributeError, KeyError, TypeError):
        raise ValueError("its iceConfig is not an RTCConfiguration") from None
    return StartedSession(session, token, ws_url, ice_servers, room if room.url else None)


def _is_address(url: str) -> bool:
    try:
        parts = URL(url, encoded=True)
        known = parts.scheme in ("ws", "wss", "http", "https") and bool(parts.host and parts.port)
    except ValueError:  # brackets without an IPv6 address, a port above 65535
        return False
    return known and re.fullmatch(r"[!-~]+", url) is not None


def _ice_servers(config: Mapping[str, Any]) -> Iterator[IceServer]:
    for server in config.get("iceServers", ()):
        urls = server["urls"]
        yield IceServer(
            tuple(map(str, (urls,) if isinstance(urls, str) else urls)),
            str(server.get("username", "")),
            str(server.get("credential", "")),
        )


def _refusal(url: str, status: int, body: Mapping[str, Any]) -> VoicecoreError:
    detail = detail_of(body)
    if status == 401:
        return KeyRefused(
            f"The session server at {url} refused the key (401).",
            "Set SESSION_API_KEY in the environment or in the project's server/.env.",
        )
    code = ExitCode.AWS_REFUSED if status == 502 else ExitCode.FAILED
    message = f"The session server at {url} did not start a session ({status}): {detail}"
    kind = AgentUnavailable if status >= 500 else SessionRefused
    return kind(message, _HINTS.get(code_of(body)), code)
