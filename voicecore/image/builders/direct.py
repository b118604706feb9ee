"""Puts an image together and pushes it without Docker: no daemon, nothing emulated.

The result is what the Dockerfile's last stage would give: the base's layers, untouched, a layer for
each COPY, and a config. Its blobs lie in a folder as in OCI's image layout (opencontainers/
image-spec, image-layout.md); of the base, only what had to be read.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import tarfile
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import TypeVar

from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.console.progress import Progress
from voicecore.image.builders.layers import blob_path, pack, room_in, unfinished, write_whole
from voicecore.image.builders.packages import copy_code, find_python, install, slim
from voicecore.image.builders.stdlib import extract, library_of
from voicecore.image.docker.engine import require_size
from voicecore.image.inputs.dockerfile import Stage
from voicecore.image.model import Base, Image, Layer, Package, Tell, layer_title
from voicecore.image.registry.client import Content, Repository, file_content
from voicecore.image.registry.manifests import (
    OCI_INDEX,
    OCI_MANIFEST,
    base_layers,
    config_of,
    digest_of,
    encoded,
    manifest_of,
)

_BUILD_ROOT = PurePosixPath("/image")
"""Where the Dockerfile's build stage puts what its last stage copies."""

_PARTS = {"usr": "library", "opt": "packages", "app": "code", "bot": "code"}
"""The folders there, and what slim.py calls that which fills them."""

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
    library_key: str
    """Same for the same bytecode of Python's own modules: of the base and slim.py."""
    python: str = "3.13"


@dataclass(frozen=True)
class Made:
    """An image whose blobs lie in a store; the layers of its base may not."""

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
    inputs: Inputs,
    store: Path,
    source: Repository,
    env: Mapping[str, str],
    tell: Tell,
    fresh: bool = False,
) -> Made:
    """Make the image in `store`, a folder that is kept between builds.

    `source` has the base, which is read for Python's own modules. `fresh` packs anew what is the
    same. Raises PythonMissing, InstallRefused, SlimFailed, NoLibrary, DiskFull, OnlyDocker, and the
    registry's errors.
    """
    with room_in(_made(store)):
        with tempfile.TemporaryDirectory(dir=store, prefix="work-") as folder:
            stop = threading.Event()
            telling = _until(stop, tell)
            work = _Work(inputs, Path(folder), store, source, env, telling, fresh, stop)
            layers, packages = await _layers(work)
        made = _assembled(inputs, layers, packages, store)
    await asyncio.to_thread(trim, store, STORE_LIMIT, time.time())
    return made


@dataclass(frozen=True)
class _Work:
    """One build under way."""

    inputs: Inputs
    folder: Path
    """Becomes what is /image in the Dockerfile's build stage."""
    store: Path
    source: Repository
    env: Mapping[str, str]
    tell: Tell
    fresh: bool
    stop: threading.Event
    """Set when the build is to end: threads cannot be cancelled, and would go on writing."""


class _Stopped(Exception):
    """Ends what runs in a thread."""


def _until(stop: threading.Event, tell: Tell) -> Tell:
    """`tell`, which ends whoever tells something once `stop` is set."""

    def telling(progress: Progress) -> None:
        if stop.is_set():
            raise _Stopped
        tell(progress)

    return telling


async def _in_thread(work: _Work, call: Callable[..., T], *arguments: object) -> T:
    """What `call` returns from a thread; when cancelled, the thread has ended, too."""
    # Not a task, which a loop that is ended by a signal cancels while its thread goes on.
    running = asyncio.get_running_loop().run_in_executor(None, call, *arguments)
    cancelled: asyncio.CancelledError | None = None
    while not running.done():
        try:
            await asyncio.wait([running])
        except asyncio.CancelledError as error:  # as often as Ctrl-C is pressed
            work.stop.set()
            cancelled = error
    if cancelled:
        running.exception()  # how it stopped is of no interest, also to asyncio
        raise cancelled
    return running.result()


async def _layers(work: _Work) -> tuple[list[Layer], tuple[Package, ...]]:
    """The layer of each COPY, and the packages."""
    copies = work.inputs.stage.copies
    kept = {copy: _known(work, *copy) for copy in copies}
    python = await find_python(work.inputs.python, work.env, work.store / "python")
    parts = {_part_of(source) for source, target in copies if not kept[source, target]}
    found = await _together([_fill(work, part, python) for part in sorted(parts)])
    packages = next((listed for listed in found if listed), ())
    layers: list[Layer] = []
    for source, target in copies:
        known = kept[source, target]
        if known:
            work.tell(Progress(layer_title(source), finished=True, note="unchanged"))
        else:
            layer, part = await _packed(work, source, target), _part_of(source)
            known = layer, packages if part == "packages" else ()
            if part != "code":
                _note(_record_path(work, source, target), *known)
        layers.append(known[0])
        packages = packages or known[1]
    return layers, packages


