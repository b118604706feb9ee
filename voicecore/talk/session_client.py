"""A session as its server hands it out: started, resumed and stopped over HTTP."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import aiohttp

from voicecore.console.errors import ExitCode, VoicecoreError

_TIMEOUT = aiohttp.ClientTimeout(total=40)
"""Seconds; a cold start at AgentCore may take 30 (aws/bedrock-agentcore-sdk-python#599)."""


class ServerDown(VoicecoreError):
    """Nothing answers at the session server's address."""


class KeyRefused(VoicecoreError):
    """The session server does not know this key."""


class SessionRefused(VoicecoreError):
    """The session server answered, but gave no session."""


class OfferRefused(VoicecoreError):
    """The agent, or AgentCore before it, did not answer a WebRTC offer with a connection."""

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        code = _code(body)
        super().__init__(
            f"The agent gave no connection ({status}): {_detail(body)}",
            _HINTS.get(code, "`voicecore dev` in another terminal shows what it says to it."),
            ExitCode.AWS_REFUSED if code == "aws_refused" else ExitCode.FAILED,
        )


_DAILY_KEY = "Put the key of dashboard.daily.co/developers into server/.env:\nDAILY_API_KEY=…"
_HINTS = {
    "no_relay": "See which TURN source fails, and why:  voicecore turn check",
    "no_daily_key": _DAILY_KEY,
    "daily_key_refused": _DAILY_KEY,
    "unknown_transport": "Leave out --transport, or add it to the project:  voicecore add --help",
}
"""What to do about a refusal, by its code."""


@dataclass(frozen=True)
class IceServer:
    """A TURN server, with credentials for this call."""

    urls: tuple[str, ...]
    username: str
    credential: str


@dataclass(frozen=True)
class Room:
    """A room at Daily, and what opens its door."""

    url: str
    token: str


@dataclass(frozen=True)
class Session:
    """A conversation's identity, and what opens one connection to it within 300 s."""

    id: str
    token: str
    ws_url: str = ""
    ice_servers: tuple[IceServer, ...] = ()
    room: Room | None = None


class SessionServer:
    """The session server at `url`; the key proves that we may ask it for sessions."""

    def __init__(
        self, http: aiohttp.ClientSession, url: str, key: str, transport: str = "websocket"
    ) -> None:
        self._http, self.url, self._key = http, url.rstrip("/"), key
        self._transport = transport

    async def start(self) -> Session:
        """A new session. Raises ServerDown, KeyRefused or SessionRefused."""
        return await self._start({"transport": self._transport})

    async def resume(self, session: Session) -> Session:
        """The same session with a fresh URL. Raises as start does."""
        return await self._start(
            {"transport": self._transport, "sessionId": session.id, "token": session.token}
        )

    async def stop(self, session: Session) -> None:
        """End the session, so that nobody pays for its silence. Raises as start does."""
        status, body = await self._ask("DELETE", f"/sessions/{session.id}", _owner(session))
        if status not in (200, 204, 404):  # 404: it is gone already
            raise _refusal(self.url, status, body)

    async def offer(self, session: Session, offer: Mapping[str, Any]) -> dict[str, Any]:
        """The agent's answer to a WebRTC offer. Raises ServerDown, KeyRefused or OfferRefused."""
        path = f"/sessions/{session.id}/api/offer"
        status, body = await self._ask("POST", path, _owner(session), offer)
        if status != 200:
            refusal = _refusal(self.url, status, body)
            raise refusal if isinstance(refusal, KeyRefused) else OfferRefused(status, body)
        return body

    async def _start(self, request: Mapping[str, str]) -> Session:
        status, body = await self._ask("POST", "/start", {}, request)
        if status != 200:
            raise _refusal(self.url, status, body)
        url = body.get("wsUrl") or body.get("ws_url") or ""
        room = Room(str(body.get("roomUrl", "")), str(body.get("roomToken", "")))
        wanted = {"websocket": url, "daily": room.url}.get(self._transport, body.get("iceConfig"))
        if not wanted or not body.get("sessionId"):
            raise SessionRefused(
                f"The session server at {self.url} answered without what a session takes.",
                f"Is it the server of a voicecore project with the transport {self._transport}?",
            )
        return Session(
            str(body["sessionId"]),
            str(body.get("token", "")),
            str(url),
            tuple(_ice_servers(body.get("iceConfig") or {})),
            room if room.url else None,
        )

    async def _ask(
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
            raise ServerDown(
                f"The session server at {self.url} does not answer: {reason}.",
                "Start the project's own with `voicecore dev`, or leave out --url.",
            ) from error


async def _document(response: aiohttp.ClientResponse) -> dict[str, Any]:
    try:
        document = await response.json(content_type=None)
    except ValueError:
        return {"detail": (await response.text())[:300]}
    return cast("dict[str, Any]", document) if isinstance(document, dict) else {}


def _detail(body: Mapping[str, Any]) -> str:
    detail = body.get("detail") or body.get("error") or body.get("message") or ""
    if isinstance(detail, dict):  # as our servers say it
        detail = cast("dict[str, Any]", detail).get("message", "")
    return str(detail)


def _code(body: Mapping[str, Any]) -> str:
    error = body.get("error")
    return str(cast("dict[str, Any]", error).get("code", "")) if isinstance(error, dict) else ""


def _owner(session: Session) -> dict[str, str]:
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
            "The key is SESSION_API_KEY: of the environment, else of the project's server/.env.",
        )
    code = ExitCode.AWS_REFUSED if status == 502 else ExitCode.FAILED
    message = f"The session server at {url} gave no session ({status}): {detail}"
    return SessionRefused(message, _HINTS.get(_code(body)), code)
