"""Folders packed into layers: their entries, owners and modes, and equal bytes each time."""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import os
import socket
import tarfile
import zlib
from pathlib import Path

import pytest

from voicecore.console.progress import Progress
from voicecore.image.blob_store import (
    DiskFull,
    blob_path,
    disk_full_explained,
    replacing,
    write_atomically,
)
from voicecore.image.builders.packing import pack
from voicecore.image.inputs.context_walk import UnsupportedFile
from voicecore.image.model import Layer


def ignore(_: Progress) -> None:
    pass


def make_folder(place: Path) -> Path:
    """Write a folder with all kinds of files, and various modes and times."""
    (place / "b").mkdir(parents=True)
    (place / "b" / ("long-" * 40)).write_text("a name that ustar cannot hold")
    (place / "b" / "ünï.txt").write_text("a name beyond ASCII")
    (place / "a.py").write_text("print()")
    (place / "run").write_text("#!/bin/sh")
    (place / "run").chmod(0o700)
    (place / "a.py").chmod(0o600)
    (place / "empty").mkdir(mode=0o700)
    (place / "c").mkdir()
    (place / "c" / "last.py").write_text("")
    (place / "link").symlink_to("b/nowhere")
    (place / "folder").symlink_to("b")
    return place


def packed(folder: Path, store: Path, target: str = "/opt/packages") -> Layer:
    return pack(folder, target, "packages", store, ignore)


def tar_of(layer: Layer, store: Path) -> bytes:
    return gzip.decompress(blob_path(store, layer.digest).read_bytes())


def test_layer_entries_are_sorted_and_normalized(tmp_path: Path) -> None:
    layer = packed(make_folder(tmp_path / "folder"), tmp_path / "store")
    with tarfile.open(fileobj=io.BytesIO(tar_of(layer, tmp_path / "store"))) as tar:
        found = {entry.name: entry for entry in tar}
        assert list(found) == [
            "opt",
            "opt/packages",
            "opt/packages/a.py",
            "opt/packages/b",
            "opt/packages/c",
            "opt/packages/empty",
            "opt/packages/folder",
            "opt/packages/link",
            "opt/packages/run",
            "opt/packages/b/" + "long-" * 40,
            "opt/packages/b/ünï.txt",
            "opt/packages/c/last.py",
        ]
        modes = {name: oct(entry.mode) for name, entry in found.items()}
        assert modes["opt/packages"] == modes["opt/packages/empty"] == oct(0o755)
        assert modes["opt/packages/run"] == oct(0o755)
        assert modes["opt/packages/a.py"] == oct(0o644)
        assert found["opt/packages/link"].linkname == "b/nowhere"
        assert found["opt/packages/folder"].issym()
        assert {(e.uid, e.gid, e.uname, e.gname, e.mtime) for e in tar} == {(0, 0, "", "", 0)}
        content = tar.extractfile("opt/packages/a.py")
        assert content and content.read() == b"print()"


def test_layer_has_digests_and_sizes(tmp_path: Path) -> None:
    store = tmp_path / "cache" / "store"
    layer = packed(make_folder(tmp_path / "folder"), store)
    blob = blob_path(store, layer.digest).read_bytes()
    tar = tar_of(layer, store)
    assert layer.digest == f"sha256:{hashlib.sha256(blob).hexdigest()}"
    assert layer.diff_id == f"sha256:{hashlib.sha256(tar).hexdigest()}"
    assert (layer.size, layer.unpacked) == (len(blob), len(tar))


def test_equal_folders_give_equal_layers(tmp_path: Path) -> None:
    one, two = make_folder(tmp_path / "one"), make_folder(tmp_path / "two")
    os.utime(two / "a.py", (1, 1))
    (two / "a.py").chmod(0o664)
    assert packed(one, tmp_path / "store") == packed(two, tmp_path / "elsewhere")


def test_layer_is_one_gzip_member_without_name_or_time(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "large").write_bytes(os.urandom(9_000_000))
    layer = packed(folder, tmp_path / "store")
    blob = blob_path(tmp_path / "store", layer.digest).read_bytes()
    assert blob[3] == 0  # FLG: no name, no comment (RFC 1952)
    assert blob[4:8] == bytes(4)  # MTIME
    member = zlib.decompressobj(wbits=31)
    assert len(member.decompress(blob)) == layer.unpacked
    assert member.eof
    assert not member.unused_data


def test_pack_deletes_folder_and_temporary_files(tmp_path: Path) -> None:
    layer = packed(make_folder(tmp_path / "folder"), tmp_path / "store")
    assert not (tmp_path / "folder").exists()
    files = [path.name for path in (tmp_path / "store").rglob("*") if path.is_file()]
    assert files == [layer.digest.removeprefix("sha256:")]


def test_file_that_cannot_be_written_whole_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "blobs" / "one"
    with pytest.raises(ConnectionError), replacing(path) as temporary:
        temporary.write_bytes(b"half")
        raise ConnectionError
    assert list(path.parent.iterdir()) == []
    write_atomically(path, b"whole")
    assert [file.read_bytes() for file in path.parent.iterdir()] == [b"whole"]


def test_pack_reports_progress(tmp_path: Path) -> None:
    steps: list[Progress] = []
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in range(50):
        (folder / str(name)).write_bytes(bytes(10_000))
    pack(folder, "/app", "code", tmp_path / "store", steps.append)
    assert {step.task for step in steps} == {"code"}
    assert steps[-1].finished
    done = [step.done for step in steps[:-1]]
    assert done == sorted(done)
    assert done[-1] == steps[-2].total == 500_000


def test_pack_refuses_socket(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "socket"))
        with pytest.raises(UnsupportedFile, match="socket"):
            packed(folder, tmp_path / "store")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk_error_names_folder(tmp_path: Path, number: int) -> None:
    with (
        pytest.raises(DiskFull, match=str(tmp_path)),
        disk_full_explained(tmp_path / "not" / "there"),
    ):
        raise OSError(number, "no space")


def test_other_os_errors_are_unchanged(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), disk_full_explained(tmp_path):
        raise PermissionError(errno.EACCES, "denied")
