"""Changes of a project are written all or none, with a copy of what they replace."""

import errno
import shutil
from pathlib import Path

import pytest

from tests.standins.disk import small_disk
from voicecore.project.no_links import LinkRefused
from voicecore.scaffold.apply import PlaceTaken, apply, finish


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in {"a/one": "1", "a/script": "2", "gone": "3"}.items():
        path = tmp_path / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "project/a/script").chmod(0o755)
    return tmp_path / "project"


def contents(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): path.read_text()
        for path in root.rglob("*")
        if path.is_file() and ".voicecore" not in path.parts
    }


def test_files_are_written_and_removed_and_can_be_brought_back(root: Path) -> None:
    before = contents(root)
    backup = apply(root, {"a/one": b"new", "a/script": b"new", "b/two": b"new"}, ["gone"])
    assert contents(root) == {"a/one": "new", "a/script": "new", "b/two": "new"}
    assert (root / "a/script").stat().st_mode & 0o777 == 0o755
    shutil.copytree(backup, root, dirs_exist_ok=True)
    assert contents(root) == before | {"b/two": "new"}
    assert [path.name for path in (root / ".voicecore").iterdir()] == ["replaced"]


def test_interrupted_changes_are_finished_later(root: Path) -> None:
    apply(root, {"x": b""})
    ready = root / ".voicecore/changes"
    (ready / "files/a").mkdir(parents=True)
    (ready / "files/a/one").write_text("new")
    (ready / "removed").mkdir()
    (ready / "removed/gone").touch()
    assert finish(root)
    assert contents(root) == {"a/one": "new", "a/script": "2", "x": ""}
    assert not finish(root)


def test_staged_changes_that_were_never_ready_are_discarded(root: Path) -> None:
    (root / ".voicecore/changes.part/files").mkdir(parents=True)
    (root / ".voicecore/changes.part/files/bad").touch()
    assert not finish(root)
    apply(root, {"a/one": b"new"})
    assert contents(root) == {"a/one": "new", "a/script": "2", "gone": "3"}


@pytest.mark.parametrize("link", ["a/two", "b", ".voicecore"])
def test_links_stop_it_before_anything_is_written(root: Path, link: str, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (root / link).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LinkRefused):
        apply(root, {"a/one": b"new", "a/two": b"new", "b/three": b"new"})
    assert contents(root) == {"a/one": "1", "a/script": "2", "gone": "3"}
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_links_among_interrupted_changes_are_refused(root: Path, tmp_path: Path) -> None:
    (root / ".voicecore").mkdir()
    (root / ".voicecore/changes").symlink_to(tmp_path)
    with pytest.raises(LinkRefused):
        finish(root)


@pytest.mark.parametrize("path", ["a", "gone/new"])
def test_a_folder_in_the_place_of_a_file_stops_it(root: Path, path: str) -> None:
    before = contents(root)
    with pytest.raises(PlaceTaken, match="Nothing was written"):
        apply(root, {"other": b"new", path: b"new"})
    assert contents(root) == before


def test_a_full_disk_changes_nothing(root: Path, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 256) as disk:
        shutil.copytree(root, disk / "project")
        before = contents(disk / "project")
        with pytest.raises(OSError) as raised:
            apply(disk / "project", {"a/one": b"new", "big": bytes(500_000)}, ["gone"])
        assert raised.value.errno == errno.ENOSPC
        assert contents(disk / "project") == before
        assert list((disk / "project/.voicecore").glob("changes*")) == []
