"""`voicecore update`: new templates and the user's edits become one, or a clear conflict."""

import ast
import json
import shutil
import subprocess
import tomllib
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.conftest import Result, Voicecore
from voicecore import __version__
from voicecore.console.errors import ExitCode
from voicecore.scaffold import record

# A project of 0.1.0, generated before it could update: WebSocket and Nova Sonic, without the page.
GENERATED_BY_0_1_0 = Path(__file__).parents[1] / "fixtures/project-0.1.0.zip"

EDITS: dict[str, tuple[str, str]] = {
    "voicecore.toml": ('name = "mine"', 'name = "mine"   # what callers call it'),
    "agent/bot.py": ('GREETING = "Hello! How can I help?"', 'GREETING = "Acme, good day!"'),
    "agent/internal/prune.py": ("\nimport ", "\n# Acme's own\nimport "),
    "agent/pyproject.toml": (",websocket]>=", ",openai,websocket]>="),
    "agent/Dockerfile": ("\nUSER ", "\nENV ACME=1\nUSER "),
    "README.md": ("# mine\n", "# Acme's line\n"),
    "server/pyproject.toml": ('"fastapi', '"acme-auth>=2",\n    "fastapi'),
    "server/internal/settings.py": ("from __future__", "# Reviewed by Acme.\nfrom __future__"),
}
APPENDED = {
    "voicecore.toml": '\n[stages.prod]\nregion = "us-west-2"\n',
    ".gitignore": "recordings/\n",
    "agent/bot.py": "\n\nACME = 1\n",
}


def edit(project: Path, path: str, old: str, new: str) -> None:
    text = (project / path).read_text()
    assert old in text, f"{path} has no {old!r}"
    (project / path).write_text(text.replace(old, new, 1))


def contents(project: Path) -> dict[str, bytes]:
    return {
        path.relative_to(project).as_posix(): path.read_bytes()
        for path in sorted(project.rglob("*"))
        if path.is_file() and not {".git", ".venv"} & set(path.parts)
    }


