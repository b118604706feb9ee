"""Child processes that never outlive the runtime: start, lines, stop, and the guard over them."""

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
from typing import Self

from voicecore.local.gateway.limits import STOP_GRACE
from voicecore.local.processes import reaper

_GONE_SECONDS = 1.0
_LINE_BYTES_MAX = 256 * 1024  # a longer line is cut: CloudWatch's own event limit


class Guard:
    """Holds open the helper process that ends our children if we are killed."""

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
            start_new_session=True,  # a Ctrl-C on the terminal must not end the guard first
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

    def watch(self, group: int, after: Sequence[str] = ()) -> None:
        """End process group `group` when this process dies, and run the command `after` then."""
        self._tell(f"+{group} {json.dumps(after)}\n")

    def forget(self, group: int) -> None:
        """Leave `group` alone: it has ended, and its number may be used again."""
        self._tell(f"-{group}\n")

    def _tell(self, line: str) -> None:
        if self._process and self._process.stdin:
            self._process.stdin.write(line.encode())


class Child:
    """One running child process in a process group of its own, its output read as lines."""

    def __init__(
        self,
        process: Process,
        guard: Guard,
        on_lines: Callable[[list[str]], None],
        after: Sequence[str],
    ) -> None:
        self._process = process
        self._guard = guard
        self._after = after
        self._pump = asyncio.create_task(_pump(process, on_lines))
        self.exited: asyncio.Task[int] = asyncio.create_task(process.wait())

    @classmethod
    async def start(
        cls,
        argv: Sequence[str],
        cwd: Path,
        env: Mapping[str, str],
        guard: Guard,
        on_lines: Callable[[list[str]], None],
        group: int | None = None,
        after: Sequence[str] = (),
    ) -> Child:
        """Start `argv`; `on_lines` gets stdout and stderr, merged, as they come.

        `group` is the Unix group to run as, which only root can choose. The command `after` takes
        away what is no child of the process, such as a container; it runs once that has ended.
        Raises OSError when the program is not there.
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
        )
        guard.watch(process.pid, after)
        return cls(process, guard, on_lines, after)

    @property
    def pid(self) -> int:
        """The process id, which is also the id of its group."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self._process.returncode

    async def output_read(self) -> None:
        """Wait until all output was read; a grandchild that holds the pipe gets one second."""
        await asyncio.wait({self._pump}, timeout=1.0)

    async def stop(self, grace: float = STOP_GRACE) -> None:
        """End the process and its group: SIGTERM, `grace` seconds, SIGKILL."""
        try:
            self._signal(signal.SIGTERM)
            await asyncio.wait({self.exited}, timeout=grace)
        finally:  # also when cancelled: nothing may stay behind
            self._signal(signal.SIGKILL)
        # Killed, it is gone in a moment; asyncio may wait on for the end of output nobody reads.
        await asyncio.wait({self.exited}, timeout=_GONE_SECONDS)
        if self._after:
            clearing = await asyncio.create_subprocess_exec(
                *self._after, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL
            )
            await clearing.wait()
        self._guard.forget(self.pid)
        await self.output_read()
        self._pump.cancel()

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


async def _pump(process: Process, on_lines: Callable[[list[str]], None]) -> None:
    rest = b""
    while process.stdout and (chunk := await process.stdout.read(64 * 1024)):
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > _LINE_BYTES_MAX:
            lines, rest = [*lines, rest], b""
        if lines:
            on_lines([line.decode(errors="replace").rstrip("\r") for line in lines])
    if rest:
        on_lines([rest.decode(errors="replace")])
