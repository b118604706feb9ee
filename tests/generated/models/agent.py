"""Create an agent as `voicecore init` does, and run it as AgentCore does."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from tests.generated.models.caller import Caller
from tests.ports import free_port
from tests.requirements import require
from tests.standins.models import Models
from voicecore.catalog.pipelines import PIPELINES
from voicecore.catalog.pipelines.record import services_of
from voicecore.scaffold.render import Answers, render, write_new

REGION = "us-east-1"
_START_SECONDS = 120  # AgentCore's limit is 30; this machine may be busy


@dataclass(frozen=True)
class Agent:
    """An agent's folder, with its virtual environment."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / ".venv/bin/python"

    def copy(self, folder: Path) -> Agent:
        """Return a copy to edit, which shares the environment."""
        shutil.copytree(self.folder, folder, ignore=shutil.ignore_patterns(".venv"))
        (folder / ".venv").symlink_to(self.folder / ".venv")
        return Agent(folder)


@dataclass
class Running:
    """A process of the agent, and its output; every line should be JSON."""

    url: str
    lines: list[Mapping[str, Any]] = field(default_factory=list[Mapping[str, Any]])
    noise: list[str] = field(default_factory=list[str])
    """Lines that are not JSON."""
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, text: str) -> None:
        """Add a line of the process's output."""
        try:
            self.lines.append(json.loads(text))
        except json.JSONDecodeError:
            self.noise.append(text)
        self._changed.set()

    async def until(self, event: str, seconds: float = 60) -> None:
        """Wait for the first line of this event."""
        async with asyncio.timeout(seconds):
            while not self.events(event):
                self._changed.clear()
                await self._changed.wait()

    async def until_logged(self, message: str, count: int, seconds: float = 60) -> None:
        """Wait until a library has logged this message `count` times."""
        async with asyncio.timeout(seconds):
            while [line.get("message") for line in self.lines].count(message) < count:
                self._changed.clear()
                await self._changed.wait()

    def events(self, name: str) -> list[Mapping[str, Any]]:
        return [line for line in self.lines if line["event"] == name]

    @property
    def errors(self) -> list[Mapping[str, Any]]:
        return [line for line in self.lines if line["level"] in ("ERROR", "CRITICAL")]


def make_agent(folder: Path, pipeline: str) -> Agent:
    """Render a project and create its agent's environment with uv."""
    require("Python 3.13")
    services = services_of(PIPELINES[pipeline], {})
    answers = Answers("support-line", ("websocket",), pipeline, REGION, services)
    project = folder / "support-line"
    write_new(render(answers, session_api_key="test"), project)
    env = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    subprocess.run(["uv", "sync", "--quiet"], cwd=project / "agent", env=env, check=True)
    return Agent(project / "agent")


@asynccontextmanager
async def running(
    agent: Agent, models: Models, without: Sequence[str] = (), **variables: str
) -> AsyncIterator[Running]:
    """Run the agent for one session; AWS's host names lead to the fake models.

    `without` names variables that its environment lacks; it has `variables` besides.
    """
    port = free_port()
    env = {"PATH": os.environ["PATH"], "HOME": str(agent.folder), "PORT": str(port)}
    env |= {"PYTHONUNBUFFERED": "1", **models.reach.env(), **variables}
    env = {name: value for name, value in env.items() if name not in without}
    argv = models.reach.argv(str(agent.python), "-m", "internal.app")
    async with started(argv, env, port, agent.folder) as run:
        yield run


@asynccontextmanager
async def started(
    argv: Sequence[str], env: Mapping[str, str], port: int, folder: Path
) -> AsyncIterator[Running]:
    """Run `argv`, which starts an agent on `port`; yield when it is healthy."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        cwd=folder,
        env=dict(env),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=2**20,
    )
    run = Running(f"http://127.0.0.1:{port}")
    reader = asyncio.create_task(_read(process, run))
    try:
        await _until_healthy(run, process)
        yield run
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
        await reader


@asynccontextmanager
async def call(
    run: Running, session_id: str | None = None, *, mutes: bool = False
) -> AsyncIterator[Caller]:
    """Call the agent's /ws; with `mutes`, the microphone is open only during speech."""
    headers = {
        "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id": session_id or f"test-{uuid.uuid4()}",
    }
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{run.url}/ws", headers=headers, max_msg_size=64 * 1024) as socket,
    ):
        caller = Caller(socket, mutes=mutes)
        async with caller.talking():
            yield caller


def texts(lines: Sequence[Mapping[str, Any]]) -> list[str]:
    return [line["text"] for line in lines]


async def _read(process: asyncio.subprocess.Process, run: Running) -> None:
    assert process.stdout
    async for raw in process.stdout:
        run.add(raw.decode(errors="replace").rstrip())


async def _until_healthy(run: Running, process: asyncio.subprocess.Process) -> None:
    async with aiohttp.ClientSession() as http, asyncio.timeout(_START_SECONDS):
        while process.returncode is None:
            try:
                async with http.get(f"{run.url}/ping") as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.1)
    raise AssertionError("\n".join(["the agent exited during its start:", *run.noise]))
