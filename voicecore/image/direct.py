"""Puts an image together and pushes it without Docker: no daemon, nothing emulated.

The result is what the Dockerfile's last stage would give: the base's layers, untouched, a layer for
each COPY, and a config. It lies in a folder in OCI's image layout (opencontainers/image-spec,
image-layout.md), without the base's layers, which go from registry to registry.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import tarfile
import tempfile
import time
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import TypeVar

from voicecore.errors import ExitCode, VoicecoreError
from voicecore.image.dockerfile import Stage
from voicecore.image.layers import blob_path, pack, room_in, unfinished, write_whole
from voicecore.image.model import Base, Image, Layer, Package, Progress, Tell
from voicecore.image.oci import (
    OCI_INDEX,
    OCI_MANIFEST,
    base_layers,
    config_of,
    digest_of,
    encoded,
    manifest_of,
)
from voicecore.image.packages import copy_code, find_python, install
from voicecore.image.registry import Repository, file_content

_BUILD_ROOT = PurePosixPath("/image")
"""Where the Dockerfile's build stage puts what its last stage copies."""

_PACKAGES = PurePosixPath("opt/packages")
_CODE = PurePosixPath("app")

_RECORD = 1
"""Form of the records of packed packages; another one makes them anew."""

STORE_LIMIT = 2 * 2**30
"""Bytes of blobs that are kept for builds to come."""

_IN_USE_SECONDS = 3600
"""Age below which a blob may be another build's and is left alone."""

_AT_ONCE = 4
"""Blobs on their way at the same time; Docker's own default is 5."""

T = TypeVar("T")


class OnlyDocker(VoicecoreError):
    """The Dockerfile copies what only Docker can have made."""


@dataclass(frozen=True)
class Inputs:
    """All that an image is made from."""

    agent: Path
    files: Sequence[str]
    """The build's context: paths relative to `agent`, with forward slashes."""
    base: Base
    stage: Stage
    labels: Mapping[str, str]
    tag: str
    packages_key: str
    """Same for the same packages: of the lockfile, the base, and slim.py."""
    python: str = "3.13"


@dataclass(frozen=True)
class Made:
    """An image that lies in a store, but for the layers of its base."""

    image: Image
    base: Base
    store: Path
    manifest: bytes = field(repr=False)
    config: bytes = field(repr=False)


@dataclass(frozen=True)
class Pushed:
    """What a push did."""

    digest: str
    """Of the manifest."""
    sent: int
    """Bytes of blobs; what the registry had is not among them."""


async def build(
    inputs: Inputs, store: Path, env: Mapping[str, str], tell: Tell, fresh: bool = False
) -> Made:
    """Make the image in `store`, a folder that is kept between builds.

    `fresh` packs the packages anew, though they are the same. Raises PythonMissing, InstallRefused,
    SlimFailed, DiskFull, OnlyDocker.
    """
    with room_in(_made(store)):
        with tempfile.TemporaryDirectory(dir=store, prefix="work-") as folder:
            layers, packages = await _layers(inputs, Path(folder), store, env, tell, fresh)
        made = _assembled(inputs, layers, packages, store)
    await asyncio.to_thread(trim, store, STORE_LIMIT, time.time())
    return made


async def _layers(
    inputs: Inputs, work: Path, store: Path, env: Mapping[str, str], tell: Tell, fresh: bool
) -> tuple[list[Layer], tuple[Package, ...]]:
    """The layer of each COPY, and the packages."""
    python = await find_python(inputs.python, env)
    layers: list[Layer] = []
    packages: tuple[Package, ...] = ()
    for number, (source, target) in enumerate(inputs.stage.copies):
        root = work / str(number)
        folder = root / _within_build(source)
        if folder.is_relative_to(root / _CODE):
            await copy_code(inputs.agent, inputs.files, root / _CODE, python, env)
            layers.append(await _packed(folder, source, target, "code", store, tell))
            continue
        record = _record_path(store, inputs, source, target)
        known = None if fresh else _recorded(record, store)
        if known:
            tell(Progress("packages", finished=True, note="unchanged"))
        else:
            packages = await install(inputs.agent, root / _PACKAGES, python, env, tell)
            known = await _packed(folder, source, target, "packages", store, tell), packages
            _note(record, *known)
        layers.append(known[0])
        packages = known[1]
    return layers, packages


