"""An image pulled from a registry: its config, and the files of all its layers."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from dataclasses import dataclass, field
from typing import Any

from tests.standins.image.registry import Registry


@dataclass(frozen=True)
class ImageFile:
    kind: str
    mode: int
    owner: tuple[int, int]
    mtime: int
    link: str
    content: str
    """SHA-256 of the content."""


@dataclass(frozen=True)
class PulledImage:
    """The image that `docker pull` would unpack."""

    digest: str
    manifest: dict[str, Any]
    config: dict[str, Any]
    files: dict[str, ImageFile]
    layers: list[bytes] = field(repr=False)
    """Tars of the layers; the base's come first."""


def pull(registry: Registry, repository: str, tag: str) -> PulledImage:
    """Return an image after checking the digest of each blob."""
    manifest = registry.manifest(repository, tag)
    config = json.loads(_checked(registry, repository, manifest["config"]["digest"]))
    layers = [_tar(_checked(registry, repository, entry["digest"])) for entry in manifest["layers"]]
    diff_ids = [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers]
    assert diff_ids == config["rootfs"]["diff_ids"]
    files: dict[str, ImageFile] = {}
    for layer in layers:
        _apply(layer, files)
    return PulledImage(registry.digest(repository, tag), manifest, config, files, layers)


def _checked(registry: Registry, repository: str, digest: str) -> bytes:
    content = registry.blob(repository, digest)
    assert f"sha256:{hashlib.sha256(content).hexdigest()}" == digest
    return content


def _tar(blob: bytes) -> bytes:
    return gzip.decompress(blob) if blob[:2] == b"\x1f\x8b" else blob


def _apply(layer: bytes, files: dict[str, ImageFile]) -> None:
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        for member in tar:
            name = member.name.strip("/").removeprefix("./")
            base = name.rpartition("/")[2]
            assert not base.startswith(".wh."), f"{name}: a COPY layer deletes nothing"
            body = tar.extractfile(member) if member.isfile() else None
            files[name] = ImageFile(
                kind=member.type.decode(),
                mode=member.mode & 0o7777,
                owner=(member.uid, member.gid),
                mtime=int(member.mtime),
                link=member.linkname,
                content=hashlib.sha256(body.read()).hexdigest() if body else "",
            )
