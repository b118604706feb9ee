"""`voicecore add`: one more transport, shown before it is written."""

import json
from pathlib import Path

import pytest

from tests.conftest import Voicecore
from voicecore.console.errors import ExitCode


@pytest.fixture
def project(voicecore: Voicecore, tmp_path: Path) -> Path:
    voicecore("init", "mine", "--yes", "--transport", "websocket")
    (tmp_path / "mine/agent/bot.py").write_text("# my own\n")
    return tmp_path / "mine"


def contents(project: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in project.rglob("*") if path.is_file()}


def test_adds_files_and_lines_and_keeps_the_users_own(voicecore: Voicecore, project: Path) -> None:
    toml = project / "agent/pyproject.toml"
    toml.write_text(toml.read_text().replace('version = "0.1.0"', 'version = "2.0.0"'))
    key = (project / "server/.env").read_bytes()
    result = voicecore("add", "webrtc", "--yes", "--project", str(project))
    assert result.code == ExitCode.OK
    assert "new agent/internal/webrtc.py" in result.stderr
    assert '+transports = ["websocket", "webrtc"]' in result.stderr
    assert "voicecore talk --transport webrtc" in result.stderr
    assert (project / "agent/bot.py").read_text() == "# my own\n"
    assert (project / "server/.env").read_bytes() == key
    assert 'version = "2.0.0"' in toml.read_text()
    assert "webrtc,websocket" in toml.read_text()
    again = voicecore("add", "webrtc", "--project", str(project))
    assert "has WebRTC already" in again.stderr


def test_adds_a_telephone_and_then_another_provider(voicecore: Voicecore, project: Path) -> None:
    def add(*flags: str) -> str:
        done = voicecore("add", "telephony", *flags, "--yes", "--project", str(project))
        assert done.code == ExitCode.OK, done.stderr
        return done.stderr

    assert "voicecore talk --phone plivo" in add("--provider", "plivo")
    assert "new server/internal/telephony/providers/vonage.py" in add("--provider", "vonage")
    assert 'providers = ["plivo", "vonage"]' in (project / "voicecore.toml").read_text()
    assert "has Telephone already" in add()
    for flags in (("telephony", "--provider", "pigeon"), ("webrtc", "--provider", "twilio")):
        assert voicecore("add", *flags, "--project", str(project)).code == ExitCode.USAGE


def test_a_dry_run_writes_nothing(voicecore: Voicecore, project: Path) -> None:
    before = contents(project)
    result = voicecore("add", "webrtc", "--dry-run", "--project", str(project))
    assert result.code == ExitCode.OK
    assert "merged agent/pyproject.toml" not in result.stderr
    assert "changed agent/pyproject.toml" in result.stderr
    assert contents(project) == before


def test_asks_before_it_changes_files(voicecore: Voicecore, project: Path) -> None:
    before = contents(project)
    result = voicecore("add", "webrtc", "--project", str(project))
    assert result.code == ExitCode.FAILED
    assert f"voicecore add webrtc --project {project} --yes" in result.stderr
    assert contents(project) == before


def test_own_lines_stop_it_and_it_says_what_to_do(voicecore: Voicecore, project: Path) -> None:
    app = project / "agent/internal/app.py"
    app.write_text(app.read_text().replace('"""Answer /invocations with', '"""Mine, with'))
    before = contents(project)
    result = voicecore("add", "webrtc", "--yes", "--project", str(project))
    assert result.code == ExitCode.FAILED
    assert "agent/internal/app.py: you have changed the lines that would change" in result.stderr
    assert "+        self.requests: dict[str, RequestHandler] = {}" in result.stderr
    assert contents(project) == before


def test_tells_programs_what_it_did(voicecore: Voicecore, project: Path) -> None:
    result = voicecore("add", "webrtc", "--yes", "--json", "--project", str(project))
    report = json.loads(result.stdout)
    assert report["written"] is True
    assert report["files"]["agent/internal/webrtc.py"] == "new"
    assert report["files"]["voicecore.toml"] == "changed"


def test_a_lockfile_that_cannot_be_brought_up_to_date_stops_nothing(
    voicecore: Voicecore, project: Path
) -> None:
    (project / "agent/uv.lock").write_text("garbage")
    result = voicecore("add", "webrtc", "--yes", "--project", str(project))
    assert result.code == ExitCode.OK
    assert "✗ Locking what the agent asks for now" in result.stderr
    assert "now has WebRTC" in result.stderr


def test_there_must_be_such_a_transport(voicecore: Voicecore, project: Path) -> None:
    result = voicecore("add", "pigeon", "--project", str(project))
    assert result.code == ExitCode.USAGE
    assert "websocket, webrtc" in result.stderr
