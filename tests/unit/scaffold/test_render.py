"""A new project appears as a whole or not at all."""

from pathlib import Path

import pytest

from voicecore.scaffold.render import write_new

FILES = {"voicecore.toml": b'name = "line"', "server/.env": b"KEY=", "agent/bot.py": b""}


def test_new_folder_has_the_files_and_may_be_read_by_others(tmp_path: Path) -> None:
    target = tmp_path / "new" / "line"
    write_new(FILES, target)
    found = {str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()}
    assert found == set(FILES)
    modes = {name: (target / name).stat().st_mode & 0o777 for name in ("", *FILES)}
    assert modes == {
        "": 0o755, "voicecore.toml": 0o644, "agent/bot.py": 0o644, "server/.env": 0o600
    }  # fmt: skip


def test_failed_write_leaves_no_draft(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="agent"):
        write_new({"agent": b"a file", "agent/bot.py": b"in a folder"}, tmp_path / "line")
    assert list(tmp_path.iterdir()) == []


def test_existing_folder_is_kept(tmp_path: Path) -> None:
    target = tmp_path / "line"
    target.mkdir()
    write_new(FILES, target)  # an empty folder is as good as none
    (target / "agent/bot.py").write_text("mine")
    with pytest.raises(FileExistsError):
        write_new(FILES, target)
    assert (target / "agent/bot.py").read_text() == "mine"
    assert list(tmp_path.iterdir()) == [target]
