"""The record of what was generated has no secret, and a cloned one is not trusted."""

import zipfile
from pathlib import Path

import pytest

from voicecore.scaffold.record import PATH, BadRecord, packed, read, recorded, write

FILES = {"a.py": b"x = 1\n", "page.js": b"x" * 2000, "s.wav": b"\xff", "server/.env": b"KEY=secret"}


def test_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert read(tmp_path) is None
    write(tmp_path, FILES)
    found = read(tmp_path) or {}
    assert found == recorded(FILES)
    assert found["a.py"] == FILES["a.py"]
    assert found["page.js"].startswith(b"sha256:")
    assert "server/.env" not in found


def test_same_files_give_same_bytes() -> None:
    assert packed(FILES) == packed(dict(reversed(FILES.items())))


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x"])
def test_paths_outside_the_project_are_refused(tmp_path: Path, name: str) -> None:
    write(tmp_path, {})
    with zipfile.ZipFile(tmp_path / PATH, "w") as archive:
        archive.writestr(name, "x")
    with pytest.raises(BadRecord, match="outside the project"):
        read(tmp_path)


def test_damaged_and_huge_ones_are_refused(tmp_path: Path) -> None:
    write(tmp_path, FILES)
    (tmp_path / PATH).write_bytes((tmp_path / PATH).read_bytes()[:40])
    with pytest.raises(BadRecord, match="Could not read"):
        read(tmp_path)
    with zipfile.ZipFile(tmp_path / PATH, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(60_000_000))
    with pytest.raises(BadRecord, match="too large"):
        read(tmp_path)
