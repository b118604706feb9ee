"""Owns the limits of requests, session starts and sessions; excess gets 429 with Retry-After."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from .access import Session
from .api_errors import ApiError
from .networks import MINUTE, PerMinute, network_of
from .session_table import LEASE_SECONDS, Table
from .settings import Settings

REQUESTS = "requests from your network"


class Limits:
    """Counts requests per minute and network, starts per minute and caller, and open sessions."""

    def __init__(
        self, table: Table, settings: Settings, free: Callable[[str], Awaitable[None]]
    ) -> None:
        """`free` frees places of a caller that are taken and not used."""
        self._table, self._settings, self._free = table, settings, free
        self._starts = PerMinute(settings.starts_per_minute)
        self._all_starts = PerMinute(settings.starts_per_minute_in_total)

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
        allowed, most = self._all_starts.allows("all"), self._all_starts.most
        if not allowed or await self._table.requests("starts") > most:
            message = f"Too many sessions start; the limit of all callers is {most} per minute."
            raise ApiError(503, "too_many_starts", message, until_next_minute())

    async def hold(self, session: Session, seconds: int = LEASE_SECONDS) -> None:
        """Count a session as open for this time. Raises ApiError."""
        most = self._settings.sessions_at_once
        if await self._table.hold(session, most, seconds):
            return
        await self._free(session.caller)
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
    message = f"Too many {what}; the limit is {most} per minute."
    return ApiError(429, "too_many", message, until_next_minute())


def until_next_minute() -> int:
    """Return the seconds until the counts begin again."""
    return MINUTE - int(time.time()) % MINUTE
