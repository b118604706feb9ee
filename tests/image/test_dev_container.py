"""`voicecore dev --container`: the local runtime with containers of the image, on arm64."""

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

from tests.image.small_agent import APP, client_env, small_agent
from tests.processes import processes_in
from tests.standins.dev import SERVER, events_until, pyproject
from tests.standins.image.dockerd import DockerDaemon
from tests.standins.image.registries import Registries

pytestmark = pytest.mark.usefixtures("emulation")

DESCRIBING_APP = APP.replace(
    '"six": six', '"word": "first", "environ": dict(os.environ), "six": six'
)
DESCRIBING_APP = "import os, platform\n" + DESCRIBING_APP.replace(
    '"word"', '"machine": platform.machine(), "word"'
)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, all_registries: Registries) -> Path:
    root = tmp_path_factory.mktemp("project") / "small"
    root.mkdir()
    agent = small_agent(root / "agent", DESCRIBING_APP)
    dockerfile = (agent / "Dockerfile").read_text().splitlines(keepends=True)
    (agent / "Dockerfile").write_text(
        "".join(
            f"ARG BASE={all_registries.base}\n" if line.startswith("ARG BASE=") else line
            for line in dockerfile
        )
    )
    (agent / ".env").write_text("GREETING=hello\n")
    (root / "server/internal").mkdir(parents=True)
    (root / "server/internal/server.py").write_text(SERVER)
    (root / "server/pyproject.toml").write_text(pyproject("tiny-server", "uvicorn"))
    (root / "voicecore.toml").write_text(
        'name = "small"\ntransports = ["websocket"]\npipeline = "offline"\nregion = "eu-west-1"\n'
    )
    return root


@contextmanager
def dev(root: Path, daemon: DockerDaemon) -> Iterator[subprocess.Popen[str]]:
    env = {
        **client_env(daemon),
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
    """Return the agent's answer, invoked as in AWS."""
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


def containers(daemon: DockerDaemon) -> list[str]:
    return daemon.docker("ps", "--all", "--format", "{{.Names}}").split()


def test_dev_runs_sessions_in_containers_and_rebuilds_on_save(
    project: Path, daemon: DockerDaemon
) -> None:
    with dev(project, daemon) as process:
        events_until(process, "serving", "ready")
        first = invoke(project, "a" * 40)
        assert first["machine"] == "aarch64"
        environ = first["environ"]
        assert environ["GREETING"] == "hello"
        assert environ["AWS_REGION"] == "eu-west-1"
        assert environ["AWS_SECRET_ACCESS_KEY"] == "secret-of-ada"
        assert "ONLY_HERE" not in environ
        key = environ["LOCAL_RUNTIME_KEY"]
        # No value is where other users of this machine can read it.
        assert not [line for line in processes_in(project) if "secret-of-ada" in line]
        listed = subprocess.run(["ps", "-ef"], capture_output=True, text=True).stdout
        assert "docker run --rm" in listed
        assert "secret-of-ada" not in listed and key not in listed
        published = daemon.docker("ps", "--format", "{{.Ports}}").splitlines()
        assert published and all(port.startswith("127.0.0.1:") for port in published)

        app = project / "agent/internal/app.py"
        app.write_text(DESCRIBING_APP.replace('"first"', '"second"'))
        events_until(process, "reloaded", "ready")
        assert invoke(project, "a" * 40)["word"] == "first"
        assert invoke(project, "b" * 40)["word"] == "second"
        assert len(containers(daemon)) >= 2

        whole = (project / "agent/Dockerfile").read_text()
        (project / "agent/Dockerfile").write_text(whole.replace("COPY . ", "RUN false\nCOPY . "))
        [failed] = [e for e in events_until(process, "failed") if e["kind"] == "failed"]
        assert "RUN false" in failed["text"]
        (project / "agent/Dockerfile").write_text(whole)
        events_until(process, "ready")
    assert containers(daemon) == []


def test_killed_dev_leaves_nothing_behind(project: Path, daemon: DockerDaemon) -> None:
    with dev(project, daemon) as process:
        events_until(process, "serving", "ready")
        assert containers(daemon)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        until = time.monotonic() + 60
        while (containers(daemon) or processes_in(project)) and time.monotonic() < until:
            time.sleep(0.1)
        assert containers(daemon) == []
        assert processes_in(project) == []


def test_ctrl_c_during_rebuild_ends_build(project: Path, daemon: DockerDaemon) -> None:
    whole = (project / "agent/Dockerfile").read_text()
    try:
        with dev(project, daemon) as process:
            events_until(process, "serving", "ready")
            slow = whole.replace("COPY . ", "RUN sleep 4247\nCOPY . ")
            (project / "agent/Dockerfile").write_text(slow)
            while not _running("^sleep 4247"):
                time.sleep(0.1)
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0
    finally:
        (project / "agent/Dockerfile").write_text(whole)
    until = time.monotonic() + 60
    while _running("sleep 4247") and time.monotonic() < until:
        time.sleep(0.1)
    assert not _running("sleep 4247")
    assert processes_in(project) == []
    assert containers(daemon) == []


def _running(pattern: str) -> bool:
    return subprocess.run(["pgrep", "-f", pattern], capture_output=True).returncode == 0


def test_public_network_requires_processes(project: Path, daemon: DockerDaemon) -> None:
    argv = [sys.executable, "-m", "voicecore", "dev", "--container", "--network", "public"]
    done = subprocess.run(
        [*argv, "--project", str(project)], env=client_env(daemon), capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "not of a container" in done.stderr
