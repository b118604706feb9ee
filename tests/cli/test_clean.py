"""`voicecore clean`: deletes what can be made again, after it was shown, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Voicecore
from voicecore.console.errors import ExitCode
from voicecore.local.processes.dev_state import project_lock


def fill(folder: Path, size: int) -> None:
    folder.mkdir(parents=True)
    (folder / "file").write_bytes(bytes(size))


@pytest.fixture
def project(voicecore: Voicecore, tmp_path: Path) -> Path:
    """A project with packages, logs, a cache of images and a recording of the user's."""
    voicecore("init", "mine", "--yes")
    root = tmp_path / "mine"
    fill(root / "agent/.venv", 3_000_000)
    fill(root / "server/.venv", 1_000_000)
    fill(root / ".voicecore/logs/2026", 2_000)
    fill(root / ".voicecore/traces", 3_000)
    fill(tmp_path / "cache/voicecore/image/store", 5_000_000)
    (root / "conversation.wav").write_bytes(b"RIFF")
    return root


def files_of(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def test_shows_sizes_and_deletes_after_confirmation(voicecore: Voicecore, project: Path) -> None:
    env = {"XDG_CACHE_HOME": str(project.parent / "cache")}
    before = files_of(project)
    asked = voicecore("clean", cwd=project, env=env)
    assert asked.code == ExitCode.USAGE
    for text in ("3.0 MB  agent/.venv", "1.0 MB  server/.venv", "2.0 kB  .voicecore/logs",
                 "3.0 kB  .voicecore/traces",
                 "5.0 MB", "9.0 MB  in total", "voicecore clean --yes"):  # fmt: skip
        assert text in asked.stderr
    assert voicecore("clean", "--dry-run", cwd=project, env=env).code == ExitCode.OK
    assert files_of(project) == before
    done = voicecore("clean", "--yes", "--json", cwd=project, env=env)
    assert done.json["deleted"] is True
    assert sum(each["bytes"] for each in done.json["found"]) == 9_005_000
    packages = {"agent/.venv/file", "server/.venv/file"}
    gone = packages | {".voicecore/logs/2026/file", ".voicecore/traces/file"}
    assert files_of(project) == (before - gone) | {".voicecore/dev.lock"}
    again = voicecore("clean", "--yes", cwd=project, env=env)
    assert again.code == ExitCode.OK and "There is nothing to delete." in again.stderr


def test_outside_of_a_project_only_the_cache_is_deleted(
    voicecore: Voicecore, project: Path
) -> None:
    env = {"XDG_CACHE_HOME": str(project.parent / "cache")}
    done = voicecore("clean", "--yes", cwd=project.parent, env=env)
    assert done.code == ExitCode.OK and "cached images and layers" in done.stderr
    assert not (project.parent / "cache/voicecore/image").exists()
    assert (project / "agent/.venv/file").exists()


def test_nothing_is_deleted_while_dev_runs(voicecore: Voicecore, project: Path) -> None:
    with project_lock(project / ".voicecore"):
        refused = voicecore("clean", "--yes", cwd=project, env={"XDG_CACHE_HOME": str(project)})
    assert refused.code == ExitCode.FAILED
    assert "`voicecore dev` is running mine; nothing was deleted." in refused.stderr
    assert (project / "agent/.venv/file").exists()


def test_folder_behind_a_link_is_not_deleted(voicecore: Voicecore, project: Path) -> None:
    elsewhere = project.parent / "elsewhere"
    (project / "agent/.venv").rename(elsewhere)
    (project / "agent/.venv").symlink_to(elsewhere)
    done = voicecore("clean", "--yes", cwd=project, env={"XDG_CACHE_HOME": str(project)})
    assert done.code == ExitCode.OK
    assert (elsewhere / "file").exists()
