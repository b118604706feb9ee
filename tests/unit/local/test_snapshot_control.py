"""An agent that is too busy to freeze runs on, also when it comes to itself."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from voicecore.local.in_agent import CONTROL
from voicecore.local.processes.child import Child, Reaper
from voicecore.local.sessions.snapshot import BOOT, SnapshotControl

# On a machine with much to do, loading the models takes the main thread longer than the limit.
BUSY = """
import signal, sys, threading, time
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGURG})  # threads inherit it
if len(sys.argv) > 1:
    threading.Thread(target=time.sleep, args=[2], daemon=True).start()
print("busy", flush=True)
sys.stdin.readline()
signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGURG})
print("runs on", flush=True)
"""


@pytest.mark.parametrize("thread", [[], ["thread"]], ids=["could fork", "could not"])
def test_agent_that_freezes_too_late_runs_on(tmp_path: Path, thread: list[str]) -> None:
    agent = tmp_path / "agent.py"
    agent.write_text(BUSY)

    async def test() -> list[str]:
        control, theirs = SnapshotControl.create()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable, BOOT, str(agent), *thread, stdin=PIPE, stdout=PIPE,
                env={**os.environ, "PORT": "8080", CONTROL: str(theirs.fileno())},
                pass_fds=[theirs.fileno()], start_new_session=True,
            )  # fmt: skip
        said: list[str] = []
        busy = asyncio.Event()

        def receive(lines: list[str]) -> None:
            said.extend(lines)
            busy.set()

        child = Child(process, Reaper(), receive)
        try:
            async with asyncio.timeout(20):
                await busy.wait()
                await control.freeze(child, seconds=0.1)
                assert control.obstacle and not control.frozen
                assert process.stdin
                process.stdin.write(b"\n")
                assert await child.exited == 0
                return said
        finally:
            control.close()
            child.signal(signal.SIGKILL)
            await child.exited

    assert [line.strip() for line in asyncio.run(test())] == ["busy", "runs on"]
