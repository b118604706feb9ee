"""A minimal project, and `voicecore dev` that runs it as a process."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from voicecore.local.gateway.status import status_of
from voicecore.local.processes.dev_state import read_state

# The smallest agent and server that dev can run; their packages install in a moment.
AGENT = """\
import os
from http.server import BaseHTTPRequestHandler, HTTPServer

class Ping(BaseHTTPRequestHandler):
    def do_GET(self):
        body = b'{"status": "Healthy", "time_of_last_update": 1}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass

HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Ping).serve_forever()
"""
SERVER = """\
import os

import uvicorn

async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": os.environ["AGENT_RUNTIME_ARN"].encode()})

if __name__ == "__main__":
    headers = [("X-Voicecore-Run", os.environ["VOICECORE_RUN"])]
    uvicorn.run(app, port=int(os.environ["PORT"]), headers=headers, log_level="warning")
"""


def pyproject(name: str, *dependencies: str, python: str = ">=3.11") -> str:
    return (
        f'[project]\nname = "{name}"\nversion = "0"\nrequires-python = "{python}"\n'
        f"dependencies = {list(dependencies)}\n[tool.uv]\npackage = false\n"
    )


def tiny_project(root: Path, agent: str) -> Path:
    """Create a project whose agent and server only answer health checks."""
    for folder in ("agent", "server"):
        (root / folder / "internal").mkdir(parents=True)
    (root / "voicecore.toml").write_text(
        'name = "tiny"\ntransports = ["websocket"]\npipeline = "offline"\nregion = "us-east-1"\n'
    )
    (root / "agent/internal/app.py").write_text(agent)
    (root / "agent/pyproject.toml").write_text(pyproject("tiny-agent"))
    (root / "server/internal/server.py").write_text(SERVER)
    (root / "server/pyproject.toml").write_text(pyproject("tiny-server", "uvicorn"))
    return root


@contextmanager
def dev(project: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run `voicecore dev --json` during the block; interrupt it afterwards."""
    with subprocess.Popen(
        [sys.executable, "-m", "voicecore", "dev", "--json", *arguments],
        cwd=project, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)


def events_until(process: subprocess.Popen[str], *kinds: str) -> list[dict[str, Any]]:
    """Return the events up to the one by which every given kind has been seen."""
    assert process.stdout
    missing, events = set(kinds), []
    for line in process.stdout:
        events.append(json.loads(line))
        missing.discard(events[-1].get("kind", ""))
        if not missing:
            return events
    raise AssertionError(f"dev ended before {missing}: {events}")


def runtime_status(project: Path) -> dict[str, Any]:
    """Return the status of the running `voicecore dev`, with the credentials of its state file."""
    running = read_state(project / ".voicecore")
    status = running and asyncio.run(status_of(running))
    assert status
    return status
