"""The blobs on this machine's disk: where they are, and which of them are deleted."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from voicecore.image.blob_store import blob_path, evict

NAME = "0" * 64


def test_blob_is_where_an_oci_layout_has_it(tmp_path: Path) -> None:
    assert blob_path(tmp_path, f"sha256:{NAME}") == tmp_path / "blobs" / "sha256" / NAME


@pytest.mark.parametrize("digest", ["", NAME, "sha256:", "sha256:../../x", f"sha512:{NAME}"])
def test_path_of_no_digest_is_refused(digest: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not a digest"):
        blob_path(tmp_path, digest)


def fill(store: Path, now: float, ages: Mapping[str, float]) -> Path:
    """Write blobs of 100 bytes that were used so many seconds ago."""
    blobs = store / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    for name, age in ages.items():
        (blobs / name).write_bytes(bytes(100))
        os.utime(blobs / name, (now - age, now - age))
    return blobs


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_evict_deletes_least_recently_used_blobs(tmp_path: Path) -> None:
    now = time.time()
    ages = {"oldest": 9000, "older": 8000, "used": 7000, "new": 10, ".unfinished-x": 8000}
    blobs = fill(tmp_path, now, ages)
    evict(tmp_path, 250, now)
    assert names(blobs) == {"used", "new"}


def test_blobs_within_the_limit_or_of_the_last_hour_stay(tmp_path: Path) -> None:
    now = time.time()
    ages = {"old": 9000, "young": 3500, ".unfinished-x": 3500}
    blobs = fill(tmp_path, now, ages)
    evict(tmp_path, 300, now)
    assert names(blobs) == {*ages}
    evict(tmp_path, 0, now)
    assert names(blobs) == {"young", ".unfinished-x"}
