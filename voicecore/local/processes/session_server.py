"""The project's session server, run beside the local runtime, anew when its code changes."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp
import watchfiles

from voicecore.console.errors import VoicecoreError
from voicecore.local.processes.child import Child, Guard
from voicecore.local.processes.venv import python_of
from voicecore.local.sessions.log_writer import last_error
from voicecore.local.sessions.warm_pool import is_source, source_folders

_START_LIMIT = 20.0  # seconds; it imports FastAPI and boto3, some 2 s on a slow machine
_STOP_GRACE = 3.0  # seconds; it holds no media, only short requests
_POLL = 0.05
_RUN_HEADER = "X-Voicecore-Run"


class ServerCrashed(VoicecoreError):
    """The session server ended, or never answered /health."""


class SessionServer:
    """Holds the session server's process open, from `start` to `stop`."""

    def __init__(
        self,
        folder: Path,
        env: Mapping[str, str],
        port: int,
        guard: Guard,
        log: Path,
        on_lines: Callable[[list[str]], None],
    ) -> None:
        self._folder = folder
        self._env = env
        self._port = port
        self._guard = guard
        self._log = log
        self._on_lines = on_lines
        self._run = uuid.uuid4().hex
        self._tail: list[str] = []
        self._child: Child | None = None
        self._watch: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._log.parent.mkdir(parents=True, exist_ok=True)
        self._log.touch(mode=0o600)
        try:
            await self._start()
        except BaseException:
            await self._stop()
            raise
        self._watch = asyncio.create_task(self._restart_when_saved())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._watch:
            self._watch.cancel()
        await self._stop()

    @property
    def url(self) -> str:
        """Where clients ask for sessions."""
        return f"http://127.0.0.1:{self._port}"

    async def _start(self) -> None:
        argv = [
            str(python_of(self._folder)),
            "-m",
            "uvicorn",
            "internal.server:app",
            "--no-access-log",
        ]
        argv += ["--log-level", "warning", "--host", "127.0.0.1", "--port", str(self._port)]
        argv += ["--header", f"{_RUN_HEADER}:{self._run}"]
        env = {**self._env, "PYTHONUNBUFFERED": "1"}
        self._tail.clear()
        try:
            self._child = await Child.start(argv, self._folder, env, self._guard, self._receive)
            async with asyncio.timeout(_START_LIMIT), aiohttp.ClientSession() as http:
                await self._answering(http, self._child)
        except TimeoutError:
            raise ServerCrashed(
                f"The session server did not answer /health within {_START_LIMIT:g} s.",
                f"Log: {self._log}",
            ) from None
        except OSError as error:
            raise ServerCrashed(
                f"The session server cannot be started: {error}.", f"By hand:  {' '.join(argv)}"
            ) from error

    async def _answering(self, http: aiohttp.ClientSession, child: Child) -> None:
        while not await self._healthy(http):
            if child.exited.done():
                await child.output_read()
                raise ServerCrashed(
                    f"The session server ended: {last_error(self._tail)}", f"Log: {self._log}"
                )
            await asyncio.sleep(_POLL)

    async def _healthy(self, http: aiohttp.ClientSession) -> bool:
        try:
            async with http.get(f"{self.url}/health") as response:
                # Another project's server may have come to the port before ours.
                mine = response.headers.get(_RUN_HEADER) == self._run
                return response.status == 200 and mine
        except aiohttp.ClientError:
            return False

    def _receive(self, lines: list[str]) -> None:
        self._tail.extend(lines)
        del self._tail[:-200]
        with self._log.open("a", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)
        self._on_lines(lines)

    async def _stop(self) -> None:
        if self._child:
            await self._child.stop(_STOP_GRACE)
            self._child = None

    async def _restart_when_saved(self) -> None:
        saved = watchfiles.awatch(  # pyright: ignore[reportUnknownMemberType] - it names trio's types
            *source_folders(self._folder),
            watch_filter=lambda _, path: is_source(Path(path), self._folder),
            recursive=False,  # else it watches the thousands of folders in .venv
            debounce=200,  # ms; an editor saves in several steps
        )
        async for _ in saved:
            await self._stop()
            try:
                await self._start()
            except ServerCrashed as error:
                # Half-written code is no reason to end a developer's session: say it and wait.
                self._on_lines([f"The session server did not start again: {error}"])
