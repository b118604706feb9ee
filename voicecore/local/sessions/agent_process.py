"""Owns one agent process: AgentCore runs it in a microVM."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp

from voicecore.console.errors import VoicecoreError
from voicecore.contract.ping import PingAnswer, read_ping
from voicecore.local.in_agent import CONTROL
from voicecore.local.limits import STOP_GRACE
from voicecore.local.processes.child import Child, Reaper
from voicecore.local.processes.crash_reason import crash_reason
from voicecore.local.processes.ports import free_port, is_free
from voicecore.local.sessions.log_writer import SessionLog, turn_of
from voicecore.local.sessions.snapshot import (
    BOOT,
    SnapshotControl,
    SnapshotLost,
)

PING_TIMEOUT = 2.0  # seconds; the next ping is due then (limits.PING_INTERVAL)
_START_POLL = 0.05  # seconds between pings while the process starts
_PORT_SECONDS = 3.0  # for a port that the last session still uses

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
    restorable: bool = False
    """Whether the process can be frozen, and restored for each session (see `restorable`)."""
    port: int = 0
    """Port at which it always listens; 0 if it listens on `$PORT`."""
    obstacle: str = "it runs in a container"
    """Reason why it is not restorable."""
    shell: tuple[str, ...] = ("/bin/sh", "-c")
    """Command that runs a shell command where the agent runs."""


def restorable(spec: AgentSpec) -> AgentSpec:
    """Return the spec of the same agent, a Python program, so that it can be frozen."""
    python, *arguments = spec.argv
    return replace(spec, argv=(python, BOOT, *arguments), restorable=True)


@dataclass(frozen=True)
class AgentHost:
    """Everything that the agent processes of a runtime share; `start_limit` is in real seconds."""

    logs: Path
    reaper: Reaper
    http: aiohttp.ClientSession
    start_limit: float
    on_lines: Callable[[AgentProcess, list[str]], None]
    group: int | None = None
    """Unix group to run as."""


class AgentCrashed(VoicecoreError):
    """The agent process ended while it started, or during a session."""


class StoppedBeforeStart(VoicecoreError):
    """The session was stopped while it waited for the snapshot of its version."""


class AgentStartTimeout(VoicecoreError):
    """The agent process did not answer /ping within the start limit."""


class AgentProcess:
    """One agent process, from its start until `stop`; it serves at most one session."""

    def __init__(self, host: AgentHost, url: str, key: str, version: int) -> None:
        self._host = host
        self._key = key
        self._log = SessionLog(host.logs)
        self._started = time.monotonic()
        self._tail: deque[str] = deque(maxlen=200)
        self._control: SnapshotControl | None = None
        self._child: Child
        self._spec: AgentSpec
        self.url = url
        self.headers = {KEY_HEADER: key}
        """Headers that each request to the agent needs."""
        self.version = version
        self.session_id: str | None = None
        self.turns = 0
        self.healthy = False

    @classmethod
    async def start(cls, spec: AgentSpec, version: int, host: AgentHost) -> AgentProcess:
        """Start the agent on its own port, or else on a free one."""
        port, key = spec.port or free_port(), secrets.token_urlsafe(32)
        if spec.port and spec.host == "127.0.0.1":  # elsewhere, it has a network of its own
            await _require_free(port)
        agent = cls(host, f"http://{spec.host}:{port}", key, version)
        env = {**spec.env, "PORT": str(port), KEY_VARIABLE: key, "PYTHONUNBUFFERED": "1"}
        agent._spec = replace(spec, env=env)
        argv = [word.replace("$PORT", str(port)) for word in spec.argv]
        with ExitStack() as stack:
            passed: list[int] = []
            if spec.restorable:
                agent._control, theirs = SnapshotControl.create()
                passed = [stack.enter_context(theirs).fileno()]
                env[CONTROL] = str(passed[0])
            try:
                agent._child = await Child.start(
                    argv, spec.cwd, env, host.reaper, agent._receive, host.group, spec.cleanup,
                    passed,
                )  # fmt: skip
            except OSError as error:
                raise AgentCrashed(
                    f"Could not start the agent: {error}",
                    f"Command: {' '.join(spec.argv)} (in {spec.cwd})",
                ) from error
        return agent

    async def freeze(self) -> None:
        """Freeze the agent, if it is restorable; only `restore` is possible then."""
        if self._control:
            await self._control.freeze(self._child)
            if not self._control.obstacle:
                self._open_log(None)

    @property
    def obstacle(self) -> str | None:
        """The reason why sessions cannot be forks of this frozen process; None if they can."""
        return self._control.obstacle if self._control else self._spec.obstacle

    async def restore(self) -> AgentProcess:
        """Return the process of a new session: a fork, or this process itself, continued.

        Forks have the frozen process's key, which the agent has read before. Raises AgentCrashed
        if it has ended.
        """
        control = self._control
        if control is None or control.obstacle:
            if control:
                control.resume(self._child)
            return self
        port, (host, _, _) = free_port(), self.url.rpartition(":")
        session = AgentProcess(self._host, f"{host}:{port}", self._key, self.version)
        try:
            process = await control.fork(port)
        except SnapshotLost as error:
            raise AgentCrashed(
                f"Could not restore the agent: {error}.", f"Log: {self._log.open(None)}"
            ) from error
        session._child = Child(process, self._host.reaper, session._receive)
        session._spec = self._spec
        return session

    async def sessions_ended(self) -> None:
        """Wait until no session runs that is a fork of this process."""
        if self._control:
            await self._control.sessions_ended()

    def _receive(self, lines: list[str]) -> None:
        self.receive(lines)
        self._host.on_lines(self, lines)

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
        self._open_log(session_id)

    def _open_log(self, session_id: str | None) -> None:
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
            if time.monotonic() - self._started > self._host.start_limit:
                raise AgentStartTimeout(
                    f"Runtime initialization time exceeded: the agent did not answer /ping within "
                    f"{self._host.start_limit:g}s.",
                    f"Load models when you build the image, import late, and serve GET /ping on "
                    f"$PORT. A program that always listens on one port needs `port = 8080` under "
                    f"[agent] in voicecore.toml. Log: {self._log.open(None)}",
                )
            self.healthy = await self.ping() is not None
            if not self.healthy:
                await asyncio.wait({self.exited}, timeout=_START_POLL)

    async def ping(self) -> PingAnswer | None:
        """Send one ping; return None without a good answer in time."""
        try:
            async with self._host.http.get(
                f"{self.url}/ping",
                headers=self.headers,
                timeout=aiohttp.ClientTimeout(total=PING_TIMEOUT),
            ) as response:
                return read_ping(response.status, await response.read())
        except (aiohttp.ClientError, TimeoutError):
            return None

    async def answers_without_key(self) -> bool:
        """Return True if the agent answers a /ping that lacks its key.

        Every user of the machine could then use it, and so can each web page in its browsers.
        """
        try:
            async with self._host.http.get(
                f"{self.url}/ping", timeout=aiohttp.ClientTimeout(total=PING_TIMEOUT)
            ) as response:
                return response.ok
        except (aiohttp.ClientError, TimeoutError):
            return False

    @asynccontextmanager
    async def command(self, text: str) -> AsyncGenerator[Process]:
        """Run a shell command in the agent's folder and environment; it ends with the block."""
        process = await asyncio.create_subprocess_exec(
            *self._spec.shell,
            text,
            cwd=self._spec.cwd,
            env=self._spec.env,
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
            start_new_session=True,
            group=self._host.group,
        )
        self._host.reaper.watch(process.pid)
        try:
            yield process
        finally:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            self._host.reaper.forget(process.pid)

    async def crash(self) -> AgentCrashed:
        """Return the error of the ended process, with the path of its log."""
        await self._child.output_read()
        code = self._child.returncode
        reason = crash_reason(self._tail, self._spec.cwd)
        return AgentCrashed(
            f"The agent ended with {_outcome(code)}: {reason.error}",
            f"{reason.advice}Log: {self._log.open(None)}",
        )

    async def stop(self, grace: float = STOP_GRACE) -> None:
        """End the process; it has `grace` real seconds after SIGTERM, unless it is frozen."""
        frozen = self._control and self._control.frozen
        await self._child.stop(0 if frozen else grace)
        if self._control:
            self._control.close()
        self._log.close()


async def _require_free(port: int) -> None:
    """Wait until the agent of the last session has freed the port. Raises AgentCrashed."""
    deadline = time.monotonic() + _PORT_SECONDS
    while not is_free(port):
        if time.monotonic() > deadline:
            raise AgentCrashed(
                f"Port {port} is in use by another program, and the agent listens on no other.",
                f"Stop that program, or let the agent listen on $PORT and remove `port = {port}` "
                "from voicecore.toml.",
            )
        await asyncio.sleep(_START_POLL)


def _outcome(code: int | None) -> str:
    return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
