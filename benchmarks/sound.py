"""Measures reading an hour of sound to speak it, and the time from the command to dialing."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.processes import Cost, in_turn

RUNS = 3
READ = """
from pathlib import Path
from voicecore.talk.audio.clips import open_clip
for block in open_clip(Path({path!r})).blocks(): pass
"""
READ_WHOLE = """
import miniaudio
info = miniaudio.decode(open({path!r}, "rb").read(), nchannels=1, sample_rate=16_000)
audio = bytes(info.samples)
"""


def main() -> None:
    """Print the tables for RESULTS.md."""
    with tempfile.TemporaryDirectory() as folder:
        hour, second = Path(folder) / "hour.wav", Path(folder) / "second.wav"
        write(hour, 3600)
        write(second, 1)
        target = ["-r", "16000", "-c", "1", "-t", "raw", "/dev/null"]
        costs = in_turn(
            {
                "voicecore, block by block": [sys.executable, "-c", READ.format(path=str(hour))],
                "miniaudio, as a whole": [sys.executable, "-c", READ_WHOLE.format(path=str(hour))],
                "sox": ["sox", str(hour), *target],
            },
            runs=RUNS,
        )
        table(costs)
        dialing = [asyncio.run(dial(path)) for path in (second, hour) * (RUNS + 1)][2:]
    print("\n| `talk --input`, from the command to dialing | seconds | MB after 3 s | budget |")
    print("|---|---|---|---|")
    for name, taken in (("1 s of sound", dialing[::2]), ("1 h of sound", dialing[1::2])):
        seconds, memory = (statistics.median(figures) for figures in zip(*taken, strict=True))
        print(f"| {name} | {seconds:.2f} | {memory:.0f} | ≤ 1 s, ≤ 150 MB |")


def table(costs: dict[str, Cost]) -> None:
    """Print one row per reader, with its figures as multiples of the first."""
    first = next(iter(costs.values()))
    print("| an hour at 48 kHz, to speech at 16 kHz | seconds | MB | time | memory |")
    print("|---|---|---|---|---|")
    for name, cost in costs.items():
        ratios = f"{cost.wall / first.wall:.1f} × | {cost.memory / first.memory:.1f} ×"
        print(f"| {name} | {cost.wall:.2f} | {cost.memory:.0f} | {ratios} |")


def write(path: Path, seconds: int) -> None:
    """Write a tone that swells once a second."""
    sound = ("synth", str(seconds), "sine", "300", "tremolo", "1", "100", "vol", "0.3")
    subprocess.run(["sox", "-n", "-r", "48000", "-c", "1", "-b", "16", path, *sound], check=True)


async def dial(path: Path) -> tuple[float, float]:
    """Return the seconds from the command to the request for a session, and MB 3 s later."""
    # Imported here: a process that starts another lends it its own peak of memory (getrusage(2)).
    from tests.standins.talk.session_server import KEY, AgentStandIn

    async with AgentStandIn(turns=False) as agent:
        argv = ["-m", "voicecore", "talk", "--url", agent.url, "--input", str(path)]
        began = time.perf_counter()
        nowhere = asyncio.subprocess.DEVNULL
        process = await asyncio.create_subprocess_exec(
            sys.executable, *argv, env={**os.environ, "SESSION_API_KEY": KEY}, cwd=path.parent,
            stdout=nowhere, stderr=nowhere,
        )  # fmt: skip
        while not agent.starts:  # noqa: ASYNC110 - the stand-in has no event
            await asyncio.sleep(0.005)
        seconds = time.perf_counter() - began
        await asyncio.sleep(3)
        memory = peak_mb(process.pid)
        process.send_signal(signal.SIGINT)
        await process.wait()
    return seconds, memory


def peak_mb(pid: int) -> float:
    """Return the peak memory of a running process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) * 1024 / 1e6


if __name__ == "__main__":
    main()