def git(project: Path, *words: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    argv = ["git", "-C", str(project), *identity, *words]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def project(voicecore: Voicecore, tmp_path: Path) -> Path:
    voicecore("init", "mine", "--yes", "--transport", "websocket", "--pipeline", "nova-sonic")
    return tmp_path / "mine"


@pytest.fixture
def update(voicecore: Voicecore, project: Path) -> Callable[..., Result]:
    return partial(voicecore, "update", cwd=project)


def older(project: Path, path: str, now: str, then: str) -> None:
    """Make the project as if an older release had generated `then` for `now`."""
    files = record.read(project) or {}
    text = files[path].decode()
    assert now in text
    record.write(project, files | {path: text.replace(now, then).encode()})
    edit(project, path, now, then)


def test_ten_edits_of_a_project_of_0_1_0_survive(voicecore: Voicecore, tmp_path: Path) -> None:
    generated, project = tmp_path / "generated/mine", tmp_path / "mine"
    with zipfile.ZipFile(GENERATED_BY_0_1_0) as archive:
        archive.extractall(generated)
    shutil.copytree(generated, project)
    for folder in (generated, project):  # of tools and of voicecore, not generated
        (folder / ".voicecore").mkdir()
        (folder / ".voicecore/known").touch()
        (folder / "agent/uv.lock").touch()
    for path, (old, new) in EDITS.items():
        edit(project, path, old, new)
    for path, text in APPENDED.items():
        (project / path).write_text((project / path).read_text() + text)
    (project / "agent/orders.py").write_text("ORDERS = {}\n")
    (project / "tests/test_conversation.py").unlink()
    (project / "server/.env").write_text("SESSION_API_KEY=kept\n")
    edited = {*EDITS, *APPENDED}

    result = voicecore("update", "--generated", str(generated), "--yes", "--json", cwd=project)

    report = result.json
    assert set(report["conflicts"]) <= edited
    assert result.code == (ExitCode.FAILED if report["conflicts"] else ExitCode.OK)
    for path, (_, new) in EDITS.items():
        assert all(line in (project / path).read_text() for line in new.splitlines()), path
    for path, text in APPENDED.items():
        assert text.strip() in (project / path).read_text(), path
    assert (project / "agent/orders.py").read_text() == "ORDERS = {}\n"
    assert (project / ".voicecore/known").exists()
    assert (project / "agent/uv.lock").exists()
    assert not (project / "tests/test_conversation.py").exists()
    assert (project / "server/.env").read_text() == "SESSION_API_KEY=kept\n"
    voicecore("init", "mine", "--directory", "fresh", "--transport", "websocket", "--pipeline",
              "nova-sonic", "--yes")  # fmt: skip
    fresh, now = contents(tmp_path / "fresh/mine"), contents(project)
    assert fresh
    same = set(fresh) - edited - {record.PATH, ".voicecore/known", "server/.env"}
    same -= set(report["kept"]) | {"tests/test_conversation.py"}
    assert "agent/internal/app.py" in same
    assert [path for path in sorted(same) if now[path] != fresh[path]] == []
    for path in edited - set(report["conflicts"]):
        if path.endswith(".toml"):
            tomllib.loads(now[path].decode())
        elif path.endswith(".py"):
            ast.parse(now[path])


def test_new_templates_are_merged_with_edits(update: Callable[..., Result], project: Path) -> None:
    older(project, "agent/bot.py", "    day = day.strip().title()\n", "")
    older(project, "agent/Dockerfile", "\nUSER ", "\n# of before\nUSER ")
    edit(project, "agent/bot.py", *EDITS["agent/bot.py"])
    result = update("--yes")
    assert result.code == ExitCode.OK
    assert "merged agent/bot.py" in result.stderr
    assert "changed agent/Dockerfile" in result.stderr
    assert "+    day = day.strip().title()" in result.stderr
    assert "cp -R" in result.stderr
    bot = (project / "agent/bot.py").read_text()
    assert "day.strip().title()" in bot
    assert "Acme, good day!" in bot
    assert "# of before" not in (project / "agent/Dockerfile").read_text()
    before = contents(project)
    again = update("--yes")
    assert again.code == ExitCode.OK
    assert f"mine is up to date with voicecore {__version__}" in again.stderr
    assert contents(project) == before


def test_lines_that_both_changed_are_marked_and_must_be_resolved(
    update: Callable[..., Result], project: Path
) -> None:
    older(project, "agent/bot.py", "How can I help?", "Hello?")
    edit(project, "agent/bot.py", "Hello?", "Acme?")
    shown = update("--dry-run")
    assert shown.code == ExitCode.OK
    assert "conflict agent/bot.py" in shown.stderr
    result = update("--yes", "--json")
    assert result.code == ExitCode.FAILED
    assert result.json["conflicts"] == ["agent/bot.py"]
    marked = (project / "agent/bot.py").read_text()
    assert '<<<<<<< yours\nGREETING = "Hello! Acme?"\n=======\n' in marked
    assert f">>>>>>> voicecore {__version__}\n" in marked
    again = update("--yes")
    assert again.code == ExitCode.FAILED
    assert "Conflict markers are left in agent/bot.py (line" in again.stderr
    edit(project, "agent/bot.py", marked, 'GREETING = "Acme?"\n')
    assert update("--yes").code == ExitCode.OK


@pytest.mark.parametrize("flag", ["--dry-run", ""])
def test_nothing_is_written_without_confirmation(
    update: Callable[..., Result], project: Path, flag: str
) -> None:
    older(project, "agent/bot.py", "How can I help?", "Hello?")
    before = contents(project)
    result = update(*filter(None, [flag]))
    assert result.code == (ExitCode.OK if flag else ExitCode.USAGE)
    assert flag or "voicecore update --yes" in result.stderr
    assert "+GREETING" in result.stderr
    assert contents(project) == before


def test_uncommitted_changes_stop_it(update: Callable[..., Result], project: Path) -> None:
    git(project, "init", "--quiet")
    git(project, "add", ".")
    git(project, "commit", "--quiet", "-m", "all")
    edit(project, "README.md", *EDITS["README.md"])
    assert update("--yes").code == ExitCode.OK  # it has nothing to change
    older(project, "agent/bot.py", "How can I help?", "Hello?")
    result = update("--yes")
    assert result.code == ExitCode.FAILED
    assert (
        "mine has uncommitted changes in .voicecore/generated.zip, README.md, agent/bot.py;"
        in result.stderr
    )
    assert "voicecore update --allow-dirty" in result.stderr
    assert update("--dry-run").code == ExitCode.OK
    git(project, "commit", "--quiet", "-am", "mine")
    assert update("--yes").code == ExitCode.OK
    assert "How can I help?" in (project / "agent/bot.py").read_text()
    assert update("--yes").code == ExitCode.OK  # twice


def test_record_survives_a_clone(
    update: Callable[..., Result], project: Path, tmp_path: Path
) -> None:
    older(project, "agent/bot.py", "How can I help?", "Hello?")
    git(project, "init", "--quiet")
    git(project, "add", ".")
    git(project, "commit", "--quiet", "-m", "all")
    git(tmp_path, "clone", "--quiet", str(project), "cloned")
    assert [path for path in contents(tmp_path / "cloned") if ".voicecore" in path] == [record.PATH]
    assert update("--yes", cwd=tmp_path / "cloned").code == ExitCode.OK
    assert "How can I help?" in (tmp_path / "cloned/agent/bot.py").read_text()


@pytest.mark.parametrize("command", [["update"], ["update", "--restore", "."], ["add", "webrtc"]])
def test_project_of_a_newer_voicecore_is_refused(
    voicecore: Voicecore, project: Path, command: list[str]
) -> None:
    edit(project, "voicecore.toml", f'voicecore = "{__version__}"', 'voicecore = "9.9.9"')
    before = contents(project)
    result = voicecore(*command, "--yes", cwd=project)
    assert result.code == ExitCode.BAD_PROJECT
    assert "generated by voicecore 9.9.9, which is newer than this one" in result.stderr
    assert "uv tool upgrade voicecore-cli" in result.stderr
    assert contents(project) == before


def test_settings_of_a_newer_voicecore_are_explained(voicecore: Voicecore, project: Path) -> None:
    edit(project, "voicecore.toml", f'voicecore = "{__version__}"', 'voicecore = "9.9.9"\nmood = 1')
    result = voicecore("update", cwd=project)
    assert result.code == ExitCode.BAD_PROJECT
    assert "mood: is not a known setting" in result.stderr
    assert "It was generated by voicecore 9.9.9. Upgrade voicecore" in result.stderr


def test_project_of_an_older_voicecore_is_updated_before_it_grows(
    voicecore: Voicecore, update: Callable[..., Result], project: Path
) -> None:
    edit(project, "voicecore.toml", f'voicecore = "{__version__}"', 'voicecore = "0.0.9"')
    result = voicecore("add", "webrtc", "--yes", cwd=project)
    assert result.code == ExitCode.BAD_PROJECT
    assert "Update the project first:  voicecore update" in result.stderr
    assert update("--yes").code == ExitCode.OK
    assert f'voicecore = "{__version__}"' in (project / "voicecore.toml").read_text()
    assert voicecore("add", "webrtc", "--yes", cwd=project).code == ExitCode.OK


@pytest.mark.parametrize(("version", "told"), [("0.0.9", "voicecore update"), ("9.9.9", "Upgrade")])
def test_other_versions_are_told(
    voicecore: Voicecore, project: Path, version: str, told: str
) -> None:
    edit(project, "voicecore.toml", f'voicecore = "{__version__}"', f'voicecore = "{version}"')
    result = voicecore("build", "--dry-run", "--project", str(project))
    assert f"mine was generated by voicecore {version}; this is {__version__}" in result.stderr
    assert told in result.stderr


def test_deleted_file_stays_deleted_until_it_is_restored(
    update: Callable[..., Result], project: Path
) -> None:
    generated = (project / "agent/Dockerfile").read_bytes()
    older(project, "agent/Dockerfile", "\nUSER ", "\n# of before\nUSER ")
    (project / "agent/Dockerfile").unlink()
    result = update("--yes")
    assert result.code == ExitCode.OK
    assert "kept agent/Dockerfile: you deleted it" in result.stderr
    assert not (project / "agent/Dockerfile").exists()
    assert update("--restore", "agent/Dockerfile").code == ExitCode.OK
    assert (project / "agent/Dockerfile").read_bytes() == generated
    assert "nothing was written" in update("--restore", "agent/Dockerfile").stderr


class TestRestore:
    def test_replaces_an_edited_file_and_no_other(
        self, update: Callable[..., Result], project: Path
    ) -> None:
        before = contents(project)
        for path in ("agent/bot.py", "README.md"):
            edit(project, path, *EDITS[path])
        refused = update("--restore", "agent/bot.py")
        assert refused.code == ExitCode.USAGE
        assert "-GREETING" in refused.stderr
        assert "voicecore update --restore agent/bot.py --yes" in refused.stderr
        assert update("--restore", "agent/bot.py", "--yes").code == ExitCode.OK
        assert (project / "agent/bot.py").read_bytes() == before["agent/bot.py"]
        assert "# Acme's line" in (project / "README.md").read_text()
        [replaced] = (project / ".voicecore/replaced").glob("*/agent/bot.py")
        assert "Acme" in replaced.read_text()

    def test_keeps_settings_and_secrets_of_a_renamed_project(
        self, voicecore: Voicecore, project: Path, tmp_path: Path
    ) -> None:
        before = contents(project)
        renamed = project.rename(tmp_path / "Renamed")
        shutil.rmtree(renamed / "server/internal")
        assert (
            "server/internal/server.py"
            in voicecore("update", "--restore", ".", "--dry-run", cwd=renamed).stderr
        )
        report = voicecore("update", "--restore", ".", "--json", cwd=renamed).json
        assert set(report["files"].values()) == {"new"}
        assert contents(renamed) == before

    @pytest.mark.parametrize("path", ["agent/bott.py", "../elsewhere", "notes.txt"])
    def test_names_a_path_that_is_not_generated(
        self, update: Callable[..., Result], project: Path, path: str
    ) -> None:
        (project / "notes.txt").write_text("mine")
        result = update("--restore", path)
        assert result.code == ExitCode.USAGE
        assert f"voicecore generates no {path}" in result.stderr

    def test_needs_a_project(self, voicecore: Voicecore, tmp_path: Path) -> None:
        result = voicecore("update", "--restore", ".", cwd=tmp_path)
        assert result.code == ExitCode.BAD_PROJECT
        assert list(tmp_path.iterdir()) == []


class TestWithoutRecord:
    @pytest.fixture(autouse=True)
    def deleted(self, project: Path) -> None:
        (project / record.PATH).unlink()

    def test_of_the_same_version_it_is_made_anew(
        self, update: Callable[..., Result], project: Path
    ) -> None:
        result = update()
        assert result.code == ExitCode.OK
        assert f"{record.PATH} now records what was generated" in result.stderr
        assert (record.read(project) or {})["agent/bot.py"] == (
            project / "agent/bot.py"
        ).read_bytes()

    def test_of_another_version_it_is_asked_for(
        self, update: Callable[..., Result], project: Path
    ) -> None:
        edit(project, "voicecore.toml", f'voicecore = "{__version__}"', 'voicecore = "0.0.9"')
        result = update("--json")
        assert result.code == ExitCode.BAD_PROJECT
        hint = result.json["error"]["hint"]
        assert "uvx --from voicecore-cli==0.0.9 voicecore init mine --transport websocket" in hint
        assert "voicecore update --generated /tmp/generated/mine" in hint

    def test_generated_folder_must_be_a_project(
        self, update: Callable[..., Result], tmp_path: Path
    ) -> None:
        result = update("--generated", str(tmp_path))
        assert result.code == ExitCode.BAD_PROJECT
        assert "voicecore did not generate it" in result.stderr


def test_interrupted_update_is_finished(update: Callable[..., Result], project: Path) -> None:
    staged = project / ".voicecore/changes/files/agent/bot.py"
    staged.parent.mkdir(parents=True)
    staged.write_text("# the new one\n")
    result = update("--dry-run")
    assert "interrupted; it is made now" in result.stderr
    assert (project / "agent/bot.py").read_text() == "# the new one\n"


def test_ejected_source_is_updated(
    voicecore: Voicecore, update: Callable[..., Result], project: Path
) -> None:
    voicecore("eject", "client", "--yes", cwd=project)
    older(project, "client/package.json", '"private": true', '"private": false')
    report = json.loads(update("--yes", "--json").stdout)
    assert report["files"] == {"client/package.json": "changed"}
    assert '"private": true' in (project / "client/package.json").read_text()
