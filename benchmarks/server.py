"""Compare the session server with those of pipecat-examples: starts per second, and waiting.

`python -m benchmarks.server CHECKOUT` measures both in turn, each server on one core and its
clients on the other; CHECKOUT is a checkout of github.com/pipecat-ai/pipecat-examples. Without it,
only our server is measured. `python -m benchmarks.server --crowds` sends 10,000 hostile requests,
and crowds of clients.
"""

from __future__ import annotations

import asyncio
import math
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import aiohttp

from benchmarks.processes import peer
from tests.server import hostile
from tests.server.serving import (
    ARN,
    AUTHORIZED,
    OFFER,
    UNLIMITED,
    RunningServer,
    make_server,
    offer,
    serving,
    start,
)
from tests.standins.server.agentcore import agentcore
from voicecore.local.processes.ports import free_port

ROUNDS = 3
SECONDS = 5  # of each load
CONNECTIONS = 16
OFFERS = 20
ANSWER_SECONDS = 0.5  # of a warm agent
PEERS = (
    "fastapi",
    "uvicorn",
    "boto3",
    "python-dotenv",
    "loguru",
    "pipecat-ai-small-webrtc-prebuilt",
)


@contextmanager
def theirs(checkout: Path, example: str, aws: str) -> Iterator[str]:
    """Run the server of an example as in its README, on our port, with our AWS stand-in."""
    python = peer("pipecat-examples-server", *PEERS) / "python"
    env = {
        **os.environ,
        "AGENT_RUNTIME_ARN": ARN,
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "ICE_SERVER_URLS": "stun:127.0.0.1:9",
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "example",
        "AWS_ENDPOINT_URL_BEDROCK_AGENTCORE": aws,
    }
    folder = checkout / "deployment" / example / "server"
    with on_a_core([python, "-m", "uvicorn", "server:app"], folder, env) as url:
        yield url


@contextmanager
def noop(python: str) -> Iterator[str]:
    """Run our server's uvicorn with an app that does nothing."""
    argv = [python, "-m", "uvicorn", "noop_app:app", "--no-access-log"]
    with on_a_core(argv, Path(__file__).parent, os.environ) as url:
        yield url


@contextmanager
def on_a_core(argv: Sequence[str | Path], folder: Path, env: Mapping[str, str]) -> Iterator[str]:
    """Run a uvicorn on one core, without its output, until the block ends."""
    port = free_port()
    with subprocess.Popen(
        [*argv, "--port", str(port)],
        cwd=folder,
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            wait_for(port)
            os.sched_setaffinity(process.pid, {0})
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def wait_for(port: int) -> None:
    """Wait until a server listens on the port."""
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(port)


def starts(url: str, body: str) -> float:
    """Return POST /start per second, over enough connections to keep one core busy."""
    script = (
        f"wrk.method = 'POST'\nwrk.body = '{body}'\n"
        f"wrk.headers['Authorization'] = '{AUTHORIZED['Authorization']}'\n"
        "wrk.headers['Content-Type'] = 'application/json'\n"
    )
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(script)
        file.flush()
        argv = ["taskset", "-c", "1", "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s"]
        output = subprocess.run(
            [*argv, "-s", file.name, f"{url}/start"], capture_output=True, text=True, check=True
        ).stdout
    if "Non-2xx" in output:
        raise RuntimeError(output)
    found = re.search(r"Requests/sec:\s+([\d.]+)", output)
    assert found, output
    return float(found[1])


async def waits(url: str, path: str) -> list[float]:
    """Return the milliseconds of each GET `path` while offers are always in progress."""
    async with aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(limit=0)) as client:
        async with client.post("/start", json={}, headers=AUTHORIZED) as answer:
            started = await answer.json()
        offer_path = f"/sessions/{started['sessionId']}/api/offer"
        token = {"X-Session-Token": started.get("token", "")}

        async def offer() -> None:
            while True:
                async with client.post(offer_path, json=OFFER, headers=token) as answer:
                    if answer.status != 200:
                        raise RuntimeError(await answer.text())

        offers = [asyncio.create_task(offer()) for _ in range(OFFERS)]
        await asyncio.sleep(ANSWER_SECONDS / 2)  # until all are in progress
        taken: list[float] = []
        until = time.monotonic() + 2 * SECONDS
        while time.monotonic() < until or len(taken) < 2:
            begun = time.perf_counter()
            async with client.get(path, allow_redirects=False) as answer:
                await answer.read()
            taken.append((time.perf_counter() - begun) * 1000)
            await asyncio.sleep(0.005)
        for task in offers:
            if task.done():
                task.result()
            task.cancel()
    return taken


def p99(values: Sequence[float]) -> float:
    return sorted(values)[math.ceil(len(values) * 0.99) - 1]


