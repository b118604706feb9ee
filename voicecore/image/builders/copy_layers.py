"""Owns the layers of an image built without Docker: one for each COPY of the final stage.

Each is filled as the Dockerfile's build stage fills it, packed, and reused while its inputs stay
the same.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import TypeVar

from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.console.progress import OnProgress, Progress
from voicecore.image.blob_store import blob_path, write_atomically
from voicecore.image.builders.packages import (
    copy_code,
    copy_files,
    find_python,
    install,
    install_listed,
    prune,
)
from voicecore.image.builders.packing import pack
from voicecore.image.builders.stdlib import extract, stdlib_folder
from voicecore.image.builders.transfer import all_of, fetch_base
from voicecore.image.inputs.context_walk import IGNORE_FILE
from voicecore.image.inputs.dockerfile import CONTEXT, FinalStage
from voicecore.image.model import BaseImage, Layer, Package, copy_title
from voicecore.image.registry.client import Repository
from voicecore.image.registry.manifests import base_layers

_BUILD_ROOT = PurePosixPath("/image")
"""Folder in the Dockerfile's build stage that its final stage copies from."""

_PARTS = {"usr": "library", "opt": "packages", "app": "code", "bot": "code"}
"""Folders there, and prune.py's name for what each contains."""

_WHOLE = {"/packages": "listed", CONTEXT: "context"}
"""Sources in a Dockerfile of `adopt`, and their parts."""

_CODE = ("code", "context")
"""Parts that are packed in each build."""

_RECORD_VERSION = 1
"""Version of the records of packed layers; a new version packs all layers again."""

T = TypeVar("T")


class OnlyDocker(VoicecoreError):
    """The Dockerfile copies something that only Docker can create."""


@dataclass(frozen=True)
class DirectInputs:
    """Everything that an image is built from without Docker."""

    agent: Path
    files: Sequence[str]
    """The build context: paths relative to `agent`, with forward slashes."""
    base: BaseImage
    stage: FinalStage
    labels: Mapping[str, str]
    tag: str
    packages_key: str
    """Cache key of the packages: depends on the lockfile, the base and prune.py."""
    stdlib_key: str
    """Cache key of the standard library's bytecode: depends on the base and prune.py."""
    python: str = "3.13"
    sources: Mapping[str, Path] = field(default_factory=dict[str, Path])
    """Source of each file that is not read from `agent`."""
    listed: tuple[str, ...] | None = None
    """Words for `uv pip install` of an adopted agent; None for a generated one, with a uv.lock."""


@dataclass(frozen=True)
class LayerWork:
    """One build in progress."""

    inputs: DirectInputs
    folder: Path
    """Stands for /image in the Dockerfile's build stage."""
    store: Path
    source: Repository
    """Repository of the base."""
    env: Mapping[str, str]
    on_progress: OnProgress
    fresh: bool
    """True when no layer of an earlier build is reused."""
    stop: threading.Event
    """Set to end the build: threads cannot be cancelled and would go on writing."""


class BuildStopped(Exception):
    """Ends work in a thread after `LayerWork.stop` is set."""


def stoppable(stop: threading.Event, on_progress: OnProgress) -> OnProgress:
    """Return `on_progress` with one change: it raises BuildStopped once `stop` is set."""

    def report(progress: Progress) -> None:
        if stop.is_set():
            raise BuildStopped
        on_progress(progress)

    return report


def python_path(store: Path) -> Path:
    """Return the file that names the interpreter that uv found."""
    return store / "python"


def part_of(source: str) -> str:
    """Return which part of the build stage a COPY's source belongs to. Raises OnlyDocker."""
    return _WHOLE.get(source) or _PARTS[_within_build(source).parts[0]]


async def make_layers(work: LayerWork) -> tuple[list[Layer], tuple[Package, ...]]:
    """Return the layer of each COPY, and the packages.

    Raises PythonMissing, PackageInstallFailed, PruneFailed, StdlibMissing, OnlyDocker, and the
    registry's errors.
    """
    copies = work.inputs.stage.copies
    reusable = {copy: _find_record(work, *copy) for copy in copies}
    parts = {part_of(source) for source, target in copies if not reusable[source, target]}
    python = Path(sys.executable)
    if parts - {*_WHOLE.values()}:  # prune.py compiles for the image's Python
        python = await find_python(work.inputs.python, work.env, python_path(work.store))
    filled = await all_of([_fill(work, part, python) for part in sorted(parts)])
    packages = next((listed for listed in filled if listed), ())
    layers: list[Layer] = []
    for number, (source, target) in enumerate(copies):
        record = reusable[source, target]
        if record:
            work.on_progress(Progress(copy_title(source), finished=True, note="unchanged"))
        else:
            later = [other for other, _ in copies[number + 1 :]]
            layer, part = await _pack(work, source, target, later), part_of(source)
            record = layer, packages if part == "packages" else ()
            if part not in _CODE:
                _write_record(_record_path(work, source, target), *record)
        layers.append(record[0])
        packages = packages or record[1]
    return layers, packages


