"""A small agent with the generated Dockerfile, one package, and a server of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import uv

from tests.standins.image.engine import Engine as Lab
from tests.standins.image.lab import Registries
from voicecore.image.builders import buildx
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
    """Write the agent into `folder`, locked."""
    init = [sys.executable, "-m", "voicecore", "init", "made", "--pipeline", "nova-sonic", "--yes"]
    init += ["--region", "us-east-1", "--directory", str(folder.parent)]
    subprocess.run(init, check=True, capture_output=True)
    (folder / "internal").mkdir(parents=True)
    for name in ("Dockerfile", ".dockerignore", "internal/prune.py"):
        shutil.copy(folder.parent / "made/agent" / name, folder / name)
    (folder / "pyproject.toml").write_text(PROJECT)
    (folder / "internal/app.py").write_text(app)
    (folder / "bot.py").write_text('PROMPT = "Be short."\n')
    subprocess.run([uv.find_uv_bin(), "lock", "--quiet", "--project", str(folder)], check=True)
    return folder


def env_of(lab: Lab) -> dict[str, str]:
    """The environment of a user whose docker is the lab's."""
    return {**os.environ, **lab.env}


def held(lab: Lab) -> Engine:
    """The lab's engine, as voicecore holds it; to be closed."""
    return open_engine(env_of(lab))


def order(agent: Path, lab: Registries, tag: str, *, no_cache: bool = False) -> buildx.Order:
    """A build of `agent` on the lab's base."""
    return buildx.Order(
        agent, f"small:{tag}", lab.base, 1_700_000_000, {"io.voicecore.fingerprint": tag}, no_cache
    )


def identity(engine: Engine, reference: str) -> str:
    """The digest by which the engine knows an image: of its manifest, or of its config."""
    attributes: Mapping[str, str] = engine.client.api.inspect_image(reference)
    return attributes["Id"]
