"""One answer of a registry: what it says, and whether another try may bring another one."""

from __future__ import annotations

import errno
import json
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp

# distribution-spec, "Pushing Manifests": registries should take 4 MiB; nothing larger is read.
_SMALL = 4 * 2**20

CHUNK = 2**18
"""Bytes that are read at once."""

_BROKEN = {errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE}

# What a registry says when it, or what is before it, is busy (RFC 9110, RFC 6585).
PASSING = {408, 425, 429, 500, 502, 503, 504}


@dataclass(frozen=True)
class Answer:
    """An answer, its body read."""

    status: int
    headers: Mapping[str, str]
    reason: str
    body: bytes
    challenges: tuple[str, ...]
    """The ways to log in, as WWW-Authenticate names them."""

    @property
    def errors(self) -> list[tuple[str, str]]:
        """(code, message) of each error the registry tells."""
        try:
            told = json.loads(self.body)["errors"]
            return [(str(e.get("code", "")), str(e.get("message", ""))) for e in told]
        except (ValueError, KeyError, TypeError, AttributeError):
            return []

    @property
    def said(self) -> str:
        """What the registry says of an error, in one line."""
        told = "; ".join(f"{message or code}".strip() for code, message in self.errors)
        text = told or self.body.decode(errors="replace").strip() or self.reason
        short = " ".join(text.split())[:300]
        return f"{self.status} {short}".strip()

    @property
    def challenge(self) -> str:
        """The way to log in that says most; empty if none is named."""
        bearer = (way for way in self.challenges if way.lower().startswith("bearer"))
        return next(bearer, "") or next(iter(self.challenges), "")

    @property
    def wants_login(self) -> bool:
        """Whether another login may be what is missing."""
        # ECR's answer to an expired token is 403: "Your authorization token has expired.
        # Reauthenticate and try again."
        return self.status == 401 or (self.status == 403 and "expired" in self.said.lower())

    @property
    def pause(self) -> float:
        """How many seconds the registry wants to be left alone."""
        told = self.headers.get("Retry-After", "")
        return min(float(told), 30) if told.isdigit() else 0


class Trouble(Exception):
    """Something that may be gone at the next try."""

    def __init__(self, reason: str, pause: float = 0) -> None:
        super().__init__(reason)
        self.pause = pause


async def answer_of(response: aiohttp.ClientResponse) -> Answer:
    """Read an answer of at most 4 MiB. Raises Trouble."""
    try:
        body = bytearray()
        async for chunk in response.content.iter_chunked(CHUNK):
            body += chunk
            if len(body) > _SMALL:
                break
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise Trouble(reason(error)) from error
    finally:
        response.release()
    challenges = tuple(response.headers.getall("WWW-Authenticate", []))
    return Answer(response.status, response.headers, response.reason or "", bytes(body), challenges)


def reason(error: BaseException | None) -> str:
    """Why nothing was answered, in words."""
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return f"the proxy {error.host}:{error.port} cannot be reached"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "there is no host of that name"
    if isinstance(error, OSError) and error.errno == errno.ECONNREFUSED:
        return "nothing listens there"
    broken = isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientPayloadError)
    if broken or (isinstance(error, OSError) and error.errno in _BROKEN):
        return "the connection broke"
    return str(error).rstrip(".") or type(error).__name__
