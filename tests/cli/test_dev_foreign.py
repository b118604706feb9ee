"""`voicecore dev` of a project whose agent and server voicecore did not generate."""

import json
import os
import shutil
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest

from tests.conftest import Voicecore
from tests.standins.dev import dev, events_until, runtime_status
from voicecore.console.errors import ExitCode

pytestmark = pytest.mark.slow

AGENTS = Path(__file__).parents[1] / "foreign_agents"
MANIFEST = """\
name = "mine"
transports = []
pipeline = "custom"
region = "us-east-1"

[agent]
folder = "."
command = "python agent.py"
requirements = "requirements.txt"
"""
SERVER = """
[server]
command = "python server.py"
requirements = "requirements.txt"
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "mine"
    shutil.copytree(AGENTS / "reads_port", root)
    (root / "voicecore.toml").write_text(MANIFEST + SERVER)
    return root


def started_at(url: str) -> dict[str, str]:
    """Return the answer of the server, which may still be starting."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return json.load(urlopen(Request(f"{url}/start", method="POST")))
        except URLError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_server_that_fails_does_not_end_the_runtime(project: Path) -> None:
    server = project / "server.py"
    working = server.read_text()
    server.write_text("import nothing_of_this_name\n")
    with dev(project) as process:
        events = events_until(process, "serving", "ready")
        [told] = [event["text"] for event in events if "server did not start" in str(event)]
        assert "No module named 'nothing_of_this_name'" in told
        assert runtime_status(project)["spare"]["state"] == "ready"
        server.write_text(working)
        url = next(event for event in events if event["kind"] == "serving")["server"]
        events_until(process, "reloaded")  # the folder is the agent's, too
        events_until(process, "ready")
        assert started_at(url) == {"runtime": runtime_status(project)["arn"]}
    assert process.returncode == ExitCode.OK
    assert sorted(path.name for path in project.iterdir()) == [
        ".voicecore", "agent.py", "requirements.txt", "server.py", "voicecore.toml",
    ]  # fmt: skip


def test_port_of_the_agent_is_not_that_of_the_runtime(project: Path, voicecore: Voicecore) -> None:
    text = MANIFEST.replace("agent.py", "-u agent.py").replace("[agent]", "[agent]\nport = 8080")
    (project / "voicecore.toml").write_text(text)
    result = voicecore("dev", "--port", "8080", cwd=project, env=dict(os.environ))
    assert result.code == ExitCode.FAILED
    assert "The agent always listens on port 8080" in result.stderr
    assert "Port 8080 is in use" in result.stderr


def test_server_that_always_listens_on_one_port_gets_no_other(
    project: Path, voicecore: Voicecore
) -> None:
    (project / "voicecore.toml").write_text(f"{MANIFEST}{SERVER}port = 3000\n")
    result = voicecore("dev", "--server-port", "3001", cwd=project, env=dict(os.environ))
    assert result.code == ExitCode.USAGE
    assert "The session server always listens on port 3000" in result.stderr
    assert not (project / ".voicecore/venv").exists()
