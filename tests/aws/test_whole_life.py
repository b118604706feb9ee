"""A project's whole life in a real account: made, spoken to, changed, and gone without a trace.

    AWS_REGION=us-east-1 python -m pytest -m aws tests/aws/test_whole_life.py

takes about ten minutes for each transport. WebSocket costs some cents. WebRTC makes a network,
whose NAT gateway costs 5 cents an hour and goes at once; AgentCore holds on to its interfaces for
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


def types(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """What a command said, once it has done well."""
    argv = [sys.executable, "-m", "voicecore", *words]
    done = subprocess.run(argv, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr + done.stdout
    return done


@pytest.fixture(params=["websocket", "webrtc"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A project that has never been deployed; whatever the test does, it is gone afterwards."""
    name = f"t{uuid.uuid4().hex[:8]}"
    region = os.environ.get("AWS_REGION", "us-east-1")
    answers = ["--transport", request.param, "--pipeline", "nova-sonic", "--region", region]
    types(tmp_path, "init", name, "--yes", *answers)
    yield tmp_path / name
    argv = [sys.executable, "-m", "voicecore", "destroy", "--network", "--wait", "--yes"]
    subprocess.run(argv, cwd=tmp_path / name, check=False)
    tagged = boto3.client("resourcegroupstaggingapi", region_name=region).get_resources(
        TagFilters=[{"Key": "voicecore:project", "Values": [name]}]
    )
    assert [found["ResourceARN"] for found in tagged["ResourceTagMappingList"]] == []


def test_from_init_to_nothing_left(root: Path) -> None:
    first = json.loads(types(root, "deploy", "--yes", "--json").stdout)
    assert first["changed"]

    stage = json.loads(types(root, "status", "--json").stdout)["stages"][0]
    assert stage["runtime"]["status"] == "READY"

    talked = types(root, "talk", "--remote", "--json", "--input", str(QUESTION))
    events = [json.loads(line) for line in talked.stdout.splitlines()]
    said = [event["text"] for event in events if event["event"] == "agent_said"]
    assert len(said) >= 2  # a greeting, and an answer
    assert said[-1] in types(root, "logs", "--since", "10m").stdout

    served = json.loads(types(root, "deploy", "--server", "--yes", "--json").stdout)
    with urlopen(f"{served['server']['url']}health") as answer:
        assert answer.status == 200
    invite = types(root, "invite", "--hours", "0.1").stdout.strip()
    assert invite.startswith(f"{served['server']['url']}#invite.")

    again = json.loads(types(root, "deploy", "--yes", "--json").stdout)
    assert not again["changed"]

    bot = root / "agent/bot.py"
    bot.write_text(f"{bot.read_text()}# edited\n")
    edited = json.loads(types(root, "deploy", "--yes", "--json", "--message", "kinder").stdout)
    assert edited["changed"]
    stage = json.loads(types(root, "status", "--json").stdout)["stages"][0]
    assert [version["message"] for version in stage["versions"]] == ["", "kinder"]
