"""Owns the generated session server as a process, as it runs on the internet."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from tests.ports import free_port
from tests.standins.server.agentcore import ANSWER
from voicecore.catalog.pipelines import PIPELINES
from voicecore.catalog.pipelines.record import services_of
from voicecore.local.processes import venv
from voicecore.scaffold.render import Answers, render

KEY = "a-key-that-is-as-long-as-it-has-to-be"
ARN = "arn:aws:bedrock-agentcore:us-east-1:123456789012:runtime/support_line-abcdefghij"
AUTHORIZED = {"Authorization": f"Bearer {KEY}"}
OFFER = {"sdp": "v=0\r\n", "type": "offer"}
UNLIMITED = {
    "REQUESTS_PER_MINUTE": "1000000",
    "STARTS_PER_MINUTE": "1000000",
    "SESSIONS_AT_ONCE": "1000000",
    "STARTS_PER_MINUTE_IN_TOTAL": "1000000",
}
START_SECONDS = 120


def make_server(
    root: Path,
    transports: tuple[str, ...] = ("websocket", "webrtc", "daily"),
    providers: tuple[str, ...] = (),
) -> Path:
    """Create server/ of a project with these transports, and its environment."""
    services = services_of(PIPELINES["offline"], {})
    answers = Answers("support-line", transports, "offline", "us-east-1", services, providers)
    files = render(answers, KEY)
    for name, content in files.items():
        if name.startswith("server/") and name != "server/.env":
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    venv.sync((root / "server",), os.environ)
    return root / "server"


@dataclass(frozen=True)
class RunningServer:
    """A running server."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def megabytes(self) -> float:
        """Return its resident memory."""
        return self._megabytes("VmRSS")

    def peak_megabytes(self) -> float:
        """Return the most resident memory that it has had."""
        return self._megabytes("VmHWM")

    def _megabytes(self, name: str) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        [line] = [line for line in status.splitlines() if line.startswith(name)]
        return int(line.split()[1]) / 1024

    def descriptors(self) -> int:
        """Return how many files and sockets it has open."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def connections(self) -> int:
        """Return how many connections to clients it has open."""
        process = Path(f"/proc/{self.process.pid}")
        own = {str(file.readlink()) for file in (process / "fd").iterdir()}
        rows = [line.split() for line in (process / "net/tcp").read_text().splitlines()[1:]]
        here = [row for row in rows if row[1].endswith(f":{self.port:04X}") and row[3] != "0A"]
        return sum(f"socket:[{row[9]}]" in own for row in here)

    def await_no_connections(self) -> None:
        """Return when it has closed all connections to clients."""
        deadline = time.monotonic() + 60
        while self.connections():
            assert time.monotonic() < deadline, self.connections()
            time.sleep(0.1)

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def client(self, **options: Any) -> aiohttp.ClientSession:
        """Return a client without a limit on connections."""
        timeout = aiohttp.ClientTimeout(total=120)
        options = {"timeout": timeout, "connector": aiohttp.TCPConnector(limit=0)} | options
        return aiohttp.ClientSession(self.url, **options)


@contextmanager
def serving(
    folder: Path, log: Path, aws: str, prefix: tuple[str, ...] = (), /, **settings: str
) -> Iterator[RunningServer]:
    """Run the server in `folder` from its first connection until the block ends.

    `prefix` is a command that runs it, like ("nice",).
    """
    host, port = settings.get("HOST", "127.0.0.1"), free_port()
    env = {
        "PATH": os.environ["PATH"],
        "HOME": os.environ["HOME"],
        "PORT": str(port),
        "PUBLIC_URL": f"http://127.0.0.1:{port}",
        "SESSION_API_KEY": KEY,
        "AGENT_RUNTIME_ARN": ARN,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "example",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_ENDPOINT_URL_BEDROCK_AGENTCORE": aws,
        **settings,
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*prefix, venv.python_of(folder), "-m", "internal.server"],
            cwd=folder, env=env, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
    server = RunningServer(f"http://127.0.0.1:{port}", process, log)
    try:
        deadline = time.monotonic() + START_SECONDS
        while True:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            try:
                socket.create_connection((host, port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(120)
        finally:
            process.kill()


async def start(client: aiohttp.ClientSession, **body: object) -> tuple[str, dict[str, str]]:
    """Start a session; return its path, and the header with its token."""
    request = {"transport": "webrtc", **body}
    async with client.post("/start", json=request, headers=AUTHORIZED) as answer:
        document = await answer.json()
        assert answer.status == 200, document
    return f"/sessions/{document['sessionId']}", {"X-Session-Token": document["token"]}


async def offer(client: aiohttp.ClientSession, path: str, token: dict[str, str]) -> int:
    """Send an offer for a session; return the status, and check the agent's answer."""
    async with client.post(f"{path}/api/offer", json=OFFER, headers=token) as answer:
        assert answer.status != 200 or await answer.json() == ANSWER
        return answer.status
