"""Nothing is written through a symbolic link in a project, whatever writes it."""

import stat
from pathlib import Path

import pytest

from tests.conftest import Voicecore
from voicecore.console.errors import ExitCode
from voicecore.image.inputs import dockerfile
from voicecore.local.processes import dev_state
from voicecore.local.sessions.log_writer import SessionLog
from voicecore.project.no_links import LinkRefused, refuse_links, within
from voicecore.scaffold import render
from voicecore.talk.audio.sound_files import WavWriter

BEFORE = "the user's own file\n"


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A file of the user outside of the project."""
    path = tmp_path / "home" / "notes"
    path.parent.mkdir()
    path.write_text(BEFORE)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    root.mkdir()
    return root


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def link(path: Path, target: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)
    return path


@pytest.mark.parametrize("mode", ["w", "a", "x"])
def test_opener_follows_neither_a_linked_file_nor_a_linked_folder(
    root: Path, victim: Path, mode: str
) -> None:
    link(root / "file", victim)
    link(root / "folder", victim.parent)
    link(root / "dangling", victim.parent / "new")
    for name in ("file", "folder/notes", "folder/deep/er", "dangling"):
        with pytest.raises(LinkRefused) as refused, open(root / name, mode, opener=within(root)):
            pass
        assert "rm " in str(refused.value.hint)
    assert victim.read_text() == BEFORE
    assert names_in(victim.parent) == ["notes"]


def test_opener_creates_folders_and_files_that_only_the_user_reads(root: Path) -> None:
    with open(root / "logs/2026/one", "w", opener=within(root)) as file:
        file.write("text")
    assert (root / "logs/2026/one").read_text() == "text"
    assert stat.S_IMODE((root / "logs/2026/one").stat().st_mode) == 0o600


def test_project_itself_may_be_reached_through_a_link(root: Path, tmp_path: Path) -> None:
    other = link(tmp_path / "other", root)
    refuse_links(other / "a/b", other)
    with open(other / "a/b", "w", opener=within(other)):
        pass
    assert (root / "a/b").exists()


@pytest.mark.parametrize("name", [".voicecore", ".voicecore/dev.lock"])
def test_lock_of_dev_empties_no_linked_file(root: Path, victim: Path, name: str) -> None:
    link(root / name, victim.parent if name == ".voicecore" else victim)
    with pytest.raises(LinkRefused), dev_state.project_lock(root / ".voicecore"):
        pass
    assert victim.read_text() == BEFORE
    assert names_in(victim.parent) == ["notes"]


def test_session_log_follows_no_link(root: Path, victim: Path) -> None:
    link(root / ".voicecore/logs", victim.parent)
    with pytest.raises(LinkRefused):
        SessionLog(root / ".voicecore/logs").open("s" * 33)
    assert names_in(victim.parent) == ["notes"]


def test_export_of_deploy_overwrites_no_linked_file(
    voicecore: Voicecore, tmp_path: Path, victim: Path
) -> None:
    voicecore("init", "line", "--yes")
    link(tmp_path / "line/cloudformation", victim.parent)
    (victim.parent / "voicecore-line-dev.yaml").write_text(BEFORE)
    result = voicecore("deploy", "--export", "template", cwd=tmp_path / "line")
    assert result.code == ExitCode.BAD_PROJECT
    assert "cloudformation is a symbolic link" in result.stderr
    assert (victim.parent / "voicecore-line-dev.yaml").read_text() == BEFORE


@pytest.mark.parametrize("name", ["agent", "agent/bot.py", ".voicecore", ".voicecore/replaced"])
def test_init_replaces_nothing_through_a_link(root: Path, victim: Path, name: str) -> None:
    files = {"agent/bot.py": b"new", "agent/internal/app.py": b"new"}
    (victim.parent / "bot.py").write_text(BEFORE)
    new = name == "agent/bot.py"  # a link to nothing looks like a new file
    link(root / name, victim.parent / "gone" if new else victim.parent)
    if name.startswith(".voicecore"):
        (root / "agent").mkdir()
        (root / "agent/bot.py").write_text("old")
    comparison = render.compare(files, root)
    with pytest.raises(LinkRefused):
        render.write_over(files, root, comparison, root / ".voicecore/replaced/now")
    assert names_in(victim.parent) == ["bot.py", "notes"]
    assert (victim.parent / "bot.py").read_text() == BEFORE


def test_dockerfile_is_not_written_through_a_link(root: Path, victim: Path) -> None:
    link(root / "agent/.Dockerfile.part", victim)
    with pytest.raises(LinkRefused):
        dockerfile.write(root / "agent", "FROM scratch\n")
    assert victim.read_text() == BEFORE


def test_recording_replaces_no_linked_file(root: Path, victim: Path) -> None:
    link(root / "call.wav", victim)
    with pytest.raises(LinkRefused):
        WavWriter(root / "call.wav", channels=1)
    assert victim.read_text() == BEFORE


def test_only_the_user_reads_a_recording(root: Path) -> None:
    with WavWriter(root / "call.wav", channels=1) as wav:
        wav.write(bytes(96))
    assert stat.S_IMODE((root / "call.wav").stat().st_mode) == 0o600
