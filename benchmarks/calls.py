"""Measures the phone bridge on one core: delay added to a frame, and calls per core.

`python -m benchmarks.calls [CALLS ...]`. Callers use the stand-in of Twilio: signed webhooks, media
sockets, and speech as μ-law every 20 ms. They and the agent, which checks AgentCore's signature and
sends each frame back, are on the other core. Meanwhile some callers speak to that agent directly,
and a sleeper on the bridge's core reports how late it is woken: both show delays that the bridge
does not cause.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from urllib.parse import quote

import aiohttp
from aiohttp import web
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from yarl import URL

from benchmarks import voice
from benchmarks.relay import SESSION, percentile
from benchmarks.webrtc import cpu_of, one_talk
from tests.server.serving import ARN, UNLIMITED, RunningServer, make_server, serving
from tests.standins.phone import Provider
from voicecore.catalog.phones import PHONES
from voicecore.catalog.phones.media import MediaStream, StreamPosition
from voicecore.local.gateway.sigv4 import LocalCredentials, SignedRequest, make_credentials, verify
from voicecore.local.processes.ports import free_port
from voicecore.talk.audio.clips import open_clip
from voicecore.talk.telephone.g711 import PhoneLine

BRIDGE_CORE, OTHER_CORE = 1, 0  # the operating system works mostly on the first core
CALLS = (50, 100)
DIRECT = 10
FRAME_SECONDS = 0.02
SECONDS = 20
WARM_SECONDS = 2
PATIENCE_SECONDS = 10  # until the last frames are back
TALKS = 2
REGION = "us-east-1"
TWILIO = PHONES["twilio"].media()


# The agent


def serve_agent() -> None:
    """Act as an agent behind AgentCore: send each frame back, with the time of its arrival."""
    pair = LocalCredentials(os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])

    async def speak(request: web.Request) -> web.StreamResponse:
        path, _, query = request.raw_path.partition("?")
        signed = SignedRequest("GET", request.host, path, query, list(request.headers.items()))
        if refusal := verify(signed, pair, REGION, datetime.now(UTC)):
            return web.Response(status=403, text=str(refusal))
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        with suppress(aiohttp.ClientConnectionError):  # the caller has hung up
            async for message in socket:
                came = time.monotonic_ns()
                frame = json.loads(message.data)
                if frame["event"] == "media":
                    media = frame["media"]
                    said = {"payload": media["payload"], "chunk": media["chunk"], "came": came}
                    answer = {"event": "media", "streamSid": frame["streamSid"], "media": said}
                    await socket.send_str(json.dumps(answer))
        return socket

    async def healthy(_: web.Request) -> web.Response:
        return web.json_response({})

    app = web.Application()
    app.router.add_get("/runtimes/{arn}/ws", speak)
    app.router.add_post("/runtimes/{arn}/stopruntimesession", healthy)
    app.router.add_get("/ping", healthy)
    web.run_app(
        app, host="127.0.0.1", port=int(os.environ["PORT"]), print=None, shutdown_timeout=0.1
    )


@contextmanager
def agent(pair: LocalCredentials) -> Iterator[str]:
    """Run the agent until the block ends, and yield its URL."""
    port = free_port()
    env = {
        **os.environ,
        "PORT": str(port),
        "AWS_ACCESS_KEY_ID": pair.access_key_id,
        "AWS_SECRET_ACCESS_KEY": pair.secret_access_key,
    }
    argv = [sys.executable, "-m", "benchmarks.calls", "agent"]
    with subprocess.Popen(argv, env=env) as process:
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def presigned(agent: str, pair: LocalCredentials) -> str:
    """Return a presigned URL of the agent, for a new session."""
    url = f"{agent}/runtimes/{quote(ARN, safe='')}/ws?qualifier=DEFAULT&{SESSION}={uuid.uuid4()}"
    request = AWSRequest("GET", url=url)
    credentials = Credentials(pair.access_key_id, pair.secret_access_key)
    SigV4QueryAuth(credentials, "bedrock-agentcore", REGION, expires=300).add_auth(request)
    assert request.url
    return request.url.replace("http", "ws", 1)


# The callers


@dataclass
class Caller:
    """One media socket, with the delay of each frame in each direction, in ns."""

    socket: aiohttp.ClientWebSocketResponse
    stream: MediaStream
    words: Sequence[bytes]
    taken: list[int] = field(default_factory=list)
    sent: dict[str, int] = field(default_factory=dict)
    answered: int = 0

    async def speak(self, until: float) -> None:
        """Repeat the speech, a frame every 20 ms of this caller's own clock."""
        for message in TWILIO.opening(self.stream):
            await self.socket.send_str(message)
        begin = random.randrange(len(self.words))
        due = time.monotonic() + FRAME_SECONDS * random.random()  # callers are not in phase
        number = 0
        while due < until:
            await asyncio.sleep(due - time.monotonic())
            sound = self.words[(begin + number) % len(self.words)]
            milliseconds = round(1000 * FRAME_SECONDS) * number
            position = StreamPosition(2 + number, number, milliseconds)
            message = TWILIO.media(self.stream, position, sound)
            assert isinstance(message, str)  # Twilio's frames are JSON
            number += 1
            self.sent[str(number)] = time.monotonic_ns()
            await self.socket.send_str(message)
            due += FRAME_SECONDS

    async def listen(self, since: float) -> None:
        """Receive frames until the socket closes; measure those sent after `since`."""
        async for message in self.socket:
            now = time.monotonic_ns()
            media = json.loads(message.data)["media"]
            sent, came = self.sent.pop(media["chunk"]), media["came"]
            if sent > since * 1e9:
                self.taken += (came - sent, now - came)


