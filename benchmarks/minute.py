"""Measures what a minute of conversation costs, beside agents like Pipecat's own examples.

The model takes no time, so what is measured is pipeline and transport. All agents have the same
caller at the same time, on the same machine: the caller is silent, then asks questions, which are
answered by 2 s of a tone. The first argument, if any, names a commit to measure as well.
"""

from __future__ import annotations

import asyncio
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.agent_starts import Agent, answers_ping
from benchmarks.bare_calls import Call, by_webrtc, by_websocket, questions, silence
from benchmarks.instant_agents import Agents, instant_agents
from benchmarks.webrtc import cpu_of
from voicecore.local.processes.ports import free_port

ROUNDS = 5
LOADING_SECONDS = 10  # after which each agent has its models
SILENT_SECONDS, TALKING_SECONDS = 15, 30
PAUSE_SECONDS = 3.0  # after a question, for the answer
# https://aws.amazon.com/bedrock/agentcore/pricing/ (US East)
CPU_HOUR, GB_HOUR = 0.0895, 0.00945

Caller = Callable[[int], AbstractAsyncContextManager[Call]]
CALLERS: dict[str, Caller] = {"websocket": by_websocket, "webrtc": by_webrtc}


@dataclass(frozen=True)
class Spent:
    """One call: CPU in ms per second of silence and of talking, peak memory in MB."""

    silent: float
    talking: float
    peak: float

    @property
    def dollars(self) -> float:
        """Return AgentCore's price of 1,000 minutes of talking."""
        cpu_seconds = 60 * self.talking  # of 1,000 minutes
        return cpu_seconds / 3600 * CPU_HOUR + 1000 / 60 * self.peak / 1000 * GB_HOUR


def main(commit: str = "") -> None:
    """Print the table for RESULTS.md."""
    with tempfile.TemporaryDirectory() as folder:
        agents = instant_agents(Path(folder), commit)
        rounds = [one_round(agents) for _ in range(ROUNDS)]
    print("| agent | ms of CPU a second, silent | talking | CPU s a minute | peak MB | "
          "$ per 1,000 minutes | of the example | sessions a core |\n"
          "|---|---|---|---|---|---|---|---|")  # fmt: skip
    examples: dict[str, float] = {}
    for name, transport in agents:
        taken = [each[name, transport] for each in rounds]
        dollars = middle(taken, "dollars")
        share = dollars / examples.setdefault(transport, dollars)
        least, most = (pick(each.talking for each in taken) for pick in (min, max))
        talking = middle(taken, "talking")
        print(f"| {name}, {transport} | {middle(taken, 'silent'):.0f} "
              f"| {talking:.0f} ({least:.0f} to {most:.0f}) | {talking * 0.06:.1f} "
              f"| {middle(taken, 'peak'):.0f} | {dollars:.3f} | {share:.2f} × "
              f"| {1000 / talking:.0f} |")  # fmt: skip


def middle(taken: list[Spent], key: str) -> float:
    return statistics.median(getattr(each, key) for each in taken)


def one_round(agents: Agents) -> dict[tuple[str, str], Spent]:
    """Hold one call with a new process of each agent, all at once."""

    async def measured() -> list[Spent]:
        return await asyncio.gather(
            *(measure(pid, port, CALLERS[key[1]]) for key, (pid, port) in ports.items())
        )

    with ExitStack() as stack:
        ports = {key: stack.enter_context(running(agent)) for key, agent in agents.items()}
        return dict(zip(ports, asyncio.run(measured()), strict=True))


async def measure(pid: int, port: int, caller: Caller) -> Spent:
    """Hold one call."""
    async with caller(port) as call:
        await call.say(silence(), LOADING_SECONDS)
        silent = await spent(pid, call.say(silence(), SILENT_SECONDS))
        before = call.count("bot-started-speaking")
        talking = await spent(pid, call.say(questions(PAUSE_SECONDS), TALKING_SECONDS))
        answers = call.count("bot-started-speaking") - before
        assert answers >= 3, f"{answers} answers"
        return Spent(silent / SILENT_SECONDS * 1000, talking / TALKING_SECONDS * 1000, peak_of(pid))


def peak_of(pid: int) -> float:
    """Return the most memory that a process has had, in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) * 1024 / 1e6


async def spent(pid: int, work: Awaitable[None]) -> float:
    """Return the CPU seconds that a process uses meanwhile."""
    before = cpu_of(pid)
    await work
    return cpu_of(pid) - before


@contextmanager
def running(agent: Agent) -> Iterator[tuple[int, int]]:
    """Run an agent, and yield its process ID and its port once it answers."""
    port = free_port()
    env = {**os.environ, **agent.env, "PORT": str(port), "AWS_REGION": "us-east-1"}
    with subprocess.Popen(
        agent.argv, cwd=agent.folder, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            while not answers_ping(port):
                assert process.poll() is None, f"{agent.argv} exited with {process.returncode}"
                time.sleep(0.05)
            yield process.pid, port
        finally:
            process.kill()


if __name__ == "__main__":
    main(*sys.argv[1:])
