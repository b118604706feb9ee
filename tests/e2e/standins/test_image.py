"""The lab itself: its engine, its base image, its emulator, and an ECR that says no as ECR does."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.standins.image.base import REPOSITORY, TAG
from tests.standins.image.ecr import Lifetime
from tests.standins.image.emulation import runs_arm64
from tests.standins.image.engine import Engine, dockerd
from tests.standins.image.gate import Fault
from tests.standins.image.lab import Registries
from tests.standins.image.shared import shared

MACHINE = "import platform; print(platform.machine())"
PASSWORD = (
    "import base64, boto3;"
    "data = boto3.client('ecr').get_authorization_token()['authorizationData'][0];"
    "print(base64.b64decode(data['authorizationToken']).decode().removeprefix('AWS:'), end='')"
)


def token_by_boto3(lab: Registries) -> str:
    """What AWS's own client gets, run as any program is."""
    argv = [sys.executable, "-c", PASSWORD]
    done = subprocess.run(argv, env=dict(lab.env()), capture_output=True, text=True, check=True)
    return done.stdout


def log_in(engine: Engine, lab: Registries, password: str, *, check: bool = True) -> str:
    arguments = ["login", "--username", "AWS", "--password-stdin", lab.ecr.host]
    return engine.docker(*arguments, stdin=password, check=check)


def tag_one_image(engine: Engine, lab: Registries, name: str) -> list[dict[str, Any]]:
    """Pulls the base for one platform, without its index, and tags it; returns its layers."""
    first = lab.public.manifest(REPOSITORY, TAG)["manifests"][0]["digest"]
    image = f"{lab.public.host}/{REPOSITORY}@{first}"
    engine.docker("pull", "--quiet", image)
    engine.docker("tag", image, name)
    return lab.public.manifest(REPOSITORY, first)["layers"]


