"""Owns one HTTP answer of a registry: what it says, and whether another attempt may help."""

from __future__ import annotations

import errno
import json
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp
from aiohttp.hdrs import AUTHORIZATION
from yarl import URL

BODY_MAX = 4 * 2**20
"""Limit for what is read into memory: registries should accept manifests of 4 MiB
(distribution-spec, "Pushing Manifests")."""

CHUNK = 2**18
"""Bytes read at once."""

_BROKEN = {errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE}

RETRYABLE = {408, 425, 429, 500, 502, 503, 504}
"""Statuses of a registry, or of a proxy before it, that is busy (RFC 9110, RFC 6585)."""


def logged_in(authorization: str | None, origin: URL) -> tuple[aiohttp.ClientMiddlewareType, ...]:
    """Return the middlewares of a request that sends this login, to this origin alone.

    aiohttp takes proxies and logins of ~/.netrc from the environment together. The latter fail
    beside a login in the headers, and are not for registries: Docker does not send them.
    """

    async def send(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        request.headers.popall(AUTHORIZATION, None)
        if authorization and has_origin(request.url, origin):
            request.headers[AUTHORIZATION] = authorization
        return await handler(request)

    return (send,)


def has_origin(url: URL, origin: URL) -> bool:
    """Return whether `url` has this origin (RFC 6454): scheme, host and port."""
    return (url.scheme, url.host, url.port) == (origin.scheme, origin.host, origin.port)


@dataclass(frozen=True)
class RegistryAnswer:
    """An HTTP answer with its body."""

    status: int
    headers: Mapping[str, str]
    reason: str
    body: bytes
    challenges: tuple[str, ...]
    """Values of WWW-Authenticate."""

    @property
    def errors(self) -> list[tuple[str, str]]:
        """(code, message) of each error in the body."""
        try:
            errors = json.loads(self.body)["errors"]
            return [(str(e.get("code", "")), str(e.get("message", ""))) for e in errors]
        except (ValueError, KeyError, TypeError, AttributeError):
            return []

    @property
    def summary(self) -> str:
        """Status and error messages in one line."""
        messages = "; ".join(f"{message or code}".strip() for code, message in self.errors)
        text = messages or self.body.decode(errors="replace").strip() or self.reason
        short = " ".join(text.split())[:300]
        return f"{self.status} {short}".strip()

    @property
    def challenge(self) -> str:
        """Challenge to answer: Bearer, else the first; empty if there is none."""
        bearer = (way for way in self.challenges if way.lower().startswith("bearer"))
        return next(bearer, "") or next(iter(self.challenges), "")

    @property
    def needs_login(self) -> bool:
        """True when a new login may help."""
        # ECR answers 403 to an expired token: "Your authorization token has expired.
        # Reauthenticate and try again."
        return self.status == 401 or (self.status == 403 and "expired" in self.summary.lower())

    @property
    def retry_after(self) -> float:
        """Seconds the registry asks to wait, at most 30; 0 if it does not ask."""
        seconds = self.headers.get("Retry-After", "")
        return min(float(seconds), 30) if seconds.isdigit() else 0


class TransientError(Exception):
    """A failure that another attempt may not have."""

    def __init__(self, reason: str, retry_after: float = 0) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


async def read_answer(response: aiohttp.ClientResponse) -> RegistryAnswer:
    """Read an answer of at most 4 MiB. Raises TransientError."""
    try:
        body = bytearray()
        async for chunk in response.content.iter_chunked(CHUNK):
            body += chunk
            if len(body) > BODY_MAX:
                break
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise TransientError(reason_of(error)) from error
    finally:
        response.release()
    challenges = tuple(response.headers.getall("WWW-Authenticate", []))
    return RegistryAnswer(
        response.status, response.headers, response.reason or "", bytes(body), challenges
    )


def reason_of(error: BaseException | None) -> str:
    """Return in words why there was no answer."""
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return f"could not connect to the proxy {error.host}:{error.port}"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "no such host"
    if isinstance(error, OSError) and error.errno == errno.ECONNREFUSED:
        return "connection refused"
    broken = isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientPayloadError)
    if broken or (isinstance(error, OSError) and error.errno in _BROKEN):
        return "the connection was lost"
    return str(error).rstrip(".") or type(error).__name__
