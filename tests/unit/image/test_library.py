"""Python's own modules come out of a base's layers as they lie over each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.image.a_project import a_layer
from voicecore.image.builders.stdlib import NoLibrary, extract

HOME = "usr/local/lib/python3.13"


def extracted(folder: Path, *layers: dict[str, str]) -> dict[str, str]:
    blobs: list[Path] = []
    for number, files in enumerate(layers):
        blobs.append(folder / f"layer-{number}")
        blobs[-1].write_bytes(a_layer(files))
    extract(blobs, "3.13", folder / "made")
    found = sorted(path for path in (folder / "made").rglob("*") if path.is_file())
    return {path.relative_to(folder / "made").as_posix(): path.read_text() for path in found}


def test_modules_of_that_python_alone(tmp_path: Path) -> None:
    layer = {f"{HOME}/os.py": "os", f"{HOME}/json/__init__.py": "json", f"{HOME}/LICENSE": "x"}
    others = {"usr/local/lib/python3.12/os.py": "older", "etc/passwd": "root"}
    found = extracted(tmp_path, layer | others)
    assert found == {"json/__init__.py": "json", "os.py": "os"}


def test_the_highest_layer_has_its_way(tmp_path: Path) -> None:
    low = {f"{HOME}/os.py": "low", f"{HOME}/gone.py": "x", f"{HOME}/dir/gone.py": "x"}
    high = {f"{HOME}/os.py": "high", f"{HOME}/.wh.gone.py": "", f"{HOME}/.wh.dir": ""}
    assert extracted(tmp_path, low, high) == {"os.py": "high"}


def test_a_folder_that_is_made_anew_starts_empty(tmp_path: Path) -> None:
    low = {f"{HOME}/os.py": "os", f"{HOME}/dir/low.py": "x"}
    high = {f"{HOME}/dir/.wh..wh..opq": "", f"{HOME}/dir/high.py": "y"}
    assert extracted(tmp_path, low, high) == {"os.py": "os", "dir/high.py": "y"}


def test_no_name_leads_out_of_the_folder(tmp_path: Path) -> None:
    layer = {f"{HOME}/os.py": "os", f"{HOME}/../../../../../escaped.py": "x"}
    assert extracted(tmp_path, layer) == {"os.py": "os"}
    assert not list(tmp_path.parent.glob("**/escaped.py"))


def test_a_base_without_python(tmp_path: Path) -> None:
    with pytest.raises(NoLibrary, match=r"nothing in /usr/local/lib/python3\.13"):
        extracted(tmp_path, {"etc/passwd": "root"})


def test_layers_that_only_docker_reads(tmp_path: Path) -> None:
    (tmp_path / "layer").write_bytes(b"\x28\xb5\x2f\xfd, as zstd begins")
    with pytest.raises(NoLibrary, match="only Docker reads"):
        extract([tmp_path / "layer"], "3.13", tmp_path / "made")
