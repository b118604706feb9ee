"""Owns the runtime's side of a snapshot: it freezes a warm agent and has it fork the sessions.

The agent's side, and the messages on the socket between them, are in local/in_agent/snapshot.py.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from voicecore.local import in_agent
from voicecore.local.processes.child import Child

BOOT = str(Path(in_agent.__file__).with_name("boot.py"))
_FREEZE_SECONDS = 10.0  # an agent whose main thread never returns to Python cannot be frozen


class SnapshotLost(Exception):
    """The frozen process could not fork, or has ended."""


class Fork:
    """One session's process, forked by the frozen one, which reports its end."""

    def __init__(self, pid: int, stdout: asyncio.StreamReader, ended: asyncio.Future[int]) -> None:
        self.pid = pid
        self.stdout = stdout
        self._ended = ended

    @property
    def returncode(self) -> int | None:
        """The exit code, negative for a signal; None while the process runs."""
        return self._ended.result() if self._ended.done() else None

    async def wait(self) -> int:
        """Wait for the end of the process and return its exit code."""
        return await asyncio.shield(self._ended)


class SnapshotControl:
    """The runtime's end of the control socket of one agent process."""

    def __init__(self, ours: socket.socket) -> None:
        ours.setblocking(False)
        self._socket = ours
        self._one_at_a_time = asyncio.Lock()
        self._answer: asyncio.Future[dict[str, Any]] | None = None
        self._sessions: dict[int, asyncio.Future[int]] = {}
        self._reading: asyncio.Task[None] | None = None
        self.obstacle: str | None = None
        """The reason why the frozen process cannot fork; None if it can."""
        self.frozen = False

    @classmethod
    def create(cls) -> tuple[Self, socket.socket]:
        """Return a control, and the agent's end of its socket."""
        ours, theirs = socket.socketpair()
        return cls(ours), theirs

    async def freeze(self, child: Child, seconds: float = _FREEZE_SECONDS) -> None:
        """Freeze the process. One that gives no answer goes on running, as without a snapshot."""
        self._reading = asyncio.create_task(self._read())
        child.signal(signal.SIGURG)
        try:
            async with asyncio.timeout(seconds):
                answer = await self._ask()
        except (TimeoutError, SnapshotLost):
            self.obstacle = "its main thread does not return to Python"
            with suppress(OSError):  # the process has ended
                self._socket.send(in_agent.RUN_ON)
            return
        self.obstacle = answer["obstacle"]
        self.frozen = True
        if self.obstacle:
            child.signal(signal.SIGSTOP)

    def resume(self, child: Child) -> None:
        """Continue the frozen process as a session."""
        if self.frozen:
            with suppress(OSError):  # the process has ended
                self._socket.send(in_agent.RUN_ON)
            child.signal(signal.SIGCONT)
        self.frozen = False

    async def fork(self, port: int) -> Fork:
        """Return a new fork, which listens on `port`. Raises SnapshotLost."""
        reading, writing = os.pipe()
        try:
            async with self._one_at_a_time:
                request = json.dumps({"port": port}).encode()
                try:
                    socket.send_fds(self._socket, [request], [writing])
                except OSError as error:
                    raise SnapshotLost("the frozen agent has ended") from error
                answer = await self._ask()
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        stdout = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(stdout), os.fdopen(reading, "rb", buffering=0)
        )
        if "failed" in answer:
            raise SnapshotLost(answer["failed"])
        pid = answer["forked"]
        return Fork(pid, stdout, self._sessions[pid])

    async def sessions_ended(self) -> None:
        """Wait until no fork runs."""
        while running := {ended for ended in self._sessions.values() if not ended.done()}:
            await asyncio.wait(running)

    def close(self) -> None:
        """Close the socket; a frozen process that can fork ends then."""
        if self._reading:
            self._reading.cancel()
        self._socket.close()

    async def _ask(self) -> dict[str, Any]:
        self._answer = asyncio.get_running_loop().create_future()
        return await self._answer

    async def _read(self) -> None:
        rest = b""
        loop = asyncio.get_running_loop()
        while received := await self._receive(loop):
            *lines, rest = (rest + received).split(b"\n")
            for line in lines:
                self._handle(json.loads(line), loop)
        self._lose()

    async def _receive(self, loop: asyncio.AbstractEventLoop) -> bytes:
        try:
            return await loop.sock_recv(self._socket, 4096)
        except OSError:
            return b""

    def _handle(self, message: dict[str, Any], loop: asyncio.AbstractEventLoop) -> None:
        if "exited" in message:
            self._sessions[message["exited"]].set_result(message["code"])
            return
        if "forked" in message:
            self._sessions[message["forked"]] = loop.create_future()
        if self._answer and not self._answer.done():
            self._answer.set_result(message)

    def _lose(self) -> None:
        """End all forks: the frozen process, which reports their ends, has ended."""
        if self._answer and not self._answer.done():
            self._answer.set_exception(SnapshotLost("the frozen agent has ended"))
        for pid, ended in self._sessions.items():
            if not ended.done():
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(pid, signal.SIGKILL)
                ended.set_result(-signal.SIGKILL)
