"""Owns one agent process: AgentCore runs it in a microVM."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from voicecore.console.errors import VoicecoreError
from voicecore.local.limits import STOP_GRACE
from voicecore.local.processes.child import Child, Reaper, last_error
from voicecore.local.processes.ports import free_port
from voicecore.local.sessions.lifecycle import PingAnswer, read_ping
from voicecore.local.sessions.log_writer import SessionLog, turn_of

PING_TIMEOUT = 2.0  # seconds; the next ping is due then (limits.PING_INTERVAL)
_START_POLL = 0.05  # seconds between pings while the process starts

# Generated agents refuse requests without this key (internal/gateway_only.py): without it, other
# users of the machine, and web pages in its browsers, could speak to them.
KEY_VARIABLE = "LOCAL_RUNTIME_KEY"
KEY_HEADER = "X-Local-Runtime-Key"


@dataclass(frozen=True)
class AgentSpec:
    """The agent's command, folder and environment; the runtime adds PORT and KEY_VARIABLE."""

    argv: tuple[str, ...]
    """Command; `$PORT` in it becomes the agent's port."""
    cwd: Path
    env: Mapping[str, str]
    cleanup: tuple[str, ...] = ()
    """Command to run after the agent has ended; see `Child.start`."""
    host: str = "127.0.0.1"
    """Address at which the agent listens."""


class AgentCrashed(VoicecoreError):
    """The agent process ended while it started, or during a session."""


class AgentStartTimeout(VoicecoreError):
    """The agent process did not answer /ping within the start limit."""


class AgentProcess:
    """One agent process, from its start until `stop`; it serves at most one session."""

    def __init__(
        self,
        child: Child,
        url: str,
        key: str,
        version: int,
        log: SessionLog,
        http: aiohttp.ClientSession,
        start_limit: float,
    ) -> None:
        self._child = child
        self._log = log
        self._http = http
        self._start_limit = start_limit
        self._started = time.monotonic()
        self._tail: deque[str] = deque(maxlen=200)
        self.url = url
        self.headers = {KEY_HEADER: key}
        """Headers that each request to the agent needs."""
        self.version = version
        self.session_id: str | None = None
        self.turns = 0
        self.healthy = False

    @classmethod
    async def start(
        cls,
        spec: AgentSpec,
        version: int,
        logs: Path,
        reaper: Reaper,
        http: aiohttp.ClientSession,
        start_limit: float,
        on_lines: Callable[[AgentProcess, list[str]], None],
        group: int | None = None,
    ) -> AgentProcess:
        """Start the agent on a free port; `start_limit` is in real seconds."""
        port, key = free_port(), secrets.token_urlsafe(32)
        log = SessionLog(logs)
        agent: AgentProcess | None = None
        early: list[str] = []

        def receive(lines: list[str]) -> None:
            if agent is None:
                early.extend(lines)
            else:
                agent.receive(lines)
                on_lines(agent, lines)

        env = {**spec.env, "PORT": str(port), KEY_VARIABLE: key, "PYTHONUNBUFFERED": "1"}
        argv = [word.replace("$PORT", str(port)) for word in spec.argv]
        try:
            child = await Child.start(argv, spec.cwd, env, reaper, receive, group, spec.cleanup)
        except OSError as error:
            raise AgentCrashed(
                f"Could not start the agent: {error}",
                f"Command: {' '.join(spec.argv)} (in {spec.cwd})",
            ) from error
        url = f"http://{spec.host}:{port}"
        agent = cls(child, url, key, version, log, http, start_limit)
        receive(early)
        return agent

    def receive(self, lines: list[str]) -> None:
        """Log lines of the process, and read the number of the turn from them."""
        try:
            self._log.write(lines)
        except OSError as error:  # reading goes on, because the agent would wait for it
            lines.append(f"Could not write {self._log.path}: {error.strerror}.")
        self._tail.extend(lines)
        self.turns = max([self.turns, *(turn for turn in map(turn_of, lines) if turn is not None)])

    @property
    def pid(self) -> int:
        """The process ID."""
        return self._child.pid

    @property
    def log_path(self) -> Path | None:
        """Path of the session's log file; None before `bind`."""
        return self._log.path

    @property
    def exited(self) -> asyncio.Task[int]:
        """A task that is done when the process has ended."""
        return self._child.exited

    def bind(self, session_id: str) -> None:
        """Assign the session, once. Raises AgentCrashed if its log cannot be written."""
        self.session_id = session_id
        try:
            self._log.open(session_id)
        except OSError as error:
            raise AgentCrashed(
                f"Could not write the session's log: {error}.",
                "Check free disk space and permissions of .voicecore/logs.",
            ) from error

    async def wait_healthy(self, until: asyncio.Future[Any] | None = None) -> None:
        """Wait for the first good answer to /ping, or until `until` is done.

        Raises AgentCrashed if the process ends first, AgentStartTimeout at the start limit, which
        counts from the start of the process.
        """
        while not self.healthy and not (until and until.done()):
            if self.exited.done():
                raise await self.crash()
            if time.monotonic() - self._started > self._start_limit:
                raise AgentStartTimeout(
                    f"Runtime initialization time exceeded: the agent did not answer /ping within "
                    f"{self._start_limit:g}s.",
                    f"Load models when you build the image, import late, and serve GET /ping on "
                    f"$PORT. Log: {self._log.open(None)}",
                )
            self.healthy = await self.ping() is not None
            if not self.healthy:
                await asyncio.wait({self.exited}, timeout=_START_POLL)

    async def ping(self) -> PingAnswer | None:
        """Send one ping; return None without a good answer in time."""
        try:
            async with self._http.get(
                f"{self.url}/ping",
                headers=self.headers,
                timeout=aiohttp.ClientTimeout(total=PING_TIMEOUT),
            ) as response:
                return read_ping(response.status, await response.read())
        except (aiohttp.ClientError, TimeoutError):
            return None

    async def crash(self) -> AgentCrashed:
        """Return the error of the ended process, with the path of its log."""
        await self._child.output_read()
        code = self._child.returncode
        return AgentCrashed(
            f"The agent ended with {_outcome(code)}: {last_error(self._tail)}",
            f"Log: {self._log.open(None)}",
        )

    async def stop(self, grace: float = STOP_GRACE) -> None:
        """End the process; it has `grace` real seconds after SIGTERM."""
        await self._child.stop(grace)
        self._log.close()


def _outcome(code: int | None) -> str:
    return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
