"""Owns the generated projects that the reference describes, and what `init` offers."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any


@functools.cache
def options() -> dict[str, list[dict[str, Any]]]:
    """Return the choices of `voicecore init`: transports, pipelines and providers."""
    argv = [sys.executable, "-m", "voicecore", "init", "--list-options"]
    return json.loads(subprocess.run(argv, check=True, capture_output=True).stdout)


def names_of(kind: str) -> list[str]:
    """Return the names of all transports, pipelines or providers."""
    return [record["name"] for record in options()[kind]]


_folders: list[tempfile.TemporaryDirectory[str]] = []


@functools.cache
def projects() -> Path:
    """Return a folder with a project of each pipeline, each with every transport."""
    folder = tempfile.TemporaryDirectory()
    _folders.append(folder)  # removed when MkDocs ends
    transports = [part for name in names_of("transports") for part in ("--transport", name)]
    for pipeline in names_of("pipelines"):
        subprocess.run(
            [sys.executable, "-m", "voicecore", "init", pipeline, "--pipeline", pipeline,
             *transports, "--provider", "twilio", "--directory", folder.name, "--yes"],
            check=True, capture_output=True,
        )  # fmt: skip
    return Path(folder.name)


_OPENAPI = """
import json, os
from internal import server
print(json.dumps(server.create_app(os.environ).openapi()))
"""


@functools.cache
def openapi() -> dict[str, Any]:
    """Return the OpenAPI document of a generated session server."""
    env = {
        **os.environ,
        "SESSION_API_KEY": "a-key-that-exists-only-for-the-docs",
        "AGENT_RUNTIME_ARN": "arn:aws:bedrock-agentcore:us-east-1:123456789012:runtime/docs-abcdef",
        "AWS_REGION": "us-east-1",
        "PUBLIC_URL": "https://phone.example.com",
        "TWILIO_ACCOUNT_SID": "AC00000000000000000000000000000000",
        "TWILIO_AUTH_TOKEN": "token",
        "DAILY_API_KEY": "key",
    }
    shown = subprocess.run(
        ["uv", "run", "--quiet", "--project", ".", "python", "-c", _OPENAPI],
        cwd=projects() / "offline/server", env=env, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return json.loads(shown.stdout)