async def _packed(
    folder: Path, source: str, target: str, title: str, store: Path, tell: Tell
) -> Layer:
    def work() -> Layer:
        if not folder.is_dir():
            raise _only_docker(source)
        return pack(folder, target, title, store, tell)

    return await asyncio.to_thread(work)


def _within_build(source: str) -> PurePosixPath:
    """Where a COPY's source lies below the build stage's folder. Raises OnlyDocker."""
    path = PurePosixPath(source)
    if path.is_relative_to(_BUILD_ROOT):
        place = path.relative_to(_BUILD_ROOT)
        if place.parts[:1] in {_CODE.parts[:1], _PACKAGES.parts[:1]}:
            return place
    raise _only_docker(source)


def _only_docker(source: str) -> OnlyDocker:
    return OnlyDocker(
        f"The Dockerfile copies {source} from its build stage; without Docker there are only the "
        "folders in /image/opt and /image/app.",
        "Build with Docker:  voicecore build --builder buildx",
        ExitCode.BAD_PROJECT,
    )


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


# ---- what is kept of packed packages


def _record_path(store: Path, inputs: Inputs, source: str, target: str) -> Path:
    words = [str(_RECORD), inputs.packages_key, inputs.python, source, target]
    name = hashlib.sha256("\0".join(words).encode()).hexdigest()
    return store / "packages" / f"{name}.json"


def _recorded(record: Path, store: Path) -> tuple[Layer, tuple[Package, ...]] | None:
    """The layer that was packed from the same packages, if it is still there, whole."""
    try:
        told = json.loads(record.read_text(encoding="utf-8"))
        layer = Layer(**told["layer"])
        packages = tuple(Package(**package) for package in told["packages"])
        blob = blob_path(store, layer.digest)
        if blob.stat().st_size != layer.size:
            return None
        blob.touch()  # used: the last to be dropped
    except (OSError, ValueError, KeyError, TypeError):
        # Not there, dropped, or of another version of voicecore: packed anew.
        return None
    return layer, packages


def _note(record: Path, layer: Layer, packages: Sequence[Package]) -> None:
    document = {"layer": asdict(layer), "packages": [asdict(package) for package in packages]}
    record.parent.mkdir(exist_ok=True)
    write_whole(record, json.dumps(document).encode())


def trim(store: Path, limit: int, now: float) -> None:
    """Drop the blobs that were used longest ago until the rest has at most `limit` bytes."""
    found = [(path, path.stat()) for path in (store / "blobs").rglob("*") if path.is_file()]
    total = sum(known.st_size for _, known in found)
    for path, known in sorted(found, key=lambda entry: entry[1].st_mtime):
        unused = known.st_mtime < now - _IN_USE_SECONDS
        # What an interrupted build has left is of no use to anyone.
        if unused and (total > limit or path.name.startswith(".unfinished-")):
            path.unlink(missing_ok=True)
            total -= known.st_size


def _assembled(
    inputs: Inputs, layers: Sequence[Layer], packages: tuple[Package, ...], store: Path
) -> Made:
    """Write the config and the manifest."""
    document = config_of(inputs.base, inputs.stage, inputs.labels, layers)
    config = encoded(document)
    manifest = manifest_of(inputs.base, config, layers)
    for content in (config, manifest):
        write_whole(blob_path(store, digest_of(content)), content)
    image = Image(
        tag=inputs.tag,
        digest=digest_of(manifest),
        config=document,
        layers=(*base_layers(inputs.base), *layers),
        packages=packages,
    )
    return Made(image, inputs.base, store, manifest, config)


# ---- to a registry, and to Docker


