"""Keeps one warm agent process ready and knows which version of the code it runs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Literal

import watchfiles

from voicecore.console.errors import VoicecoreError
from voicecore.local.sessions.agent_process import AgentProcess, AgentSpec

PoolChange = Literal["ready", "failed", "reloaded"]
SpareState = Literal["starting", "ready", "failed", "none"]
_WATCHED = frozenset(
    (".py", ".toml", ".json", ".yaml", ".yml", ".txt", ".md", ".j2", ".jinja", ".jinja2", ".env")
)
# An image is made of these, too.
_WATCHED_NAMES = frozenset((".env", "Dockerfile", ".dockerignore", "uv.lock"))
_IGNORED_FOLDERS = frozenset((".venv", "__pycache__", ".git", ".pytest_cache", ".ruff_cache"))


def is_source(path: Path, root: Path) -> bool:
    """Return whether saving `path` makes a new version of the agent under `root`."""
    parts = path.relative_to(root).parts
    if _IGNORED_FOLDERS.intersection(parts):
        return False
    return path.suffix in _WATCHED or path.name in _WATCHED_NAMES


def source_folders(root: Path) -> list[Path]:
    """Return `root` and the folders under it that can hold source files."""
    below = (path for path in root.iterdir() if path.is_dir() and path.name not in _IGNORED_FOLDERS)
    return [root, *(folder for path in sorted(below) for folder in source_folders(path))]


class Pool:
    """Holds the spare. A taken or outdated spare is replaced at once."""

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
        self._vigil: asyncio.Task[None] | None = None
        self._is_warm = False
        self.version = 1
        self.failure: VoicecoreError | None = None

    @property
    def state(self) -> SpareState:
        """What a session that started now would find."""
        if self.failure is not None:
            return "failed"
        if self._spare is None:
            return "none"
        return "ready" if self._is_warm else "starting"

    def refill(self) -> None:
        """Start a spare in the background, if there is none."""
        if self._spare is not None:
            return
        self.failure, self._is_warm = None, False
        self._spare = asyncio.create_task(self._start())
        self._warm_up = asyncio.create_task(self._warm(self._spare))

    async def ready(self) -> None:
        """Wait until the spare is ready; raise AgentCrashed or AgentSilent when it cannot be."""
        if self._warm_up is not None:
            await asyncio.shield(self._warm_up)
        if self.failure is not None:
            raise self.failure

    async def take(self) -> AgentProcess:
        """Return the spare, healthy or still starting, and start the next one.

        Raises AgentCrashed when the agent cannot be started at all.
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
        """Make a new version: the spare is replaced, running sessions keep their process."""
        self.version += 1
        await self._discard()
        self.refill()
        self._on_change("reloaded")

    async def watch(self, root: Path) -> None:
        """Make a new version whenever a source file under `root` is saved. Runs until cancelled.

        `root` must be a real path: that is how macOS names what changed.
        """
        while True:
            folders = source_folders(root)
            changes = watchfiles.awatch(  # pyright: ignore[reportUnknownMemberType] (trio's types)
                *folders,
                watch_filter=None,
                debounce=200,  # ms; an editor saves in several steps
                step=50,
                recursive=False,  # else it watches the thousands of folders in .venv
            )
            async with aclosing(changes):
                async for changed in changes:
                    moved = source_folders(root) != folders
                    if moved or any(is_source(Path(path), root) for _, path in changed):
                        await self.renew()
                    if moved:
                        break

    async def close(self, grace: float) -> None:
        """End the spare."""
        await self._discard(grace)

    async def _start(self) -> AgentProcess:
        await self._prepare(self.version)
        return await self._launch(self._load_agent(), self.version)

    async def _warm(self, spare: asyncio.Task[AgentProcess]) -> None:
        failure = None
        try:
            await (await spare).wait_healthy()
        except VoicecoreError as error:
            failure = error
        self._settle(spare, failure)
        if failure is None:
            self._vigil = asyncio.create_task(self._keep_vigil(spare))

    async def _keep_vigil(self, spare: asyncio.Task[AgentProcess]) -> None:
        """Notice a spare that ends while it waits: agents import their pipeline behind /ping."""
        agent = spare.result()
        await asyncio.wait({agent.exited})
        if self._spare is spare:
            self._settle(spare, await agent.crash())

    def _settle(self, spare: asyncio.Task[AgentProcess], failure: VoicecoreError | None) -> None:
        if self._spare is spare:  # else a session took it, and tells its caller
            self._is_warm, self.failure = failure is None, failure
            self._on_change("failed" if failure else "ready")

    async def _discard(self, grace: float = 2.0) -> None:
        spare, self._spare = self._spare, None
        for task in (self._warm_up, self._vigil):
            if task is not None:
                task.cancel()
        self._warm_up = self._vigil = None
        if spare is None:
            return
        await asyncio.wait({spare})
        if not spare.cancelled() and spare.exception() is None:
            await spare.result().stop(grace)
