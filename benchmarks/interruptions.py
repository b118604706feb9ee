"""Measures how soon an agent notices speech at random instants, most of them while it speaks.

The agents of benchmarks.minute have the same caller at the same time, who asks "What time is
it?" a hundred times, after pauses of random length. The answer to each is 2 s of a tone. The first
argument, if any, names a commit to measure as well.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from itertools import chain
from pathlib import Path

from benchmarks.bare_calls import PIECE_SECONDS, clip, silence
from benchmarks.instant_agents import instant_agents
from benchmarks.minute import CALLERS, LOADING_SECONDS, Caller, running

TIMES = 100
PAUSES = (1.0, 2.5)  # the answer begins 0.8 s after the end of speech
LATEST_SECONDS = 1.0


def main(commit: str = "") -> None:
    """Print the table for RESULTS.md."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        agents = instant_agents(Path(folder), commit)
        ports = {key: stack.enter_context(running(agent))[1] for key, agent in agents.items()}

        async def all_at_once() -> list[list[float]]:
            return await asyncio.gather(
                *(interrupt(port, CALLERS[key[1]]) for key, port in ports.items())
            )

        noticed = dict(zip(ports, asyncio.run(all_at_once()), strict=True))
    print(f"| {TIMES} interruptions at random instants | noticed | median ms | p95 | latest |\n"
          "|---|---|---|---|---|")  # fmt: skip
    for (name, transport), taken in noticed.items():
        median, late = statistics.median(taken), statistics.quantiles(taken, n=20)[-1]
        print(f"| {name}, {transport} | {len(taken)} | {median * 1000:.0f} | {late * 1000:.0f} | "
              f"{max(taken) * 1000:.0f} |")  # fmt: skip


async def interrupt(port: int, caller: Caller) -> list[float]:
    """Return the seconds from the begin of speech until the agent has noticed it, each time."""
    chance, noticed = random.Random(1), list[float]()
    speech = clip("what-time-is-it")
    async with caller(port) as call:
        await asyncio.sleep(LOADING_SECONDS)
        for _ in range(TIMES):
            await asyncio.sleep(chance.uniform(*PAUSES))
            began = time.monotonic()
            await call.say(chain(speech, silence()), len(speech) * PIECE_SECONDS)
            noticed += [
                at - began
                for at, kind in call.told
                if kind == "user-started-speaking" and began < at < began + LATEST_SECONDS
            ][:1]
    return noticed


if __name__ == "__main__":
    main(*sys.argv[1:])
