"""Owns the calls in progress: open ones, expected ones, and their end when the server stops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from .. import logs
from ..api_errors import ApiError
from .bridge import LAST_WORDS_SECONDS, Bridge
from .provider_api import API_SECONDS


class OpenCalls:
    """The bridges of open calls, and the sessions whose media socket is expected."""

    def __init__(self, drain_seconds: int) -> None:
        self._drain_seconds = drain_seconds
        self._bridges: set[Bridge] = set()
        self._expected: dict[str, float] = {}
        """Sessions of calls that ring or were just answered, and until when they are expected."""
        self._until: float | None = None
        """End of all calls, by the loop's time, while the server drains."""

    @property
    def is_draining(self) -> bool:
        """True when the server is stopping and takes no new calls."""
        return self._until is not None

    def require_open(self) -> None:
        """Raise ApiError if the server is stopping."""
        if self.is_draining:
            raise ApiError(503, "draining", "This server is stopping; try again.", 1)

    def add(self, bridge: Bridge, session_id: str) -> None:
        """Record a call whose media socket has opened."""
        if self._until is not None:
            bridge.end_at(self._until)
        self._bridges.add(bridge)
        self.forget(session_id)

    def remove(self, bridge: Bridge) -> None:
        """Record the end of a call."""
        self._bridges.discard(bridge)

    def expect(self, session_id: str, seconds: float) -> None:
        """Expect the media socket of this session within this time."""
        now = asyncio.get_running_loop().time()
        self._expected = {id: until for id, until in self._expected.items() if until > now}
        self._expected[session_id] = now + seconds

    def expects(self, session_id: str) -> bool:
        """Return True if the media socket of this session is expected."""
        return session_id in self._expected

    def forget(self, session_id: str) -> None:
        """Stop expecting the media socket of this session."""
        self._expected.pop(session_id, None)

    async def drain(self, is_forced: Callable[[], bool]) -> None:
        """Take no new calls; return when all calls have ended, or `is_forced` returns True.

        A phone that rings may still answer. Callers who still speak after DRAIN_SECONDS hear an
        apology; with 0, calls end at once.
        """
        loop = asyncio.get_running_loop()
        self._until = loop.time() + self._drain_seconds
        if not self._drain_seconds:
            return
        if self._bridges:
            logs.write("draining", calls=len(self._bridges), seconds=self._drain_seconds)
        for bridge in self._bridges:
            bridge.end_at(self._until)
        last = self._until + LAST_WORDS_SECONDS + API_SECONDS
        while self._any(loop.time()) and loop.time() < last and not is_forced():
            await asyncio.sleep(0.05)

    def _any(self, now: float) -> bool:
        return bool(self._bridges) or any(until > now for until in self._expected.values())
