"""An agent sends traces to OpenTelemetry once the package is installed, as its README says."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import uv

from tests.generated.projects import KINDS, only, run, running_agent

TIMEOUT_SECONDS = 60


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
        # AgentCore sets these, with another endpoint.
        env = {
            "OTEL_RESOURCE_ATTRIBUTES": "service.name=support-line",
            "OTEL_EXPORTER_OTLP_ENDPOINT": url,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }
        with running_agent(folder, tmp_path / "log", env) as running:
            running.wait_for("ready")
            invocations = f"http://127.0.0.1:{running.port}/invocations"
            with urllib.request.urlopen(invocations, data=b"{}") as answer:
                answer.read()
            deadline = time.monotonic() + TIMEOUT_SECONDS
            while not any(b"/invocations" in trace for trace in traces):
                assert time.monotonic() < deadline, traces
                time.sleep(0.1)
    ids = subprocess.run(
        [folder / ".venv/bin/python", "-c", SAME_STATE], cwd=folder, capture_output=True, text=True
    )
    first, second = ids.stdout.split()
    assert first[8:] != second[8:], ids.stderr


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
