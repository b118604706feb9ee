"""Projects with the Daily transport: the key they need, and networks that cannot carry it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Voicecore
from tests.standins.dev import AGENT, dev, events_until, tiny_project
from voicecore.console.errors import ExitCode

pytestmark = pytest.mark.slow


@pytest.fixture
def project(voicecore: Voicecore, tmp_path: Path) -> Path:
    result = voicecore("init", "line", "--yes", "--transport", "daily", "--pipeline", "offline")
    assert result.code == ExitCode.OK
    assert "Daily needs DAILY_API_KEY in server/.env" in result.stderr
    assert "cd line && voicecore dev" in result.stderr
    return tmp_path / "line"


def test_no_module_shadows_the_daily_library(project: Path) -> None:
    for part in ("agent", "server"):
        assert (project / part / "internal" / "daily.py").exists()
        assert not (project / part / "daily.py").exists()


def test_deploy_rejects_public_network(voicecore: Voicecore, project: Path) -> None:
    toml = project / "voicecore.toml"
    toml.write_text(f'network = "public"\n{toml.read_text()}')
    result = voicecore("deploy", "--yes", "--project", str(project))
    assert result.code == ExitCode.BAD_PROJECT
    assert "line 1" in result.stderr
    assert "'public' cannot carry 'daily': Daily's audio needs UDP" in result.stderr


def test_deploy_rejects_server_without_key(voicecore: Voicecore, project: Path) -> None:
    result = voicecore("deploy", "--server", "--yes", "--project", str(project))
    assert result.code == ExitCode.BAD_PROJECT
    assert "DAILY_API_KEY is missing" in result.stderr
    assert "Fix server/.env" in result.stderr


def test_talk_rejects_turn_server(voicecore: Voicecore, project: Path) -> None:
    result = voicecore("talk", "--text", "--turn", "turn:example.com", "--transport", "daily")
    assert result.code == ExitCode.USAGE
    assert "work only with WebRTC" in result.stderr


def test_add_daily_to_project(voicecore: Voicecore, tmp_path: Path) -> None:
    voicecore("init", "mine", "--yes", "--transport", "webrtc", "--pipeline", "offline")
    result = voicecore("add", "daily", "--yes", "--project", "mine")
    assert result.code == ExitCode.OK
    assert "new agent/internal/daily.py" in result.stderr
    assert "It needs DAILY_API_KEY in server/.env" in result.stderr
    assert "daily,silero,webrtc" in (tmp_path / "mine/agent/pyproject.toml").read_text()


def test_dev_warns_about_missing_key(tmp_path: Path) -> None:
    project = tiny_project(tmp_path / "tiny", AGENT)
    toml = project / "voicecore.toml"
    toml.write_text(toml.read_text().replace("websocket", "daily"))
    with dev(project) as process:
        events_until(process, "serving")
        process.terminate()
        assert "server/.env has no DAILY_API_KEY" in process.communicate(timeout=60)[1]
