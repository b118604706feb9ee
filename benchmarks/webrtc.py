"""Measures WebRTC: the time to first audio behind a NAT like AWS's, packet loss, and CPU per call.

The peer is the same bot in an agent like Pipecat's own example (webrtc_peer.py), behind the same
NAT with the same TURN server. Needs the lab of tests/standins/nat (Linux, root, coturn).
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import numpy as np
from aiortc import (
    RTCConfiguration,
    RTCIceServer,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.mediastreams import AudioStreamTrack, MediaStreamError
from aiortc.rtcconfiguration import RTCIceTransportPolicy

from benchmarks import voice
from tests.standins.dev import runtime_status
from tests.standins.nat.calls import calls, make_project
from tests.standins.nat.lab import SECRET, NatLab, nat_lab
from voicecore.local.processes import venv
from voicecore.local.processes.ports import free_port

HERE = Path(__file__).parent
CALLS = 7
LOSSES = 5
TALKS = 3
LOUD = 500


def main() -> None:
    """Print the tables for RESULTS.md."""
    with tempfile.TemporaryDirectory() as folder, nat_lab() as net:
        project = make_project(Path(folder) / "echoing")
        connect(net, project)
        lose(net, project, Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        talk(Path(folder))


# Time to first audio


@dataclass(frozen=True)
class Heard:
    """Seconds from an offer to the connection, and to the first audio."""

    connected: float
    sound: float


def connect(net: NatLab, project: Path) -> None:
    """Call both agents in turn, without a STUN server and with a dead one."""
    agent = project / "agent"
    (agent / "bot.py").write_bytes((HERE / "webrtc_bot.py").read_bytes())
    (agent / "peer.py").write_bytes((HERE / "webrtc_peer.py").read_bytes())
    python = str(venv.python_of(agent))
    subprocess.run(["uv", "pip", "install", "-q", "--python", python, "fastapi"], check=True)
    login = net.credentials(3600)
    print("| offer to first audio, agent behind a symmetric NAT | voicecore | Pipecat's example | "
          "ratio | connected | example | ratio |\n|---|---|---|---|---|---|---|")  # fmt: skip
    for name, urls in {
        "TURN over UDP": net.turn.udp,
        "a dead STUN server, and TURN over UDP": f"stun:{net.silent_address}:3478,{net.turn.udp}",
    }.items():
        variables = {
            "ICE_SERVER_URLS": urls,
            "ICE_SERVER_USERNAME": login.username,
            "ICE_SERVER_CREDENTIAL": login.password,
        }
        with ExitStack() as stack:
            ports = [
                stack.enter_context(answering(net, agent, program, variables))
                for program in ("internal.app", "peer")
            ]
            taken: list[list[Heard]] = [[], []]
            for _ in range(1 + CALLS):
                for heard, port in zip(taken, ports, strict=True):
                    heard.append(call(net, port))
        ours, peer = (heard[1:] for heard in taken)  # the first one warms up
        cells = [
            cell
            for key in ("sound", "connected")
            for cell in compared(*(median(heard, key) for heard in (ours, peer)))
        ]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def compared(ours: float, peer: float) -> tuple[str, str, str]:
    """Return three table cells: both times and their ratio."""
    return f"{ours * 1000:.0f} ms", f"{peer * 1000:.0f} ms", f"{peer / ours:.1f} ×"


def median(heard: list[Heard], key: str) -> float:
    return statistics.median(getattr(each, key) for each in heard)


@contextmanager
def answering(net: NatLab, agent: Path, program: str, variables: dict[str, str]) -> Iterator[int]:
    """Run an agent behind its NAT until it is ready, and yield the port for offers."""
    port = free_port()
    env = {"PATH": os.environ["PATH"], "PORT": str(port), "DOCKER_CONTAINER": "1",
           "HEARD": str(agent), "NETWORK_MODE": "VPC", **variables}  # fmt: skip
    argv = net.agent.argv(str(venv.python_of(agent)), "-m", program)
    with subprocess.Popen(
        argv, cwd=agent, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            url = f"http://{net.agent.nat.address}:{port}/ping"
            while not answers(url):
                assert process.poll() is None, f"{program} has ended"
                time.sleep(0.1)
            yield port
        finally:
            process.kill()


def answers(url: str) -> bool:
    try:
        urlopen(url, timeout=2).close()
    except (URLError, TimeoutError):
        return False
    return True


def call(net: NatLab, port: int) -> Heard:
    """Hold one call from the client's network; this process carries its offer to the agent."""
    login = net.credentials()
    server = json.dumps(
        {"urls": net.turn.udp, "username": login.username, "credential": login.password}
    )
    with net.client.started(
        sys.executable, "-m", "benchmarks.webrtc", "call", server,
        cwd=HERE.parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdin and process.stdout
        offer = json.loads(process.stdout.readline())
        url = f"http://{net.agent.nat.address}:{port}/invocations"
        print(json.dumps(answer_of(url, offer)), file=process.stdin, flush=True)
        heard = Heard(**json.loads(process.stdout.readline()))
        process.stdin.close()
        process.wait(20)
    return heard


def answer_of(url: str, offer: dict[str, Any]) -> dict[str, Any]:
    """Return the agent's answer, be it the whole response or an event of a stream."""
    headers = {
        "Content-Type": "application/json",
        "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id": str(uuid.uuid4()),
    }
    body = json.dumps({"type": "offer", "data": offer}).encode()
    response = urlopen(Request(url, body, headers), timeout=60)
    for line in response:
        event = json.loads(line.decode().removeprefix("data:") or "{}") if line.strip() else {}
        if "answer" in event:
            return event["answer"]
    raise AssertionError("no answer")


async def be_called(server: dict[str, str]) -> None:
    """Call with unmodified aiortc through a relay. Offer and answer go through stdin and stdout."""
    config = RTCConfiguration(
        iceServers=[RTCIceServer(**server)], iceTransportPolicy=RTCIceTransportPolicy.RELAY
    )
    peer = RTCPeerConnection(config)
    peer.addTrack(AudioStreamTrack())
    channel = peer.createDataChannel("chat")
    sounded = asyncio.Event()
    listening: list[asyncio.Task[None]] = []

    @channel.on("open")
    def on_open() -> None:
        data = {"version": "2.2.0", "about": {"library": "benchmark"}}
        ready = {"label": "rtvi-ai", "type": "client-ready", "id": "1", "data": data}
        channel.send(json.dumps(ready))

    @peer.on("track")
    def on_track(track: Any) -> None:
        listening.append(asyncio.create_task(listen(track, sounded)))

    connected = asyncio.Event()

    @peer.on("iceconnectionstatechange")
    def on_change() -> None:
        if peer.iceConnectionState == "completed":
            connected.set()

    await peer.setLocalDescription(await peer.createOffer())
    loop = asyncio.get_running_loop()
    began = loop.time()
    print(json.dumps({"sdp": peer.localDescription.sdp, "type": "offer"}), flush=True)
    answer = json.loads(await loop.run_in_executor(None, sys.stdin.readline))
    await peer.setRemoteDescription(RTCSessionDescription(answer["sdp"], answer["type"]))
    async with asyncio.timeout(90):
        await connected.wait()
        at = loop.time()
        await sounded.wait()
    print(json.dumps({"connected": at - began, "sound": loop.time() - began}), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    await peer.close()


async def listen(track: Any, sounded: asyncio.Event) -> None:
    while True:
        try:
            frame = await track.recv()
        except MediaStreamError:
            return
        if np.abs(frame.to_ndarray()).max() > LOUD:
            sounded.set()


# Audio under packet loss


def lose(net: NatLab, project: Path, folder: Path) -> None:
    """Send five seconds of a tone over a network that loses packets, and measure the echo."""
    bot = HERE.parent / "tests/standins/nat/echo_bot.py"
    (project / "agent/bot.py").write_bytes(bot.read_bytes())
    turn = {"COTURN_URLS": net.turn.udp, "COTURN_SECRET": SECRET}
    print("\n| 5 s of audio, packets lost each way | longest gap, worst of "
          f"{LOSSES} | median | heard, at least |\n|---|---|---|---|")  # fmt: skip
    with calls(net, project, folder, turn) as phone:
        for share in (0.0, 0.02):
            with net.client.nat.lossy(share):
                ends = [
                    end
                    for made in (phone.call(5) for _ in range(LOSSES))
                    for end in (made.agent, made.caller)
                ]
            gaps = [end.gap_ms for end in ends]
            print(f"| {share:.0%} | {max(gaps):.0f} ms | {statistics.median(gaps):.0f} ms | "
                  f"{min(end.seconds for end in ends) / 5:.0%} |", flush=True)  # fmt: skip


# Time of a turn, and CPU of a call


def talk(folder: Path) -> None:
    """Hold the same conversation over both transports in turn, on one core."""
    project = voice.project(folder, "both")
    add = [sys.executable, "-m", "voicecore", "add", "webrtc", "--yes"]
    subprocess.run(add, cwd=project, check=True, stdout=subprocess.DEVNULL)
    (project / "agent/bot.py").write_bytes((HERE / "webrtc_bot.py").read_bytes())
    taken: dict[str, list[dict[str, Any]]] = {"websocket": [], "webrtc": []}
    shares: dict[str, list[float]] = {"websocket": [], "webrtc": []}
    with voice.dev(project):
        for _ in range(TALKS):
            for transport, turns in taken.items():
                more, share = one_talk(project, "--transport", transport)
                turns += more
                shares[transport].append(share)
    print("\n| voice to voice, services that take no time | median | in transport | against "
          "WebSocket | of a core | sessions per core |\n|---|---|---|---|---|---|")  # fmt: skip
    first = None
    for transport, turns in taken.items():
        middle = statistics.median(turn["total_ms"] for turn in turns)
        way = voice.stage(turns, "transport")
        first = first or middle
        share = statistics.median(shares[transport])
        print(f"| {transport} | {middle:.0f} ms | {way:.0f} ms | {middle - first:+.0f} ms | "
              f"{share:.1%} | {1 / share:.0f} |")  # fmt: skip


def one_talk(project: Path, *way: str) -> tuple[list[dict[str, Any]], float]:
    """Return the latency of each turn, and the share of a core that the agent used meanwhile."""
    spoken = [arg for name in voice.QUESTIONS
              for arg in ("--input", str(voice.SAMPLES / f"{name}.wav"))]  # fmt: skip
    argv = ["taskset", "-c", "1", sys.executable, "-m", "voicecore", "talk", "--json",
            *way, *spoken]  # fmt: skip
    looks: list[tuple[float, float]] = []
    turns: list[dict[str, Any]] = []
    with subprocess.Popen(argv, cwd=project, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        for line in process.stdout:
            event = json.loads(line)
            if event["event"] == "latency":
                turns.append(event)
                looks.append((time.monotonic(), cpu_of(agent_of(project))))
    assert process.returncode == 0 and len(looks) > len(voice.QUESTIONS) / 2
    (start, before), (end, after) = looks[0], looks[-1]
    return turns, (after - before) / (end - start)


def agent_of(project: Path) -> int:
    """Return the process ID of the agent that is in a call."""
    sessions = runtime_status(project)["sessions"]
    (pid,) = [each["pid"] for each in sessions if each["busy"] or each["connections"]]
    return pid


def cpu_of(pid: int) -> float:
    """Return the CPU seconds that a process has used (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    if sys.argv[1:2] == ["call"]:
        asyncio.run(be_called(json.loads(sys.argv[2])))
    else:
        main()
