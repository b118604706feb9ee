"""Owns the measurement of whole processes: wall time, CPU time, peak memory."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PEERS = Path(__file__).parents[1] / ".tools" / "peers"
"""Environments of the compared tools, kept between runs."""


@dataclass(frozen=True)
class Cost:
    """One run of a command: seconds of wall and CPU time, MB of peak memory."""

    wall: float
    cpu: float
    memory: float


def run(argv: Sequence[str], cwd: Path | None = None) -> Cost:
    """Run `argv` and return its cost. Raises RuntimeError if it fails."""
    started = time.perf_counter()
    process = subprocess.Popen(
        argv, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{argv} ended with {process.returncode}:\n{errors.decode()}")
    # ru_maxrss counts KiB on Linux, bytes on macOS (getrusage(2)).
    unit = 1 if sys.platform == "darwin" else 1024
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit / 1e6)


def in_turn(commands: Mapping[str, Sequence[str]], runs: int = 7) -> dict[str, Cost]:
    """Return the median cost of each command, run A B C A B C … after one warm-up each.

    Taking turns keeps the ratios right if the machine's speed drifts.
    """
    for argv in commands.values():
        run(argv)
    costs: dict[str, list[Cost]] = {name: [] for name in commands}
    for _ in range(runs):
        for name, argv in commands.items():
            costs[name].append(run(argv))
    return {
        name: Cost(
            statistics.median(c.wall for c in taken),
            statistics.median(c.cpu for c in taken),
            statistics.median(c.memory for c in taken),
        )
        for name, taken in costs.items()
    }


def peer(name: str, *packages: str) -> Path:
    """Return the bin folder of an environment with `packages`; create it if it is missing."""
    folder = PEERS / name
    if not (folder / ".ready").exists():
        subprocess.run(["uv", "venv", "--quiet", "--clear", folder], check=True)
        subprocess.run(
            ["uv", "pip", "install", "--quiet", "--python", folder / "bin/python", *packages],
            check=True,
        )
        (folder / ".ready").touch()
    return folder / "bin"
