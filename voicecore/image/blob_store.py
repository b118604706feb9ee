"""Owns blobs on this machine's disk: their paths, atomic writes, eviction, and a full disk.

The store has the layout of an OCI image layout (opencontainers/image-spec, image-layout.md).
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from voicecore.console.errors import DISK_FULL, VoicecoreError
from voicecore.image.registry.reference import is_digest

STORE_LIMIT = 2 * 2**30
"""Bytes of blobs kept for later builds."""

_UNFINISHED = ".unfinished-"

_IN_USE_SECONDS = 3600
"""Age below which another build may use a blob, so that it is kept."""


class DiskFull(VoicecoreError):
    """A disk of this machine is full; names the folder and the free space."""


@contextmanager
def disk_full_explained(folder: Path) -> Generator[None]:
    """Turn "no space left" errors raised in the block into DiskFull, which names `folder`."""
    try:
        yield
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        raise disk_full(folder) from error


def disk_full(folder: Path) -> DiskFull:
    """Return the error for a full disk."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free // 2**20
    return DiskFull(
        f"The disk of {folder} is full: {free} MB are free, and a build needs about 1000 MB.",
        "Free space, for example in uv's cache:     uv cache prune\n"
        "or move voicecore's cache to another disk: export XDG_CACHE_HOME=/path/on/it",
    )


def blob_path(store: Path, digest: str) -> Path:
    """Return where `store` keeps the blob with this digest. Raises ValueError if it is none."""
    if not is_digest(digest):  # it could lead to any file
        raise ValueError(f"{digest!r} is not a digest")
    algorithm, _, name = digest.partition(":")
    return store / "blobs" / algorithm / name


def write_atomically(path: Path, content: bytes | bytearray) -> None:
    """Write a file so that readers see all of it or none of it."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


@contextmanager
def replacing(path: Path) -> Generator[Path]:
    """Give a temporary file that becomes `path` if the block succeeds, and is deleted if not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=_UNFINISHED)
    os.close(handle)
    try:
        yield Path(name)
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


def evict(store: Path, limit: int, now: float) -> None:
    """Delete the least recently used blobs until at most `limit` bytes are left.

    Blobs used within the last hour stay. Files that an interrupted build left are deleted.
    """
    found = [(path, path.stat()) for path in (store / "blobs").rglob("*") if path.is_file()]
    total = sum(status.st_size for _, status in found)
    for path, status in sorted(found, key=lambda entry: entry[1].st_mtime):
        unused = status.st_mtime < now - _IN_USE_SECONDS
        if unused and (total > limit or path.name.startswith(_UNFINISHED)):
            path.unlink(missing_ok=True)
            total -= status.st_size
