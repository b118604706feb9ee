"""The script that settles doubts in an account runs against the stand-in and leaves nothing.

What containers get and what the front door accepts is asked of the local runtime, which the script
compares AWS with.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from tests.aws.settle import agent, calls
from tests.aws.settle.account import Account
from tests.aws.settle.run import CALLS, MODELS, UNSAID
from tests.aws.settle.runtimes import Runtime
from tests.standins.aws import Aws, aws_standin
from tests.standins.runtime.runtime_lab import ARN, REGION, RuntimeLab, runtime_lab

ROOT = Path(__file__).parents[3]
APP = Path(agent.__file__).with_name("app.py")
# Asked in a container or of AWS's logs only.
OF_AWS = ("environment", "container", "start on V1", "drain")


@pytest.fixture
def aws() -> Iterator[Aws]:
    with aws_standin() as standin:
        yield standin


def settle(aws: Aws, output: Path) -> subprocess.Popen[str]:
    """Start the script, as a person types it."""
    argv = [sys.executable, "-m", "tests.aws.settle", "--yes", "--placeholder"]
    return subprocess.Popen(
        [*argv, "--output", str(output)],
        cwd=ROOT,
        env={**os.environ, **aws.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_script_reports_every_doubt_and_leaves_nothing(aws: Aws, tmp_path: Path) -> None:
    before = aws.inventory()
    script = settle(aws, tmp_path)
    printed, _ = script.communicate()
    assert script.returncode == 0, printed
    assert aws.inventory() == before
    rows = {row["doubt"]: row for row in json.loads((tmp_path / "settle.json").read_text())["rows"]}
    of_control = [doubt.name for doubt in (*UNSAID, *MODELS)]
    of_control += ["V2 updated", "handlers, images", "handlers, agent", "handlers, deletion"]
    assert {name: rows[name]["verdict"] for name in of_control} == dict.fromkeys(
        of_control, "as the stand-in"
    )
    assert {doubt.name for doubt in CALLS} <= rows.keys()
    written = (tmp_path / "settle.md").read_text()
    assert all(row["question"] in written for row in rows.values())


def test_interrupted_script_leaves_nothing(aws: Aws, tmp_path: Path) -> None:
    before = aws.inventory()
    script = settle(aws, tmp_path)
    assert script.stdout
    for line in script.stdout:
        if line.startswith("• runtime "):
            script.send_signal(signal.SIGINT)
            break
    printed, _ = script.communicate()
    assert script.returncode == 130, printed
    assert aws.inventory() == before


def test_probes_of_sessions_agree_with_the_local_runtime(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> dict[str, str]:
        async with runtime_lab(tmp_path, app=APP) as here:
            return await asyncio.to_thread(ask, here)

    def ask(here: RuntimeLab) -> dict[str, str]:
        pair = here.runtime.settings.credentials
        monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_AGENTCORE", here.runtime.url)
        session = boto3.Session(pair.access_key_id, pair.secret_access_key, None, REGION)
        account = Account(session, "settle-x", time.monotonic() + 60)
        runtime = Runtime(account, "my_agent-local00000", ARN)
        assert calls.environment(runtime)
        return {d.name: d.probe(runtime) for d in CALLS if d.name not in OF_AWS}

    expected = {doubt.name: doubt.standin for doubt in CALLS if doubt.name not in OF_AWS}
    assert asyncio.run(main()) == expected
