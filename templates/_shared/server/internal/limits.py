"""Owns the limits of requests, session starts and sessions; excess gets 429 with Retry-After."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from .access import Session
from .api_errors import ApiError
from .networks import MINUTE, PerMinute, network_of
from .session_table import LEASE_SECONDS, Table
from .settings import Settings

REQUESTS = "requests from your network"


class Limits:
    """Counts requests per minute and network, starts per minute and caller, and open sessions."""

    def __init__(self, table: Table, settings: Settings) -> None:
        self._table, self._settings = table, settings
        self._starts = PerMinute(settings.starts_per_minute)

    async def request(self, address: str) -> None:
        """Count a request from this address, for all copies of the server. Raises ApiError."""
        most = self._settings.requests_per_minute
        if await self._table.requests(f"address-{network_of(address)}") > most:
            raise too_many(REQUESTS, most)

    async def start(self, caller: str) -> None:
        """Count a session that this caller starts or resumes. Raises ApiError."""
        # A flood that this copy of the server can refuse alone costs no request to the table.
        allowed, most = self._starts.allows(caller), self._starts.most
        if not allowed or await self._table.requests(f"starts-{caller}") > most:
            raise too_many("sessions started", most)

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


def too_many(what: str, most: int) -> ApiError:
    """Return the answer to one more than `most` in a minute."""
    wait = MINUTE - int(time.time()) % MINUTE
    return ApiError(429, "too_many", f"Too many {what}; the limit is {most} per minute.", wait)
