"""prune.py of a generated project removes exactly its list, and its output is reproducible."""

from __future__ import annotations

import importlib.util
import json
import os
import struct
import subprocess
import sys
import tarfile
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from tests.generated.projects import KINDS, rendered

NOVA_SONIC, CASCADE = (
    next(kind for kind in KINDS if kind.pipeline == pipeline)
    for pipeline in ("nova-sonic", "cascade")
)
TAG = sys.implementation.cache_tag

KEPT = {
    "pkg/__init__.py": "SIZE = 2\n",
    "pkg/latest.py": "def f():\n    return {3, 1, 2}\n",
    "pkg/testing/tools.py": "",
    "pkg/data.json": "{}",
    "pkg/native.so": "ELF",
    "pkg/old.py": "print 'for Python 2'\n",
    "pkg-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: pkg\nVersion: 1.0\n",
    "botocore/data/s3/2006-03-01/service-2.json.gz": "a service",
    "onnxruntime/capi/onnxruntime_pybind11_state.so": "ELF",
    "pipecat/audio/vad/data/silero_vad.onnx": "a model",
}
REMOVED = (
    ".lock",
    "bin/pkg",
    "pkg/__pycache__/stale.cpython-39.pyc",
    "pkg/tests/data/test_it.py",
    "pkg/__init__.pyi",
    "pkg/native.pyx",
    "pkg/native.pxd",
    "botocore/data/s3/2006-03-01/examples-1.json",
    "onnxruntime/capi/libonnxruntime.so.1.32.0",
    "onnxruntime/transformers/convert.py",
    "pipecat/cli/main.py",
)
SMART_TURN = "pipecat/audio/turn/smart_turn/data/smart-turn-v3.2-cpu.onnx"
RECORD = "pkg-1.0.dist-info/RECORD"


@pytest.fixture
def prune(tmp_path: Path) -> Path:
    path = tmp_path / "prune.py"
    path.write_bytes(rendered(NOVA_SONIC)["agent/internal/prune.py"])
    return path


