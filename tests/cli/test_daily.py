"""A project that calls reach through Daily: what it is told that it needs, and what cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.test_dev import AGENT, dev, events_until, tiny
from tests.conftest import Voicecore
from voicecore.console.errors import ExitCode


@pytest.fixture
def project(voicecore: Voicecore, tmp_path: Path) -> Path:
    made = voicecore("init", "line", "--yes", "--transport", "daily", "--pipeline", "offline")
    assert made.code == ExitCode.OK
    assert "Daily needs DAILY_API_KEY in server/.env" in made.stderr
    assert "cd line && voicecore dev" in made.stderr
    return tmp_path / "line"


def test_no_module_hides_the_library_of_daily(project: Path) -> None:
    for part in ("agent", "server"):
        assert (project / part / "internal" / "daily.py").exists()
        assert not (project / part / "daily.py").exists()


def test_agentcores_public_network_is_refused_with_the_reason(
    voicecore: Voicecore, project: Path
) -> None:
    toml = project / "voicecore.toml"
    toml.write_text(f'network = "public"\n{toml.read_text()}')
    result = voicecore("deploy", "--yes", "--project", str(project))
    assert result.code == ExitCode.BAD_PROJECT
    assert "line 1" in result.stderr
    assert "'public' cannot carry 'daily': Daily's sound goes by UDP" in result.stderr


def test_a_server_without_the_key_is_not_deployed(voicecore: Voicecore, project: Path) -> None:
    result = voicecore("deploy", "--server", "--yes", "--project", str(project))
    assert result.code == ExitCode.BAD_PROJECT
    assert "DAILY_API_KEY is missing" in result.stderr
    assert "Mend server/.env" in result.stderr


def test_talk_takes_no_turn_server_to_a_room(voicecore: Voicecore, project: Path) -> None:
    result = voicecore("talk", "--text", "--turn", "turn:example.com", "--transport", "daily")
    assert result.code == ExitCode.USAGE
    assert "are about WebRTC" in result.stderr


def test_it_is_added_to_a_project(voicecore: Voicecore, tmp_path: Path) -> None:
    voicecore("init", "mine", "--yes", "--transport", "webrtc", "--pipeline", "offline")
    result = voicecore("add", "daily", "--yes", "--project", "mine")
    assert result.code == ExitCode.OK
    assert "new agent/internal/daily.py" in result.stderr
    assert "It needs DAILY_API_KEY in server/.env" in result.stderr
    assert "daily,silero,webrtc" in (tmp_path / "mine/agent/pyproject.toml").read_text()


def test_dev_says_that_the_key_is_missing(tmp_path: Path) -> None:
    project = tiny(tmp_path / "tiny", AGENT)
    toml = project / "voicecore.toml"
    toml.write_text(toml.read_text().replace("websocket", "daily"))
    with dev(project) as process:
        events_until(process, "serving")
        process.terminate()
        assert "server/.env has no DAILY_API_KEY" in process.communicate(timeout=20)[1]
