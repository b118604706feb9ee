"""Owns tickets: they admit a provider's media socket once, within a minute of the call's answer."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

from ..session_table import Table
from .provider import Forged

SECONDS = 60


class Tickets:
    """Signs and checks tickets with the server's key, so that all copies of the server agree."""

    def __init__(self, key: str, table: Table) -> None:
        self._secret = hmac.digest(key.encode(), b"telephone tickets", hashlib.sha256)
        self._table = table

    def issue(self, purpose: str, subject: str, now: float) -> str:
        """Return a ticket for this subject, as a part of a URL's path."""
        head = f"{_encoded(subject.encode())}.{int(now) + SECONDS}"
        return f"{head}.{self._signature(purpose, head)}"

    async def redeem(self, purpose: str, ticket: str, now: float) -> str:
        """Return the subject of the ticket, which is then used up. Raises Forged."""
        head, _, signature = ticket.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._signature(purpose, head).encode()):
            raise Forged("its ticket is not valid")
        subject, _, expiry = head.rpartition(".")
        if int(expiry) < now:
            raise Forged("its ticket has expired")
        if not await self._table.once(f"ticket-{signature}", SECONDS + 1):
            raise Forged("its ticket was used before")
        return _decoded(subject).decode()

    def _signature(self, purpose: str, head: str) -> str:
        return _encoded(hmac.digest(self._secret, f"{purpose}:{head}".encode(), hashlib.sha256))


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decoded(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error as error:
        raise Forged("its ticket is not valid") from error
