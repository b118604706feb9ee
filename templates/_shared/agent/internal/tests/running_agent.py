"""Starts the agent as AgentCore does, `python -m internal.app`, and waits until it is ready."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

AGENT = Path(__file__).parents[2]

READY_SECONDS = 120  # AgentCore waits for 30; a machine that runs tests is busy


@dataclass(frozen=True)
class RunningAgent:
    """A running agent."""

    port: int
    process: subprocess.Popen[bytes]
    log: Path

    def ping(self) -> dict[str, Any]:
        """Return the answer of GET /ping. Raises OSError while the port is closed."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/ping", timeout=2) as answer:
            return json.load(answer)

    def listens(self) -> bool:
        """Return True when the port is open."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def events(self, *names: str) -> list[dict[str, Any]]:
        """Return the logged events with these names."""
        text = self.log.read_text("utf-8")
        lines = [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
        return [line for line in lines if line["event"] in names]


def start(folder: Path, log: Path, environment: dict[str, str]) -> RunningAgent:
    """Run the agent in `folder` on a free port, with its output in `log`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "internal.app"],
            cwd=folder,
            env=os.environ | {"PORT": str(port), "PYTHONUNBUFFERED": "1"} | environment,
            stdout=output,
            stderr=subprocess.PIPE,
        )
    return RunningAgent(port, process, log)


def wait_until_ready(agent: RunningAgent) -> None:
    """Wait until the agent is ready; fail if it exits or takes too long."""
    deadline = time.monotonic() + READY_SECONDS
    while not (agent.events("ready") and agent.listens()):  # on platform V2, in this order
        assert agent.process.poll() is None, "the agent exited; its traceback is on stderr"
        assert time.monotonic() < deadline, f"not ready after {READY_SECONDS} s"
        time.sleep(0.1)


@contextmanager
def running(log: Path, environment: dict[str, str] | None = None) -> Iterator[RunningAgent]:
    """Yield the agent, ready; stop it when the block ends."""
    agent = start(AGENT, log, environment or {})
    try:
        wait_until_ready(agent)
        yield agent
    finally:
        agent.process.terminate()
        agent.process.communicate(timeout=20)
