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
    "botocore.client",
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


def test_endpoints_are_those_of_botocore(folder: Path) -> None:
    script = f"""
from botocore.session import Session
from internal.aws_service import endpoint_of
for region in {AGENTCORE!r}:
    for service in ("bedrock-agentcore", "dynamodb", "secretsmanager"):
        client = Session().create_client(service, region_name=region)
        assert endpoint_of(service, region) == client.meta.endpoint_url, region
"""
    env = {"PATH": os.environ["PATH"], "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
    subprocess.run([venv.python_of(folder), "-c", script], cwd=folder, env=env, check=True)
