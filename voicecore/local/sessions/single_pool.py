"""Owns the process of an agent that always listens on one port: only one can run at a time."""

from __future__ import annotations

import asyncio
from typing import Any

from voicecore.local.sessions.agent_process import AgentProcess
from voicecore.local.sessions.warm_pool import WarmPool


class SinglePool(WarmPool):
    """Starts the next process when that of the session has ended, which frees its port."""

    _taken: AgentProcess | None = None
    _following: asyncio.Task[None] | None = None

    def refill(self) -> None:
        """Start a spare in the background, unless there is one or a session's process runs."""
        if self._taken is None or self._taken.exited.done():
            super().refill()

    async def take(self, stopped: asyncio.Future[Any]) -> AgentProcess:
        """Return the only process; the session table asks for no second one meanwhile."""
        if self.failure is not None:
            await self._discard()
        self.refill()
        spare, self._spare = self._spare, None
        if spare is None:
            raise RuntimeError("refill starts a spare: the process of the last session has ended")
        agent = self._taken = await spare
        self._following = asyncio.create_task(self._follow(agent))
        return agent

    async def close(self, grace: float) -> None:
        """End the spare."""
        if self._following is not None:
            self._following.cancel()
        await super().close(grace)

    async def _follow(self, agent: AgentProcess) -> None:
        await asyncio.wait({agent.exited})
        self.refill()
