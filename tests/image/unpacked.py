"""An image as its registry holds it: its config, and the files that its layers add up to."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from dataclasses import dataclass, field
from typing import Any

from tests.standins.image.registry import Registry


@dataclass(frozen=True)
class File:
    kind: str
    mode: int
    owner: tuple[int, int]
    mtime: int
    link: str
    content: str
    """SHA-256."""


@dataclass(frozen=True)
class Unpacked:
    """What `docker pull` would unpack."""

    digest: str
    manifest: dict[str, Any]
    config: dict[str, Any]
    files: dict[str, File]
    layers: list[bytes] = field(repr=False)
    """Each as a tar; the base's first."""


def pull(registry: Registry, repository: str, tag: str) -> Unpacked:
    """The image, every blob of it checked against its digest."""
    manifest = registry.manifest(repository, tag)
    config = json.loads(_checked(registry, repository, manifest["config"]["digest"]))
    layers = [_tar(_checked(registry, repository, entry["digest"])) for entry in manifest["layers"]]
    diff_ids = [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers]
    assert diff_ids == config["rootfs"]["diff_ids"]
    files: dict[str, File] = {}
    for layer in layers:
        _apply(layer, files)
    return Unpacked(registry.digest(repository, tag), manifest, config, files, layers)


def _checked(registry: Registry, repository: str, digest: str) -> bytes:
    content = registry.blob(repository, digest)
    assert f"sha256:{hashlib.sha256(content).hexdigest()}" == digest
    return content


def _tar(blob: bytes) -> bytes:
    import gzip

    return gzip.decompress(blob) if blob[:2] == b"\x1f\x8b" else blob


def _apply(layer: bytes, files: dict[str, File]) -> None:
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        for member in tar:
            name = member.name.strip("/").removeprefix("./")
            base = name.rpartition("/")[2]
            assert not base.startswith(".wh."), f"{name}: only copies are made"
            body = tar.extractfile(member) if member.isfile() else None
            files[name] = File(
                kind=member.type.decode(),
                mode=member.mode & 0o7777,
                owner=(member.uid, member.gid),
                mtime=int(member.mtime),
                link=member.linkname,
                content=hashlib.sha256(body.read()).hexdigest() if body else "",
            )
