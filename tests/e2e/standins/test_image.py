"""The stand-ins of image tests: Docker daemon, base image, emulation, and ECR with its errors."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.standins.image.base_image import REPOSITORY, TAG
from tests.standins.image.dockerd import DockerDaemon, dockerd
from tests.standins.image.ecr import Lifetime
from tests.standins.image.emulation import runs_arm64
from tests.standins.image.machine_settings import shared_setting
from tests.standins.image.proxy import Fault
from tests.standins.image.registries import Registries

MACHINE = "import platform; print(platform.machine())"
PASSWORD = (
    "import base64, boto3;"
    "data = boto3.client('ecr').get_authorization_token()['authorizationData'][0];"
    "print(base64.b64decode(data['authorizationToken']).decode().removeprefix('AWS:'), end='')"
)


def token_by_boto3(registries: Registries) -> str:
    """Return the token that boto3 gets in another process."""
    argv = [sys.executable, "-c", PASSWORD]
    done = subprocess.run(
        argv, env=dict(registries.env()), capture_output=True, text=True, check=True
    )
    return done.stdout


def log_in(
    daemon: DockerDaemon, registries: Registries, password: str, *, check: bool = True
) -> str:
    arguments = ["login", "--username", "AWS", "--password-stdin", registries.ecr.host]
    return daemon.docker(*arguments, stdin=password, check=check)


def tag_one_image(daemon: DockerDaemon, registries: Registries, name: str) -> list[dict[str, Any]]:
    """Pull the base for one platform, tag it without its index, and return its layers."""
    first = registries.public.manifest(REPOSITORY, TAG)["manifests"][0]["digest"]
    image = f"{registries.public.host}/{REPOSITORY}@{first}"
    daemon.docker("pull", "--quiet", image)
    daemon.docker("tag", image, name)
    return registries.public.manifest(REPOSITORY, first)["layers"]


def names_in(layer: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        return tar.getnames()


def test_base_supports_two_platforms(registries: Registries) -> None:
    index = registries.public.manifest(REPOSITORY, TAG)
    platforms = [entry["platform"] for entry in index["manifests"]]
    assert [p["architecture"] for p in platforms] == ["amd64", "arm64"]
    for entry in index["manifests"]:
        manifest = registries.public.manifest(REPOSITORY, entry["digest"])
        config = json.loads(registries.public.blob(REPOSITORY, manifest["config"]["digest"]))
        assert config["architecture"] == entry["platform"]["architecture"]
        assert config["config"]["Env"][0].startswith("PATH=/usr/local/bin:")
        assert config["config"]["Env"][1].startswith("PYTHON_VERSION=3.13.")
        names = names_in(registries.public.blob(REPOSITORY, manifest["layers"][-1]["digest"]))
        assert "usr/local/lib/python3.13/asyncio/events.py" in names
        assert not [name for name in names if name.endswith(".pyc")]


def test_base_runs_natively_and_emulated(
    registries: Registries, daemon: DockerDaemon, emulation: None
) -> None:
    assert runs_arm64(daemon, registries.base)
    for platform, machine in (("linux/amd64", "x86_64"), ("linux/arm64", "aarch64")):
        run = [
            "run",
            "--rm",
            "--init",
            "--platform",
            platform,
            registries.base,
            "python",
            "-c",
            MACHINE,
        ]
        assert daemon.docker(*run).strip() == machine


def test_build_uses_official_name_and_reaches_pypi(
    registries: Registries, daemon: DockerDaemon, tmp_path: Path
) -> None:
    (tmp_path / "Dockerfile").write_text(
        f"FROM {registries.official}\nRUN pip install --quiet uv six\n"
    )
    daemon.docker("buildx", "build", "--quiet", "--platform", "linux/amd64", str(tmp_path))


def test_ecr_push_and_pull(registries: Registries, daemon: DockerDaemon) -> None:
    image = f"{registries.ecr.host}/agent:one"
    layers = tag_one_image(daemon, registries, image)
    assert "no basic auth credentials" in daemon.docker("push", image, check=False)
    assert "Succeeded" in log_in(daemon, registries, token_by_boto3(registries))
    daemon.docker("push", image)
    assert registries.private.tags("agent") == ["one"]
    sizes = {layer["digest"]: layer["size"] for layer in layers}
    sent = registries.proxy.log.blobs()
    assert sizes.items() <= sent.items()
    daemon.docker("image", "rm", image)
    daemon.docker("pull", "--quiet", image)


def test_ecr_errors(registries: Registries, daemon: DockerDaemon) -> None:
    assert "400 Bad Request" in log_in(daemon, registries, "not-a-token", check=False)
    password = token_by_boto3(registries)
    log_in(daemon, registries, password)
    image = f"{registries.ecr.host}/missing:one"
    tag_one_image(daemon, registries, image)
    assert "404 Not Found" in daemon.docker("push", image, check=False)
    registries.ecr.repositories.add("missing")
    registries.ecr.denied.add("ecr:InitiateLayerUpload")
    assert "403" in daemon.docker("push", image, check=False)
    registries.ecr.expire()
    assert "403" in log_in(daemon, registries, password, check=False)


def test_token_expires_during_push(registries: Registries, daemon: DockerDaemon) -> None:
    registries.ecr.lifetimes.append(Lifetime(requests=3))
    registries.ecr.repositories.add("late")
    image = f"{registries.ecr.host}/late:one"
    log_in(daemon, registries, token_by_boto3(registries))
    tag_one_image(daemon, registries, image)
    assert "403" in daemon.docker("push", image, check=False)
    assert {200, 403} <= {request.status for request in registries.proxy.log.requests}


def test_fault_resets_connection(registries: Registries, daemon: DockerDaemon) -> None:
    registries.ecr.repositories.add("broken")
    registries.proxy.faults.append(Fault("PUT", "/blobs/uploads/", times=99, reset_after=100_000))
    image = f"{registries.ecr.host}/broken:one"
    log_in(daemon, registries, token_by_boto3(registries))
    tag_one_image(daemon, registries, image)
    daemon.docker("push", image, check=False)
    uploads = registries.proxy.log.find("PUT", "/blobs/uploads/")
    assert [upload for upload in uploads if not upload.status and upload.bytes == 100_000]


def test_unreachable_refuses_connections(registries: Registries, daemon: DockerDaemon) -> None:
    with registries.proxy.unreachable():
        assert "connection refused" in log_in(daemon, registries, "token", check=False)
    assert "400" in log_in(daemon, registries, "token", check=False)


def test_daemon_disk_can_be_full(registries: Registries) -> None:
    with dockerd(disk_mb=40) as daemon:
        assert "no space left on device" in daemon.docker("pull", registries.base, check=False)


def test_last_holder_restores_shared_setting(tmp_path: Path) -> None:
    setting = ["original"]

    def change() -> str:
        was, setting[0] = setting[0], "changed"
        return was

    def restore(was: str) -> None:
        setting[0] = was

    first = shared_setting("setting", change, restore, tmp_path)
    with shared_setting("setting", change, restore, tmp_path):
        first.__enter__()
    assert setting == ["changed"]
    first.__exit__(None, None, None)
    assert setting == ["original"]


@pytest.mark.parametrize("containerd_store", [True, False])
def test_daemon_leaves_nothing_behind(containerd_store: bool, registries: Registries) -> None:
    def machine_state() -> set[str]:
        commands = (["ip", "-o", "link"], ["iptables-save"], ["mount"], ["ls", "/run/netns"])
        text = [subprocess.run(c, capture_output=True, text=True).stdout for c in commands]
        return {line for each in text for line in each.splitlines() if "vclab" in line}

    with dockerd(containerd_store=containerd_store) as daemon:
        during = machine_state()
        daemon.docker(
            "run", "--detach", "--publish", "127.0.0.1::80", registries.base, "sleep", "100"
        )
        folder = daemon.socket.parent
        bridge = json.loads((folder / "daemon.json").read_text())["bridge"]
        assert any(bridge in line for line in during)
    assert not any(bridge in line for line in machine_state())
    assert not folder.exists()
    assert not list(Path("/sys/fs/cgroup").glob(f"**/{bridge}"))
    listed = subprocess.run(["pgrep", "-f", str(folder)], capture_output=True, text=True)
    assert not listed.stdout