def compare(checkout: Path | None) -> None:
    """Measure and print rows for RESULTS.md."""
    figures: dict[str, list[float]] = {}

    def take(name: str, value: float) -> None:
        figures.setdefault(name, []).append(value)

    os.sched_setaffinity(0, {1})
    with tempfile.TemporaryDirectory() as folder, agentcore() as aws:
        ours = make_server(Path(folder))
        for _ in range(ROUNDS):
            aws.seconds, aws.streams = 0, False
            with serving(ours, Path(folder) / "log", aws.url, **UNLIMITED) as server:
                os.sched_setaffinity(server.process.pid, {0})
                take("ws ours", starts(server.url, '{"transport": "websocket"}'))
                take("rtc ours", starts(server.url, '{"transport": "webrtc"}'))
                aws.seconds = ANSWER_SECONDS
                take("health ours", p99(asyncio.run(waits(server.url, "/health"))))
            with noop(f"{ours}/.venv/bin/python") as url:
                take("noop", starts(url, "{}"))
            if checkout:
                aws.streams = True
                with theirs(checkout, "aws-agentcore-websocket", aws.url) as url:
                    take("ws theirs", starts(url, "{}"))
                with theirs(checkout, "aws-agentcore-webrtc", aws.url) as url:
                    take("rtc theirs", starts(url, "{}"))
                    # They have no /health; the redirect to their page does as little.
                    take("health theirs", p99(asyncio.run(waits(url, "/"))))
    print("| | voicecore | pipecat-examples | |\n|---|---|---|---|")
    for name, title in (
        ("ws", "WebSocket: `POST /start` per second, one core"),
        ("rtc", "WebRTC without TURN: the same"),
        ("health", f"p99 of `/health` beside {OFFERS} offers, ms"),
    ):
        mine = statistics.median(figures[f"{name} ours"])
        others = statistics.median(figures.get(f"{name} theirs", [float("nan")]))
        better = others / mine if name == "health" else mine / others
        print(f"| {title} | {mine:.1f} | {others:.1f} | {better:.1f} × |")
    print(f"\nuvicorn with a no-op app: {statistics.median(figures['noop']):.0f} per second")


def crowds() -> None:
    """Run the load of tests/server at full size."""
    with tempfile.TemporaryDirectory() as folder, agentcore() as aws:
        ours = make_server(Path(folder))
        log = Path(folder) / "log"
        print("| | |\n|---|---|")
        with serving(ours, log, aws.url, **UNLIMITED) as server:
            asyncio.run(hostile.attack(server, 1000, seed=1))
            server.await_no_connections()
            before = server.megabytes(), server.descriptors()
            outcome = asyncio.run(hostile.attack(server, 10_000, seed=2))
            faults = f"{len(outcome.faults)} wrong answers"
            server.await_no_connections()
            print(f"| 10,000 hostile requests | {faults}, {growth(server, before)} |")
        with serving(ours, log, aws.url, **UNLIMITED) as server:
            asyncio.run(whole_calls(server, 80, 8))
            for count, at_a_time in ((200, 1), (200, 8)):
                before = server.megabytes(), server.descriptors()
                asyncio.run(whole_calls(server, count, at_a_time))
                print(f"| {count} sessions, {at_a_time} at once | {growth(server, before)} |")
        limits = UNLIMITED | {"STARTS_PER_MINUTE": "500"}
        with serving(ours, log, aws.url, **limits) as server:
            os.sched_setaffinity(server.process.pid, {0})
            statuses, worst = asyncio.run(at_once(server, 1000, only_start))
            print(f"| 1,000 `/start` at once, 500 allowed | {statuses}, worst {worst:.2f} s |")
        with serving(ours, log, aws.url, **UNLIMITED) as server:
            os.sched_setaffinity(server.process.pid, {0})
            aws.seconds = 2
            statuses, worst = asyncio.run(at_once(server, 200, begin_call))
            beyond = worst - aws.seconds
            print(f"| 200 calls start at once, AWS takes 2 s | {statuses}, +{beyond:.2f} s |")


async def whole_calls(server: RunningServer, count: int, at_a_time: int) -> None:
    """Start, connect and hang up sessions, so many at a time."""
    async with server.client() as client:

        async def call() -> None:
            path, token = await start(client)
            if await offer(client, path, token) != 200:
                raise RuntimeError(server.log.read_text())
            async with client.delete(path, headers=token) as answer:
                answer.raise_for_status()

        for _ in range(count // at_a_time):
            await asyncio.gather(*(call() for _ in range(at_a_time)))


def growth(server: RunningServer, before: tuple[float, int]) -> str:
    """Return how memory and open files have grown."""
    memory, files = server.megabytes() - before[0], server.descriptors() - before[1]
    return f"memory {memory:+.1f} MB, open files {files:+d}"


async def at_once(
    server: RunningServer, count: int, ask: Callable[[aiohttp.ClientSession], Awaitable[int]]
) -> tuple[str, float]:
    """Return how `count` simultaneous requests were answered, and the longest wait in seconds."""
    statuses: dict[int, int] = {}
    worst = 0.0

    async def one(client: aiohttp.ClientSession) -> None:
        nonlocal worst
        begun = time.perf_counter()
        status = await ask(client)
        worst = max(worst, time.perf_counter() - begun)
        statuses[status] = statuses.get(status, 0) + 1

    # One address may have 256 connections; the others reuse them.
    async with server.client(connector=aiohttp.TCPConnector(limit=200)) as client:
        await asyncio.gather(*(one(client) for _ in range(count)))
    return ", ".join(f"{number} × {status}" for status, number in sorted(statuses.items())), worst


async def only_start(client: aiohttp.ClientSession) -> int:
    async with client.post("/start", headers=AUTHORIZED) as answer:
        return answer.status


async def begin_call(client: aiohttp.ClientSession) -> int:
    path, token = await start(client)
    async with client.post(f"{path}/api/offer", json=OFFER, headers=token) as answer:
        return answer.status


if __name__ == "__main__":
    if "--crowds" in sys.argv:
        crowds()
    else:
        compare(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
