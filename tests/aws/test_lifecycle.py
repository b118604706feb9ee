"""A project's lifecycle in a real account: init, deploy, talk, update, destroy.

    AWS_REGION=us-east-1 python -m pytest -m aws tests/aws/test_lifecycle.py

It takes about ten minutes for each transport. WebSocket costs some cents. WebRTC creates a network,
whose NAT gateway costs 5 cents per hour and is deleted at once; AgentCore keeps its interfaces for
up to 8 hours, and the test waits for that (`voicecore destroy --network --wait`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import boto3
import pytest

pytestmark = pytest.mark.aws

QUESTION = Path(__file__).parents[2] / "voicecore/samples/what-time-is-it.wav"


def run(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a voicecore command that must succeed."""
    argv = [sys.executable, "-m", "voicecore", *words]
    done = subprocess.run(argv, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr + done.stdout
    return done


@pytest.fixture(params=["websocket", "webrtc"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """Create a project; afterwards, destroy it and check that nothing is left."""
    name = f"t{uuid.uuid4().hex[:8]}"
    region = os.environ.get("AWS_REGION", "us-east-1")
    answers = ["--transport", request.param, "--pipeline", "nova-sonic", "--region", region]
    run(tmp_path, "init", name, "--yes", *answers)
    yield tmp_path / name
    argv = [sys.executable, "-m", "voicecore", "destroy", "--network", "--wait", "--yes"]
    subprocess.run(argv, cwd=tmp_path / name, check=False)
    tagged = boto3.client("resourcegroupstaggingapi", region_name=region).get_resources(
        TagFilters=[{"Key": "voicecore:project", "Values": [name]}]
    )
    assert [found["ResourceARN"] for found in tagged["ResourceTagMappingList"]] == []


def test_lifecycle_leaves_nothing(root: Path) -> None:
    first = json.loads(run(root, "deploy", "--yes", "--json").stdout)
    assert first["changed"]

    stage = json.loads(run(root, "status", "--json").stdout)["stages"][0]
    assert stage["runtime"]["status"] == "READY"

    call = run(root, "talk", "--remote", "--json", "--input", str(QUESTION))
    events = [json.loads(line) for line in call.stdout.splitlines()]
    replies = [event["text"] for event in events if event["event"] == "agent_said"]
    assert len(replies) >= 2  # a greeting, and an answer
    assert replies[-1] in run(root, "logs", "--since", "10m").stdout

    served = json.loads(run(root, "deploy", "--server", "--yes", "--json").stdout)
    with urlopen(f"{served['server']['url']}health") as answer:
        assert answer.status == 200
    invite = run(root, "invite", "--hours", "0.1").stdout.strip()
    assert invite.startswith(f"{served['server']['url']}#invite.")

    again = json.loads(run(root, "deploy", "--yes", "--json").stdout)
    assert not again["changed"]

    bot = root / "agent/bot.py"
    bot.write_text(f"{bot.read_text()}# edited\n")
    edited = json.loads(run(root, "deploy", "--yes", "--json", "--message", "kinder").stdout)
    assert edited["changed"]
    stage = json.loads(run(root, "status", "--json").stdout)["stages"][0]
    assert [version["message"] for version in stage["versions"]] == ["", "kinder"]
