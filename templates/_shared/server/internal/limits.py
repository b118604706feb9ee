"""Owns the limits of requests, session starts and sessions; excess gets 429 with Retry-After."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from .access import Session
from .api_errors import ApiError
from .session_table import LEASE_SECONDS, MINUTE, MemoryTable, Table
from .settings import Settings


class Limits:
    """Counts requests per minute and network, starts per minute and caller, and open sessions."""

    def __init__(self, table: Table, settings: Settings) -> None:
        self._table, self._settings = table, settings
        self._here = MemoryTable()

    async def request(self, address: str) -> None:
        """Count a request from this address. Raises ApiError."""
        most = self._settings.requests_per_minute
        await self._count(f"address-{network_of(address)}", most, "requests from your network")

    async def start(self, caller: str) -> None:
        """Count a session that this caller starts or resumes. Raises ApiError."""
        await self._count(f"starts-{caller}", self._settings.starts_per_minute, "sessions started")

    async def hold(self, session: Session, seconds: int = LEASE_SECONDS) -> None:
        """Count a session as open for this time. Raises ApiError."""
        most = self._settings.sessions_at_once
        if not await self._table.hold(session, most, seconds):
            message = f"You have {most} open sessions, which is the limit; end one first."
            raise ApiError(429, "too_many", message, MINUTE)

    @asynccontextmanager
    async def released_on_failure(self, session: Session) -> AsyncIterator[None]:
        """Free the session's place if the block fails: then no one has got the session."""
        try:
            yield
        except BaseException:
            await self._table.release(session)
            raise

    async def _count(self, name: str, most: int, what: str) -> None:
        # A flood that this copy of the server can refuse alone costs no request to the table.
        if await self._here.requests(name) > most or await self._table.requests(name) > most:
            wait = MINUTE - int(time.time()) % MINUTE
            message = f"Too many {what}; the limit is {most} per minute."
            raise ApiError(429, "too_many", message, wait)


def network_of(address: str) -> str:
    """Return the address; for IPv6 its /64, which belongs to one customer."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if parsed.version == 4:
        return address
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))
