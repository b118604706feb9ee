"""Measures the start of a session and the memory of ten, booted and restored from a snapshot.

The local runtime starts the sessions: on platform V1 each from the start of its process, on V2 from
the frozen process of its version. A caller connects over a WebSocket and waits for the first sound
of the greeting. The agents are the offline pipeline, whose threads cannot be forked, and one whose
services take no time, which can.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from array import array
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import aiohttp
import yarl
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from benchmarks.relay import ARN, REGION, SESSION
from voicecore.local.environments import agent_spec
from voicecore.local.limits import START_LIMIT_V2
from voicecore.local.processes import venv
from voicecore.local.processes.ports import free_port
from voicecore.local.runtime import LocalRuntime, RuntimeSettings
from voicecore.project.project import load_project

STARTS = 5
SESSIONS = 10
LOUD = 500  # of 32767; quieter is silence
AUDIO = b"\x12"  # first byte of Pipecat's protobuf frame with sound
SOUND_OFFSET = 64  # bytes before the samples, at most


def main() -> None:
    """Print the tables for RESULTS.md."""
    with tempfile.TemporaryDirectory() as name:
        offline = project(Path(name), "offline")
        instant = project(Path(name), "cascade")
        bot = Path(__file__).with_name("webrtc_bot.py")
        (instant / "agent/bot.py").write_bytes(bot.read_bytes())
        print("| session start to first sound | V1 boots, s | V2 restores, s | worst | ratio | "
              "V2 connected, s |\n|---|---|---|---|---|---|")  # fmt: skip
        for title, folder in {"offline": offline, "services that take no time": instant}.items():
            booted = [asyncio.run(starts(folder, "v1", 1))[0] for _ in range(STARTS)]
            restored = asyncio.run(starts(folder, "v2", STARTS))
            before, after = (statistics.median(s.sound for s in of) for of in (booted, restored))
            worst = max(start.sound for start in restored)
            connected = statistics.median(start.connected for start in restored)
            print(f"| {title} | {before:.2f} | {after:.2f} | {worst:.2f} | "
                  f"{before / after:.1f} × | {connected:.2f} |", flush=True)  # fmt: skip
        print(f"\n| {SESSIONS} sessions that have greeted, services that take no time | MB | "
              "a session, MB |\n|---|---|---|")  # fmt: skip
        for title, platform in {"booted": "v1", "restored from one snapshot": "v2"}.items():
            total = asyncio.run(memory(instant, platform))
            print(f"| {title} | {total:.0f} | {total / SESSIONS:.0f} |", flush=True)


def project(folder: Path, pipeline: str) -> Path:
    """Create a project and its agent's environment."""
    command = [sys.executable, "-m", "voicecore", "init", pipeline, "--pipeline", pipeline, "--yes"]
    subprocess.run(command, cwd=folder, check=True, stderr=subprocess.DEVNULL)
    venv.sync([folder / pipeline / "agent"], os.environ)
    return folder / pipeline


@dataclass(frozen=True)
class Start:
    """Seconds from the request of a session to its WebSocket, and to its first sound."""

    connected: float
    sound: float


async def starts(folder: Path, platform: str, count: int) -> list[Start]:
    """Start `count` sessions, one after another.

    On V1 the first one waits for the start of its process; on V2 the snapshot exists.
    """
    taken: list[Start] = []
    async with running(folder, platform) as runtime:
        for _ in range(count):
            if platform == "v2":
                await runtime.ready()
            async with AsyncExitStack() as stack:
                taken.append(await greeted(stack, runtime))
    return taken


async def memory(folder: Path, platform: str) -> float:
    """Return the MB of sessions that have greeted; on V2, with the frozen process."""
    async with running(folder, platform) as runtime, AsyncExitStack() as stack:
        for _ in range(SESSIONS):
            await runtime.ready()
            await greeted(stack, runtime)
        sessions = {one.pid for one in runtime.snapshot().sessions if one.pid}
        parents = {parent(pid) for pid in sessions} - {os.getpid()}
        return sum(proportional_mb(pid) for pid in sessions | parents)


@asynccontextmanager
async def running(folder: Path, platform: str) -> AsyncIterator[LocalRuntime]:
    """Run the runtime until the block ends."""
    read = load_project(folder)
    settings = RuntimeSettings(
        root=folder,
        arn=ARN,
        region=REGION,
        port=free_port(),
        platform=platform,
        start_limit=START_LIMIT_V2,
    )
    async with LocalRuntime(settings, lambda: agent_spec(read, os.environ, platform)) as runtime:
        yield runtime


async def greeted(stack: AsyncExitStack, runtime: LocalRuntime) -> Start:
    """Start a session and wait for the first sound; the session lives as long as the stack."""
    http = await stack.enter_async_context(aiohttp.ClientSession())
    url = yarl.URL(presigned(runtime), encoded=True)
    began = time.monotonic()
    socket = await stack.enter_async_context(http.ws_connect(url, max_msg_size=0))
    connected = time.monotonic() - began
    while True:
        message = await socket.receive(timeout=START_LIMIT_V2)
        if message.type is not aiohttp.WSMsgType.BINARY:
            raise RuntimeError(f"the agent closed the call: {message}")
        if message.data.startswith(AUDIO) and is_loud(message.data[SOUND_OFFSET:]):
            return Start(connected, time.monotonic() - began)


def is_loud(samples: bytes) -> bool:
    """Return whether PCM16 is more than silence."""
    return max(map(abs, array("h", samples[: len(samples) // 2 * 2])), default=0) > LOUD


def presigned(runtime: LocalRuntime) -> str:
    """Return a presigned URL of a new session."""
    pair = runtime.settings.credentials
    query = f"qualifier=DEFAULT&{SESSION}={uuid.uuid4()}"
    request = AWSRequest("GET", url=f"{runtime.url}/runtimes/{quote(ARN, safe='')}/ws?{query}")
    credentials = Credentials(pair.access_key_id, pair.secret_access_key)
    SigV4QueryAuth(credentials, "bedrock-agentcore", REGION, expires=300).add_auth(request)
    return str(request.url).replace("http", "ws", 1)


def parent(pid: int) -> int:
    """Return the process that has started or forked another."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def proportional_mb(pid: int) -> float:
    """Return the memory of a process; a shared page counts in parts."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:"))


if __name__ == "__main__":
    main()
