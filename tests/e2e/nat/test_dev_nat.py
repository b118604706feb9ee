"""`voicecore dev --nat` puts the agent behind a NAT and removes the network afterwards."""

from __future__ import annotations

import json
import signal
import subprocess
import time
import uuid
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.conftest import Voicecore
from tests.e2e.nat.test_nat_lab import traces
from tests.processes import processes_in
from tests.standins.dev import dev, events_until, tiny_project
from voicecore.console.errors import ExitCode
from voicecore.local.network.nat import return_ownership

STUN = Path(__file__).parents[2] / "standins/nat/stun.py"
AGENT = f"""\
import json, os, socket, subprocess, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

def tcp(host, port):
    try:
        socket.create_connection((host, port), 1).close()
        return "open"
    except OSError as error:
        return type(error).__name__

class Probe(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer({{"status": "Healthy", "time_of_last_update": 1}})

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        stun = subprocess.run([sys.executable, {str(STUN)!r}, *request["stun"]],
                              capture_output=True, text=True)
        key = self.headers["X-Local-Runtime-Key"] == os.environ["LOCAL_RUNTIME_KEY"]
        self.answer({{"stun": stun.stdout.split(), "tcp": [tcp(*at) for at in request["tcp"]],
                     "key": key}})

    def answer(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass

assert os.environ["DOCKER_CONTAINER"] == "1"
HTTPServer(("0.0.0.0", int(os.environ["PORT"])), Probe).serve_forever()
"""

needs_nat = pytest.mark.needs("network namespaces", "coturn")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_project(tmp_path_factory.mktemp("project") / "tiny", AGENT)


def probe(project: Path, **targets: Any) -> dict[str, Any]:
    """Let the agent probe STUN servers and TCP ports, and return its results."""
    state = json.loads((project / ".voicecore/dev.json").read_text())
    client: Any = boto3.client(
        "bedrock-agentcore",
        region_name=state["region"],
        endpoint_url=state["runtime"],
        aws_access_key_id=state["access_key_id"],
        aws_secret_access_key=state["secret_access_key"],
    )
    payload = json.dumps({"stun": [], "tcp": [], **targets}).encode()
    answer = client.invoke_agent_runtime(
        agentRuntimeArn=state["arn"], runtimeSessionId=f"call-{uuid.uuid4()}", payload=payload
    )
    return json.loads(answer["response"].read())


def turn_of(process: subprocess.Popen[str]) -> str:
    events = events_until(process, "serving", "ready")
    uri = next(event["turn"] for event in events if event["kind"] == "serving")
    return str(uri).removeprefix("turn:").removesuffix("?transport=udp")


@needs_nat
def test_agent_reaches_the_relay_but_no_caller(project: Path) -> None:
    with dev(project, "--nat") as process:
        turn = turn_of(process)
        host, _, port = turn.partition(":")
        here = f"{host.rpartition('.')[0]}.1"
        found = probe(project, stun=[turn, turn, f"{here}:{port}"], tcp=[[host, int(port)]])
        assert found["key"]
        assert found["tcp"] == ["open"]
        seen, again, caller = found["stun"]
        assert seen == again and not seen.startswith(host)
        assert caller == "-"
    assert process.returncode == ExitCode.OK
    assert traces(process.pid) == []


@needs_nat
def test_public_mode_blocks_udp(project: Path) -> None:
    with dev(project, "--nat", "--network", "public") as process:
        turn = turn_of(process)
        host, _, port = turn.partition(":")
        assert probe(project, stun=[turn], tcp=[[host, int(port)]]) == {
            "stun": ["-"],
            "tcp": ["open"],
            "key": True,
        }
    assert traces(process.pid) == []


@needs_nat
def test_killed_dev_leaves_no_network(project: Path) -> None:
    with dev(project, "--nat") as process:
        turn_of(process)
        process.send_signal(signal.SIGKILL)
        process.wait()
        deadline = time.monotonic() + 60
        while left := [*processes_in(project), *traces(process.pid)]:
            assert time.monotonic() < deadline, left
            time.sleep(0.05)


def test_nat_with_container_is_refused(project: Path, voicecore: Voicecore) -> None:
    refused = voicecore("dev", "--nat", "--container", cwd=project)
    assert refused.code == ExitCode.USAGE
    assert "voicecore dev --nat" in refused.stderr


@pytest.mark.needs("root")
def test_files_of_root_go_back_to_the_user_who_called_sudo(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/server.log").touch()
    (tmp_path / "link").symlink_to("/etc/passwd")
    return_ownership(tmp_path, {})
    assert (tmp_path / "logs").stat().st_uid == 0
    return_ownership(tmp_path, {"SUDO_UID": "12345", "SUDO_GID": "12346"})
    owners = {(path.lstat().st_uid, path.lstat().st_gid) for path in tmp_path.rglob("*")}
    assert owners == {(12345, 12346)}
    assert Path("/etc/passwd").stat().st_uid == 0