def words() -> list[bytes]:
    """Return the callers' speech in frames as Twilio sends them: μ-law at 8 kHz."""
    line, size = PhoneLine(TWILIO), TWILIO.over(chunk_ms=round(1000 * FRAME_SECONDS)).chunk_bytes
    clips = [open_clip(voice.SAMPLES / f"{name}.wav") for name in voice.QUESTIONS[:4]]
    sound = b"".join(line.to_provider(block.audio) for clip in clips for block in clip.blocks())
    return [sound[n : n + size] for n in range(0, len(sound) - size, size)]


@asynccontextmanager
async def media_socket(
    http: aiohttp.ClientSession, url: str, headers: dict[str, str]
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async with http.ws_connect(URL(url, encoded=True), headers=headers, compress=0) as socket:
        yield socket


@contextmanager
def sleeper() -> Iterator[subprocess.Popen[str]]:
    """Run a process that sleeps on the bridge's core."""
    argv = [sys.executable, "-m", "benchmarks.wakeup_delay"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        os.sched_setaffinity(process.pid, {BRIDGE_CORE})
        try:
            yield process
        finally:
            process.terminate()


# Figures


@dataclass(frozen=True)
class Load:
    """Measurements of a number of simultaneous calls. Delays of frames, one way, in ms."""

    calls: int
    direct: Sequence[float]
    bridged: Sequence[float]
    share: float
    """Share of a core that the bridge used."""
    stopped: float
    """Longest wake-up delay of the process that slept on the bridge's core, in ms."""
    lost: int


async def load(
    server: RunningServer, provider: Provider, direct: Sequence[str], calls: int
) -> Load:
    """Hold the calls and measure them."""
    said = words()
    async with AsyncExitStack() as stack:
        connector = aiohttp.TCPConnector(limit=0)
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        bridged: list[Caller] = []
        straight: list[Caller] = []
        for _ in range(calls):
            answer = await provider.ring(server.url)
            call, connect = answer.call.phone_call, answer.connect
            headers = provider.signaling.sign_media(connect.url, provider.secrets, time.time())
            socket = await stack.enter_async_context(media_socket(http, connect.url, headers))
            bridged.append(Caller(socket, call.media(connect.parameters), said))
        for url in direct:
            socket = await stack.enter_async_context(media_socket(http, url, {}))
            call = provider.signaling.new_call(provider.secrets, "+12025550123", "+12025550100")
            straight.append(Caller(socket, call.media({}), said))
        callers = [*bridged, *straight]
        since = time.monotonic() + WARM_SECONDS
        until = since + SECONDS
        listening = [asyncio.create_task(caller.listen(since)) for caller in callers]
        speaking = [asyncio.create_task(caller.speak(until)) for caller in callers]
        beside = stack.enter_context(sleeper())
        await asyncio.sleep(WARM_SECONDS)
        before = cpu_of(server.process.pid)
        await asyncio.sleep(SECONDS)
        share = (cpu_of(server.process.pid) - before) / SECONDS
        await asyncio.gather(*speaking)
        beside.terminate()
        stopped, _ = beside.communicate()
        lost = 0
        for _ in range(10 * PATIENCE_SECONDS):
            await asyncio.sleep(0.1)
            lost = sum(len(caller.sent) for caller in callers)
            if not lost:
                break
        for caller in callers:
            await caller.socket.close()
        await asyncio.gather(*listening)
    ours, past = (
        [taken / 1e6 for caller in group for taken in caller.taken] for group in (bridged, straight)
    )
    return Load(calls, past, ours, share, float(stopped), lost)


async def measure(folder: Path, counts: Sequence[int]) -> None:
    """Print rows for each number of calls."""
    pair = make_credentials()
    keys = {
        "AWS_ACCESS_KEY_ID": pair.access_key_id,
        "AWS_SECRET_ACCESS_KEY": pair.secret_access_key,
    }
    with agent(pair) as url:
        for calls in counts:
            async with Provider("twilio") as provider:
                settings = keys | UNLIMITED | provider.variables
                with serving(folder, folder.parent / "log", url, **settings) as server:
                    os.sched_setaffinity(server.process.pid, {BRIDGE_CORE})
                    direct = [presigned(url, pair) for _ in range(DIRECT)]
                    for row in rows(await load(server, provider, direct, calls)):
                        print(row, flush=True)


def rows(made: Load) -> Iterator[str]:
    """Yield the table rows of one load, with the budgets for 50 calls."""
    assert not made.lost, f"{made.lost} frames never came back"
    for percent in (50, 99):
        past, through = percentile(made.direct, percent), percentile(made.bridged, percent)
        yield (
            f"| {made.calls} calls: frame, one way, p{percent} | {past:.2f} ms | {through:.2f} ms "
            f"| {through - past:+.2f} ms | {'≤ 3 ms' if percent == 99 else ''} |"
        )
    yield (
        f"| {made.calls} calls: the latest of {len(made.bridged):,} frames | "
        f"{max(made.direct):.1f} ms | {max(made.bridged):.1f} ms | | ≤ 60 ms |"
    )
    yield f"| {made.calls} calls: longest stall of its core | {made.stopped:.1f} ms | | | |"
    yield (
        f"| {made.calls} calls: of one core | | {made.share:.0%} | "
        f"{made.calls / made.share:.0f} calls per core | |"
    )


def talk(folder: Path) -> None:
    """Hold the same conversation over a WebSocket and by phone in turn, on one core."""
    project = voice.project(folder, "both")
    add = [sys.executable, "-m", "voicecore", "add", "telephony", "--provider", "twilio", "--yes"]
    quiet = subprocess.DEVNULL
    subprocess.run(add, cwd=project, check=True, stdout=quiet, stderr=quiet)
    bot = Path(__file__).with_name("webrtc_bot.py")
    (project / "agent/bot.py").write_bytes(bot.read_bytes())
    ways = {"WebSocket": ("--transport", "websocket"), "phone": ("--phone", "twilio")}
    taken: dict[str, list[float]] = {name: [] for name in ways}
    with voice.dev(project):
        for _ in range(TALKS):
            for name, way in ways.items():
                turns, _ = one_talk(project, *way)
                taken[name] += [turn["total_ms"] for turn in turns]
    print("\n| voice to voice, services that take no time | median | against WebSocket |")
    print("|---|---|---|")
    for name, totals in taken.items():
        more = median(totals) - median(taken["WebSocket"])
        print(f"| {name} | {median(totals):.0f} ms | {more:+.0f} ms |")


def main(counts: Sequence[int]) -> None:
    """Print the tables for RESULTS.md."""
    with tempfile.TemporaryDirectory() as folder:
        made = make_server(Path(folder), ("telephony",), ("twilio",))
        os.sync()  # else the disk is busy with the new server's files
        gc.disable()  # a collection here would look like a delay
        cores = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {OTHER_CORE})
        print("| | direct | through the bridge | added | budget |\n|---|---|---|---|---|")
        asyncio.run(measure(made, counts))
        os.sched_setaffinity(0, cores)
        gc.enable()
    with tempfile.TemporaryDirectory() as folder:
        talk(Path(folder))


if __name__ == "__main__":
    if sys.argv[1:] == ["agent"]:
        gc.disable()
        serve_agent()
    else:
        main([int(count) for count in sys.argv[1:]] or CALLS)
