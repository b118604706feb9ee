"""Owns the project's session server process; it restarts when its code changes."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import aiohttp

from voicecore.console.errors import VoicecoreError
from voicecore.contract.agent_log import json_fields
from voicecore.local.processes.child import Child, Reaper
from voicecore.local.processes.crash_reason import crash_reason
from voicecore.local.processes.sources import saved_since, saves
from voicecore.local.processes.venv import command_of, variables_of
from voicecore.project.no_links import within
from voicecore.project.settings.programs import Program

_START_LIMIT = 20.0  # seconds; importing FastAPI and boto3 takes about 2 s on a slow machine
_STOP_GRACE = 3.0  # seconds; the server has only short requests, no media
_POLL = 0.05
_RUN_HEADER = "X-Voicecore-Run"


class ServerCrashed(VoicecoreError):
    """The session server ended, or did not answer /health."""


class SessionServerProcess:
    """Runs the session server while its `async with` block is open."""

    def __init__(
        self,
        program: Program,
        env: Mapping[str, str],
        port: int,
        reaper: Reaper,
        log: Path,
        on_lines: Callable[[list[str]], None],
        prefix: Sequence[str] = (),
    ) -> None:
        self._program = program
        self._folder = program.folder
        self._env = variables_of(program, env)
        self._port = port
        self._reaper = reaper
        self._log = log
        self._on_lines = on_lines
        self._prefix = prefix
        self._run = uuid.uuid4().hex
        self._tail: list[str] = []
        self._child: Child | None = None
        self._watch: asyncio.Task[None] | None = None
        self._started = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._receive([])
        # Before the start, so that code saved in the meantime takes effect too.
        self._watch = asyncio.create_task(self._restart_when_saved())
        await asyncio.sleep(0)  # the task watches the folders before it first waits
        begun = time.time()
        try:
            await self._start()
        except ServerCrashed as error:
            await self._stop()
            # The agent of another's project can be tried without it. A file saved in the meantime
            # may have been read half-written; the watch starts it again.
            if self._program.generated and not saved_since(begun, self._folder):
                raise
            self._report("The session server did not start", error)
        except BaseException:
            self._watch.cancel()
            await self._stop()
            raise
        self._started.set()
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
        """The URL at which clients request sessions."""
        return f"http://127.0.0.1:{self._port}"

    async def _start(self) -> None:
        command = [word.replace("$PORT", str(self._port)) for word in command_of(self._program)]
        argv = [*self._prefix, *command]
        hosts = filter(None, ("127.0.0.1", "localhost", _host_of(self._env.get("PUBLIC_URL", ""))))
        env = {
            **self._env,
            "HOST": "127.0.0.1",
            "PORT": str(self._port),
            # internal/local_only.py: no page of another site, also under a name that leads here.
            "LOCAL_HOSTS": ",".join(hosts),
            "DRAIN_SECONDS": "0",  # changed code takes effect at once, also during a phone call
            "VOICECORE_RUN": self._run,
            "PYTHONUNBUFFERED": "1",
        }
        self._tail.clear()
        try:
            child = await Child.start(argv, self._folder, env, self._reaper, self._receive)
            self._child = child
            async with asyncio.timeout(_START_LIMIT), aiohttp.ClientSession() as http:
                await self._wait_healthy(http, self._child)
            child.exited.add_done_callback(lambda _: self._ended(child))
        except TimeoutError:
            raise ServerCrashed(
                f"The session server did not answer {self._program.health or 'at all'} within "
                f"{_START_LIMIT:g} s.",
                f"It must listen on $PORT, which is {self._port}, or at `port` of [server] in "
                f"voicecore.toml. Log: {self._log}",
            ) from None
        except OSError as error:
            raise ServerCrashed(
                f"Could not start the session server: {error}.", f"Command:  {' '.join(argv)}"
            ) from error

    async def _wait_healthy(self, http: aiohttp.ClientSession, child: Child) -> None:
        while not await self._healthy(http):
            if child.exited.done():
                await child.output_read()
                reason = crash_reason(self._tail, self._folder)
                error = json_fields(reason.error).get("message", reason.error)
                raise ServerCrashed(
                    f"The session server ended: {error}", f"{reason.advice}Log: {self._log}"
                )
            await asyncio.sleep(_POLL)

    async def _healthy(self, http: aiohttp.ClientSession) -> bool:
        try:
            async with http.get(f"{self.url}{self._program.health}") as response:
                # Another project's server may have taken the port before ours did.
                unmarked = "" if self._program.generated else self._run
                run = response.headers.get(_RUN_HEADER, unmarked)
                ready = response.status == 200 or not self._program.health
                return ready and run == self._run
        except aiohttp.ClientError:
            return False

    def _receive(self, lines: list[str]) -> None:
        self._tail.extend(lines)
        del self._tail[:-200]
        opener = within(self._log.parents[2])
        try:
            with open(self._log, "a", encoding="utf-8", opener=opener) as file:
                file.writelines(f"{line}\n" for line in lines)
        except OSError as error:  # reading goes on, because the server would wait for it
            lines.append(f"Could not write {self._log}: {error.strerror}.")
        self._on_lines(lines)

    async def _stop(self) -> None:
        child, self._child = self._child, None
        if child:
            await child.stop(_STOP_GRACE)

    def _ended(self, child: Child) -> None:
        if self._child is child:
            end = f"The session server ended with exit code {child.returncode}."
            self._on_lines([f"{end} Save a file to start it again. Log: {self._log}"])

    async def _restart_when_saved(self) -> None:
        async for _ in saves(self._folder):
            await self._started.wait()
            await self._stop()
            try:
                await self._start()
            except ServerCrashed as error:
                # Half-written code must not end `voicecore dev`: report it and wait.
                self._report("The session server did not restart", error)

    def _report(self, what: str, error: ServerCrashed) -> None:
        parts = (f"{what}: {error}", error.hint or "", "Save a file to try again")
        self._on_lines([" ".join(f"{part.rstrip('.')}." for part in parts if part)])


def _host_of(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:  # the server reports it
        return None
