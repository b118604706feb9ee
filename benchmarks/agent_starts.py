"""Measures the startup of agents without a container.

One is the generated agent, from the folders that its Dockerfile creates; the others are like
Pipecat's examples for AgentCore, with their packages.
"""

from __future__ import annotations

import http.client
import os
import re
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from websockets.sync.client import connect

from benchmarks.example_agents import (
    EXAMPLE,
    EXAMPLE_SONIC,
    FOUR_SERVICES,
    ONE_MODEL,
    PYTHON,
    SOURCE,
    call,
    project,
)
from voicecore.local.processes.ports import free_port

STARTS = 7


@dataclass(frozen=True)
class Agent:
    """An agent to start."""

    argv: Sequence[str]
    folder: Path
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    loads_at_call: bool = False
    """True when it creates its pipeline at the first call instead of at startup."""


@dataclass(frozen=True)
class Start:
    """Seconds until an agent answered `/ping` and was ready, and its peak memory in MB."""

    ping: float
    warm: float
    peak: float


def starts(runs: int = STARTS) -> None:
    """Print the table of startup times."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        agents = {
            "voicecore, Nova Sonic": generated(folder),
            "as the examples, Deepgram, Bedrock, Cartesia": example(folder / "4", FOUR_SERVICES,
                                                                    EXAMPLE),
            "as the examples, Nova Sonic": example(folder / "1", ONE_MODEL, EXAMPLE_SONIC),
        }  # fmt: skip
        results: dict[str, list[Start]] = {name: [] for name in agents}
        for number in range(runs + 1):
            for name, agent in agents.items():
                began = start(agent)
                if number:  # the first start fills the disk's cache
                    results[name].append(began)
    print("| agent | `/ping`, s | against voicecore | pipeline warm, s | peak MB by then |\n"
          "|---|---|---|---|---|")  # fmt: skip
    first = statistics.median(each.ping for each in next(iter(results.values())))
    for name, each in results.items():
        ping, warm, peak = (statistics.median(getattr(one, key) for one in each)
                            for key in ("ping", "warm", "peak"))  # fmt: skip
        print(f"| {name} | {ping:.2f} | {ping / first:.1f} × | {warm:.2f} | {peak:.0f} |")


def start(agent: Agent) -> Start:
    """Start an agent, wait until it is ready, and stop it."""
    port = free_port()
    env = {**os.environ, **agent.env, "PORT": str(port), "AWS_REGION": "us-east-1"}
    started = time.perf_counter()
    process = subprocess.Popen(
        agent.argv, cwd=agent.folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        while not answers_ping(port):
            if process.poll() is not None:
                raise RuntimeError(f"{agent.argv} exited with {process.returncode}")
            time.sleep(0.005)
        ping = time.perf_counter() - started
        call = connect(f"ws://127.0.0.1:{port}/ws") if agent.loads_at_call else nullcontext()
        assert process.stdout
        with call:
            # The pipeline is loaded after /ping answers, so its event is still to be read.
            if not any(b'"event": "ready"' in line for line in process.stdout):
                raise RuntimeError(f"{agent.argv} exited before it was ready")
            warm = time.perf_counter() - started
        status = Path(f"/proc/{process.pid}/status").read_text()
        return Start(ping, warm, int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) * 1024 / 1e6)
    finally:
        process.kill()
        process.communicate()


def answers_ping(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/ping")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def generated(folder: Path, *options: str, source: Path = SOURCE) -> Agent:
    """Return the generated agent in the folders of its image, for this machine's processor."""
    agent = project(folder / "voicecore", *options, source=source)
    image = folder / "image"
    packages, app = image / "opt/packages", image / "app"
    export = ["uv", "export", "--quiet", "--frozen", "--no-dev", "--output-file"]
    call([*export, str(folder / "requirements.txt")], agent)
    into = ["--target", str(packages), "--requirements", str(folder / "requirements.txt")]
    how = ["--quiet", "--require-hashes", "--no-deps", "--link-mode", "copy", "--python", PYTHON]
    call(["uv", "pip", "install", *how, *into], agent)
    shutil.copytree(agent, app, ignore=shutil.ignore_patterns(".venv"))
    python = call(["uv", "python", "find", "--no-project", PYTHON], folder).strip()
    for part, place in (("packages", packages), ("code", app)):
        call([python, str(agent / "internal/prune.py"), part, str(place)], agent)
    shutil.copytree(image / "bot", app, dirs_exist_ok=True)
    env = {"PYTHONPATH": str(packages), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}
    return Agent([python, "-m", "internal.app"], app, env)


def example(folder: Path, source: str, packages: Sequence[str]) -> Agent:
    """Return an agent like the examples, with all bytecode compiled."""
    folder.mkdir()
    (folder / "agent.py").write_text(source)
    call(["uv", "venv", "--quiet", "--python", PYTHON], folder)
    call(["uv", "pip", "install", "--quiet", "--compile-bytecode", *packages], folder)
    return Agent([".venv/bin/python", "agent.py"], folder, loads_at_call=True)
