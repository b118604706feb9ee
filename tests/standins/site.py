"""An aiohttp app on a free port of this machine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web


@asynccontextmanager
async def serving(
    app: web.Application, shutdown_seconds: float = 1, backlog: int = 128
) -> AsyncIterator[Site]:
    """Serve the app during the block."""
    site = await started(app, shutdown_seconds, backlog)
    try:
        yield site
    finally:
        await site.stop()


async def started(app: web.Application, shutdown_seconds: float = 1, backlog: int = 128) -> Site:
    """Serve the app until `stop`, which waits `shutdown_seconds` for open requests."""
    runner = web.AppRunner(app, shutdown_timeout=shutdown_seconds)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=backlog).start()
    return Site(runner)


class Site:
    """A served app."""

    def __init__(self, runner: web.AppRunner) -> None:
        self.stop = runner.cleanup
        self.port: int = runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self.port}"
