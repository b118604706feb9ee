"""Owns child processes that never outlive the runtime: start, output lines, stop, reaper."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from voicecore.local.limits import STOP_GRACE
from voicecore.local.processes import reaper

_EXIT_SECONDS = 1.0
_LINE_BYTES_MAX = 256 * 1024  # longer lines are cut: CloudWatch's own event limit


class RunningProcess(Protocol):
    """A process and its output, as asyncio has it of a child."""

    @property
    def pid(self) -> int:
        """The process ID."""
        ...

    @property
    def returncode(self) -> int | None:
        """The exit code, negative for a signal; None while the process runs."""
        ...

    @property
    def stdout(self) -> asyncio.StreamReader | None:
        """Its output."""
        ...

    async def wait(self) -> int:
        """Wait for the end of the process and return its exit code."""
        ...


class Reaper:
    """Holds open the helper process that ends our children if this process is killed."""

    def __init__(self) -> None:
        self._process: Process | None = None

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            str(Path(reaper.__file__)),
            stdin=PIPE,
            stdout=DEVNULL,
            stderr=DEVNULL,
            start_new_session=True,  # a Ctrl-C on the terminal must not end the reaper first
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process and self._process.stdin:
            self._process.stdin.close()
            await self._process.wait()

    def watch(self, group: int, cleanup: Sequence[str] = ()) -> None:
        """End process group `group` if this process dies, then run the command `cleanup`."""
        self._write(f"+{group} {json.dumps(cleanup)}\n")

    def forget(self, group: int) -> None:
        """Stop watching `group`: it has ended, and the system may reuse its number."""
        self._write(f"-{group}\n")

    def afterwards(self, command: Sequence[str]) -> None:
        """Run `command` when the block ends or this process dies."""
        self._write(f"!{json.dumps(command)}\n")

    def _write(self, line: str) -> None:
        if self._process and self._process.stdin:
            self._process.stdin.write(line.encode())


class Child:
    """One running process in a process group of its own, with its output read as lines."""

    def __init__(
        self,
        process: RunningProcess,
        reaper: Reaper,
        on_lines: Callable[[list[str]], None],
        cleanup: Sequence[str] = (),
    ) -> None:
        reaper.watch(process.pid, cleanup)
        self._process = process
        self._reaper = reaper
        self._cleanup = cleanup
        self._pump = asyncio.create_task(_pump(process, on_lines))
        self.exited: asyncio.Task[int] = asyncio.create_task(process.wait())

    @classmethod
    async def start(
        cls,
        argv: Sequence[str],
        cwd: Path,
        env: Mapping[str, str],
        reaper: Reaper,
        on_lines: Callable[[list[str]], None],
        group: int | None = None,
        cleanup: Sequence[str] = (),
        pass_fds: Sequence[int] = (),
    ) -> Child:
        """Start `argv`; `on_lines` gets stdout and stderr, merged, as they arrive.

        `group` is the Unix group to run as, which only root can choose. The command `cleanup` runs
        after the process has ended and removes what is not its child, such as a container.
        Raises OSError if the program does not exist.
        """
        process = await asyncio.create_subprocess_exec(
            *argv,
            cwd=cwd,
            env=dict(env),
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=STDOUT,
            start_new_session=True,
            group=group,
            pass_fds=pass_fds,
        )
        return cls(process, reaper, on_lines, cleanup)

    @property
    def pid(self) -> int:
        """The process ID, which is also the ID of its group."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit code, negative for a signal; None while the process runs."""
        return self._process.returncode

    async def output_read(self) -> None:
        """Wait until all output is read; a grandchild that holds the pipe open gets one second."""
        await asyncio.wait({self._pump}, timeout=1.0)

    async def stop(self, grace: float = STOP_GRACE) -> None:
        """End the process and its group: SIGTERM, `grace` seconds, SIGKILL."""
        try:
            self.signal(signal.SIGTERM)
            await asyncio.wait({self.exited}, timeout=grace)
        finally:  # also when cancelled: no process may stay behind
            self.signal(signal.SIGKILL)
        # A killed process exits at once, but asyncio may wait longer for the end of its output.
        await asyncio.wait({self.exited}, timeout=_EXIT_SECONDS)
        if self._cleanup:
            clearing = await asyncio.create_subprocess_exec(
                *self._cleanup, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL
            )
            await clearing.wait()
        self._reaper.forget(self.pid)
        await self.output_read()
        self._pump.cancel()

    def signal(self, number: int) -> None:
        """Send a signal to the process and its group, if they still run."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


async def _pump(process: RunningProcess, on_lines: Callable[[list[str]], None]) -> None:
    rest = b""
    while process.stdout and (chunk := await process.stdout.read(64 * 1024)):
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > _LINE_BYTES_MAX:
            lines, rest = [*lines, rest], b""
        if lines:
            on_lines([line.decode(errors="replace").rstrip("\r") for line in lines])
    if rest:
        on_lines([rest.decode(errors="replace")])
