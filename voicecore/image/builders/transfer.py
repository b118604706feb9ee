"""Owns moving the blobs of an image built without Docker: from and to registries, and to an engine.

Of the base, the store holds only the layers that had to be read.
"""

from __future__ import annotations

import asyncio
import io
import json
import tarfile
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from voicecore.console.progress import OnProgress, Progress
from voicecore.image.blob_store import blob_path, disk_full_explained, replacing
from voicecore.image.limits import require_size
from voicecore.image.model import BaseImage, BuiltImage, Layer
from voicecore.image.registry.client import Repository, file_content
from voicecore.image.registry.connection import BlobContent
from voicecore.image.registry.manifests import OCI_INDEX, OCI_MANIFEST, digest_of, encoded

_CONCURRENT = 4
"""Blobs transferred at the same time; Docker's own default is 5."""

T = TypeVar("T")


@dataclass(frozen=True)
class StoredImage:
    """An image whose blobs are in a store, except for layers of its base."""

    image: BuiltImage
    base: BaseImage
    store: Path
    manifest: bytes = field(repr=False)
    config: bytes = field(repr=False)
    unchanged: bool
    """True if the store had the same image before."""


@dataclass(frozen=True)
class PushResult:
    """Digest and size of a push."""

    digest: str
    """Digest of the manifest."""
    sent: int
    """Bytes of blobs sent, without those that the registry had."""


async def push(
    stored: StoredImage, target: Repository, source: Repository, on_progress: OnProgress
) -> PushResult:
    """Push the image to `target` under its tag; the base's layers come from `source`.

    Blobs that `target` has are not sent. Layers of the base are mounted if both repositories are in
    the same registry; otherwise they are streamed through without being stored. Raises
    ImageTooLarge, and the errors of the two registries.
    """
    require_size(stored.image)
    slots = asyncio.Semaphore(_CONCURRENT)
    same_registry = source.reference.host == target.reference.host
    count = len(stored.base.manifest["layers"])

    async def push_layer(layer: Layer, task: str) -> int:
        mountable = same_registry and layer.title == "base"
        mount_from = source.reference.repository if mountable else ""
        content = _content_of(layer, stored.store, source)
        async with slots:
            return await target.push(
                layer.digest, layer.size, content, on_progress, task, mount_from
            )

    async def push_config() -> int:
        digest = digest_of(stored.config)
        content = file_content(blob_path(stored.store, digest))
        size = len(stored.config)
        return await target.push(digest, size, content, on_progress, "pushing config")

    pushes: list[Awaitable[int]] = [push_config()]
    for number, layer in enumerate(stored.image.layers, 1):
        name = f"base {number}/{count}" if layer.title == "base" else layer.title
        pushes.append(push_layer(layer, f"pushing {name}"))
    sent = sum(await all_of(pushes))
    # Last, because a manifest may refer only to blobs that exist.
    digest = await target.push_manifest(stored.image.tag, OCI_MANIFEST, stored.manifest)
    return PushResult(digest, sent)


def _content_of(layer: Layer, store: Path, source: Repository) -> BlobContent:
    """Return a layer's bytes: from the store, or from the base's registry."""
    blob = blob_path(store, layer.digest)
    return file_content(blob) if blob.exists() else lambda: source.stream(layer.digest, layer.size)


async def save(
    stored: StoredImage, path: Path, source: Repository, name: str, on_progress: OnProgress
) -> None:
    """Write the image to the file `path` for `docker load`, with the reference `name`.

    The base's layers are downloaded from `source` into the store. Raises DiskFull and the
    registry's errors.
    """
    base = [layer for layer in stored.image.layers if layer.title == "base"]
    with disk_full_explained(stored.store):
        await fetch_base(base, stored.store, source, on_progress)
    with disk_full_explained(path.parent), replacing(path) as temporary:
        await asyncio.to_thread(_write_archive, stored, temporary, name)


async def fetch_base(
    layers: Sequence[Layer], store: Path, source: Repository, on_progress: OnProgress
) -> None:
    """Download the base's layers that `store` does not have."""
    slots = asyncio.Semaphore(_CONCURRENT)

    async def fetch(layer: Layer, task: str) -> None:
        async with slots:
            await _fetch(layer, store, source, task, on_progress)

    count = len(layers)
    await all_of([fetch(x, f"downloading base {n}/{count}") for n, x in enumerate(layers, 1)])


async def _fetch(
    layer: Layer, store: Path, source: Repository, task: str, on_progress: OnProgress
) -> None:
    blob = blob_path(store, layer.digest)
    if blob.exists():
        blob.touch()  # marks it as used
        return
    with replacing(blob) as temporary:
        await source.download(
            layer.digest,
            layer.size,
            temporary,
            lambda done: on_progress(Progress(task, done, layer.size)),
        )
    on_progress(Progress(task, layer.size, layer.size, finished=True))


def _write_archive(stored: StoredImage, path: Path, name: str) -> None:
    """Write an OCI layout with Docker's manifest.json, which engines before 25 need."""
    config = digest_of(stored.config)
    layers = [layer.digest for layer in stored.image.layers]
    index = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [
            {
                "mediaType": OCI_MANIFEST,
                "digest": stored.image.digest,
                "size": len(stored.manifest),
                "annotations": {
                    "io.containerd.image.name": name,
                    "org.opencontainers.image.ref.name": name.rpartition(":")[2],
                },
            }
        ],
    }
    docker_manifest = [
        {
            "Config": _member(config),
            "RepoTags": [name],
            "Layers": [_member(digest) for digest in layers],
        }
    ]
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for member, content in {
            "oci-layout": encoded({"imageLayoutVersion": "1.0.0"}),
            "index.json": encoded(index),
            "manifest.json": json.dumps(docker_manifest).encode(),
        }.items():
            entry = tarfile.TarInfo(member)
            entry.size, entry.mode = len(content), 0o644
            tar.addfile(entry, io.BytesIO(content))
        for digest in dict.fromkeys([stored.image.digest, config, *layers]):
            blob = blob_path(stored.store, digest)
            entry = tarfile.TarInfo(_member(digest))
            entry.size, entry.mode = blob.stat().st_size, 0o644
            with blob.open("rb") as content:
                tar.addfile(entry, content)


def _member(digest: str) -> str:
    return blob_path(Path(), digest).as_posix()


async def all_of(works: Iterable[Awaitable[T]]) -> list[T]:
    """Return the results of works done concurrently; the first error cancels the others."""

    async def one(work: Awaitable[T]) -> T:
        return await work

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(work)) for work in works]
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]
