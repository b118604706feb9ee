"""Measure the delay that the local runtime adds: per frame, and before the first byte.

`python -m benchmarks.relay` starts 20 sessions, each with its own agent process, and talks to the
same processes through the runtime and directly, at the same time, so that other load on the machine
delays both alike. A frame contains its send time (all processes of a machine share the monotonic
clock), so each direction counts by itself.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import statistics
import struct
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import aiohttp
import yarl
from aiohttp import web
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from voicecore.local.processes.ports import free_port
from voicecore.local.runtime import LocalRuntime, RuntimeSettings, local_arn
from voicecore.local.sessions.agent_process import AgentSpec

SESSIONS = 20
FRAMES_PER_SECOND = 50
SECONDS = 20
STARTS = 15  # measured first bytes
FRAME = 640  # bytes: 20 ms of 16 kHz PCM16
REGION = "us-east-1"
ARN = local_arn("bench", REGION)
SESSION = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"
_STAMP = struct.Struct("<qq")


def serve_agent() -> None:
    """Serve an agent: greet with the port, then return each frame with its arrival time."""

    async def ping(_: web.Request) -> web.Response:
        return web.json_response({"status": "Healthy"})

    async def echo(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        await socket.send_str(os.environ["PORT"])
        async for message in socket:
            sent, _ = _STAMP.unpack_from(message.data)
            await socket.send_bytes(_STAMP.pack(sent, time.monotonic_ns()) + message.data[16:])
        return socket

    app = web.Application()
    app.add_routes([web.get("/ping", ping), web.get("/ws", echo)])
    web.run_app(
        app, host="127.0.0.1", port=int(os.environ["PORT"]), print=None, shutdown_timeout=0.1
    )


async def load(groups: Sequence[Sequence[str]]) -> list[list[int]]:
    """Talk on all URLs at once; return the nanoseconds of each frame and direction, by group."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        talks = [[asyncio.create_task(_talk(http, url)) for url in group] for group in groups]
        return [[taken for talk in group for taken in await talk] for group in talks]


async def _talk(http: aiohttp.ClientSession, url: str) -> list[int]:
    taken: list[int] = []
    async with http.ws_connect(yarl.URL(url, encoded=True)) as socket:
        await socket.receive()

        async def listen() -> None:
            async for message in socket:
                sent, answered = _STAMP.unpack_from(message.data)
                taken.extend((answered - sent, time.monotonic_ns() - answered))

        listening = asyncio.create_task(listen())
        await asyncio.sleep(random.random() / FRAMES_PER_SECOND)  # callers are not synchronous
        next_frame = time.monotonic()
        for _ in range(SECONDS * FRAMES_PER_SECOND):
            await socket.send_bytes(_STAMP.pack(time.monotonic_ns(), 0) + bytes(FRAME - 16))
            next_frame += 1 / FRAMES_PER_SECOND
            await asyncio.sleep(max(0.0, next_frame - time.monotonic()))
        await asyncio.sleep(0.2)
    await listening
    return taken[100:]  # without the first second, the warm-up


async def first_byte(url: str) -> float:
    """Return the seconds from the connection attempt to the agent's greeting."""
    async with aiohttp.ClientSession() as http:
        began = time.perf_counter()
        async with http.ws_connect(yarl.URL(url, encoded=True)) as socket:
            await socket.receive()
            return time.perf_counter() - began


def presigned(runtime: LocalRuntime, session_id: str) -> str:
    """Return a presigned URL, as the session server creates it."""
    pair = runtime.settings.credentials
    query = f"qualifier=DEFAULT&{SESSION}={session_id}"
    request = AWSRequest("GET", url=f"{runtime.url}/runtimes/{quote(ARN, safe='')}/ws?{query}")
    credentials = Credentials(pair.access_key_id, pair.secret_access_key)
    SigV4QueryAuth(credentials, "bedrock-agentcore", REGION, expires=300).add_auth(request)
    assert request.url
    return request.url.replace("http", "ws", 1)


async def port_of(url: str) -> str:
    """Return the port of the agent process behind `url`, from its greeting."""
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(yarl.URL(url, encoded=True)) as socket,
    ):
        return await socket.receive_str()


async def in_another_process(groups: Sequence[Sequence[str]]) -> list[list[int]]:
    """Run `load` in another process, where it does not compete for the runtime's interpreter."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks.relay",
        "load",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate(json.dumps(groups).encode())
    return json.loads(output)


def percentile(values: Sequence[float], percent: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * percent / 100))]


async def measure_frames(runtime: LocalRuntime) -> list[str]:
    """Return rows with the one-way time of a frame: direct, relayed, added."""
    calls = [str(uuid.uuid4()) for _ in range(SESSIONS)]
    ports = [await port_of(presigned(runtime, call)) for call in calls]
    await runtime.ready()
    direct, relayed = await in_another_process(
        [
            [f"ws://127.0.0.1:{port}/ws" for port in ports],
            [presigned(runtime, call) for call in calls],
        ]
    )
    rows: list[str] = []
    for percent in (50, 99):
        past = percentile(direct, percent) / 1e6
        through = percentile(relayed, percent) / 1e6
        rows.append(
            f"| frame, one way, {SESSIONS} sessions, p{percent} | {past:.2f} ms | {through:.2f} ms "
            f"| {through - past:+.2f} ms | ≤ 2 ms at p99 |"
        )
    return rows


async def measure_first_byte(runtime: LocalRuntime) -> list[str]:
    """Return a row with the time to the agent's first byte, with a warm process."""
    direct: list[float] = []
    relayed: list[float] = []
    for _ in range(STARTS):
        await runtime.ready()
        await asyncio.sleep(0.3)  # the start of the next spare has ended
        session_id = str(uuid.uuid4())
        relayed.append(await first_byte(presigned(runtime, session_id)))
        await runtime.ready()
        port = await port_of(presigned(runtime, session_id))
        await asyncio.sleep(0.3)
        direct.append(await first_byte(f"ws://127.0.0.1:{port}/ws"))
    direct_ms, relayed_ms = statistics.median(direct) * 1e3, statistics.median(relayed) * 1e3
    worst = (max(relayed) - min(direct)) * 1e3
    return [
        f"| first byte of a warm session, median | {direct_ms:.1f} ms | {relayed_ms:.1f} ms "
        f"| {relayed_ms - direct_ms:+.1f} ms (worst {worst:+.1f}) | ≤ 50 ms |"
    ]


async def main() -> None:
    """Measure and print all rows."""
    with tempfile.TemporaryDirectory() as folder:
        argv = (sys.executable, "-m", "benchmarks.relay", "agent")
        spec = AgentSpec(argv, Path.cwd(), os.environ)
        settings = RuntimeSettings(root=Path(folder), arn=ARN, region=REGION, port=free_port())
        print("| | direct | through the runtime | added | budget |\n|---|---|---|---|---|")
        async with LocalRuntime(settings, lambda: spec) as runtime:
            for row in await measure_first_byte(runtime):
                print(row, flush=True)
        async with LocalRuntime(settings, lambda: spec) as runtime:
            for row in await measure_frames(runtime):
                print(row, flush=True)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["agent"]:
            serve_agent()
        case ["load"]:
            print(json.dumps(asyncio.run(load(json.load(sys.stdin)))))
        case _:
            asyncio.run(main())
