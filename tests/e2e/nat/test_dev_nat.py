"""`voicecore dev --nat`: the network that the agent finds itself in, and what is left of it."""

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
from tests.e2e.nat.test_network_lab import traces
from tests.processes import processes_in
from tests.standins.dev import dev, events_until, tiny_project
from voicecore.console.errors import ExitCode
from voicecore.local.network.nat import hand_back, internet_rules, resolvers_in, why_not

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

class Look(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer({{"status": "Healthy", "time_of_last_update": 1}})

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        stun = subprocess.run([sys.executable, {str(STUN)!r}, *asked["stun"]],
                              capture_output=True, text=True)
        self.answer({{"stun": stun.stdout.split(), "tcp": [tcp(*at) for at in asked["tcp"]]}})

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
HTTPServer(("0.0.0.0", int(os.environ["PORT"])), Look).serve_forever()
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_project(tmp_path_factory.mktemp("made") / "tiny", AGENT)


def ask(project: Path, **what: Any) -> dict[str, Any]:
    state = json.loads((project / ".voicecore/dev.json").read_text())
    client: Any = boto3.client(
        "bedrock-agentcore",
        region_name=state["region"],
        endpoint_url=state["runtime"],
        aws_access_key_id=state["access_key_id"],
        aws_secret_access_key=state["secret_access_key"],
    )
    payload = json.dumps({"stun": [], "tcp": [], **what}).encode()
    answer = client.invoke_agent_runtime(
        agentRuntimeArn=state["arn"], runtimeSessionId=f"call-{uuid.uuid4()}", payload=payload
    )
    return json.loads(answer["response"].read())


def turn_of(process: subprocess.Popen[str]) -> str:
    events = events_until(process, "serving", "ready")
    uri = next(event["turn"] for event in events if event["kind"] == "serving")
    return str(uri).removeprefix("turn:").removesuffix("?transport=udp")


def test_the_agent_reaches_the_relay_and_no_caller(project: Path) -> None:
    with dev(project, "--nat") as process:
        turn = turn_of(process)
        host, _, port = turn.partition(":")
        here = f"{host.rpartition('.')[0]}.1"
        found = ask(project, stun=[turn, turn, f"{here}:{port}"], tcp=[[host, int(port)]])
        assert found["tcp"] == ["open"]
        seen, again, caller = found["stun"]
        assert seen == again and not seen.startswith(host)
        assert caller == "-"
    assert process.returncode == ExitCode.OK
    assert traces(process.pid) == []


def test_in_public_mode_there_is_no_udp(project: Path) -> None:
    with dev(project, "--nat", "--network", "public") as process:
        turn = turn_of(process)
        host, _, port = turn.partition(":")
        assert ask(project, stun=[turn], tcp=[[host, int(port)]]) == {
            "stun": ["-"],
            "tcp": ["open"],
        }
    assert traces(process.pid) == []


def test_killed_it_leaves_nothing_either(project: Path) -> None:
    with dev(project, "--nat") as process:
        turn_of(process)
        process.send_signal(signal.SIGKILL)
        process.wait()
        deadline = time.monotonic() + 10
        while left := [*processes_in(project), *traces(process.pid)]:
            assert time.monotonic() < deadline, left
            time.sleep(0.05)


def test_not_with_a_container(project: Path, voicecore: Voicecore) -> None:
    refused = voicecore("dev", "--nat", "--container", cwd=project)
    assert refused.code == ExitCode.USAGE
    assert "voicecore dev --nat" in refused.stderr


@pytest.mark.parametrize(
    ("platform", "user", "missing", "words"),
    [
        ("darwin", 0, [], "needs Linux"),
        (
            "linux",
            0,
            ["turnserver", "ip"],
            "sudo apt-get install coturn iproute2 && sudo systemctl",
        ),
        ("linux", 0, ["iptables"], "sudo apt-get install iptables"),
        ("linux", 1000, [], "sudo --preserve-env"),
    ],
)
def test_what_is_missing_and_what_to_type(
    platform: str, user: int, missing: list[str], words: str
) -> None:
    refusal = why_not(platform, user, missing)
    assert refusal is not None and refusal.exit_code == ExitCode.MISSING_TOOL
    assert words in f"{refusal.message} {refusal.hint}"


def test_root_with_all_tools_may() -> None:
    assert why_not("linux", 0, []) is None


def test_names_are_resolved_by_who_can_be_reached() -> None:
    text = (
        "# by hand\nnameserver 127.0.0.53\nnameserver 192.168.1.1\nnameserver fd00::1\nnameserver"
    )
    assert resolvers_in(text) == ["192.168.1.1"]


def test_the_firewall_is_opened_for_this_network_alone() -> None:
    for _, _, rule in internet_rules("vcn1-0", "198.18.7.0/24"):
        assert "vcn1-0" in rule and "--comment" in rule


def test_what_root_has_made_goes_back_to_who_called_sudo(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/server.log").touch()
    (tmp_path / "link").symlink_to("/etc/passwd")
    hand_back(tmp_path, {})
    assert (tmp_path / "logs").stat().st_uid == 0
    hand_back(tmp_path, {"SUDO_UID": "12345", "SUDO_GID": "12346"})
    owners = {(path.lstat().st_uid, path.lstat().st_gid) for path in tmp_path.rglob("*")}
    assert owners == {(12345, 12346)}
    assert Path("/etc/passwd").stat().st_uid == 0