async def push(made: Made, target: Repository, source: Repository, tell: Tell) -> Pushed:
    """Bring the image into `target` under its tag; the base's layers come from `source`.

    What is there is not sent; of the base, what the same registry has elsewhere is mounted, and
    the rest passes through without being stored. Raises the errors of the two registries.
    """
    gate = asyncio.Semaphore(_AT_ONCE)
    home = source.reference if source.reference.host == target.reference.host else None
    count = len(made.base.manifest["layers"])

    async def one(layer: Layer, task: str) -> int:
        async with gate:
            if layer.title != "base":
                content = file_content(blob_path(made.store, layer.digest))
                return await target.push(layer.digest, layer.size, content, tell, task)
            return await target.push(
                layer.digest,
                layer.size,
                lambda: source.stream(layer.digest),
                tell,
                task,
                home.repository if home else "",
            )

    async def config() -> int:
        digest = digest_of(made.config)
        content = file_content(blob_path(made.store, digest))
        return await target.push(digest, len(made.config), content, tell, "push config")

    works: list[Awaitable[int]] = [config()]
    for number, layer in enumerate(made.image.layers, 1):
        name = f"base {number}/{count}" if layer.title == "base" else layer.title
        works.append(one(layer, f"push {name}"))
    sent = sum(await _together(works))
    # Last: a manifest stands for blobs that are there.
    digest = await target.push_manifest(made.image.tag, OCI_MANIFEST, made.manifest)
    return Pushed(digest, sent)


async def save(made: Made, path: Path, source: Repository, name: str, tell: Tell) -> None:
    """Write the image to the file `path`, as `docker load` takes it, under the tag `name`.

    The base's layers are fetched from `source` and kept in the store. Raises DiskFull and the
    registry's errors.
    """
    gate = asyncio.Semaphore(_AT_ONCE)

    async def fetch(layer: Layer, task: str) -> None:
        async with gate:
            await _fetch(layer, made.store, source, task, tell)

    base = [layer for layer in made.image.layers if layer.title == "base"]
    with room_in(made.store):
        await _together(
            [fetch(layer, f"fetch base {n}/{len(base)}") for n, layer in enumerate(base, 1)]
        )
    with room_in(path.parent), unfinished(path) as temporary:
        await asyncio.to_thread(_write_archive, made, temporary, name)


async def _fetch(layer: Layer, store: Path, source: Repository, task: str, tell: Tell) -> None:
    blob = blob_path(store, layer.digest)
    if blob.exists():
        blob.touch()
        return
    with unfinished(blob) as temporary:
        await source.download(
            layer.digest, temporary, lambda done: tell(Progress(task, done, layer.size))
        )
    tell(Progress(task, layer.size, layer.size, finished=True))


def _write_archive(made: Made, path: Path, name: str) -> None:
    """OCI's layout with Docker's manifest.json beside it, which engines before 25 read."""
    config = digest_of(made.config)
    layers = [layer.digest for layer in made.image.layers]
    index = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [
            {
                "mediaType": OCI_MANIFEST,
                "digest": made.image.digest,
                "size": len(made.manifest),
                "annotations": {
                    "io.containerd.image.name": name,
                    "org.opencontainers.image.ref.name": name.rpartition(":")[2],
                },
            }
        ],
    }
    legacy = [
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
            "manifest.json": json.dumps(legacy).encode(),
        }.items():
            entry = tarfile.TarInfo(member)
            entry.size, entry.mode = len(content), 0o644
            tar.addfile(entry, io.BytesIO(content))
        for digest in dict.fromkeys([made.image.digest, config, *layers]):
            blob = blob_path(made.store, digest)
            entry = tarfile.TarInfo(_member(digest))
            entry.size, entry.mode = blob.stat().st_size, 0o644
            with blob.open("rb") as content:
                tar.addfile(entry, content)


def _member(digest: str) -> str:
    return blob_path(Path(), digest).as_posix()


async def _together(works: Iterable[Awaitable[T]]) -> list[T]:
    """The results of works done at the same time; the first error ends them all."""

    async def one(work: Awaitable[T]) -> T:
        return await work

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(work)) for work in works]
    except BaseExceptionGroup as errors:
        # All others were cancelled for the first.
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]
