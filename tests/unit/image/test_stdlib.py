"""The standard library extracted from the layers of a base image."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from tests.unit.image.sample_project import make_layer
from voicecore.image.builders.stdlib import StdlibMissing, extract

HOME = "usr/local/lib/python3.13"


def extracted(folder: Path, *layers: dict[str, str]) -> dict[str, str]:
    blobs: list[Path] = []
    for number, files in enumerate(layers):
        blobs.append(folder / f"layer-{number}")
        blobs[-1].write_bytes(make_layer(files))
    extract(blobs, "3.13", folder / "extracted")
    found = sorted(path for path in (folder / "extracted").rglob("*") if path.is_file())
    return {path.relative_to(folder / "extracted").as_posix(): path.read_text() for path in found}


def test_extract_takes_modules_of_one_python(tmp_path: Path) -> None:
    layer = {f"{HOME}/os.py": "os", f"{HOME}/json/__init__.py": "json", f"{HOME}/LICENSE": "x"}
    others = {"usr/local/lib/python3.12/os.py": "older", "etc/passwd": "root"}
    found = extracted(tmp_path, layer | others)
    assert found == {"json/__init__.py": "json", "os.py": "os"}


def test_higher_layer_overrides_lower(tmp_path: Path) -> None:
    low = {f"{HOME}/os.py": "low", f"{HOME}/gone.py": "x", f"{HOME}/dir/gone.py": "x"}
    high = {f"{HOME}/os.py": "high", f"{HOME}/.wh.gone.py": "", f"{HOME}/.wh.dir": ""}
    assert extracted(tmp_path, low, high) == {"os.py": "high"}


def test_opaque_folder_hides_lower_layers(tmp_path: Path) -> None:
    low = {f"{HOME}/os.py": "os", f"{HOME}/dir/low.py": "x"}
    high = {f"{HOME}/dir/.wh..wh..opq": "", f"{HOME}/dir/high.py": "y"}
    assert extracted(tmp_path, low, high) == {"os.py": "os", "dir/high.py": "y"}


def test_extract_ignores_paths_outside_folder(tmp_path: Path) -> None:
    layer = {f"{HOME}/os.py": "os", f"{HOME}/../../../../../escaped.py": "x"}
    assert extracted(tmp_path, layer) == {"os.py": "os"}
    assert not list(tmp_path.parent.glob("**/escaped.py"))


def test_extract_reports_base_without_python(tmp_path: Path) -> None:
    with pytest.raises(StdlibMissing, match=r"nothing in /usr/local/lib/python3\.13"):
        extracted(tmp_path, {"etc/passwd": "root"})


def test_extract_reports_unknown_compression(tmp_path: Path) -> None:
    (tmp_path / "layer").write_bytes(b"\x28\xb5\x2f\xfd, the magic number of zstd")
    with pytest.raises(StdlibMissing, match="only Docker can read"):
        extract([tmp_path / "layer"], "3.13", tmp_path / "extracted")


@pytest.mark.parametrize("name", [".wh.", ".wh..", ".wh..."])
def test_whiteout_of_no_file_deletes_nothing(tmp_path: Path, name: str) -> None:
    layer = {f"{HOME}/os.py": "os", f"{HOME}/json/a.py": "a", f"{HOME}/json/{name}": ""}
    assert extracted(tmp_path, layer) == {"os.py": "os", "json/a.py": "a"}


def test_layers_that_contradict_each_other_are_reported(tmp_path: Path) -> None:
    with pytest.raises(StdlibMissing, match="contradict"):
        extracted(tmp_path, {f"{HOME}/os.py": "os"}, {f"{HOME}/os.py/a.py": "a"})


def test_damaged_layer_is_reported(tmp_path: Path) -> None:
    content = make_layer({f"{HOME}/os.py": "os" * 10_000})
    (tmp_path / "layer").write_bytes(content[: len(content) // 2])
    with pytest.raises(StdlibMissing):
        extract([tmp_path / "layer"], "3.13", tmp_path / "extracted")


def test_base_of_many_gigabytes_is_refused_before_it_is_read(tmp_path: Path) -> None:
    entry = tarfile.TarInfo("usr/zeros")
    entry.size = 11 << 30
    (tmp_path / "layer").write_bytes(entry.tobuf() + bytes(1 << 20))
    with pytest.raises(StdlibMissing, match="more than 10 GB"):
        extract([tmp_path / "layer"], "3.13", tmp_path / "extracted")
