"""`voicecore talk` reports what keeps it from reaching an agent."""

import os
import shutil
from pathlib import Path

import pytest

from tests.conftest import Voicecore
from voicecore.project.project import Project, Stage
from voicecore.talk.target import endpoint_for, trouble_of


@pytest.fixture
def project(voicecore: Voicecore, tmp_path: Path) -> Path:
    assert voicecore("init", "line", "--pipeline", "offline", "--yes").code == 0
    return tmp_path / "line"


def test_reports_why_the_agent_does_not_start(voicecore: Voicecore, project: Path) -> None:
    (project / "agent" / "internal" / "app.py").unlink()
    result = voicecore("talk", "--text", cwd=project, env=dict(os.environ))
    assert result.code == 3  # the exit code and the message are those of `voicecore dev`
    assert f"{project} lacks agent/internal/app.py." in result.stderr
    assert f"voicecore update -p {project} --restore agent/internal/app.py" in result.stderr


def test_rejects_binary_dotenv(voicecore: Voicecore, project: Path) -> None:
    (project / "server" / ".env").write_bytes(b"SESSION_API_KEY=\xff\xfe")
    result = voicecore("talk", "--text", cwd=project)
    assert result.code == 3
    assert "server/.env is not UTF-8 text" in result.stderr


@pytest.fixture
def no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.mark.usefixtures("no_credentials")
def test_remote_needs_credentials(voicecore: Voicecore, project: Path) -> None:
    result = voicecore("talk", "--text", "--remote", cwd=project)
    assert result.code == 5
    assert "No AWS credentials were found" in result.stderr
    assert "voicecore talk --text --remote\n" in result.stderr


@pytest.mark.usefixtures("no_credentials")
def test_runtime_itself_is_called_if_the_session_server_is_the_users(
    voicecore: Voicecore, tmp_path: Path
) -> None:
    (tmp_path / "voicecore.toml").write_text(
        'name = "theirs"\ntransports = []\npipeline = "custom"\nregion = "us-east-1"\n'
        '[agent]\ncommand = "python agent.py"\n[server]\ncommand = "python server.py"\n'
    )
    result = voicecore("talk", "--text", "--remote", cwd=tmp_path)
    assert result.code == 5
    assert "the protocol of the session server (python server.py) is its own" in result.stderr
    assert "No AWS credentials were found" in result.stderr
    assert "SESSION_API_KEY" not in result.stderr


def test_rejects_arn_of_another_service(voicecore: Voicecore, project: Path) -> None:
    arn = "arn:aws:s3:::bucket"
    result = voicecore("talk", "--text", "--remote", "--arn", arn, cwd=project)
    assert result.code == 2
    assert arn in result.stderr


def test_reports_missing_server_key(voicecore: Voicecore, project: Path) -> None:
    (project / "server" / ".env").unlink()
    result = voicecore("talk", "--text", cwd=project)
    assert result.code == 1
    assert "SESSION_API_KEY is neither in the environment nor in" in result.stderr


def test_reports_missing_project(voicecore: Voicecore, project: Path) -> None:
    shutil.rmtree(project)
    assert voicecore("talk", "--text").code == 3


def test_rejects_bad_sound_file_before_starting_anything(
    voicecore: Voicecore, project: Path
) -> None:
    (project / "letter.wav").write_text("Dear Sir or Madam")
    result = voicecore("talk", "--input", "letter.wav", cwd=project)
    assert result.code == 2
    assert "letter.wav cannot be spoken" in result.stderr
    assert "Starting" not in result.stderr


@pytest.mark.parametrize(
    ("runtime", "endpoint"),
    [
        ("line_prod-0123456789", "prod"),
        ("line_dev-0123456789", "dev"),
        ("line_old-0123456789", "DEFAULT"),
        ("another_dev-0123456789", "DEFAULT"),
    ],
)
def test_remote_calls_the_endpoint_of_the_stage(
    tmp_path: Path, runtime: str, endpoint: str
) -> None:
    stages = {name: Stage(name, "us-east-1") for name in ("dev", "prod")}
    project = Project(tmp_path, "line", (), "offline", "us-east-1", {}, stages=stages)
    arn = f"arn:aws:bedrock-agentcore:us-east-1:123456789012:runtime/{runtime}"
    assert endpoint_for(project, arn, "DEFAULT") == endpoint


def test_reason_of_another_session_is_not_told() -> None:
    agent, mine, other = ({"session_id": id, "text": "broken"} for id in (None, "mine", "other"))
    assert trouble_of("mine", [agent, mine, other]) is mine
    assert trouble_of("third", [agent, mine, other]) is agent
    assert trouble_of("", [agent, mine, other]) is agent
    assert trouble_of("", [mine, other]) is None