async def _fill(work: _Work, part: str, python: Path) -> tuple[Package, ...]:
    """Make a part of what the Dockerfile's build stage has in /image; returns its packages."""
    inputs = work.inputs
    match part:
        case "packages":
            folder = work.folder / "opt/packages"
            return await install(inputs.agent, folder, python, work.env, work.tell)
        case "library":
            folder = work.folder / library_of(inputs.python)
            layers = base_layers(inputs.base)
            await _fetch_base(layers, work.store, work.source, work.tell)
            blobs = [blob_path(work.store, layer.digest) for layer in layers]
            await _in_thread(work, extract, blobs, inputs.python, folder)
            await slim(inputs.agent, "library", folder, python, work.env)
        case _:
            await copy_code(inputs.agent, inputs.files, work.folder / "app", python, work.env)
    return ()


async def _packed(work: _Work, source: str, target: str) -> Layer:
    folder = work.folder / _within_build(source)

    def pack_it() -> Layer:
        if not folder.is_dir():
            raise _only_docker(source)
        return pack(folder, target, layer_title(source), work.store, work.tell)

    return await _in_thread(work, pack_it)


def _part_of(source: str) -> str:
    """Which part of the build stage's work a COPY's source is of. Raises OnlyDocker."""
    return _PARTS[_within_build(source).parts[0]]


def _within_build(source: str) -> PurePosixPath:
    """Where a COPY's source lies below the build stage's folder. Raises OnlyDocker."""
    path = PurePosixPath(source)
    if path.is_relative_to(_BUILD_ROOT):
        place = path.relative_to(_BUILD_ROOT)
        if place.parts and place.parts[0] in _PARTS:
            return place
    raise _only_docker(source)


def _only_docker(source: str) -> OnlyDocker:
    return OnlyDocker(
        f"The Dockerfile copies {source} from its build stage; without Docker there are only the "
        f"folders {', '.join(f'/image/{kind}' for kind in _PARTS)}.",
        "Build with Docker:  voicecore build --builder buildx",
        ExitCode.BAD_PROJECT,
    )


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


# ---- what is kept of packed packages


def _record_path(work: _Work, source: str, target: str) -> Path:
    inputs = work.inputs
    key = inputs.library_key if _part_of(source) == "library" else inputs.packages_key
    words = [str(_RECORD), key, inputs.python, source, target]
    name = hashlib.sha256("\0".join(words).encode()).hexdigest()
    return work.store / "packages" / f"{name}.json"


def _known(work: _Work, source: str, target: str) -> tuple[Layer, tuple[Package, ...]] | None:
    """The layer of a COPY as it was packed from the same inputs before; never of the code."""
    if work.fresh or _part_of(source) == "code":
        return None
    return _recorded(_record_path(work, source, target), work.store)


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
    the rest passes through without being stored. Raises TooLarge, and the two registries' errors.
    """
    require_size(made.image)
    gate = asyncio.Semaphore(_AT_ONCE)
    home = source.reference if source.reference.host == target.reference.host else None
    count = len(made.base.manifest["layers"])

    async def one(layer: Layer, task: str) -> int:
        mount_from = home.repository if home and layer.title == "base" else ""
        content = _content_of(layer, made.store, source)
        async with gate:
            return await target.push(layer.digest, layer.size, content, tell, task, mount_from)

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


def _content_of(layer: Layer, store: Path, source: Repository) -> Content:
    """A layer's bytes: from the store, or from where the base is."""
    blob = blob_path(store, layer.digest)
    return file_content(blob) if blob.exists() else lambda: source.stream(layer.digest)


async def save(made: Made, path: Path, source: Repository, name: str, tell: Tell) -> None:
    """Write the image to the file `path`, as `docker load` takes it, under the tag `name`.

    The base's layers are fetched from `source` and kept in the store. Raises DiskFull and the
    registry's errors.
    """
    base = [layer for layer in made.image.layers if layer.title == "base"]
    with room_in(made.store):
        await _fetch_base(base, made.store, source, tell)
    with room_in(path.parent), unfinished(path) as temporary:
        await asyncio.to_thread(_write_archive, made, temporary, name)


async def _fetch_base(layers: Sequence[Layer], store: Path, source: Repository, tell: Tell) -> None:
    gate = asyncio.Semaphore(_AT_ONCE)

    async def fetch(layer: Layer, task: str) -> None:
        async with gate:
            await _fetch(layer, store, source, task, tell)

    count = len(layers)
    await _together([fetch(x, f"fetch base {n}/{count}") for n, x in enumerate(layers, 1)])


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
