"""`voicecore add`: shows the changes of a transport before it writes them."""

import json
import shutil
import tomllib
from pathlib import Path

import pytest

from tests.conftest import Voicecore
from tests.standins.disk import small_disk
from voicecore.console.errors import ExitCode


@pytest.fixture
def project(voicecore: Voicecore, tmp_path: Path) -> Path:
    voicecore("init", "mine", "--yes", "--transport", "websocket")
    (tmp_path / "mine/agent/bot.py").write_text("# my own\n")
    return tmp_path / "mine"


def contents(project: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in project.rglob("*") if path.is_file()}


def test_adds_files_and_lines_and_keeps_edits(voicecore: Voicecore, project: Path) -> None:
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
    assert "already has WebRTC" in again.stderr


def test_adds_telephony_and_then_another_provider(voicecore: Voicecore, project: Path) -> None:
    def add(*flags: str) -> str:
        done = voicecore("add", "telephony", *flags, "--yes", "--project", str(project))
        assert done.code == ExitCode.OK, done.stderr
        return done.stderr

    assert "voicecore talk --phone plivo" in add("--provider", "plivo")
    assert "new server/internal/telephony/providers/vonage.py" in add("--provider", "vonage")
    assert 'providers = ["plivo", "vonage"]' in (project / "voicecore.toml").read_text()
    assert "already has Telephone" in add()
    for flags in (("telephony", "--provider", "pigeon"), ("webrtc", "--provider", "twilio")):
        assert voicecore("add", *flags, "--project", str(project)).code == ExitCode.USAGE


@pytest.mark.parametrize(
    ("transport", "more", "text"),
    [
        ("webrtc", "[vpc]\nendpoints = true\n", "vpc.endpoints: leaves no way to the internet"),
        ("daily", "", "network: 'public' cannot carry 'daily'"),
    ],
)
def test_refuses_transport_that_the_settings_do_not_allow(
    voicecore: Voicecore, project: Path, transport: str, more: str, text: str
) -> None:
    toml = project / "voicecore.toml"
    network = "vpc" if more else "public"
    toml.write_text(f'network = "{network}"\n{toml.read_text()}\n{more}')
    before = contents(project)
    refused = voicecore("add", transport, "--yes", "--project", str(project))
    assert refused.code == ExitCode.BAD_PROJECT
    assert text in refused.stderr and "Nothing was written" in refused.stderr
    assert contents(project) == before


def test_dry_run_writes_nothing(voicecore: Voicecore, project: Path) -> None:
    before = contents(project)
    result = voicecore("add", "webrtc", "--dry-run", "--project", str(project))
    assert result.code == ExitCode.OK
    assert "merged agent/pyproject.toml" not in result.stderr
    assert "changed agent/pyproject.toml" in result.stderr
    assert contents(project) == before


def test_refuses_to_change_files_without_confirmation(voicecore: Voicecore, project: Path) -> None:
    before = contents(project)
    result = voicecore("add", "webrtc", "--project", str(project))
    assert result.code == ExitCode.USAGE
    assert f"voicecore add webrtc --project {project} --yes" in result.stderr
    assert contents(project) == before


def test_lines_that_both_change_are_marked(voicecore: Voicecore, project: Path) -> None:
    app = project / "agent/internal/app.py"
    app.write_text(app.read_text().replace("    from . import websocket", "    from . import mine"))
    result = voicecore("add", "webrtc", "--yes", "--project", str(project))
    assert result.code == ExitCode.FAILED
    assert "changed the same lines of agent/internal/app.py" in result.stderr
    assert "=======\n    from . import webrtc, websocket\n>>>>>>>" in app.read_text()
    assert (project / "agent/internal/webrtc.py").exists()


def test_edits_that_the_readme_asks_for_do_not_conflict(
    voicecore: Voicecore, project: Path
) -> None:
    def edit(path: str, old: str, new: str) -> None:
        text = (project / path).read_text()
        assert old in text
        (project / path).write_text(text.replace(old, new))

    edit("voicecore.toml", 'name = "mine"', 'name = "mine"   # ours')
    with (project / "voicecore.toml").open("a") as file:
        file.write('\n[stages.prod]\nregion = "us-west-2"\n')
    edit("agent/pyproject.toml", ",websocket]>", ",websocket,openai]>")
    result = voicecore("add", "webrtc", "--yes", "--json", "--project", str(project))
    assert result.code == ExitCode.OK, result.stdout
    assert result.json["conflicts"] == []
    settings = (project / "voicecore.toml").read_text()
    assert 'name = "mine"   # ours\n' in settings
    assert tomllib.loads(settings)["stages"] == {"prod": {"region": "us-west-2"}}
    assert tomllib.loads(settings)["turn"]["source"] == "kvs"
    packages = tomllib.loads((project / "agent/pyproject.toml").read_text())["project"]
    [pipecat] = [each for each in packages["dependencies"] if each.startswith("pipecat-ai")]
    assert "openai,silero,webrtc,websocket]>=" in pipecat
    assert [each for each in packages["dependencies"] if each.startswith("aiortc")]


def test_prints_changes_as_json(voicecore: Voicecore, project: Path) -> None:
    result = voicecore("add", "webrtc", "--yes", "--json", "--project", str(project))
    report = json.loads(result.stdout)
    assert report["written"] is True
    assert report["files"]["agent/internal/webrtc.py"] == "new"
    assert report["files"]["voicecore.toml"] == "changed"


def test_unreadable_lockfile_is_a_warning(voicecore: Voicecore, project: Path) -> None:
    (project / "agent/uv.lock").write_text("garbage")
    offline = {"UV_OFFLINE": "1"}  # uv would look every package up again
    result = voicecore("add", "webrtc", "--yes", "--project", str(project), env=offline)
    assert result.code == ExitCode.OK
    assert "✗ Locking the agent's packages" in result.stderr
    assert "now has WebRTC" in result.stderr


def test_rejects_unknown_transport(voicecore: Voicecore, project: Path) -> None:
    result = voicecore("add", "pigeon", "--project", str(project))
    assert result.code == ExitCode.USAGE
    assert "websocket, webrtc" in result.stderr


def test_writes_nothing_through_a_link(voicecore: Voicecore, project: Path, tmp_path: Path) -> None:
    victim = tmp_path / "notes"
    victim.write_text("the user's own file")
    toml = (project / "voicecore.toml").read_text()
    (project / "agent/internal/webrtc.py").symlink_to(tmp_path / "gone")
    result = voicecore("add", "webrtc", "--project", str(project), "--yes")
    assert result.code == ExitCode.BAD_PROJECT
    assert "webrtc.py is a symbolic link" in result.stderr
    assert not (tmp_path / "gone").exists()
    assert (project / "voicecore.toml").read_text() == toml


def test_full_disk_is_told(voicecore: Voicecore, project: Path, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 2000) as disk:
        shutil.copytree(project, disk / "project")
        (disk / "rest").write_bytes(bytes(shutil.disk_usage(disk).free))
        result = voicecore("add", "webrtc", "--project", str(disk / "project"), "--yes")
    assert result.code == ExitCode.FAILED
    assert "disk is full" in result.stderr