def import_module(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location("prune", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(prune: Path, part: str, folder: Path) -> None:
    subprocess.run([sys.executable, prune, part, folder], check=True)


def install_packages(folder: Path) -> Path:
    """Write files as uv would install them."""
    files = KEPT | dict.fromkeys((*REMOVED, SMART_TURN), "x = 1\n")
    files[RECORD] = "".join(f"{name},,\n" for name in files if name.startswith(("pkg", "bin")))
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "pkg/native.so").chmod(0o775)
    return folder


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def layer(folder: Path) -> bytes:
    """Return a folder as a layer of an image: names, contents, modes and times."""
    buffer = BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.add(folder, "packages")
    return buffer.getvalue()


def test_prune_removes_exactly_the_listed_files(prune: Path, tmp_path: Path) -> None:
    folder = install_packages(tmp_path / "packages")
    run(prune, "packages", folder)
    sources = [name for name in KEPT if name.endswith(".py") and name != "pkg/old.py"]
    bytecode = {f"{Path(s).parent}/__pycache__/{Path(s).stem}.{TAG}.pyc" for s in sources}
    assert files_in(folder) == KEPT.keys() | bytecode | {RECORD, "PACKAGES.json"}
    assert all((folder / name).read_text() == text for name, text in KEPT.items())


def test_prune_keeps_smart_turn_for_the_cascade(tmp_path: Path) -> None:
    prune = tmp_path / "prune.py"
    prune.write_bytes(rendered(CASCADE)["agent/internal/prune.py"])
    folder = install_packages(tmp_path / "packages")
    run(prune, "packages", folder)
    assert (folder / SMART_TURN).exists()


def test_equal_packages_give_equal_layers(prune: Path, tmp_path: Path) -> None:
    layers: list[bytes] = []
    for seed, mask in (("0", 0o022), ("1", 0o077)):
        before = os.umask(mask)
        try:
            folder = install_packages(tmp_path / seed / "packages")
            environment = os.environ | {"PYTHONHASHSEED": seed}
            argv = [sys.executable, prune, "packages", folder]
            subprocess.run(argv, env=environment, check=True)
        finally:
            os.umask(before)
        layers.append(layer(folder))
    assert layers[0] == layers[1]
    with tarfile.open(fileobj=BytesIO(layers[0])) as tar:
        assert {entry.mtime for entry in tar} == {0}
        modes = {entry.name: entry.mode for entry in tar}
    assert modes["packages"] == modes["packages/pkg"] == modes["packages/pkg/native.so"] == 0o755
    assert modes["packages/pkg/latest.py"] == 0o644


def test_bytecode_is_unchecked_and_has_the_paths_of_the_image(prune: Path, tmp_path: Path) -> None:
    folder = install_packages(tmp_path / "packages")
    run(prune, "packages", folder)
    bytecode = (folder / f"pkg/__pycache__/latest.{TAG}.pyc").read_bytes()
    # PEP 552: bit 0 marks a hash of the source, bit 1 that Python compares it on import.
    assert struct.unpack("<I", bytecode[4:8]) == (0b01,)
    assert b"/opt/packages/pkg/latest.py" in bytecode
    assert str(tmp_path).encode() not in bytecode


def test_package_list_starts_with_the_largest(prune: Path, tmp_path: Path) -> None:
    folder = install_packages(tmp_path / "packages")
    large = folder / "large-2.0.dist-info"
    large.mkdir()
    (large / "METADATA").write_text("Metadata-Version: 2.1\nName: large\nVersion: 2.0\n")
    (large / "RECORD").write_text("large.bin,,\n")
    (folder / "large.bin").write_bytes(bytes(10_000))
    run(prune, "packages", folder)
    listed = json.loads((folder / "PACKAGES.json").read_text())
    assert listed[0] == {"name": "large", "version": "2.0", "bytes": 10_000}
    assert [package["name"] for package in listed] == ["large", "pkg"]
    own = [name for name in files_in(folder) if name.startswith("pkg/")]
    metadata = KEPT["pkg-1.0.dist-info/METADATA"]
    assert listed[1]["bytes"] == len(metadata) + sum((folder / name).stat().st_size for name in own)


def test_prune_removes_build_files_from_the_code(prune: Path, tmp_path: Path) -> None:
    folder = tmp_path / "app"
    agent = {
        name: text
        for name, text in rendered(NOVA_SONIC).items()
        if name.startswith("agent/") and "/tests/" not in name
    }
    for name, text in (agent | {"agent/uv.lock": b"", "agent/prices/menu.txt": b"tea"}).items():
        path = folder / name.removeprefix("agent/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)
    (folder / ".env.example").unlink()  # .dockerignore excludes it, and the tests
    run(prune, "code", folder)
    kept = files_in(folder) | files_in(folder.parent / "bot")
    sources = {name for name in kept if name.endswith(".py")}
    assert "bot.py" in sources
    assert sources == {
        name.removeprefix("agent/") for name in agent if name.endswith(".py")
    } - {"internal/prune.py"}  # fmt: skip
    bytecode = {
        str(Path(name).parent / "__pycache__" / f"{Path(name).stem}.{TAG}.pyc") for name in sources
    }
    assert kept - sources - bytecode == {"pyproject.toml", "prices/menu.txt"}
    assert bytecode < kept
    # An edit of bot.py changes only this layer.
    assert files_in(folder.parent / "bot") == {"bot.py", f"__pycache__/bot.{TAG}.pyc"}
    assert (folder / "prices/menu.txt").stat().st_mtime == 0


def test_prune_does_not_follow_links(prune: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("keep me")
    folder = install_packages(tmp_path / "packages")
    (folder / "pkg/tests2").symlink_to(outside)
    (folder / "linked").mkdir()
    (folder / "linked/tests").symlink_to(outside)
    module = import_module(prune)
    module.remove(folder, module.FROM_PACKAGES)
    assert (outside / "precious").read_text() == "keep me"
    assert not (folder / "linked/tests").exists()
    assert (folder / "pkg/tests2").is_symlink()
