"""Owns packing a folder into an image layer; equal folders give equal bytes on every machine."""

from __future__ import annotations

import hashlib
import io
import mmap
import os
import shutil
import stat
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING

from deflate import gzip_compress  # pyright: ignore[reportUnknownVariableType]

from voicecore.console.progress import OnProgress, Progress
from voicecore.image.blob_store import blob_path, disk_full_explained, write_atomically
from voicecore.image.inputs.context_walk import UnsupportedFile
from voicecore.image.model import Layer

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

# Measured on 266 MB of packages: 6 is 0.1 % larger than zlib's 6 and three times as fast; 9 takes
# twice as long for another 0.6 %.
_LEVEL = 6

_COPY = 2**20


def pack(
    folder: Path,
    target: str,
    title: str,
    store: Path,
    on_progress: OnProgress,
    keep: bool = False,
) -> Layer:
    """Pack `folder` into a layer, as `COPY folder target` does, and write it to `store`.

    All entries belong to root and have time 0; folders and executables have mode 0755, other files
    0644. `folder` is deleted unless `keep`. Blocks for about 4 s per 250 MB. Raises DiskFull and
    UnsupportedFile.
    """
    with disk_full_explained(store):
        store.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=store) as tar, ThreadPoolExecutor(1) as executor:
            diff_id = write_tar(folder, target, tar, _byte_progress(folder, title, on_progress))
            unpacked = tar.tell()
            # Deleting thousands of files takes as long as compressing them.
            deleted = None if keep else executor.submit(shutil.rmtree, folder)
            with mmap.mmap(tar.fileno(), 0, access=mmap.ACCESS_READ) as content:
                packed = _compressed(content)
            if deleted:
                deleted.result()
        digest = f"sha256:{hashlib.sha256(packed).hexdigest()}"
        write_atomically(blob_path(store, digest), packed)
    on_progress(Progress(title, unpacked, unpacked, finished=True))
    return Layer(title, diff_id, unpacked, digest, len(packed))


def _compressed(content: mmap.mmap) -> bytearray:
    # One gzip member, as Docker writes: until 2026, SOCI's index took the first of several for the
    # whole layer (awslabs/soci-snapshotter#1834). libdeflate has no streams, but all wheels of a
    # release contain the same version, and its output does not depend on the processor, as that of
    # ISA-L does (ebiggers/libdeflate#400, intel/isa-l#140).
    return gzip_compress(content, _LEVEL)


def _byte_progress(folder: Path, title: str, on_progress: OnProgress) -> Callable[[int], None]:
    total = sum(path.lstat().st_size for path in folder.rglob("*"))

    def report(done: int) -> None:
        on_progress(Progress(title, min(done, total), total))

    return report


class _HashingFile(io.RawIOBase):
    """A file that hashes what is written to it."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.sum = hashlib.sha256()

    def write(self, content: ReadableBuffer, /) -> int:
        self.sum.update(content)
        return self.file.write(content)

    def tell(self) -> int:
        return self.file.tell()


def write_tar(folder: Path, target: str, file: IO[bytes], report: Callable[[int], None]) -> str:
    """Write the content of `folder` as a tar to `file`, below `target`; return its digest."""
    hashing = _HashingFile(file)
    # pax, like Go's archive/tar: it uses ustar headers for all names that fit in them.
    with tarfile.TarFile(
        fileobj=hashing, mode="w", format=tarfile.PAX_FORMAT, copybufsize=_COPY
    ) as tar:
        for entry, path in _entries(folder, target):
            if entry.isreg():
                with path.open("rb") as content:
                    tar.addfile(entry, content)
            else:
                tar.addfile(entry)
            report(tar.offset)
    file.flush()
    return f"sha256:{hashing.sum.hexdigest()}"


def _entries(folder: Path, target: str) -> Iterator[tuple[tarfile.TarInfo, Path]]:
    """Yield the entries of the tar and their files in a fixed order: a folder before its files."""
    place = PurePosixPath(target.lstrip("/"))
    for parent in reversed([place, *place.parents]):
        if parent.name:
            yield _entry(f"{parent}", stat.S_IFDIR, 0, ""), folder
    waiting = [(folder, place)]
    while waiting:
        here, place = waiting.pop()
        inner: list[tuple[Path, PurePosixPath]] = []
        for found in sorted(os.scandir(here), key=lambda found: found.name):
            path, name = Path(found.path), place / found.name
            status = found.stat(follow_symlinks=False)
            link = str(path.readlink()) if found.is_symlink() else ""
            if not (link or found.is_dir() or found.is_file()):
                raise UnsupportedFile(
                    f"{path} is not a file, folder or link; an image cannot contain it."
                )
            yield _entry(f"{name}", status.st_mode, status.st_size, link), path
            if found.is_dir(follow_symlinks=False):
                inner.append((path, name))
        waiting += reversed(inner)


def _entry(name: str, mode: int, size: int, link: str) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    if link:
        entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, link, 0o777
    elif stat.S_ISDIR(mode):
        entry.type, entry.mode = tarfile.DIRTYPE, 0o755
    else:
        entry.size, entry.mode = size, 0o755 if mode & stat.S_IXUSR else 0o644
    return entry
