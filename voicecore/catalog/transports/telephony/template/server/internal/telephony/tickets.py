"""Tickets: what lets a provider's media socket in, once, within a minute of its call's answer."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

from ..session_table import Table
from .provider import Forged

SECONDS = 60


class Tickets:
    """Made and known by nothing but the server's key; every copy of the server can."""

    def __init__(self, key: str, table: Table) -> None:
        self._secret = hmac.digest(key.encode(), b"telephone tickets", hashlib.sha256)
        self._table = table

    def issue(self, purpose: str, subject: str, now: float) -> str:
        """A ticket for this, as a part of a URL's path."""
        head = f"{_encoded(subject.encode())}.{int(now) + SECONDS}"
        return f"{head}.{self._seal(purpose, head)}"

    async def redeem(self, purpose: str, ticket: str, now: float) -> str:
        """What the ticket was issued for; it is good for nothing more. Raises Forged."""
        head, _, seal = ticket.rpartition(".")
        if not hmac.compare_digest(seal.encode(), self._seal(purpose, head).encode()):
            raise Forged("its ticket is none of ours")
        subject, _, expiry = head.rpartition(".")
        if int(expiry) < now:
            raise Forged("its ticket has expired")
        if not await self._table.once(f"ticket-{seal}", SECONDS + 1):
            raise Forged("its ticket was used before")
        return _decoded(subject).decode()

    def _seal(self, purpose: str, head: str) -> str:
        return _encoded(hmac.digest(self._secret, f"{purpose}:{head}".encode(), hashlib.sha256))


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decoded(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error as error:
        raise Forged("its ticket is none of ours") from error
