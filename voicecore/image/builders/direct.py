"""The `direct` builder: builds and pushes an image without Docker, and without emulation.

The result equals the Dockerfile's final stage: the base's layers unchanged, one layer for each
COPY, and a config.
"""

from __future__ import annotations

import asyncio
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from voicecore.console.progress import OnProgress
from voicecore.image.blob_store import (
    STORE_LIMIT,
    blob_path,
    disk_full_explained,
    evict,
    write_atomically,
)
from voicecore.image.builders import transfer
from voicecore.image.builders.copy_layers import (
    DirectInputs,
    LayerWork,
    make_layers,
    part_of,
    python_path,
    stoppable,
)
from voicecore.image.builders.packages import find_python, prune_script
from voicecore.image.builders.transfer import StoredImage
from voicecore.image.cache_folders import blobs_folder
from voicecore.image.docker.engine import Engine
from voicecore.image.docker.smoke_test import SmokeTestResult, smoke_test
from voicecore.image.inputs import dockerfile, fingerprint, own_dockerfile
from voicecore.image.model import BuiltImage, Layer, Package
from voicecore.image.plan import BuildPlan, python_of
from voicecore.image.registry.client import Repository
from voicecore.image.registry.manifests import (
    base_layers,
    config_of,
    digest_of,
    encoded,
    manifest_of,
)
from voicecore.image.registry.reference import Reference
from voicecore.project.dotenv import without_ours
from voicecore.scaffold.render import dockerfile_of


def build_plan(
    plan: BuildPlan, fresh: bool, env: Mapping[str, str], on_progress: OnProgress
) -> DirectBuild:
    """Build the image of `plan`. Raises as `build` and `inputs_of` do."""
    inputs = inputs_of(plan)

    async def work() -> StoredImage:
        async with plan.base_repository() as source:
            store = blobs_folder(env)
            return await build(inputs, store, source, without_ours(env), on_progress, fresh)

    return DirectBuild(plan, asyncio.run(work()), on_progress)


def require_buildable(plan: BuildPlan, env: Mapping[str, str]) -> None:
    """Raise what a build would raise before it starts: also PruneFailed and PythonMissing."""
    inputs = inputs_of(plan)
    if plan.own:
        return
    prune_script(inputs.agent)
    cached = python_path(blobs_folder(env))
    asyncio.run(find_python(inputs.python, without_ours(env), cached))


def inputs_of(plan: BuildPlan) -> DirectInputs:
    """Return what `plan` builds from. Raises BadDockerfile and OnlyDocker."""
    inputs = _inputs_of_adopted(plan) if plan.own else _inputs_of_generated(plan)
    for source, _ in inputs.stage.copies:
        part_of(source)
    return inputs


def _inputs_of_adopted(plan: BuildPlan) -> DirectInputs:
    """Return what the Dockerfile of `adopt` builds from; any other needs Docker."""
    adopted = own_dockerfile.read_adopted(plan.dockerfile)
    name = adopted.requirements
    source = plan.sources.get(name, plan.folder / name)
    wanted = (*(("--requirements", str(source)) if name else ()), *(("boto3",) * adopted.keys))
    digest = plan.base.digest
    return DirectInputs(
        agent=plan.folder,
        files=[file.path for file in plan.files],
        sources=plan.sources,
        base=plan.base,
        stage=dockerfile.final_stage(plan.dockerfile, adopted.text),
        labels=plan.labels,
        tag=plan.tag,
        packages_key=fingerprint.packages_key(plan.files, digest, (dockerfile.FILE, name)),
        stdlib_key="",
        python=adopted.python,
        listed=("--python-version", adopted.python, *wanted) if wanted else (),
    )


def _inputs_of_generated(plan: BuildPlan) -> DirectInputs:
    return DirectInputs(
        agent=plan.folder,
        files=[file.path for file in plan.files],
        sources=plan.sources,
        base=plan.base,
        stage=dockerfile.final_stage(plan.dockerfile, dockerfile_of(plan.part)),
        labels=plan.labels,
        tag=plan.tag,
        packages_key=fingerprint.packages_key(plan.files, plan.base.digest),
        stdlib_key=fingerprint.stdlib_key(plan.files, plan.base.digest),
        python=".".join(map(str, python_of(plan.base))),
    )


@dataclass(frozen=True)
class DirectBuild:
    """An image built without Docker."""

    plan: BuildPlan
    stored: StoredImage
    on_progress: OnProgress

    @property
    def image(self) -> BuiltImage:
        """The image."""
        return self.stored.image

    @property
    def location(self) -> str:
        """Folder of the store that has its blobs."""
        return str(self.stored.store)

    @property
    def unchanged(self) -> bool:
        """True if the store had the image already."""
        return self.stored.unchanged

    def check(self, engine: Engine) -> SmokeTestResult:
        """Load the image into `engine` and run its smoke test."""
        with tempfile.TemporaryDirectory(prefix="voicecore-") as folder:
            archive = Path(folder) / "image.tar"
            asyncio.run(self._save(archive))
            engine.load(archive)
        name, platforms = self.plan.local_reference, self.plan.project.platforms
        run = (engine, name, self.image, platforms, self.on_progress)
        return smoke_test(*run, generated=not self.plan.own)

    async def _save(self, archive: Path) -> None:
        async with self.plan.base_repository() as source:
            name = self.plan.local_reference
            await transfer.save(self.stored, archive, source, name, self.on_progress)

    def push(self, target: Reference) -> str:
        """Push the image to `target`; return the digest of its manifest."""

        async def work() -> str:
            async with (
                self.plan.target_repository(target) as repository,
                self.plan.base_repository() as source,
            ):
                pushed = await transfer.push(self.stored, repository, source, self.on_progress)
            return pushed.digest

        return asyncio.run(work())


async def build(
    inputs: DirectInputs,
    store: Path,
    source: Repository,
    env: Mapping[str, str],
    on_progress: OnProgress,
    fresh: bool = False,
) -> StoredImage:
    """Build the image in `store`, a folder that later builds reuse.

    The standard library comes from `source`, the base's repository. `fresh` reuses no layer of
    earlier builds. Raises PythonMissing, PackageInstallFailed, PruneFailed, StdlibMissing,
    DiskFull, OnlyDocker, and the registry's errors.
    """
    with disk_full_explained(_created(store)):
        with tempfile.TemporaryDirectory(dir=store, prefix="work-") as folder:
            stop = threading.Event()
            report = stoppable(stop, on_progress)
            work = LayerWork(inputs, Path(folder), store, source, env, report, fresh, stop)
            layers, packages = await make_layers(work)
        stored = _assemble(inputs, layers, packages, store)
    await asyncio.to_thread(evict, store, STORE_LIMIT, time.time())
    return stored


def _created(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _assemble(
    inputs: DirectInputs, layers: Sequence[Layer], packages: tuple[Package, ...], store: Path
) -> StoredImage:
    """Write the config and the manifest."""
    document = config_of(inputs.base, inputs.stage, inputs.labels, layers)
    config = encoded(document)
    manifest = manifest_of(inputs.base, config, layers)
    unchanged = blob_path(store, digest_of(manifest)).exists()
    for content in (config, manifest):
        write_atomically(blob_path(store, digest_of(content)), content)
    image = BuiltImage(
        tag=inputs.tag,
        digest=digest_of(manifest),
        config=document,
        layers=(*base_layers(inputs.base), *layers),
        packages=packages,
    )
    return StoredImage(image, inputs.base, store, manifest, config, unchanged)
