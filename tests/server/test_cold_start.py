"""On Lambda, the first caller waits for every import: only what a request needs is imported."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.server.cold_start import first_start
from voicecore.catalog.regions import AGENTCORE
from voicecore.local.processes import venv

# Each takes 0.1 to 0.5 s of CPU.
HEAVY = {
    "aiobotocore",
    "boto3",
    "redis",
    "jwt",
    "cryptography",
    "uvicorn",
    "aiohttp",
}


def test_first_start_imports_only_what_it_needs(folder: Path) -> None:
    first = first_start(folder)
    assert first.status == 200
    assert HEAVY & set(first.imported) == set()


def test_endpoint_is_that_of_botocore(folder: Path) -> None:
    script = f"""
from botocore.session import Session
from internal.agentcore import AgentCore
from internal.metrics import Metrics
for region in {AGENTCORE!r}:
    client = Session().create_client("bedrock-agentcore", region_name=region)
    ours = AgentCore("", "DEFAULT", region, Metrics()).websocket_origin
    assert ours == client.meta.endpoint_url.replace("http", "ws", 1), region
"""
    env = {"PATH": os.environ["PATH"], "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
    subprocess.run([venv.python_of(folder), "-c", script], cwd=folder, env=env, check=True)
