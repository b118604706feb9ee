"""Images that a user builds and pushes, with Docker and without Docker.

Both builders must make the same image, which is small and contains nothing private.
"""

from __future__ import annotations

import asyncio
import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.image.conversation import ask
from tests.image.projects import KEY, build_report, make_project
from tests.image.pulled_image import PulledImage, pull
from tests.standins.image.dockerd import DockerDaemon
from tests.standins.image.registries import Registries
from tests.standins.models import Turn
from tests.standins.models.speech import say

BUILDERS = ("buildx", "direct")


@dataclass(frozen=True)
class ImagePair:
    """One project, built by each builder and pushed to its own repository."""

    root: Path
    reports: dict[str, dict[str, Any]]
    images: dict[str, PulledImage]


# Each transport, and the smallest and the largest pipeline.
PROJECTS = {
    "nova-sonic": ["--transport", "websocket", "--pipeline", "nova-sonic", "--region", "us-east-1"],
    "offline": ["--transport", "webrtc", "--pipeline", "offline", "--region", "us-east-1"],
}


@pytest.fixture(scope="module", params=PROJECTS)
def pair(
    request: pytest.FixtureRequest,
    all_registries: Registries,
    daemon: DockerDaemon,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ImagePair]:
    root = make_project(tmp_path_factory.mktemp(request.param), *PROJECTS[request.param])
    reports: dict[str, dict[str, Any]] = {}
    images: dict[str, PulledImage] = {}
    for builder in BUILDERS:
        repository = f"{request.param}/{builder}"
        all_registries.ecr.repositories.add(repository)
        target = f"{all_registries.ecr.host}/{repository}"
        docker = daemon if builder == "buildx" else None
        report = build_report(all_registries, docker, root, "--push", target)
        reports[builder] = report
        images[builder] = pull(all_registries.private, repository, report["tag"])
    yield ImagePair(root, reports, images)


def test_build_uses_buildx_with_docker_and_direct_without(pair: ImagePair) -> None:
    assert {name: report["builder"] for name, report in pair.reports.items()} == {
        "buildx": "buildx",
        "direct": "direct",
    }


def test_builders_give_same_tag_and_report_registry_digest(pair: ImagePair) -> None:
    assert len({report["tag"] for report in pair.reports.values()}) == 1
    for name, report in pair.reports.items():
        assert report["digest"] == pair.images[name].digest
        assert report["pushed"]


def is_bytecode(name: str) -> bool:
    return name.endswith(".pyc")


def test_both_builders_make_the_same_files(pair: ImagePair) -> None:
    with_docker, without = (pair.images[name].files for name in BUILDERS)
    assert sorted(with_docker) == sorted(without)
    differing = {
        name: (with_docker[name], without[name])
        for name in with_docker
        # The host's Python may be another patch release than the base's and compile to other
        # bytes; a test below checks that the bytecode exists and is trusted.
        if with_docker[name] != without[name]
        and not is_bytecode(name)
        # It contains the size of the bytecode.
        and name != "opt/packages/PACKAGES.json"
    }
    assert not differing


def test_both_builders_write_the_same_config(pair: ImagePair) -> None:
    with_docker, without = (pair.images[name].config for name in BUILDERS)
    # A flag of Docker on Windows, which BuildKit also sets on Linux (moby/moby#42954).
    with_docker["config"].pop("ArgsEscaped", None)
    assert with_docker["config"] == without["config"]
    for key in ("architecture", "os", "created"):
        assert with_docker[key] == without[key]
    config = without["config"]
    assert (config["User"], config["WorkingDir"]) == ("1000", "/app")
    assert config["Cmd"] == ["python", "-m", "internal.app"]
    assert config["Labels"]["org.opencontainers.image.title"] == "ada"
    # The first build has locked the packages and pinned the base; both are uncommitted.
    commit, _, state = config["Labels"]["org.opencontainers.image.revision"].partition("-")
    assert (len(commit), state) == (40, "dirty")
    assert config["Labels"]["io.voicecore.fingerprint"] == pair.reports["direct"]["tag"]


@pytest.mark.parametrize("builder", BUILDERS)
def test_image_is_single_arm64_manifest(pair: ImagePair, builder: str) -> None:
    image = pair.images[builder]
    assert (image.config["os"], image.config["architecture"]) == ("linux", "arm64")
    assert "layers" in image.manifest
    machines = {layer[18 + 0 : 20] for layer in elf_headers(image)}
    assert machines == {b"\xb7\x00"}  # EM_AARCH64