async def _fill(work: LayerWork, part: str, python: Path) -> tuple[Package, ...]:
    """Create one part of the build stage's /image; return the packages if it is that part."""
    inputs = work.inputs
    match part:
        case "packages":
            folder = work.folder / "opt/packages"
            return await install(
                inputs.agent, folder, python, work.env, work.on_progress, inputs.sources
            )
        case "listed":
            if inputs.listed is None:
                raise _only_docker("/packages")
            folder = work.folder / part
            await install_listed(inputs.agent, folder, inputs.listed, work.env, work.on_progress)
        case "context":
            files = [name for name in inputs.files if name != IGNORE_FILE]
            copy_files(inputs.agent, files, work.folder / part, inputs.sources)
        case "library":
            folder = work.folder / stdlib_folder(inputs.python)
            layers = base_layers(inputs.base)
            await fetch_base(layers, work.store, work.source, work.on_progress)
            blobs = [blob_path(work.store, layer.digest) for layer in layers]
            await _in_thread(work, extract, blobs, inputs.python, folder)
            await prune(inputs.agent, "library", folder, python, work.env)
        case _:
            code = work.folder / "app"
            await copy_code(inputs.agent, inputs.files, code, python, work.env, inputs.sources)
    return ()


async def _pack(work: LayerWork, source: str, target: str, later: Sequence[str]) -> Layer:
    """Pack the folder of a COPY, and delete it unless `later` sources need it."""
    place = _within_build(source)
    keep = any(
        place.is_relative_to(other) or other.is_relative_to(place)
        for other in map(_within_build, later)
    )

    def pack_folder() -> Layer:
        folder = work.folder.resolve() / place
        # A link in the path, such as one of prune.py, could lead to any folder of this machine.
        if folder.resolve() != folder or not folder.is_dir():
            raise _only_docker(source)
        return pack(folder, target, copy_title(source), work.store, work.on_progress, keep)

    return await _in_thread(work, pack_folder)


async def _in_thread(work: LayerWork, call: Callable[..., T], *arguments: object) -> T:
    """Return the result of `call` from a thread; after a cancellation, wait for the thread."""
    # Not a task: a loop that a signal ends would cancel it while its thread goes on.
    running = asyncio.get_running_loop().run_in_executor(None, call, *arguments)
    cancelled: asyncio.CancelledError | None = None
    while not running.done():
        try:
            await asyncio.wait([running])
        except asyncio.CancelledError as error:  # once for each Ctrl-C
            work.stop.set()
            cancelled = error
    if cancelled:
        running.exception()  # retrieved, so that asyncio does not log it
        raise cancelled
    return running.result()


def _within_build(source: str) -> PurePosixPath:
    """Return a COPY's source relative to the build stage's folder. Raises OnlyDocker."""
    if source in _WHOLE:
        return PurePosixPath(_WHOLE[source])
    path = PurePosixPath(source)
    if path.is_relative_to(_BUILD_ROOT):
        place = path.relative_to(_BUILD_ROOT)
        if place.parts and place.parts[0] in _PARTS and ".." not in place.parts:
            return place
    raise _only_docker(source)


def _only_docker(source: str) -> OnlyDocker:
    return OnlyDocker(
        f"The Dockerfile copies {source} from its build stage; without Docker, only these folders "
        f"exist: {', '.join(f'/image/{kind}' for kind in _PARTS)}.",
        "Build with Docker:  voicecore build --builder buildx",
        ExitCode.BAD_PROJECT,
    )


# ---- records of packed layers


def _record_path(work: LayerWork, source: str, target: str) -> Path:
    inputs = work.inputs
    key = inputs.stdlib_key if part_of(source) == "library" else inputs.packages_key
    words = [str(_RECORD_VERSION), key, inputs.python, source, target]
    name = hashlib.sha256("\0".join(words).encode()).hexdigest()
    return work.store / "packages" / f"{name}.json"


def _find_record(
    work: LayerWork, source: str, target: str
) -> tuple[Layer, tuple[Package, ...]] | None:
    """Return the layer of a COPY that was packed from the same inputs; None for code."""
    if work.fresh or part_of(source) in _CODE:
        return None
    return _read_record(_record_path(work, source, target), work.store)


def _read_record(record: Path, store: Path) -> tuple[Layer, tuple[Package, ...]] | None:
    """Return the recorded layer if its blob is still in the store and complete."""
    try:
        fields = json.loads(record.read_text(encoding="utf-8"))
        layer = Layer(**fields["layer"])
        packages = tuple(Package(**package) for package in fields["packages"])
        blob = blob_path(store, layer.digest)
        if blob.stat().st_size != layer.size:
            return None
        blob.touch()  # marks it as used, so that it is evicted last
    except (OSError, ValueError, KeyError, TypeError):
        # Missing, evicted, or written by another version of voicecore: it is packed again.
        return None
    return layer, packages


def _write_record(record: Path, layer: Layer, packages: Sequence[Package]) -> None:
    document = {"layer": asdict(layer), "packages": [asdict(package) for package in packages]}
    write_atomically(record, json.dumps(document).encode())
