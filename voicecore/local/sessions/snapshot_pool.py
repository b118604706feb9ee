"""Owns the snapshot of platform V2: the agent boots once per version, and sessions restore it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from voicecore.local.sessions.agent_process import AgentProcess, AgentSpec, StoppedBeforeStart
from voicecore.local.sessions.warm_pool import PoolChange, WarmPool


class SnapshotPool(WarmPool):
    """Holds the frozen process of the version; `take` returns a process restored from it.

    A process that cannot fork is replaced when a session has taken it, as a warm one is.
    """

    def __init__(
        self,
        load_agent: Callable[[], AgentSpec],
        launch: Callable[[AgentSpec, int], Awaitable[AgentProcess]],
        on_change: Callable[[PoolChange], None],
        prepare: Callable[[int], Awaitable[None]],
    ) -> None:
        super().__init__(load_agent, launch, on_change, prepare)
        self._retiring: set[asyncio.Task[None]] = set()

    @property
    def readiness(self) -> str:
        """How sessions are restored, as a predicate."""
        obstacle = self._frozen().obstacle
        if obstacle is None:
            return "is frozen; sessions are forks of it"
        return f"is warm; each session is a process of its own, because {obstacle}"

    async def take(self, stopped: asyncio.Future[Any]) -> AgentProcess:
        """Return the process of a new session.

        As in AgentCore, a session waits for the snapshot of its version. Raises AgentCrashed,
        AgentStartTimeout, or StoppedBeforeStart once `stopped` is done.
        """
        if self.failure is not None:
            await self._discard()
        self.refill()
        while True:
            warming = self._warm_up
            if warming is None:
                raise RuntimeError("refill starts a spare")
            await asyncio.wait({warming, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if stopped.done():
                raise StoppedBeforeStart("The session was stopped before it started.")
            if warming is self._warm_up:  # else the spare is taken, or a file has been saved
                break
            self.refill()
        if self.failure is not None:
            raise self.failure
        snapshot = self._frozen()
        if snapshot.obstacle:
            self._spare = None
            self.refill()
        return await snapshot.restore()

    async def close(self, grace: float) -> None:
        """End the frozen processes, also those of earlier versions."""
        await super().close(grace)
        await asyncio.gather(*self._retiring)

    def _frozen(self) -> AgentProcess:
        if self._spare is None:
            raise RuntimeError("there is no spare")
        return self._spare.result()

    async def _make_ready(self, agent: AgentProcess) -> None:
        await agent.freeze()

    async def _end(self, spare: AgentProcess, grace: float) -> None:
        """End the frozen process once its sessions have ended: it reports their ends."""

        async def retire() -> None:
            await spare.sessions_ended()
            await spare.stop(grace)

        retiring = asyncio.create_task(retire())
        self._retiring.add(retiring)
        retiring.add_done_callback(self._retiring.discard)
