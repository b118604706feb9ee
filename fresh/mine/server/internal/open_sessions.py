"""Owns the end of open sessions: of one, of all that an invite started, of those without a call."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

from botocore.exceptions import BotoCoreError, ClientError

from . import logs
from .access import Session
from .agentcore import AgentCore
from .api_errors import ApiError
from .session_table import LEASE_SECONDS, SHORT_LEASE_SECONDS, Table, end, revoke

# Until a session is asked for its call: its URL is valid for 300 s, and the agent may still load.
CONNECT_SECONDS = 360
# Agents that one refused start asks. Those that have ended are started to answer, so that a caller
# could not make this many requests of one by more.
ASKED = 3
# Phone providers wait little longer for the answer to a call.
ASK_SECONDS = 10


class OpenSessions:
    """Ends sessions, so that they cost nothing and take no place of their callers."""

    def __init__(
        self,
        table: Table,
        agentcore: AgentCore,
        leave: Callable[[Session], Awaitable[None]] | None = None,
    ) -> None:
        """`leave` closes what else a session has opened; its transport may be unknown: empty."""
        self._table, self._agentcore, self._leave = table, agentcore, leave

    async def end(self, session: Session) -> None:
        """End the session; after a failure of AWS, it can be repeated."""
        # First, so that nothing continues a session that is being stopped.
        await end(self._table, session)
        await self._agentcore.stop(session.id)
        if self._leave:
            await self._leave(session)
        await self._table.release(session)

    async def revoke(self, invite_id: str) -> int:
        """Refuse this invite from now on, and end its open sessions; return how many there were."""
        caller = await revoke(self._table, invite_id)
        open_until = await self._table.open_until(caller)
        now = int(time.time())
        ending = [self.end(Session(id, caller, "", now)) for id in open_until]
        results = await asyncio.gather(*ending, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result  # the revocation can be repeated, and ends the rest
        logs.write("invite_revoked", invite=invite_id, sessions=len(ending))
        return len(ending)

    async def free(self, caller: str) -> None:
        """Stop up to ASKED of the caller's sessions that have no call, and free their places.

        A URL is used without this server, and a browser that is closed reports nothing. So a place
        is taken for as long as a call may last, and the agent is asked when it is needed.
        """
        now = time.time()
        old = [
            id
            for id, until in (await self._table.open_until(caller)).items()
            # A short lease, which is of a caller who has not connected, runs out by itself.
            if SHORT_LEASE_SECONDS < until - now < LEASE_SECONDS - CONNECT_SECONDS
        ]
        asked = random.sample(old, min(ASKED, len(old)))
        await asyncio.gather(*(self._free_unless_used(Session(id, caller, "", 0)) for id in asked))

    async def _free_unless_used(self, session: Session) -> None:
        try:
            async with asyncio.timeout(ASK_SECONDS):
                answer = await self._agentcore.invoke(session.id, {"type": "state"})
            # Agents of before, and those of others, do not tell: their places stay taken.
            if answer.get("calls") != 0:
                return
            await self._agentcore.stop(session.id)
        except (ApiError, BotoCoreError, ClientError, TimeoutError, ValueError):
            return
        await self._table.release(session)
