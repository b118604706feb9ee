"""`voicecore dev` as a process: what it serves, what it leaves behind, how it fails."""

import json
import os
import socket
import stat
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import urlopen

import pexpect
import pytest

from tests.conftest import Voicecore
from tests.ports import free_port
from tests.processes import processes_in
from tests.requirements import problem_of
from tests.standins.dev import (
    AGENT,
    SERVER,
    dev,
    events_until,
    pyproject,
    runtime_status,
    tiny_project,
)
from voicecore.console.errors import ExitCode

pytestmark = pytest.mark.slow

ASKS_AWS = """\
import urllib.error, urllib.request
try:
    urllib.request.urlopen("https://bedrock-agentcore.us-east-1.amazonaws.com/", timeout=5)
except urllib.error.HTTPError as error:
    print(f"AWS's name answers {error.code}", flush=True)
except OSError:
    pass
"""


@pytest.fixture(scope="module")
def installed_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose packages are installed once for all tests."""
    return tiny_project(tmp_path_factory.mktemp("installed") / "tiny", AGENT)


@pytest.fixture
def project(installed_project: Path) -> Iterator[Path]:
    """The installed project; its files are restored after the test."""
    yield installed_project
    (installed_project / "agent/internal/app.py").write_text(AGENT)
    (installed_project / "server/internal/server.py").write_text(SERVER)


@pytest.mark.parametrize("arguments", [[], ["--platform", "v2"]], ids=" ".join)
def test_serves_until_interrupted_and_leaves_nothing_behind(
    project: Path, arguments: list[str]
) -> None:
    with dev(project, *arguments) as process:
        serving = events_until(process, "serving", "ready")
        urls = next(event for event in serving if event["kind"] == "serving")
        path = project / ".voicecore/dev.json"
        state = json.loads(path.read_text())
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert state["runtime"] == urls["runtime"]
        assert urlopen(urls["server"] + "/health").read().decode() == state["arn"]
        status = runtime_status(project)
        assert status["spare"]["state"] == "ready"
        assert processes_in(project / "agent")
    assert process.returncode == ExitCode.OK
    assert not path.exists()
    assert processes_in(project) == []


@pytest.mark.parametrize(
    ("setting", "arguments", "platform", "start"),
    [
        ("", [], "v1", "version 1 is warm"),
        ('platform = "v2"\n', [], "v2", "version 1 is frozen"),
        ('platform = "v2"\n', ["--platform", "v1"], "v1", "version 1 is warm"),
    ],
)
def test_platform_is_that_of_the_project_unless_chosen(
    project: Path, setting: str, arguments: list[str], platform: str, start: str
) -> None:
    report = "import os\nprint(os.environ['AGENTCORE_PLATFORM'], flush=True)\n"
    (project / "agent/internal/app.py").write_text(report + AGENT)
    toml = project / "voicecore.toml"
    before = toml.read_text()
    toml.write_text(before + setting)
    try:
        with dev(project, *arguments) as process:
            events = events_until(process, "ready")
    finally:
        toml.write_text(before)
    texts = {event["kind"]: event.get("text", "") for event in events}
    assert texts["log"] == platform
    assert texts["ready"].startswith(start)


def test_agent_that_answers_without_its_key_is_named(project: Path) -> None:
    guarded = AGENT.replace(
        "self.send_response(200)",
        "self.send_response(200 if self.headers['X-Local-Runtime-Key'] else 403)",
    )
    with dev(project) as process:
        events = events_until(process, "serving", "advice")
        [told] = [event["text"] for event in events if event["kind"] == "advice"]
        assert told.startswith("The agent answers requests without the header X-Local")
        assert runtime_status(project)["spare"]["warning"] == told
        (project / "agent/internal/app.py").write_text(guarded)
        events_until(process, "reloaded")
        events_until(process, "ready")
        assert runtime_status(project)["spare"]["warning"] is None


def test_killed_dev_leaves_no_children(project: Path) -> None:
    tls = [] if problem_of("network namespaces") else ["--tls"]
    if tls:
        (project / "server/internal/server.py").write_text(ASKS_AWS + SERVER)
    with dev(project, *tls) as process:
        events = events_until(process, "serving", "ready")
        if tls:  # the server reached this runtime, not AWS
            assert any(event.get("text") == "AWS's name answers 401" for event in events)
            assert (project / ".voicecore/tls/ca.pem").exists()
        process.kill()
        process.wait()
        deadline = time.monotonic() + 60
        tls_folder = project / ".voicecore/tls"
        while (processes_in(project) or tls_folder.exists()) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert processes_in(project) == []
        assert not tls_folder.exists()
    with dev(project) as again:  # its stale state file does not count as running
        events_until(again, "serving")


def test_second_dev_names_the_running_one(project: Path, voicecore: Voicecore) -> None:
    with dev(project) as process:
        events_until(process, "serving")
        second = voicecore("dev", "--project", str(project))
        assert second.code == ExitCode.FAILED
        assert "tiny is already running" in second.stderr
        assert "voicecore talk" in second.stderr
        exports = voicecore("dev", "--env", "--project", str(project)).stdout
        assert "export AWS_ENDPOINT_URL_BEDROCK_AGENTCORE=http://127.0.0.1:" in exports
    assert voicecore("dev", "--env", "--project", str(project)).code == ExitCode.FAILED


def test_ignores_stale_state_file(project: Path, voicecore: Voicecore) -> None:
    stale = project / ".voicecore/dev.json"
    stale.parent.mkdir(exist_ok=True)
    # Another process has its pid by now: this one, or init, which we may not signal.
    for pid in (os.getpid(), 1):
        stale.write_text(json.dumps({"pid": pid, "runtime": "http://127.0.0.1:1"}))
        with dev(project) as process:
            events_until(process, "serving")
    assert not stale.exists()


def test_ends_when_reader_of_events_is_gone(project: Path) -> None:
    with dev(project) as process:
        events_until(process, "serving", "ready")
        assert process.stdout
        process.stdout.close()
        (project / "agent/internal/app.py").write_text(AGENT + "\n")  # causes an event
        assert process.wait(60) == ExitCode.OK
    assert processes_in(project) == []


@pytest.mark.parametrize("name", ["dev.lock", "logs", "logs/server.log"])
def test_links_of_a_cloned_project_are_not_followed(
    tmp_path: Path, name: str, voicecore: Voicecore
) -> None:
    cloned = tiny_project(tmp_path / "cloned", AGENT)
    victim = tmp_path / "home/notes"
    victim.parent.mkdir()
    victim.write_text("the user's own file")
    link = cloned / ".voicecore" / name
    link.parent.mkdir(parents=True)
    link.symlink_to(victim.parent if name == "logs" else victim)
    result = voicecore("dev", "--json", cwd=cloned, env=dict(os.environ))
    assert result.code == ExitCode.BAD_PROJECT
    assert (
        f"{name} is a symbolic link"
        in json.loads(result.stdout.splitlines()[-1])["error"]["message"]
    )
    assert victim.read_text() == "the user's own file"
    assert list(victim.parent.iterdir()) == [victim]


def test_two_projects_get_different_ports(project: Path, tmp_path: Path) -> None:
    other = tiny_project(tmp_path / "other", AGENT)
    with dev(project) as one, dev(other) as two:
        serving = [events_until(process, "serving")[-1] for process in (one, two)]
    assert len({event[of] for event in serving for of in ("runtime", "server")}) == 4


def test_reports_port_in_use(project: Path, voicecore: Voicecore) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = voicecore("dev", "--port", port, "--project", str(project))
        assert result.code == ExitCode.FAILED
        assert f"Port {port} is in use." in result.stderr


def test_crashing_agent_is_reported_and_restarted_when_saved(project: Path) -> None:
    (project / "agent/internal/app.py").write_text("import nowhere\n")
    with dev(project) as process:
        failed = events_until(process, "serving", "failed")
        [event] = [event for event in failed if event["kind"] == "failed"]
        error = "ModuleNotFoundError: No module named 'nowhere' (agent/internal/app.py, line 1)"
        assert error in event["text"]
        advice, log = event["hint"].splitlines()
        assert advice == "If nowhere is a package, add it:  uv add --project agent nowhere"
        log = Path(log.removeprefix("Log: "))
        assert "import nowhere" in log.read_text()
        (project / "agent/internal/app.py").write_text(AGENT)
        events_until(process, "ready")


def test_reports_agent_that_dies_after_first_ping(project: Path) -> None:
    # As in generated agents: /ping answers first, then the pipeline is imported.
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
        status = runtime_status(project)
        assert status["spare"]["state"] == "failed"
        assert status["troubles"][-1]["text"] == event["text"]


def test_reports_agent_that_never_answers_ping(project: Path) -> None:
    (project / "agent/internal/app.py").write_text("import time\ntime.sleep(60)\n")
    with dev(project, "--start-limit", "1") as process:
        [event] = [e for e in events_until(process, "failed") if e["kind"] == "failed"]
        assert "did not answer /ping within 1s" in event["text"]


def test_ends_when_session_server_cannot_start(project: Path) -> None:
    (project / "server/internal/server.py").write_text(
        "raise SystemExit('SESSION_API_KEY is missing')\n"
    )
    with dev(project) as process:
        stdout, _ = process.communicate(timeout=30)
    assert process.returncode == ExitCode.FAILED
    error = json.loads(stdout.splitlines()[-1])["error"]
    assert "SESSION_API_KEY is missing" in error["message"]
    assert Path(error["hint"].removeprefix("Log: ")).exists()
    assert processes_in(project) == []


def test_server_of_another_project_on_our_port_is_an_error(project: Path) -> None:
    # It binds the port after it was found free, and answers /health before ours does.
    (project / "server/internal/server.py").write_text("import time\ntime.sleep(2)\n" + SERVER)
    port = free_port()
    with dev(project, "--server-port", str(port)) as process:
        while not server_runs(project):
            time.sleep(0.05)
        foreign = ThreadingHTTPServer(("127.0.0.1", port), AlwaysHealthy)
        threading.Thread(target=foreign.serve_forever, args=(0.02,), daemon=True).start()
        stdout, _ = process.communicate(timeout=40)
        foreign.shutdown()
    assert process.returncode == ExitCode.FAILED
    assert "address already in use" in json.loads(stdout.splitlines()[-1])["error"]["message"]


def server_runs(project: Path) -> bool:
    """Return whether the server's process has started, not only uv, which installs its packages."""
    return any("internal.server" in line for line in processes_in(project / "server"))


