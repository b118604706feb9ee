"""`voicecore dev` as a process: what it serves, what it leaves, what it says when it cannot."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pexpect
import pytest

from tests.conftest import Voicecore
from tests.processes import processes_in
from voicecore.console.errors import ExitCode

# The smallest agent and server that dev can run: their packages install in a moment.
AGENT = """\
import os
from http.server import BaseHTTPRequestHandler, HTTPServer

class Ping(BaseHTTPRequestHandler):
    def do_GET(self):
        body = b'{"status": "Healthy", "time_of_last_update": 1}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass

HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Ping).serve_forever()
"""
SERVER = """\
import os

async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": os.environ["AGENT_RUNTIME_ARN"].encode()})
"""


def pyproject(name: str, *dependencies: str, python: str = ">=3.11") -> str:
    return (
        f'[project]\nname = "{name}"\nversion = "0"\nrequires-python = "{python}"\n'
        f"dependencies = {list(dependencies)}\n[tool.uv]\npackage = false\n"
    )


def tiny(root: Path, agent: str) -> Path:
    """A project whose agent and server answer, and do nothing else."""
    for folder in ("agent/internal", "server/internal"):
        (root / folder).mkdir(parents=True)
    (root / "voicecore.toml").write_text(
        'name = "tiny"\ntransports = ["websocket"]\npipeline = "offline"\nregion = "us-east-1"\n'
    )
    (root / "agent/internal/app.py").write_text(agent)
    (root / "agent/pyproject.toml").write_text(pyproject("tiny-agent"))
    (root / "server/internal/server.py").write_text(SERVER)
    (root / "server/pyproject.toml").write_text(pyproject("tiny-server", "uvicorn"))
    return root


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny(tmp_path_factory.mktemp("made") / "tiny", AGENT)


@pytest.fixture
def project(made: Path) -> Iterator[Path]:
    """The same project for each test, as it was."""
    yield made
    (made / "agent/internal/app.py").write_text(AGENT)
    (made / "server/internal/server.py").write_text(SERVER)


@contextmanager
def dev(project: Path, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, "-m", "voicecore", "dev", "--json", *arguments],
        cwd=project, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)


def events_until(process: "subprocess.Popen[str]", *kinds: str) -> list[dict[str, Any]]:
    assert process.stdout
    wanted, events = set(kinds), []
    for line in process.stdout:
        events.append(json.loads(line))
        wanted.discard(events[-1].get("kind", ""))
        if not wanted:
            return events
    raise AssertionError(f"dev ended before {wanted}: {events}")


def test_it_serves_until_interrupted_and_leaves_nothing(project: Path) -> None:
    with dev(project) as process:
        serving = events_until(process, "serving", "ready")
        urls = next(event for event in serving if event["kind"] == "serving")
        path = project / ".voicecore/dev.json"
        state = json.loads(path.read_text())
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert state["runtime"] == urls["runtime"]
        assert urlopen(urls["server"] + "/health").read().decode() == state["arn"]
        status = json.load(urlopen(state["runtime"] + "/_voicecore/status"))
        assert status["spare"]["state"] == "ready"
        assert processes_in(project / "agent")
    assert process.returncode == ExitCode.OK
    assert not path.exists()
    assert processes_in(project) == []


def test_a_killed_dev_takes_its_children_along(project: Path) -> None:
    with dev(project) as process:
        events_until(process, "serving", "ready")
        process.kill()
        process.wait()
        deadline = time.monotonic() + 10
        while processes_in(project) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert processes_in(project) == []
    with dev(project) as again:  # what it left behind does not count as running
        events_until(again, "serving")


def test_a_second_dev_is_told_of_the_first(project: Path, voicecore: Voicecore) -> None:
    with dev(project) as process:
        events_until(process, "serving")
        second = voicecore("dev", "--project", str(project))
        assert second.code == ExitCode.FAILED
        assert "tiny runs already" in second.stderr
        assert "voicecore talk" in second.stderr
        exports = voicecore("dev", "--env", "--project", str(project)).stdout
        assert "export AWS_ENDPOINT_URL_BEDROCK_AGENTCORE=http://127.0.0.1:" in exports
    assert voicecore("dev", "--env", "--project", str(project)).code == ExitCode.FAILED


def test_a_stale_state_is_no_running_dev(project: Path, voicecore: Voicecore) -> None:
    stale = project / ".voicecore/dev.json"
    stale.parent.mkdir(exist_ok=True)
    # Its pid was given to another process since: ours, or init's, which we may not signal.
    for pid in (os.getpid(), 1):
        stale.write_text(json.dumps({"pid": pid, "runtime": "http://127.0.0.1:1"}))
        with dev(project) as process:
            events_until(process, "serving")
    assert not stale.exists()


def test_a_reader_who_goes_away_ends_it(project: Path) -> None:
    with dev(project) as process:
        events_until(process, "serving", "ready")
        assert process.stdout
        process.stdout.close()
        # An event that nobody reads.
        (project / "agent/internal/app.py").write_text(AGENT + "\n")
        assert process.wait(20) == ExitCode.OK
    assert processes_in(project) == []


def test_two_begun_at_once_serve_at_ports_of_their_own(project: Path, tmp_path: Path) -> None:
    other = tiny(tmp_path / "other", AGENT)
    with dev(project) as one, dev(other) as two:
        serving = [events_until(process, "serving")[-1] for process in (one, two)]
    assert len({event[of] for event in serving for of in ("runtime", "server")}) == 4


def test_a_taken_port_is_told(project: Path, voicecore: Voicecore) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = voicecore("dev", "--port", port, "--project", str(project))
        assert result.code == ExitCode.FAILED
        assert f"Port {port} is taken." in result.stderr


def test_an_agent_that_crashes_is_told_and_tried_again_when_saved(project: Path) -> None:
    (project / "agent/internal/app.py").write_text("import nowhere\n")
    with dev(project) as process:
        failed = events_until(process, "serving", "failed")
        [event] = [event for event in failed if event["kind"] == "failed"]
        assert "ModuleNotFoundError: No module named 'nowhere'" in event["text"]
        log = Path(event["hint"].removeprefix("Log: "))
        assert "import nowhere" in log.read_text()
        (project / "agent/internal/app.py").write_text(AGENT)
        events_until(process, "ready")


def test_an_agent_that_dies_behind_ping_is_told(project: Path) -> None:
    # As generated agents do: /ping answers first, the pipeline is imported behind it.
    dying = (
        "import threading, os\ndef die():\n    time.sleep(1)\n    try:\n        import nowhere\n"
    )
    dying += "    except ImportError as error:\n        sys.excepthook(*sys.exc_info())\n"
    dying += "        os._exit(1)\nimport sys, time\nthreading.Thread(target=die).start()\n"
    (project / "agent/internal/app.py").write_text(dying + AGENT)
    with dev(project) as process:
        events = events_until(process, "ready", "failed")
        [event] = [event for event in events if event["kind"] == "failed"]
        assert "No module named 'nowhere'" in event["text"]
        status = json.load(urlopen(json.loads(state_of(project))["runtime"] + "/_voicecore/status"))
        assert status["spare"]["state"] == "failed"
        assert status["trouble"]["text"] == event["text"]


def state_of(project: Path) -> str:
    return (project / ".voicecore/dev.json").read_text()


def test_an_agent_that_never_answers_is_told(project: Path) -> None:
    (project / "agent/internal/app.py").write_text("import time\ntime.sleep(60)\n")
    with dev(project, "--start-limit", "1") as process:
        [event] = [e for e in events_until(process, "failed") if e["kind"] == "failed"]
        assert "did not answer /ping within 1s" in event["text"]


def test_a_session_server_that_cannot_start_ends_dev(project: Path) -> None:
    server = project / "server/internal/server.py"
    server.write_text("raise SystemExit('SESSION_API_KEY is missing')\n")
    with dev(project) as process:
        stdout, _ = process.communicate(timeout=30)
    assert process.returncode == ExitCode.FAILED
    error = json.loads(stdout.splitlines()[-1])["error"]
    assert "SESSION_API_KEY is missing" in error["message"]
    assert Path(error["hint"].removeprefix("Log: ")).exists()
    assert processes_in(project) == []


def test_another_projects_server_is_not_taken_for_ours(project: Path) -> None:
    # It comes to the port after the port was found free, and answers /health before ours does.
    (project / "server/internal/server.py").write_text("import time\ntime.sleep(2)\n" + SERVER)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with dev(project, "--server-port", str(port)) as process:
        # Not uv, which installs the server's packages before the port is looked at.
        while not any("uvicorn" in line for line in processes_in(project / "server")):
            time.sleep(0.05)
        foreign = ThreadingHTTPServer(("127.0.0.1", port), AlwaysHealthy)
        threading.Thread(target=foreign.serve_forever, daemon=True).start()
        stdout, _ = process.communicate(timeout=40)
        foreign.shutdown()
    assert process.returncode == ExitCode.FAILED
    assert "address already in use" in json.loads(stdout.splitlines()[-1])["error"]["message"]


class AlwaysHealthy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_a_session_server_that_never_answers_is_told(project: Path) -> None:
    (project / "server/internal/server.py").write_text(SERVER.replace("200", "503"))
    with dev(project) as process:
        stdout, _ = process.communicate(timeout=60)
    error = json.loads(stdout.splitlines()[-1])["error"]
    assert "did not answer /health within 20 s" in error["message"]


def test_a_saved_session_server_serves_at_once(project: Path) -> None:
    with dev(project) as process:
        events_until(process, "serving")
        url = json.loads((project / ".voicecore/dev.json").read_text())["server"]
        changed = SERVER.replace('os.environ["AGENT_RUNTIME_ARN"].encode()', 'b"changed"')
        time.sleep(1)  # nobody saves so soon that the watch has not begun
        (project / "server/internal/server.py").write_text(changed)
        deadline = time.monotonic() + 15
        seen = b""
        while seen != b"changed" and time.monotonic() < deadline:
            time.sleep(0.1)
            try:
                seen = urlopen(url, timeout=2).read()
            except OSError:
                continue  # between the old and the new one
        assert seen == b"changed"


def test_a_missing_interpreter_is_told(project: Path, voicecore: Voicecore, tmp_path: Path) -> None:
    (project / "agent/pyproject.toml").write_text(pyproject("tiny-agent", python=">=3.99"))
    try:
        result = voicecore("dev", "--project", str(project), env=dict(os.environ))
    finally:
        (project / "agent/pyproject.toml").write_text(pyproject("tiny-agent"))
    assert result.code == ExitCode.MISSING_TOOL
    assert "needs Python >=3.99" in result.stderr
    assert "uv python install" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--idle-timeout", "5"], ExitCode.USAGE, "AgentCore takes 60"),
        (["--time-scale", "0"], ExitCode.USAGE, ""),
        (["--port", "70000"], ExitCode.USAGE, ""),
        (["--project", "nowhere"], ExitCode.BAD_PROJECT, "voicecore init"),
    ],
)
def test_mistakes(
    project: Path, voicecore: Voicecore, arguments: list[str], code: int, told: str
) -> None:
    result = voicecore("dev", *arguments, cwd=project)
    assert result.code == code
    assert told in result.stderr


def test_a_project_without_an_agent_says_how_to_bring_it_back(
    voicecore: Voicecore, tmp_path: Path
) -> None:
    voicecore("init", "mine", "--yes")
    (tmp_path / "mine/agent/internal/app.py").unlink()
    result = voicecore("dev", "--project", "mine")
    assert result.code == ExitCode.BAD_PROJECT
    assert f"voicecore init mine --directory {tmp_path} --force" in result.stderr


def test_the_screen_on_a_terminal(project: Path) -> None:
    terminal = pexpect.spawn(
        sys.executable, ["-m", "voicecore", "dev"], cwd=project, dimensions=(24, 80), timeout=30,
        encoding="utf-8",
    )  # fmt: skip
    terminal.expect("AgentCore Runtime")
    terminal.expect("warm")
    terminal.expect("voicecore talk")
    terminal.sendintr()
    terminal.expect(pexpect.EOF)
    terminal.wait()
    assert terminal.exitstatus == ExitCode.OK
    assert processes_in(project) == []
