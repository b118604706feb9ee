"""Images as a user builds and pushes it: by Docker, and without any Docker.

Both must be the same image, small, and free of what is nobody's business.
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
from tests.image.unpacked import Unpacked, pull
from tests.image.users import KEY, build, make_project
from tests.standins.image.engine import Engine
from tests.standins.image.lab import Registries
from tests.standins.models import Turn
from tests.standins.models.speech import say

BUILDERS = ("buildx", "direct")


@dataclass(frozen=True)
class Pair:
    """One project, built by each builder and pushed to its own repository."""

    root: Path
    reports: dict[str, dict[str, Any]]
    images: dict[str, Unpacked]


# Each transport, and the pipelines with the least and the most in them.
PROJECTS = {
    "nova-sonic": ["--transport", "websocket", "--pipeline", "nova-sonic", "--region", "us-east-1"],
    "offline": ["--transport", "webrtc", "--pipeline", "offline", "--region", "us-east-1"],
}


@pytest.fixture(scope="module", params=PROJECTS)
def pair(
    request: pytest.FixtureRequest,
    all_registries: Registries,
    engine: Engine,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Pair]:
    root = make_project(tmp_path_factory.mktemp(request.param), *PROJECTS[request.param])
    reports: dict[str, dict[str, Any]] = {}
    images: dict[str, Unpacked] = {}
    for builder in BUILDERS:
        repository = f"{request.param}/{builder}"
        all_registries.ecr.repositories.add(repository)
        there = f"{all_registries.ecr.host}/{repository}"
        docker = engine if builder == "buildx" else None
        report = build(all_registries, docker, root, "--push", there)
        reports[builder] = report
        images[builder] = pull(all_registries.private, repository, report["tag"])
    yield Pair(root, reports, images)


def test_the_builder_is_chosen_by_what_there_is(pair: Pair) -> None:
    assert {name: report["builder"] for name, report in pair.reports.items()} == {
        "buildx": "buildx",
        "direct": "direct",
    }


def test_the_tag_is_the_same_and_the_digest_is_the_registrys(pair: Pair) -> None:
    assert len({report["tag"] for report in pair.reports.values()}) == 1
    for name, report in pair.reports.items():
        assert report["digest"] == pair.images[name].digest
        assert report["pushed"]


def bytecode(name: str) -> bool:
    return name.endswith(".pyc")


def test_both_builders_make_the_same_files(pair: Pair) -> None:
    by_docker, without = (pair.images[name].files for name in BUILDERS)
    assert sorted(by_docker) == sorted(without)
    differing = {
        name: (by_docker[name], without[name])
        for name in by_docker
        # The host's interpreter may be of another patch release than the base's, which compiles
        # the same source to other bytes; that it is there, and trusted, is tested below.
        if by_docker[name] != without[name]
        and not bytecode(name)
        # Which holds the size of the bytecode.
        and name != "opt/packages/PACKAGES.json"
    }
    assert not differing


def test_both_builders_write_the_same_config(pair: Pair) -> None:
    by_docker, without = (pair.images[name].config for name in BUILDERS)
    # A flag of Docker on Windows, which BuildKit sets on Linux, too (moby/moby#42954).
    by_docker["config"].pop("ArgsEscaped", None)
    assert by_docker["config"] == without["config"]
    for key in ("architecture", "os", "created"):
        assert by_docker[key] == without[key]
    config = without["config"]
    assert (config["User"], config["WorkingDir"]) == ("1000", "/app")
    assert config["Cmd"] == ["python", "-m", "internal.app"]
    assert config["Labels"]["org.opencontainers.image.title"] == "ada"
    # The first build has locked the packages and pinned the base, which nobody has committed yet.
    commit, _, state = config["Labels"]["org.opencontainers.image.revision"].partition("-")
    assert (len(commit), state) == (40, "dirty")
    assert config["Labels"]["io.voicecore.fingerprint"] == pair.reports["direct"]["tag"]


@pytest.mark.parametrize("builder", BUILDERS)
def test_an_image_is_for_arm64_and_no_index(pair: Pair, builder: str) -> None:
    image = pair.images[builder]
    assert (image.config["os"], image.config["architecture"]) == ("linux", "arm64")
    assert "layers" in image.manifest
    machines = {layer[18 + 0 : 20] for layer in elves(image)}
    assert machines == {b"\xb7\x00"}  # EM_AARCH64


def elves(image: Unpacked) -> Iterator[bytes]:
    """The first bytes of each compiled module that the build has added."""
    for layer in image.layers[-4:]:
        with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
            for member in tar:
                if member.isfile() and ".so" in member.name:
                    file = tar.extractfile(member)
                    head = file.read(20) if file else b""
                    if head[:4] == b"\x7fELF":
                        yield head


@pytest.mark.parametrize("builder", BUILDERS)
def test_no_layer_tells_what_is_nobodys_business(pair: Pair, builder: str) -> None:
    private = {
        "the key in .env": KEY.encode(),
        "the project's path here": str(pair.root).encode(),
        "the cache's path here": str(pair.root.parent).encode(),
        "a test of the user's": b"SECRET_OF_TESTS",
        "the session server's key": _server_key(pair.root).encode(),
    }
    for number, layer in enumerate(pair.images[builder].layers):
        told = [what for what, text in private.items() if text in layer]
        assert not told, f"layer {number} has {told}"
    names = pair.images[builder].files
    assert not [n for n in names if n.startswith("app/") and (".git/" in n or "/.env" in n)]
    assert not [n for n in names if n.startswith(("root/.cache", "build/", "src/"))]


def _server_key(root: Path) -> str:
    text = (root / "server/.env").read_text()
    return next(line.partition("=")[2] for line in text.splitlines() if "KEY" in line)


@pytest.mark.parametrize("builder", BUILDERS)
def test_all_bytecode_is_trusted_and_nothing_is_without(pair: Pair, builder: str) -> None:
    modules: set[str] = set()
    compiled: set[str] = set()
    for layer in pair.images[builder].layers:
        with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
            for member in tar:
                if not member.name.startswith(("app/", "opt/packages/")):
                    continue
                if member.name.endswith(".py"):
                    modules.add(member.name)
                elif bytecode(member.name):
                    file = tar.extractfile(member)
                    head = file.read(8) if file else b""
                    # PEP 552: hash-based, and not to be checked against the source.
                    assert head[4:] == b"\x01\x00\x00\x00", member.name
                    folder, _, name = member.name.rpartition("/__pycache__/")
                    compiled.add(f"{folder}/{name.split('.')[0]}.py")
    # What is for other Pythons, or broken on purpose, does not compile.
    assert len(modules - compiled) < 0.01 * len(modules), sorted(modules - compiled)[:20]


def test_the_layers_of_the_direct_builder_are_few_and_small(pair: Pair) -> None:
    report = pair.reports["direct"]
    assert sum(layer["title"] != "base" for layer in report["layers"]) <= 4
    assert report["compressed_bytes"] == sum(
        entry["size"] for entry in pair.images["direct"].manifest["layers"]
    )
    assert report["packages"][0]["bytes"] > report["packages"][-1]["bytes"]


@pytest.mark.parametrize("pair", ["nova-sonic"], indirect=True)
def test_an_image_that_is_there_is_neither_built_nor_pushed(
    pair: Pair, all_registries: Registries, engine: Engine
) -> None:
    there = f"{all_registries.ecr.host}/nova-sonic/direct"
    all_registries.gate.journal.clear()
    report = build(all_registries, engine, pair.root, "--push", there)
    assert report["already_there"]
    assert report["digest"] == pair.images["direct"].digest
    assert not all_registries.gate.journal.find("PUT")
    assert not all_registries.gate.journal.find("POST", "/blobs/")


@pytest.mark.parametrize("pair", ["nova-sonic"], indirect=True)
def test_an_image_holds_a_spoken_conversation_on_arm64(
    pair: Pair, engine: Engine, emulation: None
) -> None:
    """What `voicecore build` left in Docker is asked a question aloud, and answers aloud."""
    first, second = "Yes, on Sunday.", "From noon to four."
    turn = Turn("Are you open on Sunday?", f"{first} {second}")
    image = f"voicecore/ada:{pair.reports['buildx']['tag']}"
    held = asyncio.run(ask(image, engine, "open-on-sunday", turn))

    assert held.machine == "aarch64"
    assert held.run.errors == []
    assert held.models.journal.refusals == []
    assert [line["text"] for line in held.run.events("user_said")] == [turn.heard]
    assert [line["text"] for line in held.run.events("agent_said")][1:] == [turn.says]
    (transcript,) = held.caller.messages("user-transcription")
    assert (transcript["text"], transcript["final"]) == (turn.heard, True)
    # To the last bit what the model has said, at its rate; an emulated agent on a busy machine
    # falls behind, and Pipecat fills in silence.
    said = sounding(say(first, 24_000)) + sounding(say(second, 24_000))
    assert sounding(held.answer) == said


def sounding(speech: bytes) -> bytes:
    """The samples that are not silence, of PCM16."""
    samples = np.frombuffer(speech[: len(speech) // 2 * 2], "<i2")
    return samples[samples != 0].tobytes()