def elf_headers(image: PulledImage) -> Iterator[bytes]:
    """Yield the first bytes of each compiled module in the layers of the build."""
    for layer in image.layers[-4:]:
        with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
            for member in tar:
                if member.isfile() and ".so" in member.name:
                    file = tar.extractfile(member)
                    head = file.read(20) if file else b""
                    if head[:4] == b"\x7fELF":
                        yield head


@pytest.mark.parametrize("builder", BUILDERS)
def test_no_layer_contains_private_files(pair: ImagePair, builder: str) -> None:
    private = {
        "the key in .env": KEY.encode(),
        "the project's path on this machine": str(pair.root).encode(),
        "the cache's path on this machine": str(pair.root.parent).encode(),
        "a test of the user": b"SECRET_OF_TESTS",
        "the session server's key": _server_key(pair.root).encode(),
    }
    for number, layer in enumerate(pair.images[builder].layers):
        found = [what for what, text in private.items() if text in layer]
        assert not found, f"layer {number} contains {found}"
    names = pair.images[builder].files
    assert not [n for n in names if n.startswith("app/") and (".git/" in n or "/.env" in n)]
    assert not [n for n in names if n.startswith(("root/.cache", "build/", "src/"))]


def _server_key(root: Path) -> str:
    text = (root / "server/.env").read_text()
    return next(line.partition("=")[2] for line in text.splitlines() if "KEY" in line)


@pytest.mark.parametrize("builder", BUILDERS)
def test_all_modules_have_unchecked_bytecode(pair: ImagePair, builder: str) -> None:
    modules: set[str] = set()
    compiled: set[str] = set()
    for layer in pair.images[builder].layers:
        with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
            for member in tar:
                if not member.name.startswith(("app/", "opt/packages/")):
                    continue
                if member.name.endswith(".py"):
                    modules.add(member.name)
                elif is_bytecode(member.name):
                    file = tar.extractfile(member)
                    head = file.read(8) if file else b""
                    # PEP 552: hash-based, not checked against the source.
                    assert head[4:] == b"\x01\x00\x00\x00", member.name
                    folder, _, name = member.name.rpartition("/__pycache__/")
                    compiled.add(f"{folder}/{name.split('.')[0]}.py")
    # Modules for other Pythons, and modules broken on purpose, do not compile.
    assert len(modules - compiled) < 0.01 * len(modules), sorted(modules - compiled)[:20]


def test_direct_builder_makes_at_most_four_layers(pair: ImagePair) -> None:
    report = pair.reports["direct"]
    assert sum(layer["title"] != "base" for layer in report["layers"]) <= 4
    assert report["compressed_bytes"] == sum(
        entry["size"] for entry in pair.images["direct"].manifest["layers"]
    )
    assert report["packages"][0]["bytes"] > report["packages"][-1]["bytes"]


@pytest.mark.parametrize("pair", ["nova-sonic"], indirect=True)
def test_existing_image_is_neither_built_nor_pushed(
    pair: ImagePair, all_registries: Registries, daemon: DockerDaemon
) -> None:
    target = f"{all_registries.ecr.host}/nova-sonic/direct"
    all_registries.proxy.log.clear()
    report = build_report(all_registries, daemon, pair.root, "--push", target)
    assert report["already_there"]
    assert report["digest"] == pair.images["direct"].digest
    assert not all_registries.proxy.log.find("PUT")
    assert not all_registries.proxy.log.find("POST", "/blobs/")


@pytest.mark.parametrize("pair", ["nova-sonic"], indirect=True)
def test_image_holds_spoken_conversation_on_arm64(
    pair: ImagePair, daemon: DockerDaemon, emulation: None
) -> None:
    first, second = "Yes, on Sunday.", "From noon to four."
    turn = Turn("Are you open on Sunday?", f"{first} {second}")
    image = f"voicecore/ada:{pair.reports['buildx']['tag']}"
    conversation = asyncio.run(ask(image, daemon, "open-on-sunday", turn))

    assert conversation.machine == "aarch64"
    assert conversation.run.errors == []
    assert conversation.models.journal.refusals == []
    assert [line["text"] for line in conversation.run.events("user_said")] == [turn.heard]
    assert [line["text"] for line in conversation.run.events("agent_said")][1:] == [turn.says]
    (transcript,) = conversation.caller.messages("user-transcription")
    assert (transcript["text"], transcript["final"]) == (turn.heard, True)
    # The audio is bit-identical to the model's. An emulated agent on a busy machine falls behind,
    # and Pipecat then inserts silence.
    expected = without_silence(say(first, 24_000)) + without_silence(say(second, 24_000))
    assert without_silence(conversation.answer) == expected


def without_silence(speech: bytes) -> bytes:
    """Return the samples of PCM16 that are not zero."""
    samples = np.frombuffer(speech[: len(speech) // 2 * 2], "<i2")
    return samples[samples != 0].tobytes()
