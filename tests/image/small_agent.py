"""A small agent with the generated Dockerfile, one package, and its own HTTP server."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import uv

from tests.standins.image.dockerd import DockerDaemon
from tests.standins.image.registries import Registries
from voicecore.image.builders.buildx_command import BuildxInputs
from voicecore.image.docker.engine import Engine, open_engine

PROJECT = """\
[project]
name = "small-agent"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = ["six==1.17.0"]

[tool.uv]
package = false
"""

APP = """\
import json
import six
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Agent(BaseHTTPRequestHandler):
    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = {"status": "Healthy" if self.path == "/ping" else "ok", "six": six.__version__}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    do_GET = do_POST = answer

    def log_message(self, *_):
        pass

server = ThreadingHTTPServer(("0.0.0.0", 8080), Agent)
print(json.dumps({"event": "ready", "seconds": 0.1, "peak_mb": 12.5}), flush=True)
server.serve_forever()
"""


def small_agent(folder: Path, app: str = APP) -> Path:
    """Write the agent with a lockfile into `folder`."""
    init = [
        sys.executable,
        "-m",
        "voicecore",
        "init",
        "generated",
        "--pipeline",
        "nova-sonic",
        "--yes",
    ]
    init += ["--region", "us-east-1", "--directory", str(folder.parent)]
    subprocess.run(init, check=True, capture_output=True)
    (folder / "internal").mkdir(parents=True)
    for name in ("Dockerfile", ".dockerignore", "internal/prune.py"):
        shutil.copy(folder.parent / "generated/agent" / name, folder / name)
    (folder / "pyproject.toml").write_text(PROJECT)
    (folder / "internal/app.py").write_text(app)
    (folder / "bot.py").write_text('PROMPT = "Be short."\n')
    subprocess.run([uv.find_uv_bin(), "lock", "--quiet", "--project", str(folder)], check=True)
    return folder


def client_env(daemon: DockerDaemon) -> dict[str, str]:
    """Return the environment of a user whose Docker engine is `daemon`."""
    return {**os.environ, **daemon.env}


def engine_of(daemon: DockerDaemon) -> Engine:
    """Return voicecore's connection to `daemon`; close it after use."""
    return open_engine(client_env(daemon))


def buildx_inputs(
    agent: Path, registries: Registries, tag: str, *, no_cache: bool = False
) -> BuildxInputs:
    """Return a build of `agent` on the test's base image."""
    labels = {"io.voicecore.fingerprint": tag}
    return BuildxInputs(agent, f"small:{tag}", registries.base, 1_700_000_000, labels, no_cache)


def image_id(engine: Engine, reference: str) -> str:
    """Return the engine's ID of an image: the digest of its manifest or of its config."""
    attributes: Mapping[str, str] = engine.client.api.inspect_image(reference)
    return attributes["Id"]
