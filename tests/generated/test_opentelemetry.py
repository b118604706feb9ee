"""An agent sends traces to OpenTelemetry once they are on, as its README says."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import aiohttp
import uv

from tests.generated.projects import KINDS, only, run, running_agent

TIMEOUT_SECONDS = 60
SESSION = "a-session-of-33-characters-or-more"
CALLERS_TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@contextmanager
def collector() -> Iterator[tuple[str, list[bytes]]]:
    """Run a server for OTLP over HTTP; yield its URL and the traces that it gets."""
    traces: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/v1/traces":
                traces.append(body)
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", traces
        server.shutdown()


@only([kind for kind in KINDS if kind.pipeline == "nova-sonic"])
def test_agent_sends_spans_with_the_package(project: Path, tmp_path: Path) -> None:
    folder = tmp_path / "agent"
    shutil.copytree(project / "agent", folder, ignore=shutil.ignore_patterns(".venv"))
    distro = "aws-opentelemetry-distro>=0.18"
    run(tmp_path, uv.find_uv_bin(), "add", "--quiet", "--project", "agent", distro)
    with collector() as (url, traces):
        # `deploy` sets the first, and AgentCore the others, with another endpoint.
        env = {
            "TRACES": "true",
            "OTEL_RESOURCE_ATTRIBUTES": "service.name=support-line",
            "OTEL_EXPORTER_OTLP_ENDPOINT": url,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }
        with running_agent(folder, tmp_path / "log", env) as running:
            running.wait_for("ready")
            asyncio.run(call(running.port))
            deadline = time.monotonic() + TIMEOUT_SECONDS
            while not any(b"conversation" in trace for trace in traces):
                assert time.monotonic() < deadline, traces
                time.sleep(0.1)
    sent = b"".join(traces)
    assert SESSION.encode() in sent
    assert bytes.fromhex(CALLERS_TRACE) in sent
    assert b"websocket receive" not in sent and b"websocket send" not in sent
    ids = subprocess.run(
        [folder / ".venv/bin/python", "-c", SAME_STATE], cwd=folder, capture_output=True, text=True
    )
    first, second = ids.stdout.split()
    assert first[8:] != second[8:], ids.stderr


async def call(port: int) -> None:
    """Connect as a caller, whose request names its trace, and hang up when the agent is there."""
    headers = {
        "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id": SESSION,
        "traceparent": f"00-{CALLERS_TRACE}-00f067aa0ba902b7-01",
    }
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(f"http://127.0.0.1:{port}/ws", headers=headers) as socket,
    ):
        await socket.receive(TIMEOUT_SECONDS)


# Two trace ids, without their seconds, of two sessions that continue the same random state.
SAME_STATE = """
import random
from internal import session_start
from opentelemetry.sdk.extension.aws.trace import AwsXRayIdGenerator
session_start.draw_trace_ids_from_system()
for _ in range(2):
    random.seed(1)
    print(f"{AwsXRayIdGenerator().generate_trace_id():032x}")
"""


@only([kind for kind in KINDS if kind.pipeline == "nova-sonic"])
def test_agent_starts_without_the_package(project: Path, tmp_path: Path) -> None:
    env = {"OTEL_RESOURCE_ATTRIBUTES": "service.name=support-line"}
    with running_agent(project / "agent", tmp_path / "log", env) as running:
        running.wait_for("ready")
