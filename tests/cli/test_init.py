import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Voicecore
from tests.standins.disk import small_disk
from voicecore.console.errors import ExitCode
from voicecore.project.project import load_project


def test_creates_project_and_names_next_command(voicecore: Voicecore, tmp_path: Path) -> None:
    result = voicecore("init", "support-line", "--yes")
    assert result.code == ExitCode.OK
    assert result.stdout == ""
    assert "cd support-line && voicecore talk" in result.stderr
    assert 'name = "support-line"' in (tmp_path / "support-line/voicecore.toml").read_text()


def test_session_key_is_random_and_private_to_owner(voicecore: Voicecore, tmp_path: Path) -> None:
    voicecore("init", "one", "--yes")
    voicecore("init", "two", "--yes")
    paths = [tmp_path / name / "server/.env" for name in ("one", "two")]
    assert paths[0].read_text() != paths[1].read_text()
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in paths)


def test_git_ignores_secret(voicecore: Voicecore, tmp_path: Path) -> None:
    voicecore("init", "mine", "--yes")
    for command in ("git init --quiet", "git add --all"):
        subprocess.run(command.split(), cwd=tmp_path / "mine", check=True)
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=tmp_path / "mine", capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert "agent/bot.py" in tracked
    assert "server/.env.example" in tracked
    assert "server/.env" not in tracked


def test_prints_one_json_document(voicecore: Voicecore) -> None:
    result = voicecore(
        "init", "support-line", "--json", "--pipeline", "cascade", "--tts", "cartesia"
    )
    assert result.json["answers"] == {
        "name": "support-line",
        "transports": ["websocket"],
        "pipeline": "cascade",
        "region": "us-east-1",
        "services": {"stt": "transcribe", "llm": "nova-lite", "tts": "cartesia"},
        "providers": [],
    }
    assert result.json["next"] == ["cd support-line", "voicecore talk"]
    assert result.stderr == ""


@pytest.mark.parametrize(("region", "platform"), [("us-east-1", "v2"), ("eu-west-2", "v1")])
def test_project_has_the_newest_platform_of_its_region(
    voicecore: Voicecore, tmp_path: Path, region: str, platform: str
) -> None:
    created = voicecore("init", "line", "--pipeline", "offline", "--region", region, "--yes")
    assert created.code == ExitCode.OK, created.stderr
    assert load_project(tmp_path / "line").stage().platform == platform


def test_telephony_project_has_only_its_providers(voicecore: Voicecore, tmp_path: Path) -> None:
    telephone = ("--transport", "telephony", "--provider", "vonage,twilio")
    result = voicecore("init", "by-phone", "--json", "--pipeline", "offline", *telephone)
    assert result.json["answers"]["providers"] == ["vonage", "twilio"]
    assert result.json["next"][1] == "voicecore talk --phone vonage"
    files = result.json["files"]
    assert "server/internal/telephony/providers/twilio.py" in files
    assert "server/internal/telephony/providers/plivo.py" not in files
    assert not [name for name in files if name.startswith(("client/", "server/internal/page/"))]
    toml = (tmp_path / "by-phone/voicecore.toml").read_text()
    assert '[telephony]\nproviders = ["vonage", "twilio"]' in toml
    default = voicecore("init", "other", "--json", "--transport", "telephony")
    assert default.json["answers"]["providers"] == ["twilio"]


def test_dry_run_writes_nothing(voicecore: Voicecore, tmp_path: Path) -> None:
    result = voicecore("init", "support-line", "--dry-run")
    assert result.code == ExitCode.OK
    assert "agent/bot.py" in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.needs("root")
def test_init_needs_no_network(tmp_path: Path) -> None:
    init = [sys.executable, "-m", "voicecore", "init", "line", "--yes"]
    subprocess.run(["unshare", "--net", *init], cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "line/voicecore.toml").exists()


