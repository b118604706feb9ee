"""Owns the spare process: one warm agent for the next session, and the version of its code."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Literal

from voicecore.console.errors import VoicecoreError
from voicecore.local.processes.sources import saves
from voicecore.local.sessions.agent_process import AgentProcess, AgentSpec

PoolChange = Literal["ready", "failed", "reloaded"]
SpareState = Literal["starting", "ready", "failed", "none"]


class WarmPool:
    """Holds the spare process, and replaces it at once when it is taken or outdated."""

    def __init__(
        self,
        load_agent: Callable[[], AgentSpec],
        launch: Callable[[AgentSpec, int], Awaitable[AgentProcess]],
        on_change: Callable[[PoolChange], None],
        prepare: Callable[[int], Awaitable[None]],
    ) -> None:
        self._load_agent = load_agent
        self._launch = launch
        self._on_change = on_change
        self._prepare = prepare
        self._spare: asyncio.Task[AgentProcess] | None = None
        self._warm_up: asyncio.Task[None] | None = None
        self._watch_spare: asyncio.Task[None] | None = None
        self._is_warm = False
        self.version = 1
        self.is_open = False
        """True if the last warm process answered a request without its key."""
        self.failure: VoicecoreError | None = None

    @property
    def state(self) -> SpareState:
        """State of the spare process."""
        if self.failure is not None:
            return "failed"
        if self._spare is None:
            return "none"
        return "ready" if self._is_warm else "starting"

    @property
    def readiness(self) -> str:
        """What the spare is ready for, as a predicate."""
        return "is warm"

    def refill(self) -> None:
        """Start a spare in the background, unless there is one."""
        if self._spare is not None:
            return
        self.failure, self._is_warm = None, False
        self._spare = asyncio.create_task(self._start())
        self._warm_up = asyncio.create_task(self._warm(self._spare))

    async def ready(self) -> None:
        """Wait until the spare is ready. Raises AgentCrashed or AgentStartTimeout."""
        if self._warm_up is not None:
            await asyncio.shield(self._warm_up)
        if self.failure is not None:
            raise self.failure

    async def take(self, stopped: asyncio.Future[Any]) -> AgentProcess:
        """Return the spare, healthy or still starting, and start the next one.

        A pool that waits for something returns once `stopped` is done; this one does not wait.
        Raises AgentCrashed if the agent cannot be started at all.
        """
        if self.failure is not None:
            await self._discard()
        spare, self._spare = self._spare, None
        agent = await (spare or self._start())
        if agent.exited.done():  # it died while it waited
            await agent.stop()
            agent = await self._start()
        self.refill()
        return agent

    async def renew(self) -> None:
        """Count a new version and replace the spare; running sessions keep their process."""
        self.version += 1
        await self._discard()
        self.refill()
        self._on_change("reloaded")

    async def watch(self, root: Path) -> None:
        """Renew the spare whenever a source file under `root` is saved. Runs until cancelled.

        `root` must be a resolved path, because macOS reports changes by their resolved paths.
        """
        async for _ in saves(root):
            await self.renew()

    async def close(self, grace: float) -> None:
        """End the spare."""
        await self._discard(grace)

    async def _start(self) -> AgentProcess:
        await self._prepare(self.version)
        return await self._launch(self._load_agent(), self.version)

    async def _warm(self, spare: asyncio.Task[AgentProcess]) -> None:
        failure = None
        try:
            agent = await spare
            await agent.wait_healthy()
            self.is_open = await agent.answers_without_key()
            await self._make_ready(agent)
        except VoicecoreError as error:
            failure = error
        self._record(spare, failure)
        if failure is None:
            self._watch_spare = asyncio.create_task(self._wait_for_exit(spare))

    async def _make_ready(self, agent: AgentProcess) -> None:
        """Do nothing more: the healthy process waits as it is."""

    async def _wait_for_exit(self, spare: asyncio.Task[AgentProcess]) -> None:
        """Record the failure of a spare that exits: agents import their pipeline behind /ping."""
        agent = spare.result()
        await asyncio.wait({agent.exited})
        if self._spare is spare:
            self._record(spare, await agent.crash())

    def _record(self, spare: asyncio.Task[AgentProcess], failure: VoicecoreError | None) -> None:
        if self._spare is spare:  # else a session took it and reports the failure to its caller
            self._is_warm, self.failure = failure is None, failure
            self._on_change("failed" if failure else "ready")

    async def _discard(self, grace: float = 2.0) -> None:
        spare, self._spare = self._spare, None
        for task in (self._warm_up, self._watch_spare):
            if task is not None:
                task.cancel()
        self._warm_up = self._watch_spare = None
        if spare is None:
            return
        await asyncio.wait({spare})
        if not spare.cancelled() and spare.exception() is None:
            await self._end(spare.result(), grace)

    async def _end(self, spare: AgentProcess, grace: float) -> None:
        await spare.stop(grace)
