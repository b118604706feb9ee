"""Images built without Docker: assembled, cached, pushed, and saved for an engine."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import tarfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.standins.disk import small_disk
from tests.standins.image.in_process_registry import Fault, digest_of
from tests.unit.image.sample_project import (
    LIBRARY,
    PYTHON,
    uv_env,
)
from tests.unit.image.workspace import STAGE, Workspace
from voicecore.console.progress import Progress
from voicecore.image.blob_store import DiskFull, blob_path
from voicecore.image.builders.copy_layers import OnlyDocker
from voicecore.image.builders.direct import build
from voicecore.image.builders.packages import PackageInstallFailed
from voicecore.image.model import copy_title
from voicecore.image.registry.errors import RegistryDenied

pytestmark = pytest.mark.slow  # most build an image

# ---- the image


def test_layers_have_files_of_dockerfile_copies(workspace: Workspace) -> None:
    stored = workspace.build()
    files: set[str] = set()
    for layer in stored.image.layers[2:]:
        with tarfile.open(blob_path(workspace.store, layer.digest)) as tar:
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
    assert [package.name for package in stored.image.packages] == ["one", "two"]


def test_config_is_base_config_with_final_stage(workspace: Workspace) -> None:
    stored = workspace.build()
    base, config = workspace.inputs.base.config, json.loads(stored.config)
    assert config == stored.image.config
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
    layers = stored.image.layers
    assert config["rootfs"]["diff_ids"] == [layer.diff_id for layer in layers]
    filled = [entry for entry in config["history"] if not entry.get("empty_layer")]
    assert [entry["created_by"] for entry in filled] == [
        "ADD rootfs.tar /",
        "COPY /image/opt /opt",
        "COPY /image/app /app",
    ]


def test_manifest_has_oci_types_on_docker_base(workspace: Workspace) -> None:
    stored = workspace.build()
    manifest = json.loads(stored.manifest)
    assert manifest["mediaType"] == "application/vnd.oci.image.manifest.v1+json"
    types = {entry["mediaType"] for entry in manifest["layers"]}
    assert types == {"application/vnd.oci.image.layer.v1.tar+gzip"}
    assert manifest["config"]["digest"] == digest_of(stored.config)
    assert stored.image.digest == digest_of(stored.manifest)
    sizes = [(entry["digest"], entry["size"]) for entry in manifest["layers"]]
    assert sizes == [(layer.digest, layer.size) for layer in stored.image.layers]


def test_entrypoint_replaces_command_of_base(workspace: Workspace) -> None:
    stage = replace(STAGE, entrypoint=("python",), command=())
    config = workspace.build(stage=stage).image.config["config"]
    assert config["Entrypoint"] == ["python"]
    assert "Cmd" not in config


def test_equal_inputs_give_equal_image(workspace: Workspace, tmp_path: Path) -> None:
    first = workspace.build()
    assert workspace.build(fresh=True).image == first.image
    elsewhere = replace(workspace, store=tmp_path / "elsewhere")
    assert elsewhere.build().image == first.image


def test_code_edit_keeps_packages_layer(workspace: Workspace) -> None:
    first = workspace.build()
    workspace.progress.clear()
    (workspace.inputs.agent / "bot.py").write_text("print('edited')\n")
    second = workspace.build(tag="other")
    assert workspace.steps() == ["packages unchanged", "code"]
    assert second.image.layers[:3] == first.image.layers[:3]
    assert second.image.layers[3] != first.image.layers[3]
    assert second.image.packages == first.image.packages


def test_new_packages_key_installs_packages_again(workspace: Workspace) -> None:
    workspace.build()
    workspace.progress.clear()
    workspace.build(packages_key="other")
    assert "installing packages 2 packages" in workspace.steps()


def test_disk_that_fills_at_any_moment_is_reported(workspace: Workspace, tmp_path: Path) -> None:
    full = 0
    for kilobytes in (4, 20, 40, 60, 100, 200, 10_000):
        with small_disk(tmp_path / str(kilobytes), kilobytes) as disk:
            try:
                replace(workspace, store=disk / "store").build()
            except DiskFull as error:
                assert str(disk) in error.message
                full += 1
    assert 3 < full < 7  # the last disk has room


def test_missing_or_damaged_blob_is_built_again(workspace: Workspace) -> None:
    stored = workspace.build()
    layer = stored.image.layers[2]
    blob_path(workspace.store, layer.digest).write_bytes(b"half")
    assert workspace.build().image == stored.image
    blob_path(workspace.store, layer.digest).unlink()
    assert workspace.build().image == stored.image
    for record in (workspace.store / "packages").iterdir():
        record.write_text("{")
    assert workspace.build().image == stored.image


WITH_LIBRARY = replace(STAGE, copies=(("/image/usr", "/usr"), *STAGE.copies))


def test_stdlib_bytecode_is_compiled_from_base(workspace: Workspace) -> None:
    stored = workspace.build(stage=WITH_LIBRARY)
    layer = stored.image.layers[2]
    with tarfile.open(blob_path(workspace.store, layer.digest)) as tar:
        files = [entry.name for entry in tar if entry.isfile()]
    # Files that a higher layer of the base deletes are missing.
    assert files == [f"{LIBRARY}/__pycache__/os.cpython-{PYTHON.replace('.', '')}.pyc"]


def test_stdlib_layer_is_reused_until_its_key_changes(workspace: Workspace) -> None:
    first = workspace.build(stage=WITH_LIBRARY)
    workspace.progress.clear()
    workspace.registry.log.clear()
    second = workspace.build(stage=WITH_LIBRARY, packages_key="other")
    assert second.image.layers[2] == first.image.layers[2]
    assert f"{copy_title('/image/usr')} unchanged" in workspace.steps()
    assert not workspace.registry.find("GET", "/blobs/")
    workspace.build(stage=WITH_LIBRARY, stdlib_key="other")
    assert workspace.steps()[-1] != f"{copy_title('/image/usr')} unchanged"


def test_push_uses_downloaded_base_layers(workspace: Workspace) -> None:
    stored = workspace.build(stage=WITH_LIBRARY)
    workspace.registry.mounts = False
    workspace.registry.log.clear()
    pushed = workspace.push(stored)
    assert pushed.sent == stored.image.size + len(stored.config)
    assert not workspace.registry.find("GET", "/blobs/")


def test_build_refuses_copy_that_needs_docker(workspace: Workspace) -> None:
    for source in ("/etc", "/image/else", "/image/app/nothing", "/image/app/bot.py"):
        stage = replace(STAGE, copies=((source, "/x"),))
        with pytest.raises(OnlyDocker, match=source):
            workspace.build(stage=stage)


def test_failed_build_leaves_no_files(workspace: Workspace) -> None:
    (workspace.inputs.agent / "uv.lock").unlink()
    with pytest.raises(PackageInstallFailed):
        workspace.build(files=["bot.py"])
    assert [path for path in workspace.store.rglob("*") if path.is_file()] == []


def test_interrupted_build_leaves_no_files(workspace: Workspace) -> None:
    (workspace.inputs.agent / "internal/prune.py").write_text("import time\ntime.sleep(60)\n")

    async def work() -> None:
        started = asyncio.Event()

        def on_progress(step: Progress) -> None:
            started.set()

        async with workspace.registry.serving(), workspace.open("python", "pull") as source:
            building = build(workspace.inputs, workspace.store, source, uv_env(), on_progress)
            task = asyncio.create_task(building)
            await started.wait()
            await asyncio.sleep(0.5)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(work())
    assert [path for path in workspace.store.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("times", [1, 2], ids=["once", "twice"])
def test_ctrl_c_waits_for_thread_before_folder_is_deleted(workspace: Workspace, times: int) -> None:
    folder_existed: list[bool] = []
    loops: list[asyncio.AbstractEventLoop] = []

    def ctrl_c() -> None:
        # Python handles a signal between two bytecodes; the loop must run, so that it handles it.
        running = threading.Event()
        loops[0].call_soon_threadsafe(running.set)
        assert running.wait(30)
        os.kill(os.getpid(), signal.SIGINT)

    def on_progress(step: Progress) -> None:
        if step.task == copy_title("/image/opt") and not folder_existed:
            for _ in range(times):
                ctrl_c()
            time.sleep(0.5)  # the thread is stopped only when it reports progress
            folder_existed.append(any(workspace.store.glob("work-*")))

    async def work() -> None:
        loops.append(asyncio.get_running_loop())
        async with workspace.registry.serving(), workspace.open("python", "pull") as source:
            await build(workspace.inputs, workspace.store, source, uv_env(), on_progress)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            asyncio.run(work())
    finally:
        signal.signal(signal.SIGINT, before)
    assert folder_existed == [True]
    assert [*workspace.store.glob("work-*")] == []


# ---- to a registry


def test_push_sends_all_blobs_before_manifest(workspace: Workspace) -> None:
    stored = workspace.build()
    workspace.registry.mounts = False
    pushed = workspace.push(stored)
    assert pushed.digest == stored.image.digest
    _, raw = workspace.registry.manifests["agent/tag"]
    assert raw == stored.manifest
    blobs = workspace.registry.blobs["agent"]
    assert {layer.digest for layer in stored.image.layers} < set(blobs)
    assert all(digest_of(content) == digest for digest, content in blobs.items())
    assert pushed.sent == sum(map(len, blobs.values()))
    assert workspace.registry.log[-1].path.endswith("/manifests/tag")


def test_push_mounts_base_of_same_registry(workspace: Workspace) -> None:
    stored = workspace.build()
    pushed = workspace.push(stored)
    own = [layer.size for layer in stored.image.layers if layer.title != "base"]
    assert pushed.sent == sum(own) + len(stored.config)
    assert workspace.steps()[-5:].count("pushing base 1/2 mounted") == 1


def test_second_push_sends_nothing(workspace: Workspace) -> None:
    stored = workspace.build()
    workspace.push(stored)
    workspace.registry.log.clear()
    assert workspace.push(stored).sent == 0
    assert not workspace.registry.find("PUT", "/blobs/")


def test_push_after_edit_sends_code_layer_and_config(workspace: Workspace) -> None:
    workspace.push(workspace.build())
    (workspace.inputs.agent / "bot.py").write_text("print('edited')\n")
    stored = workspace.build()
    workspace.registry.log.clear()
    pushed = workspace.push(stored)
    assert pushed.sent == stored.image.layers[-1].size + len(stored.config)
    assert sum(each.bytes for each in workspace.registry.find("PUT", "/blobs/")) == pushed.sent


def test_push_after_lost_connection_sends_only_missing_blob(workspace: Workspace) -> None:
    stored = workspace.build()
    workspace.registry.mounts = False
    workspace.registry.faults.append(Fault("PUT", "/uploads/", cut_after=10))
    workspace.push(stored)
    digests = [
        each.query.rpartition("=")[2] for each in workspace.registry.find("PUT", "/uploads/")
    ]
    arrived = [each for each in workspace.registry.find("PUT", "/uploads/") if each.status]
    assert len(digests) == len(stored.image.layers) + 1 + 1
    assert len(arrived) == len(set(digests))


def test_denied_push_sends_nothing(workspace: Workspace) -> None:
    stored = workspace.build()
    fault = Fault("POST", "/uploads/", status=403, code="DENIED", message="not you", times=99)
    workspace.registry.faults.append(fault)
    with pytest.raises(RegistryDenied, match="not you"):
        workspace.push(stored)
    assert not workspace.registry.find("PUT")


# ---- to an engine


def test_save_writes_complete_archive(workspace: Workspace, tmp_path: Path) -> None:
    stored = workspace.build()
    path = tmp_path / "image.tar"
    workspace.save(stored, path)
    with tarfile.open(path) as tar:
        content = {
            entry.name: file.read() for entry in tar if (file := tar.extractfile(entry)) is not None
        }
    assert json.loads(content["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    (entry,) = json.loads(content["index.json"])["manifests"]
    assert entry["digest"] == stored.image.digest
    (legacy,) = json.loads(content["manifest.json"])
    assert legacy["RepoTags"] == ["voicecore/agent:tag"]
    assert content[legacy["Config"]] == stored.config
    assert len(legacy["Layers"]) == len(stored.image.layers)
    for name, blob in content.items():
        if name.startswith("blobs/"):
            assert hashlib.sha256(blob).hexdigest() == name.rpartition("/")[2]


def test_save_downloads_base_once(workspace: Workspace, tmp_path: Path) -> None:
    stored = workspace.build()
    workspace.save(stored, tmp_path / "one.tar")
    workspace.registry.log.clear()
    workspace.save(stored, tmp_path / "two.tar")
    assert not workspace.registry.find("GET", "/blobs/")
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