def names_in(layer: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        return tar.getnames()


def test_base_is_for_two_platforms_as_the_official_image_is(lab: Registries) -> None:
    index = lab.public.manifest(REPOSITORY, TAG)
    platforms = [entry["platform"] for entry in index["manifests"]]
    assert [p["architecture"] for p in platforms] == ["amd64", "arm64"]
    for entry in index["manifests"]:
        manifest = lab.public.manifest(REPOSITORY, entry["digest"])
        config = json.loads(lab.public.blob(REPOSITORY, manifest["config"]["digest"]))
        assert config["architecture"] == entry["platform"]["architecture"]
        assert config["config"]["Env"][0].startswith("PATH=/usr/local/bin:")
        assert config["config"]["Env"][1].startswith("PYTHON_VERSION=3.13.")
        names = names_in(lab.public.blob(REPOSITORY, manifest["layers"][-1]["digest"]))
        assert "usr/local/lib/python3.13/asyncio/events.py" in names
        assert not [name for name in names if name.endswith(".pyc")]


def test_base_runs_here_and_emulated(lab: Registries, engine: Engine, emulation: None) -> None:
    assert runs_arm64(engine, lab.base)
    for platform, machine in (("linux/amd64", "x86_64"), ("linux/arm64", "aarch64")):
        run = ["run", "--rm", "--init", "--platform", platform, lab.base, "python", "-c", MACHINE]
        assert engine.docker(*run).strip() == machine


def test_a_build_reaches_pypi_from_the_official_name(
    lab: Registries, engine: Engine, tmp_path: Path
) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM {lab.official}\nRUN pip install --quiet uv six\n")
    engine.docker("buildx", "build", "--quiet", "--platform", "linux/amd64", str(tmp_path))


def test_a_push_and_a_pull_through_ecr(lab: Registries, engine: Engine) -> None:
    image = f"{lab.ecr.host}/agent:one"
    layers = tag_one_image(engine, lab, image)
    assert "no basic auth credentials" in engine.docker("push", image, check=False)
    assert "Succeeded" in log_in(engine, lab, token_by_boto3(lab))
    engine.docker("push", image)
    assert lab.private.tags("agent") == ["one"]
    sizes = {layer["digest"]: layer["size"] for layer in layers}
    sent = lab.gate.journal.blobs()
    assert sizes.items() <= sent.items()
    engine.docker("image", "rm", image)
    engine.docker("pull", "--quiet", image)


def test_who_may_not(lab: Registries, engine: Engine) -> None:
    assert "400 Bad Request" in log_in(engine, lab, "not-a-token", check=False)
    password = token_by_boto3(lab)
    log_in(engine, lab, password)
    image = f"{lab.ecr.host}/nobodys:one"
    tag_one_image(engine, lab, image)
    assert "404 Not Found" in engine.docker("push", image, check=False)
    lab.ecr.repositories.add("nobodys")
    lab.ecr.denied.add("ecr:InitiateLayerUpload")
    assert "403" in engine.docker("push", image, check=False)
    lab.ecr.expire()
    assert "403" in log_in(engine, lab, password, check=False)


def test_a_token_that_expires_while_it_is_used(lab: Registries, engine: Engine) -> None:
    lab.ecr.lifetimes.append(Lifetime(requests=3))
    lab.ecr.repositories.add("late")
    image = f"{lab.ecr.host}/late:one"
    log_in(engine, lab, token_by_boto3(lab))
    tag_one_image(engine, lab, image)
    assert "403" in engine.docker("push", image, check=False)
    assert {200, 403} <= {asked.status for asked in lab.gate.journal.asked}


def test_a_line_that_breaks(lab: Registries, engine: Engine) -> None:
    lab.ecr.repositories.add("broken")
    lab.gate.faults.append(Fault("PUT", "/blobs/uploads/", times=99, reset_after=100_000))
    image = f"{lab.ecr.host}/broken:one"
    log_in(engine, lab, token_by_boto3(lab))
    tag_one_image(engine, lab, image)
    engine.docker("push", image, check=False)
    cut = [asked for asked in lab.gate.journal.find("PUT", "/blobs/uploads/") if not asked.status]
    assert [asked.bytes for asked in cut if asked.bytes == 100_000]


def test_nobody_answers(lab: Registries, engine: Engine) -> None:
    with lab.gate.unreachable():
        assert "connection refused" in log_in(engine, lab, "token", check=False)
    assert "400" in log_in(engine, lab, "token", check=False)


def test_a_disk_that_is_full(lab: Registries) -> None:
    with dockerd(disk_mb=40) as engine:
        assert "no space left on device" in engine.docker("pull", lab.base, check=False)


def test_two_runs_share_a_setting_and_the_last_restores_it(tmp_path: Path) -> None:
    setting = ["as it was"]

    def change() -> str:
        was, setting[0] = setting[0], "changed"
        return was

    def restore(was: str) -> None:
        setting[0] = was

    first = shared("setting", change, restore, tmp_path)
    with shared("setting", change, restore, tmp_path):
        first.__enter__()
    assert setting == ["changed"]
    first.__exit__(None, None, None)
    assert setting == ["as it was"]


@pytest.mark.parametrize("containerd_store", [True, False])
def test_an_engine_leaves_nothing(containerd_store: bool, lab: Registries) -> None:
    def machine() -> set[str]:
        commands = (["ip", "-o", "link"], ["iptables-save"], ["mount"], ["ls", "/run/netns"])
        text = [subprocess.run(c, capture_output=True, text=True).stdout for c in commands]
        return {line for each in text for line in each.splitlines() if "vclab" in line}

    with dockerd(containerd_store=containerd_store) as engine:
        before = machine()
        engine.docker("run", "--detach", "--publish", "127.0.0.1::80", lab.base, "sleep", "100")
        name = engine.socket.parent
        bridge = json.loads((name / "daemon.json").read_text())["bridge"]
        assert any(bridge in line for line in before)
    assert not any(bridge in line for line in machine())
    assert not name.exists()
    assert not list(Path("/sys/fs/cgroup").glob(f"**/{bridge}"))
    listed = subprocess.run(["pgrep", "-f", str(name)], capture_output=True, text=True)
    assert not listed.stdout