class AlwaysHealthy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_reports_session_server_that_never_answers_health(project: Path) -> None:
    (project / "server/internal/server.py").write_text(SERVER.replace("200", "503"))
    with dev(project) as process:
        stdout, _ = process.communicate(timeout=60)
    error = json.loads(stdout.splitlines()[-1])["error"]
    assert "did not answer /health within 20 s" in error["message"]


def test_session_server_saved_while_it_starts_restarts_at_once(project: Path) -> None:
    server = project / "server/internal/server.py"
    server.write_text("import time\ntime.sleep(2)\n" + SERVER)
    with dev(project) as process:
        while not server_runs(project):
            time.sleep(0.05)
        server.write_text(SERVER.replace('os.environ["AGENT_RUNTIME_ARN"].encode()', 'b"changed"'))
        events_until(process, "serving")
        url = json.loads((project / ".voicecore/dev.json").read_text())["server"]
        deadline = time.monotonic() + 60
        seen = b""
        while seen != b"changed" and time.monotonic() < deadline:
            time.sleep(0.1)
            try:
                seen = urlopen(url, timeout=2).read()
            except OSError:
                continue  # between the old and the new server
        assert seen == b"changed"


def test_reports_missing_python_version(
    project: Path, voicecore: Voicecore, tmp_path: Path
) -> None:
    (project / "agent/pyproject.toml").write_text(pyproject("tiny-agent", python=">=3.99"))
    try:
        result = voicecore("dev", "--project", str(project), env=dict(os.environ))
    finally:
        (project / "agent/pyproject.toml").write_text(pyproject("tiny-agent"))
    assert result.code == ExitCode.MISSING_TOOL
    assert "needs Python >=3.99" in result.stderr
    assert "uv python install" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--idle-timeout", "5"], ExitCode.USAGE, "AgentCore takes 60"),
        (["--time-scale", "0"], ExitCode.USAGE, ""),
        (["--port", "70000"], ExitCode.USAGE, ""),
        (["--jwt-audience", "app"], ExitCode.USAGE, "need the issuer of the tokens"),
        (["--jwt-discovery-url", "https://x"], ExitCode.USAGE, "not an OpenID discovery URL"),
        (["--project", "nowhere"], ExitCode.BAD_PROJECT, "voicecore init"),
    ],
)
def test_rejects_invalid_options(
    project: Path, voicecore: Voicecore, arguments: list[str], code: int, message: str
) -> None:
    result = voicecore("dev", *arguments, cwd=project)
    assert result.code == code
    assert message in result.stderr


def test_missing_agent_names_command_that_restores_it(voicecore: Voicecore, tmp_path: Path) -> None:
    voicecore("init", "mine", "--yes")
    (tmp_path / "mine/agent/internal/app.py").unlink()
    result = voicecore("dev", "--project", "mine")
    assert result.code == ExitCode.BAD_PROJECT
    assert f"voicecore update -p {tmp_path}/mine --restore agent/internal/app.py" in result.stderr


def test_shows_screen_on_terminal(project: Path) -> None:
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
