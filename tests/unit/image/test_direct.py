"""An image without Docker: put together, kept, pushed, and saved for an engine."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import signal
import tarfile
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.standins.image.in_process_registry import ARegistry, Fault, digest_of
from tests.unit.image.a_project import LIBRARY, PYTHON, a_base, a_wheel, an_agent, env
from voicecore.image.builders.direct import (
    Inputs,
    Made,
    OnlyDocker,
    Pushed,
    build,
    push,
    save,
    trim,
)
from voicecore.image.builders.layers import blob_path
from voicecore.image.builders.packages import InstallRefused
from voicecore.image.inputs.dockerfile import Stage
from voicecore.image.model import Progress, layer_title
from voicecore.image.registry.client import Repository
from voicecore.image.registry.errors import RegistryDenied
from voicecore.image.registry.reference import Reference

STAGE = Stage(
    env={"PYTHONPATH": "/opt/packages", "PATH": "/opt/bin:/usr/bin"},
    copies=(("/image/opt", "/opt"), ("/image/app", "/app")),
    workdir="/app",
    user="1000",
    ports=("8080/tcp",),
    command=("python", "bot.py"),
)
FILES = ["bot.py", "run.sh", "internal/prune.py", "uv.lock", "pyproject.toml"]


@dataclass
class World:
    """An agent, the registry that has its base, a store, and what was told."""

    inputs: Inputs
    registry: ARegistry
    store: Path
    told: list[Progress]

    def build(self, fresh: bool = False, **changes: Any) -> Made:
        inputs = replace(self.inputs, **changes)

        async def work() -> Made:
            async with self.registry.serving(), self.open("python", "pull") as source:
                told = self.told.append
                return await build(inputs, self.store, source, env(), told, fresh)

        return asyncio.run(work())

    def steps(self) -> list[str]:
        return [f"{p.task} {p.note}".strip() for p in self.told if p.finished]

    def blob(self, digest: str) -> bytes:
        return blob_path(self.store, digest).read_bytes()

    def push(self, made: Made, to: str = "agent") -> Pushed:
        async def work() -> Pushed:
            async with (
                self.registry.serving(),
                self.open(to, "pull,push") as target,
                self.open("python", "pull") as source,
            ):
                return await push(made, target, source, self.told.append)

        return asyncio.run(work())

    def save(self, made: Made, path: Path) -> None:
        async def work() -> None:
            async with self.registry.serving(), self.open("python", "pull") as source:
                await save(made, path, source, "voicecore/agent:tag", self.told.append)

        asyncio.run(work())

    def open(self, name: str, actions: str) -> Repository:
        reference = Reference(self.registry.host, name, "tag")
        return Repository(reference, lambda: None, actions, (0.01, 0.01))


@pytest.fixture(scope="module")
def an_agent_of_two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("agent")
    return an_agent(folder, a_wheel(folder, "one"), a_wheel(folder, "two"))


@pytest.fixture
def world(an_agent_of_two: Path, tmp_path: Path) -> World:
    agent = shutil.copytree(an_agent_of_two, tmp_path / "agent")
    registry = ARegistry()
    inputs = Inputs(
        agent=agent,
        files=FILES,
        base=a_base(registry, "python"),
        stage=STAGE,
        labels={"io.voicecore.version": "1"},
        tag="tag",
        packages_key="key",
        library_key="library",
        python=PYTHON,
    )
    return World(inputs, registry, tmp_path / "cache" / "store", [])


# ---- the image


def test_the_filesystem_is_what_the_dockerfile_copies(world: World) -> None:
    made = world.build()
    files: set[str] = set()
    for layer in made.image.layers[2:]:
        with tarfile.open(blob_path(world.store, layer.digest)) as tar:
            files |= {entry.name for entry in tar if entry.isfile()}
    version = PYTHON.replace(".", "")
    assert {name for name in files if "dist-info" not in name} == {
        "app/__pycache__/bot.cpython-" + version + ".pyc",
        "app/bot.py",
        "app/pyproject.toml",
        "app/run.sh",
        "opt/packages/PACKAGES.json",
        "opt/packages/__pycache__/one.cpython-" + version + ".pyc",
        "opt/packages/__pycache__/two.cpython-" + version + ".pyc",
        "opt/packages/one.py",
        "opt/packages/two.py",
    }
    assert [package.name for package in made.image.packages] == ["one", "two"]


def test_the_config_is_the_bases_as_the_last_stage_changes_it(world: World) -> None:
    made = world.build()
    base, config = world.inputs.base.config, json.loads(made.config)
    assert config == made.image.config
    assert config["config"] == {
        "Env": ["PATH=/opt/bin:/usr/bin", "PYTHON_VERSION=3.13.1", "PYTHONPATH=/opt/packages"],
        "Cmd": ["python", "bot.py"],
        "WorkingDir": "/app",
        "User": "1000",
        "ExposedPorts": {"8080/tcp": {}},
        "Labels": {"io.voicecore.version": "1"},
    }
    assert (config["architecture"], config["os"], config["variant"]) == ("arm64", "linux", "v8")
    assert config["created"] == base["created"]
    assert "container" not in config
    layers = made.image.layers
    assert config["rootfs"]["diff_ids"] == [layer.diff_id for layer in layers]
    filled = [entry for entry in config["history"] if not entry.get("empty_layer")]
    assert [entry["created_by"] for entry in filled] == [
        "ADD rootfs.tar /",
        "COPY /image/opt /opt",
        "COPY /image/app /app",
    ]


def test_the_manifest_speaks_oci_whatever_the_base_speaks(world: World) -> None:
    made = world.build()
    manifest = json.loads(made.manifest)
    assert manifest["mediaType"] == "application/vnd.oci.image.manifest.v1+json"
    types = {entry["mediaType"] for entry in manifest["layers"]}
    assert types == {"application/vnd.oci.image.layer.v1.tar+gzip"}
    assert manifest["config"]["digest"] == digest_of(made.config)
    assert made.image.digest == digest_of(made.manifest)
    sizes = [(entry["digest"], entry["size"]) for entry in manifest["layers"]]
    assert sizes == [(layer.digest, layer.size) for layer in made.image.layers]


def test_an_entry_point_takes_the_place_of_the_bases_command(world: World) -> None:
    stage = replace(STAGE, entrypoint=("python",), command=())
    config = world.build(stage=stage).image.config["config"]
    assert config["Entrypoint"] == ["python"]
    assert "Cmd" not in config


def test_equal_inputs_give_an_equal_image(world: World, tmp_path: Path) -> None:
    first = world.build()
    assert world.build(fresh=True).image == first.image
    elsewhere = replace(world, store=tmp_path / "elsewhere")
    assert elsewhere.build().image == first.image


def test_an_edit_of_the_code_leaves_the_packages_as_they_are(world: World) -> None:
    first = world.build()
    world.told.clear()
    (world.inputs.agent / "bot.py").write_text("print('edited')\n")
    second = world.build(tag="other")
    assert world.steps() == ["packages unchanged", "code"]
    assert second.image.layers[:3] == first.image.layers[:3]
    assert second.image.layers[3] != first.image.layers[3]
    assert second.image.packages == first.image.packages


def test_other_packages_are_installed(world: World) -> None:
    world.build()
    world.told.clear()
    world.build(packages_key="other")
    assert "install packages 2 packages" in world.steps()


def test_what_was_dropped_or_damaged_is_made_again(world: World) -> None:
    made = world.build()
    layer = made.image.layers[2]
    blob_path(world.store, layer.digest).write_bytes(b"half")
    assert world.build().image == made.image
    blob_path(world.store, layer.digest).unlink()
    assert world.build().image == made.image
    for record in (world.store / "packages").iterdir():
        record.write_text("{")
    assert world.build().image == made.image


WITH_LIBRARY = replace(STAGE, copies=(("/image/usr", "/usr"), *STAGE.copies))


def test_pythons_own_bytecode_is_compiled_from_the_base(world: World) -> None:
    made = world.build(stage=WITH_LIBRARY)
    layer = made.image.layers[2]
    with tarfile.open(blob_path(world.store, layer.digest)) as tar:
        files = [entry.name for entry in tar if entry.isfile()]
    # What a higher layer of the base deletes is not there.
    assert files == [f"{LIBRARY}/__pycache__/os.cpython-{PYTHON.replace('.', '')}.pyc"]


def test_pythons_own_bytecode_is_kept_for_as_long_as_its_base(world: World) -> None:
    first = world.build(stage=WITH_LIBRARY)
    world.told.clear()
    world.registry.journal.clear()
    second = world.build(stage=WITH_LIBRARY, packages_key="other")
    assert second.image.layers[2] == first.image.layers[2]
    assert f"{layer_title('/image/usr')} unchanged" in world.steps()
    assert not world.registry.asked("GET", "/blobs/")
    world.build(stage=WITH_LIBRARY, library_key="other")
    assert world.steps()[-1] != f"{layer_title('/image/usr')} unchanged"


def test_a_base_that_was_fetched_is_not_fetched_again_for_a_push(world: World) -> None:
    made = world.build(stage=WITH_LIBRARY)
    world.registry.mounts = False
    world.registry.journal.clear()
    pushed = world.push(made)
    assert pushed.sent == made.image.size + len(made.config)
    assert not world.registry.asked("GET", "/blobs/")


def test_what_only_docker_can_copy(world: World) -> None:
    for source in ("/etc", "/image/else", "/image/app/nothing", "/image/app/bot.py"):
        stage = replace(STAGE, copies=((source, "/x"),))
        with pytest.raises(OnlyDocker, match=source):
            world.build(stage=stage)


def test_a_build_that_fails_leaves_nothing(world: World) -> None:
    (world.inputs.agent / "uv.lock").unlink()
    with pytest.raises(InstallRefused):
        world.build(files=["bot.py"])
    assert [path for path in world.store.rglob("*") if path.is_file()] == []


def test_an_interrupted_build_leaves_nothing(world: World) -> None:
    (world.inputs.agent / "internal/prune.py").write_text("import time\ntime.sleep(60)\n")

    async def work() -> None:
        begun = asyncio.Event()

        def tell(progress: Progress) -> None:
            begun.set()

        async with world.registry.serving(), world.open("python", "pull") as source:
            task = asyncio.create_task(build(world.inputs, world.store, source, env(), tell))
            await begun.wait()
            await asyncio.sleep(0.5)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(work())
    assert [path for path in world.store.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("times", [1, 2], ids=["once", "twice"])
def test_ctrl_c_does_not_take_the_folder_from_under_a_thread(world: World, times: int) -> None:
    there: list[bool] = []
    loops: list[asyncio.AbstractEventLoop] = []

    def ctrl_c() -> None:
        # A signal is seen between any two steps; sent to a loop that turns, it is seen there.
        turning = threading.Event()
        loops[0].call_soon_threadsafe(turning.set)
        assert turning.wait(30)
        os.kill(os.getpid(), signal.SIGINT)

    def tell(progress: Progress) -> None:
        if progress.task == layer_title("/image/opt") and not there:
            for _ in range(times):
                ctrl_c()
            time.sleep(0.5)  # what a thread does not tell of is not stopped
            there.append(any(world.store.glob("work-*")))

    async def work() -> None:
        loops.append(asyncio.get_running_loop())
        async with world.registry.serving(), world.open("python", "pull") as source:
            await build(world.inputs, world.store, source, env(), tell)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            asyncio.run(work())
    finally:
        signal.signal(signal.SIGINT, before)
    assert there == [True]
    assert [*world.store.glob("work-*")] == []


def test_the_store_is_bounded(tmp_path: Path) -> None:
    blobs = tmp_path / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    now = time.time()
    for name, age in {"oldest": 9000, "older": 8000, "used": 7000, "new": 10}.items():
        (blobs / name).write_bytes(bytes(100))
        os.utime(blobs / name, (now - age, now - age))
    (blobs / ".unfinished-x").write_bytes(bytes(1))
    os.utime(blobs / ".unfinished-x", (now - 8000, now - 8000))
    trim(tmp_path, 250, now)
    assert {path.name for path in blobs.iterdir()} == {"used", "new"}


# ---- to a registry


def test_a_push_brings_all_of_it(world: World) -> None:
    made = world.build()
    world.registry.mounts = False
    pushed = world.push(made)
    assert pushed.digest == made.image.digest
    _, raw = world.registry.manifests["agent/tag"]
    assert raw == made.manifest
    blobs = world.registry.blobs["agent"]
    assert {layer.digest for layer in made.image.layers} < set(blobs)
    assert all(digest_of(content) == digest for digest, content in blobs.items())
    assert pushed.sent == sum(map(len, blobs.values()))
    assert world.registry.journal[-1].path.endswith("/manifests/tag")


def test_a_base_in_the_same_registry_is_mounted(world: World) -> None:
    made = world.build()
    pushed = world.push(made)
    own = [layer.size for layer in made.image.layers if layer.title != "base"]
    assert pushed.sent == sum(own) + len(made.config)
    assert world.steps()[-5:].count("push base 1/2 mounted") == 1


def test_a_second_push_sends_nothing(world: World) -> None:
    made = world.build()
    world.push(made)
    world.registry.journal.clear()
    assert world.push(made).sent == 0
    assert not world.registry.asked("PUT", "/blobs/")


def test_an_edit_sends_its_layer_and_the_config_alone(world: World) -> None:
    world.push(world.build())
    (world.inputs.agent / "bot.py").write_text("print('edited')\n")
    made = world.build()
    world.registry.journal.clear()
    pushed = world.push(made)
    assert pushed.sent == made.image.layers[-1].size + len(made.config)
    assert sum(each.bytes for each in world.registry.asked("PUT", "/blobs/")) == pushed.sent


def test_a_cut_line_sends_again_only_what_did_not_arrive(world: World) -> None:
    made = world.build()
    world.registry.mounts = False
    world.registry.faults.append(Fault("PUT", "/uploads/", cut_after=10))
    world.push(made)
    digests = [each.query.rpartition("=")[2] for each in world.registry.asked("PUT", "/uploads/")]
    arrived = [each for each in world.registry.asked("PUT", "/uploads/") if each.status]
    assert len(digests) == len(made.image.layers) + 1 + 1
    assert len(arrived) == len(set(digests))


def test_a_refusal_ends_all_and_is_told_by_its_name(world: World) -> None:
    made = world.build()
    fault = Fault("POST", "/uploads/", status=403, code="DENIED", message="not you", times=99)
    world.registry.faults.append(fault)
    with pytest.raises(RegistryDenied, match="not you"):
        world.push(made)
    assert not world.registry.asked("PUT")


# ---- to an engine


def test_an_archive_is_whole(world: World, tmp_path: Path) -> None:
    made = world.build()
    path = tmp_path / "image.tar"
    world.save(made, path)
    with tarfile.open(path) as tar:
        content = {
            entry.name: file.read() for entry in tar if (file := tar.extractfile(entry)) is not None
        }
    assert json.loads(content["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    (entry,) = json.loads(content["index.json"])["manifests"]
    assert entry["digest"] == made.image.digest
    (legacy,) = json.loads(content["manifest.json"])
    assert legacy["RepoTags"] == ["voicecore/agent:tag"]
    assert content[legacy["Config"]] == made.config
    assert len(legacy["Layers"]) == len(made.image.layers)
    for name, blob in content.items():
        if name.startswith("blobs/"):
            assert hashlib.sha256(blob).hexdigest() == name.rpartition("/")[2]


def test_a_base_is_fetched_once(world: World, tmp_path: Path) -> None:
    made = world.build()
    world.save(made, tmp_path / "one.tar")
    world.registry.journal.clear()
    world.save(made, tmp_path / "two.tar")
    assert not world.registry.asked("GET", "/blobs/")
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
