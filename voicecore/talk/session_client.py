"""Owns requests to a session server: start, resume and stop a session, answer a WebRTC offer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import aiohttp

from voicecore.console.errors import ExitCode, VoicecoreError

_TIMEOUT = aiohttp.ClientTimeout(total=40)
"""Seconds; a cold start at AgentCore may take 30 (aws/bedrock-agentcore-sdk-python#599)."""


class ServerUnreachable(VoicecoreError):
    """No server answers at the session server's URL."""


class KeyRefused(VoicecoreError):
    """The session server does not accept this key."""


class SessionRefused(VoicecoreError):
    """The session server answered without a session."""


class AgentUnavailable(SessionRefused):
    """AWS, or the agent, gave the session server no session; the same request may work later."""


class OfferRefused(VoicecoreError):
    """The agent, or AgentCore in front of it, refused a WebRTC offer."""

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        code = _code(body)
        super().__init__(
            f"The agent refused the connection ({status}): {_detail(body)}",
            _HINTS.get(code, "`voicecore dev` in another terminal shows what the agent reports."),
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


class SessionClient:
    """Asks the session server at `url` for sessions of one transport.

    `grants`: fields of the server's answer, one of which must be there to open a connection.
    """

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
        status, body = await self._request("DELETE", f"/sessions/{session.id}", _owner(session))
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
        room = DailyRoom(str(body.get("roomUrl", "")), str(body.get("roomToken", "")))
        return StartedSession(
            str(body["sessionId"]),
            str(body.get("token", "")),
            str(body.get("wsUrl") or body.get("ws_url") or ""),
            tuple(_ice_servers(body.get("iceConfig") or {})),
            room if room.url else None,
        )

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
            ) as response:
                return response.status, await _document(response)
        except (aiohttp.ClientError, TimeoutError) as error:
            reason = str(error) or type(error).__name__
            raise ServerUnreachable(
                f"The session server at {self.url} does not answer: {reason}.",
                "Start the project's own with `voicecore dev`, or omit --url.",
            ) from error


async def _document(response: aiohttp.ClientResponse) -> dict[str, Any]:
    try:
        document = await response.json(content_type=None)
    except ValueError:
        return {"detail": (await response.text())[:300]}
    return cast("dict[str, Any]", document) if isinstance(document, dict) else {}


def _detail(body: Mapping[str, Any]) -> str:
    detail = body.get("detail") or body.get("error") or body.get("message") or ""
    if isinstance(detail, dict):  # the form of a generated server
        detail = cast("dict[str, Any]", detail).get("message", "")
    return str(detail)


def _code(body: Mapping[str, Any]) -> str:
    error = body.get("error")
    return str(cast("dict[str, Any]", error).get("code", "")) if isinstance(error, dict) else ""


def _owner(session: StartedSession) -> dict[str, str]:
    return {"X-Session-Token": session.token}


def _ice_servers(config: Mapping[str, Any]) -> Iterator[IceServer]:
    for server in config.get("iceServers", ()):
        urls = server["urls"]
        yield IceServer(
            (urls,) if isinstance(urls, str) else tuple(urls),
            str(server.get("username", "")),
            str(server.get("credential", "")),
        )


def _refusal(url: str, status: int, body: Mapping[str, Any]) -> VoicecoreError:
    detail = _detail(body)
    if status == 401:
        return KeyRefused(
            f"The session server at {url} refused the key (401).",
            "Set SESSION_API_KEY in the environment or in the project's server/.env.",
        )
    code = ExitCode.AWS_REFUSED if status == 502 else ExitCode.FAILED
    message = f"The session server at {url} did not start a session ({status}): {detail}"
    kind = AgentUnavailable if status >= 500 else SessionRefused
    return kind(message, _HINTS.get(_code(body)), code)
