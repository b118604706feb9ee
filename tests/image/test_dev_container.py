"""`voicecore dev --container`: the local runtime on containers of the image, on arm64."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.cli.test_dev import SERVER, events_until, pyproject
from tests.image.agents import APP, env_of, small_agent
from tests.processes import processes_in
from tests.standins.image.engine import Engine as Lab
from tests.standins.image.lab import Registries

pytestmark = pytest.mark.usefixtures("emulation")

TELLING = APP.replace('"six": six', '"word": "first", "environ": dict(os.environ), "six": six')
TELLING = "import os, platform\n" + TELLING.replace(
    '"word"', '"machine": platform.machine(), "word"'
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, all_registries: Registries) -> Path:
    root = tmp_path_factory.mktemp("made") / "small"
    root.mkdir()
    agent = small_agent(root / "agent", TELLING)
    dockerfile = (agent / "Dockerfile").read_text().splitlines(keepends=True)
    (agent / "Dockerfile").write_text(
        "".join(
            f"ARG BASE={all_registries.base}\n" if line.startswith("ARG BASE=") else line
            for line in dockerfile
        )
    )
    (agent / ".env").write_text("GREETING=hello\n")
    (root / "server").mkdir()
    (root / "server/server.py").write_text(SERVER)
    (root / "server/pyproject.toml").write_text(pyproject("tiny-server", "uvicorn"))
    (root / "voicecore.toml").write_text(
        'name = "small"\ntransports = ["websocket"]\npipeline = "offline"\nregion = "eu-west-1"\n'
    )
    return root


@contextmanager
def dev(root: Path, engine: Lab) -> Iterator[subprocess.Popen[str]]:
    env = {
        **env_of(engine),
        "AWS_ACCESS_KEY_ID": "AKIAOFADA",
        "AWS_SECRET_ACCESS_KEY": "secret-of-ada",
        "ONLY_HERE": "of this machine",
    }
    argv = [sys.executable, "-m", "voicecore", "dev", "--container", "--json"]
    with subprocess.Popen(
        [*argv, "--project", str(root)], env=env, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.terminate()
            process.communicate(timeout=60)


def invoke(root: Path, session: str) -> Any:
    """What the agent answers, called as in AWS."""
    running = json.loads((root / ".voicecore/dev.json").read_text())
    client = boto3.client(
        "bedrock-agentcore",
        endpoint_url=running["runtime"],
        region_name=running["region"],
        aws_access_key_id=running["access_key_id"],
        aws_secret_access_key=running["secret_access_key"],
    )
    answer = client.invoke_agent_runtime(
        agentRuntimeArn=running["arn"], runtimeSessionId=session, payload=b"{}"
    )
    return json.loads(answer["response"].read())


def containers(engine: Lab) -> list[str]:
    return engine.docker("ps", "--all", "--format", "{{.Names}}").split()


def test_sessions_in_containers_and_a_new_image_when_a_file_is_saved(
    made: Path, engine: Lab
) -> None:
    with dev(made, engine) as process:
        events_until(process, "serving", "ready")
        first = invoke(made, "a" * 40)
        assert first["machine"] == "aarch64"
        told = first["environ"]
        assert told["GREETING"] == "hello"
        assert told["AWS_REGION"] == "eu-west-1"
        assert told["AWS_SECRET_ACCESS_KEY"] == "secret-of-ada"
        assert "ONLY_HERE" not in told
        # No value is where other users of the machine can read it.
        assert not [line for line in processes_in(made) if "secret-of-ada" in line]
        listed = subprocess.run(["ps", "-ef"], capture_output=True, text=True).stdout
        assert "docker run --rm" in listed
        assert "secret-of-ada" not in listed

        app = made / "agent/app.py"
        app.write_text(TELLING.replace('"first"', '"second"'))
        events_until(process, "reloaded", "ready")
        assert invoke(made, "a" * 40)["word"] == "first"
        assert invoke(made, "b" * 40)["word"] == "second"
        assert len(containers(engine)) >= 2

        whole = (made / "agent/Dockerfile").read_text()
        (made / "agent/Dockerfile").write_text(whole.replace("COPY . ", "RUN false\nCOPY . "))
        [failed] = [e for e in events_until(process, "failed") if e["kind"] == "failed"]
        assert "RUN false" in failed["text"]
        (made / "agent/Dockerfile").write_text(whole)
        events_until(process, "ready")
    assert containers(engine) == []


def test_nothing_is_left_when_dev_is_killed(made: Path, engine: Lab) -> None:
    with dev(made, engine) as process:
        events_until(process, "serving", "ready")
        assert containers(engine)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        until = time.monotonic() + 20
        while (containers(engine) or processes_in(made)) and time.monotonic() < until:
            time.sleep(0.1)
        assert containers(engine) == []
        assert processes_in(made) == []


def test_ctrl_c_while_a_new_image_is_built(made: Path, engine: Lab) -> None:
    whole = (made / "agent/Dockerfile").read_text()
    try:
        with dev(made, engine) as process:
            events_until(process, "serving", "ready")
            slow = whole.replace("COPY . ", "RUN sleep 4247\nCOPY . ")
            (made / "agent/Dockerfile").write_text(slow)
            while not _running("^sleep 4247"):
                time.sleep(0.1)
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0
    finally:
        (made / "agent/Dockerfile").write_text(whole)
    until = time.monotonic() + 10
    while _running("sleep 4247") and time.monotonic() < until:
        time.sleep(0.1)
    assert not _running("sleep 4247")
    assert processes_in(made) == []
    assert containers(engine) == []


def _running(pattern: str) -> bool:
    return subprocess.run(["pgrep", "-f", pattern], capture_output=True).returncode == 0


def test_public_network_is_of_processes_only(made: Path, engine: Lab) -> None:
    argv = [sys.executable, "-m", "voicecore", "dev", "--container", "--network", "public"]
    done = subprocess.run(
        [*argv, "--project", str(made)], env=env_of(engine), capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "not of a container" in done.stderr
