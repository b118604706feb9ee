"""Measures what a minute of conversation costs, beside Pipecat's own example in the same run.

The services take no time, so what is measured is pipeline and transport. One caller is silent,
then talks: questions of about 2.5 s, answered by 2 s of a tone.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import numpy as np

from benchmarks import voice
from benchmarks.agent_starts import Agent, answers_ping, example, generated
from benchmarks.example_agents import EXAMPLE_AGENT, EXAMPLE_SONIC
from benchmarks.webrtc import cpu_of
from voicecore.local.processes.ports import free_port
from voicecore.talk.audio.clips import open_clip
from voicecore.talk.transports import pipecat_frames, rtvi

ROUNDS = 5
SILENT_SECONDS, TALKING_SECONDS = 15, 30
PIECE_SECONDS = 0.02
RATE = 16_000
PAUSE_SECONDS = 3.0  # after a question: the answer
HISS = 10  # of a microphone in a quiet room, RMS of 16-bit samples: -70 dBFS
# https://aws.amazon.com/bedrock/agentcore/pricing/ (aws-facts: prices of us-east-1)
CPU_HOUR, GB_HOUR = 0.0895, 0.00945

STUBBED = EXAMPLE_AGENT.format(
    imports="from instant_model import InstantModel", services="[InstantModel()]"
)


@dataclass(frozen=True)
class Spent:
    """One call: CPU in ms per second of silence and of talking, peak memory in MB."""

    silent: float
    talking: float
    peak: float

    @property
    def dollars(self) -> float:
        """Return AgentCore's price of 1,000 minutes of talking."""
        seconds = 60 * self.talking  # of CPU, for 1,000 minutes
        return seconds / 3600 * CPU_HOUR + self.peak / 1000 * 1000 / 60 * GB_HOUR


def main(rounds: int = ROUNDS) -> None:
    """Print the table for RESULTS.md."""
    with __import__('contextlib').nullcontext('/tmp/minute') as temporary:
        agents = {name: agent for name, agent in prepared(Path(temporary))}
        taken: dict[str, list[Spent]] = {name: [] for name in agents}
        for _ in range(rounds):
            for name, agent in agents.items():
                taken[name].append(asyncio.run(measure(agent)))
                print(name, taken[name][-1], taken[name][-1].dollars, file=sys.stderr, flush=True)
    print("| agent | CPU ms a second, silent | talking | peak MB | $ per 1,000 min | "
          "of the example |\n|---|---|---|---|---|---|")  # fmt: skip
    first = statistics.median(each.dollars for each in next(iter(taken.values())))
    for name, spent in taken.items():
        silent, talking, peak, dollars = (
            statistics.median(getattr(one, key) for one in spent)
            for key in ("silent", "talking", "peak", "dollars")
        )
        print(f"| {name} | {silent:.0f} | {talking:.0f} | {peak:.0f} | {dollars:.3f} | "
              f"{dollars / first:.2f} × |")  # fmt: skip


def prepared(folder: Path) -> Iterator[tuple[str, Agent]]:
    """Yield the agents by name, the example first."""
    model = Path(__file__).with_name("instant_model.py")
    agent = example(folder / "example", STUBBED, EXAMPLE_SONIC)
    (agent.folder / model.name).write_bytes(model.read_bytes())
    yield "Pipecat's example", agent
    ours = generated(folder)
    (ours.folder / model.name).write_bytes(model.read_bytes())
    bot = ours.folder / "bot.py"
    text = bot.read_text("utf-8")
    text = text.replace("from internal.nova_sonic import NovaSonic", "from instant_model import InstantModel")
    text = text.replace("NovaSonic(PROMPT, VOICE)", "InstantModel()")
    text = re.sub(r"(?s)    request = f'Greet.*?run_llm=True\)\]", "    return []", text)
    bot.write_text(text, "utf-8")
    shutil.rmtree(bot.with_name("__pycache__"))  # the image's bytecode is not checked
    yield "voicecore", ours


async def measure(agent: Agent) -> Spent:
    """Hold one call with a new process."""
    with running(agent) as (process, port):
        async with calling(f"ws://127.0.0.1:{port}/ws") as socket:
            heard = Heard()
            listening = asyncio.create_task(heard.listen(socket))
            await send(socket, silence(), 3)
            silent = await spent(process.pid, send(socket, silence(), SILENT_SECONDS))
            before = heard.answers
            talking = await spent(process.pid, send(socket, questions(), TALKING_SECONDS))
            assert heard.answers - before >= 3, f"{heard.answers - before} answers"
            listening.cancel()
        status = Path(f"/proc/{process.pid}/status").read_text()
        peak = int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) * 1024 / 1e6
    return Spent(silent / SILENT_SECONDS * 1000, talking / TALKING_SECONDS * 1000, peak)


async def spent(pid: int, work) -> float:
    before = cpu_of(pid)
    await work
    return cpu_of(pid) - before


@contextmanager
def running(agent: Agent) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    port = free_port()
    env = {**os.environ, **agent.env, "PORT": str(port), "AWS_REGION": "us-east-1"}
    process = subprocess.Popen(
        agent.argv, cwd=agent.folder, env=env,
        stdout=open('/tmp/minute.log','wb'), stderr=subprocess.STDOUT,
    )
    try:
        while not answers_ping(port):
            assert process.poll() is None, f"{agent.argv} has ended"
            time.sleep(0.05)
        yield process, port
    finally:
        process.kill()
        process.wait()


@asynccontextmanager
async def calling(url: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async with aiohttp.ClientSession() as http, http.ws_connect(url, compress=0) as socket:
        ready = pipecat_frames.Message(
            {"label": "rtvi-ai", "type": "client-ready", "id": "1",
             "data": {"version": "1.2.0", "about": {"library": "benchmark"}}}
        )
        await socket.send_bytes(pipecat_frames.encode(ready))
        yield socket


class Heard:
    answers = 0

    async def listen(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            if message.type is aiohttp.WSMsgType.BINARY:
                match pipecat_frames.decode(message.data):
                    case pipecat_frames.Message(body) if body["type"] == "bot-started-speaking":
                        self.answers += 1
                    case _:
                        pass


async def send(socket: aiohttp.ClientWebSocketResponse, pieces: Iterator[bytes], seconds: float) -> None:
    loop = asyncio.get_running_loop()
    due = loop.time()
    for _ in range(round(seconds / PIECE_SECONDS)):
        await socket.send_bytes(pipecat_frames.encode(pipecat_frames.Audio(next(pieces), RATE)))
        due += PIECE_SECONDS
        await asyncio.sleep(max(0.0, due - loop.time()))


def silence() -> Iterator[bytes]:
    noise = np.random.default_rng(0).normal(0, HISS, RATE).astype("<i2").tobytes()
    yield from forever(noise)


def questions() -> Iterator[bytes]:
    rng = np.random.default_rng(1)
    sound = b""
    for name in voice.QUESTIONS[:4]:
        said = b"".join(block.audio for block in open_clip(voice.SAMPLES / f"{name}.wav").blocks())
        sound += said + bytes(2 * round(PAUSE_SECONDS * RATE))
    samples = np.frombuffer(sound, "<i2") + rng.normal(0, HISS, len(sound) // 2)
    yield from forever(np.clip(samples, -32768, 32767).astype("<i2").tobytes())


def forever(sound: bytes) -> Iterator[bytes]:
    size = 2 * round(RATE * PIECE_SECONDS)
    while True:
        for begin in range(0, len(sound) - size + 1, size):
            yield sound[begin : begin + size]


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
