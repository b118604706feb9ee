"""An agent reports what it does to OpenTelemetry once that is installed, as its README says."""

from __future__ import annotations

import shutil
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import uv

from tests.generated.projects import KINDS, agent, only, run

PATIENCE_SECONDS = 20


@contextmanager
def collector() -> Iterator[tuple[str, list[bytes]]]:
    """A server for OTLP over HTTP: its address, and the traces that it is sent."""
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
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", traces
        server.shutdown()


@only([kind for kind in KINDS if kind.pipeline == "nova-sonic"])
def test_spans_are_reported_once_the_package_is_there(project: Path, tmp_path: Path) -> None:
    folder = tmp_path / "agent"
    shutil.copytree(project / "agent", folder, ignore=shutil.ignore_patterns(".venv"))
    distro = "aws-opentelemetry-distro>=0.18"
    run(tmp_path, uv.find_uv_bin(), "add", "--quiet", "--project", "agent", distro)
    with collector() as (address, traces):
        # What AgentCore sets, but for the address.
        told = {
            "OTEL_RESOURCE_ATTRIBUTES": "service.name=support-line",
            "OTEL_EXPORTER_OTLP_ENDPOINT": address,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }
        with agent(folder, tmp_path / "log", told) as running:
            running.until("ready")
            url = f"http://127.0.0.1:{running.port}/invocations"
            urllib.request.urlopen(url, data=b"{}").read()
            deadline = time.monotonic() + PATIENCE_SECONDS
            while not any(b"/invocations" in trace for trace in traces):
                assert time.monotonic() < deadline, traces
                time.sleep(0.1)


@only([kind for kind in KINDS if kind.pipeline == "nova-sonic"])
def test_without_the_package_the_agent_starts_as_ever(project: Path, tmp_path: Path) -> None:
    told = {"OTEL_RESOURCE_ATTRIBUTES": "service.name=support-line"}
    with agent(project / "agent", tmp_path / "log", told) as running:
        running.until("ready")
