"""Owns agents without processes, for the rules of the session table: health is an event."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from voicecore.contract.ping import PingAnswer


@dataclass
class AgentDouble:
    """An agent that becomes healthy when `health` is set; an exception in it ends its start."""

    health: asyncio.Future[None] = field(default_factory=asyncio.Future)
    exited: asyncio.Future[int] = field(default_factory=asyncio.Future)
    stopped: list[float] = field(default_factory=list[float])
    """Grace of each `stop`."""
    healthy: bool = False
    version: int = 1
    turns: int = 0
    pid: int = 1
    log_path: Path | None = None

    def bind(self, session_id: str) -> None:
        """Serve this session."""

    async def wait_healthy(self, until: asyncio.Future[Any]) -> None:
        await asyncio.wait({self.health, until}, return_when=asyncio.FIRST_COMPLETED)
        if self.health.done():
            self.health.result()
            self.healthy = True

    async def ping(self) -> PingAnswer:
        return PingAnswer(busy=False, stamp=None)

    async def stop(self, grace: float) -> None:
        self.stopped.append(grace)


@dataclass
class PoolDouble:
    """A pool that hands out these agents in order."""

    agents: list[AgentDouble]

    async def take(self, stopped: asyncio.Future[Any]) -> AgentDouble:
        return self.agents.pop(0)