def test_lists_options_as_json(voicecore: Voicecore) -> None:
    options = voicecore("init", "--list-options").json
    assert [p["name"] for p in options["pipelines"]] == ["nova-sonic", "cascade", "offline"]
    assert options["transports"][0]["name"] == "websocket"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bad name!!/../x"], "voicecore init bad-name-x"),
        (["--", "-x"], "'-x' is not valid: it must be 2 or more"),
        (["ä"], "'ä' is not valid: it must be"),
        (["a" * 200], "it has 200 characters; AWS names leave room for 30"),
        (["con"], "Windows reserves it"),
        (["ok", "-t", "websockets"], "'websockets' is unknown; did you mean 'websocket'?"),
        (["ok", "--pipeline", "novasonic"], "did you mean 'nova-sonic'?"),
        (["ok", "-t", "telephony", "--provider", "twillio"], "did you mean 'twilio'?"),
        (["ok", "--provider", "twilio"], '--provider: is used only with the transport "telephony"'),
        (["ok", "--region", "mars-north-1"], "is not a region of AgentCore Runtime"),
        (["ok", "--pipeline", "nova-sonic", "--region", "eu-west-1"],
         "lacks Amazon Nova 2.5 Sonic; choose from us-east-1, us-west-2"),
        (["ok", "--tts", "cartesia"], "tts: needs --pipeline cascade"),
        (["ok", "--pipeline", "cascade", "--llm", "claude"],
         "'claude' is unknown; choose from nova-lite, or give the ID of a text model of"),
        (["ok", "--pipeline", "cascade", "--llm", "amazon.nova-2-sonic-v1:0"], "is unknown"),
        (["ok", "--pipeline", "cascade", "--llm", "us.meta.llama4", "--region", "eu-west-1"],
         "'eu-west-1' lacks us.meta.llama4; choose from us-east-1, us-east-2"),
        (["ok", "--pipeline", "offline", "--tts", "cartesia"],
         "--tts: pipeline 'offline' has no such choice (its choices: none)"),
    ],
)  # fmt: skip
def test_rejects_invalid_answers_before_writing(
    voicecore: Voicecore, tmp_path: Path, arguments: list[str], message: str
) -> None:
    result = voicecore("init", "--yes", *arguments)
    assert result.code == ExitCode.USAGE
    assert message in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_prints_error_as_json(voicecore: Voicecore) -> None:
    result = voicecore("init", "con", "--json")
    assert result.code == ExitCode.USAGE
    assert json.loads(result.stdout)["error"]["exit_code"] == 2
    assert result.stderr == ""


def test_suggests_closest_command(voicecore: Voicecore, capsys: pytest.CaptureFixture[str]) -> None:
    assert voicecore("inti").code == ExitCode.USAGE
    assert "init" in capsys.readouterr().err


class TestExistingFolder:
    @pytest.fixture
    def project(self, voicecore: Voicecore, tmp_path: Path) -> Path:
        voicecore("init", "mine", "--yes")
        project = tmp_path / "mine"
        (project / "agent/bot.py").write_text("# my own\n")
        (project / "notes.txt").write_text("keep me\n")
        (project / ".gitignore").unlink()
        return project

    def files_in(self, folder: Path) -> dict[str, bytes]:
        return {
            str(path.relative_to(folder)): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }

    def test_is_unchanged_without_force(self, voicecore: Voicecore, project: Path) -> None:
        before = self.files_in(project)
        result = voicecore("init", "mine", "--yes")
        assert result.code == ExitCode.FAILED
        assert "voicecore init mine --force --dry-run" in result.stderr
        assert self.files_in(project) == before

    @pytest.mark.parametrize("flag", [[], ["--dry-run"]])
    def test_is_unchanged_with_force_alone(
        self, voicecore: Voicecore, project: Path, flag: list[str]
    ) -> None:
        before = self.files_in(project)
        result = voicecore("init", "mine", "--force", *flag)
        assert result.code == (ExitCode.OK if flag else ExitCode.USAGE)
        assert "changed agent/bot.py" in result.stderr
        assert "-# my own" in result.stderr
        assert "new .gitignore" in result.stderr
        assert self.files_in(project) == before

    def test_keeps_replaced_files_and_secrets(self, voicecore: Voicecore, project: Path) -> None:
        secret = (project / "server/.env").read_text()
        assert voicecore("init", "mine", "--force", "--yes").code == ExitCode.OK
        assert (project / "agent/bot.py").read_text() != "# my own\n"
        assert (project / ".gitignore").exists()
        assert (project / "server/.env").read_text() == secret
        assert (project / "notes.txt").read_text() == "keep me\n"
        [replaced] = (project / ".voicecore/replaced").glob("*/agent/bot.py")
        assert replaced.read_text() == "# my own\n"

    def test_that_is_a_file_is_unchanged(self, voicecore: Voicecore, tmp_path: Path) -> None:
        (tmp_path / "mine-too").write_text("a file")
        assert voicecore("init", "mine-too", "--force", "--yes").code == ExitCode.FAILED
        assert (tmp_path / "mine-too").read_text() == "a file"


@pytest.mark.parametrize("kilobytes", [8, 256])
def test_full_disk_is_named_and_nothing_stays(
    voicecore: Voicecore, tmp_path: Path, kilobytes: int
) -> None:
    with small_disk(tmp_path / "disk", kilobytes) as disk:
        result = voicecore("init", "support-line", "--yes", "--directory", str(disk))
        assert result.code == ExitCode.FAILED
        assert "its disk is full" in result.stderr
        assert "choose a folder on another disk" in result.stderr
        assert "that you own" not in result.stderr
        assert list(disk.iterdir()) == []
