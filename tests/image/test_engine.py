"""Images built, inspected and loaded by a real Docker engine, and the errors of builds."""

from __future__ import annotations

import base64
import gzip
import shutil
import socket
import subprocess
import tarfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from tests.image.small_agent import (
    buildx_inputs,
    client_env,
    engine_of,
    image_id,
    small_agent,
)
from tests.standins.image.dockerd import DockerDaemon, dockerd
from tests.standins.image.registries import Registries
from voicecore.console.progress import Progress
from voicecore.image.builders import buildx
from voicecore.image.builders.buildx_output import BaseUnavailable, BuildFailed
from voicecore.image.docker.engine import EngineDiskFull, ImageNotInEngine, WrongImagePlatform
from voicecore.image.model import BuiltImage, Package


def ignore(_: Progress) -> None:
    pass


@pytest.fixture(scope="module")
def classic(all_registries: Registries) -> Iterator[DockerDaemon]:
    """A daemon with the classic image store, as in Docker before 29."""
    with dockerd(all_registries.reach, containerd_store=False) as running:
        yield running


@pytest.fixture(params=["containerd", "classic"])
def store(
    request: pytest.FixtureRequest, daemon: DockerDaemon, classic: DockerDaemon
) -> DockerDaemon:
    return daemon if request.param == "containerd" else classic


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_agent(tmp_path_factory.mktemp("small") / "agent")


def build_image(
    registries: Registries,
    daemon: DockerDaemon,
    agent: Path,
    tag: str,
    *,
    no_cache: bool = False,
) -> BuiltImage:
    inputs = buildx_inputs(agent, registries, tag, no_cache=no_cache)
    with engine_of(daemon) as engine:
        buildx.build(engine, inputs, client_env(daemon), ignore)
        return engine.inspect(f"small:{tag}", tag, base_layers=2)


def test_two_builds_without_cache_give_same_image(
    registries: Registries, store: DockerDaemon, agent: Path
) -> None:
    first = build_image(registries, store, agent, "one", no_cache=True)
    with engine_of(store) as engine:
        before = image_id(engine, "small:one")
        assert build_image(registries, store, agent, "one", no_cache=True) == first
        assert image_id(engine, "small:one") == before
    titles = [layer.title for layer in first.layers]
    assert titles[0] == "base"
    assert titles.index("packages") < titles.index("code")
    assert first.config["architecture"] == "arm64"
    assert first.config["created"] == "2023-11-14T22:13:20Z"
    assert first.config["config"]["User"] == "1000"
    assert first.packages == (Package("six", "1.17.0", first.packages[0].bytes),)
    assert first.packages[0].bytes > 11_000


def test_both_image_stores_have_same_layers(
    registries: Registries, daemon: DockerDaemon, classic: DockerDaemon, agent: Path
) -> None:
    one = build_image(registries, daemon, agent, "same")
    other = build_image(registries, classic, agent, "same")
    assert [layer.diff_id for layer in one.layers] == [layer.diff_id for layer in other.layers]


def test_build_reports_steps_and_cached_steps(
    registries: Registries, daemon: DockerDaemon, agent: Path
) -> None:
    build_image(registries, daemon, agent, "two")
    steps: list[Progress] = []
    inputs = buildx_inputs(agent, registries, "two")
    with engine_of(daemon) as engine:
        buildx.build(engine, inputs, client_env(daemon), steps.append)
    notes = {
        step.task.partition("  ")[2] or step.task: step.note for step in steps if step.finished
    }
    assert notes["COPY /image/opt /opt"] == "cached"
    assert notes["RUN pip install --no-cache-dir --root-user-action ignore uv…"] == "cached"
    assert "exporting the image" in notes


def with_dockerfile(agent: Path, old: str, new: str, folder: Path) -> Path:
    """Return a copy of the agent in `folder`, with one change in its Dockerfile."""
    shutil.copytree(agent, folder)
    text = (agent / "Dockerfile").read_text()
    assert old in text
    (folder / "Dockerfile").write_text(text.replace(old, new))
    return folder


def test_failed_instruction_shows_line_output_and_command(
    registries: Registries, daemon: DockerDaemon, agent: Path, tmp_path: Path
) -> None:
    broken = with_dockerfile(
        agent,
        "COPY . /image/app",
        "RUN echo tried && exit 7\nCOPY . /image/app",
        tmp_path / "agent",
    )
    with pytest.raises(BuildFailed) as raised:
        build_image(registries, daemon, broken, "broken")
    assert raised.value.message.startswith("Dockerfile, line ")
    assert "RUN echo tried && exit 7\ntried" in raised.value.message
    assert str(raised.value.hint).startswith(
        "Run it yourself to see more:  docker buildx build --output type=docker"
    )


def test_build_reports_missing_base(
    registries: Registries, daemon: DockerDaemon, agent: Path
) -> None:
    base = f"{registries.public.host}/no/base:1"
    inputs = replace(buildx_inputs(agent, registries, "baseless"), base=base)
    with (
        engine_of(daemon) as engine,
        pytest.raises(BaseUnavailable, match=r"Could not get the base image .*/no/base:1\."),
    ):
        buildx.build(engine, inputs, client_env(daemon), ignore)


def test_inspect_refuses_amd64_image(registries: Registries, daemon: DockerDaemon) -> None:
    daemon.docker("pull", "--quiet", "--platform", "linux/amd64", registries.base)
    daemon.docker("tag", registries.base, "small:amd64")
    with engine_of(daemon) as engine, pytest.raises(WrongImagePlatform, match="is linux/amd64"):
        engine.inspect("small:amd64", "tag", base_layers=2)


def test_inspect_reports_missing_image(daemon: DockerDaemon) -> None:
    with engine_of(daemon) as engine:
        assert not engine.has("small:missing")
        with pytest.raises(ImageNotInEngine, match="has no image small:missing"):
            engine.inspect("small:missing", "missing", base_layers=2)


def test_build_reports_full_disk(registries: Registries, agent: Path) -> None:
    with (
        dockerd(registries.reach, containerd_store=False, disk_mb=60) as small,
        pytest.raises(EngineDiskFull) as raised,
    ):
        build_image(registries, small, agent, "large")
    assert "images take" in raised.value.message
    assert "docker builder prune" in str(raised.value.hint)


def test_load_restores_saved_image(
    registries: Registries, daemon: DockerDaemon, agent: Path, tmp_path: Path
) -> None:
    build_image(registries, daemon, agent, "saved")
    daemon.docker("save", "--output", str(tmp_path / "image.tar"), "small:saved")
    with engine_of(daemon) as engine:
        before = image_id(engine, "small:saved")
        daemon.docker("image", "rm", "small:saved")
        engine.load(tmp_path / "image.tar")
        assert image_id(engine, "small:saved") == before


# ---- Ctrl-C


def processes_with(text: str) -> list[str]:
    found = subprocess.run(["pgrep", "-f", text], capture_output=True, text=True)
    return found.stdout.split()


def test_ctrl_c_cancels_build_in_engine(
    registries: Registries, daemon: DockerDaemon, agent: Path, tmp_path: Path
) -> None:
    slow = with_dockerfile(
        agent, "COPY . /image/app", "RUN sleep 4243\nCOPY . /image/app", tmp_path / "agent"
    )
    started: list[Progress] = []

    def interrupt(step: Progress) -> None:
        if "sleep 4243" in step.task and not started:
            started.append(step)
            while not processes_with("^sleep 4243"):
                time.sleep(0.05)
            raise KeyboardInterrupt

    with engine_of(daemon) as engine, pytest.raises(KeyboardInterrupt):
        inputs = buildx_inputs(slow, registries, "slow")
        buildx.build(engine, inputs, client_env(daemon), interrupt)
    until = time.monotonic() + 60
    while processes_with("^sleep 4243") and time.monotonic() < until:
        time.sleep(0.05)
    assert not processes_with("^sleep 4243")
    assert not processes_with(f"buildx build .*{slow}")


# ---- a private package index


class PrivateIndex(BaseHTTPRequestHandler):
    """Requires a password and redirects to PyPI."""

    accepted: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        pair = base64.b64encode(b"ada:s3cr3t-of-ada").decode()
        if self.headers.get("Authorization") != f"Basic {pair}":
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="packages"')
        else:
            self.accepted.append(self.path)
            self.send_response(302)
            self.send_header("Location", f"https://pypi.org{self.path}")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def index() -> Iterator[str]:
    """Host and port of an index that containers can reach."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 1))  # sends nothing, but selects this machine's address
        address = probe.getsockname()[0]
    server = ThreadingHTTPServer((address, 0), PrivateIndex)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"{address}:{server.server_port}"
    server.shutdown()


def test_password_of_index_is_used_but_in_no_layer(
    registries: Registries, daemon: DockerDaemon, agent: Path, index: str, tmp_path: Path
) -> None:
    env = {
        **client_env(daemon),
        "UV_DEFAULT_INDEX": f"http://ada:s3cr3t-of-ada@{index}/simple",
        "UV_NO_CACHE": "1",
        "PIP_TRUSTED_HOST": index.partition(":")[0],
        "SSL_CERT_FILE": str(registries.reach.authority),
    }
    inputs = buildx_inputs(agent, registries, "private", no_cache=True)
    with engine_of(daemon) as engine:
        buildx.build(engine, inputs, env, ignore)
    assert {"/simple/uv/", "/simple/six/"} <= set(PrivateIndex.accepted)
    daemon.docker("save", "--output", str(tmp_path / "image.tar"), "small:private")
    with tarfile.open(tmp_path / "image.tar") as image:
        for entry in image:
            content = image.extractfile(entry)
            assert content is None or b"s3cr3t-of-ada" not in _decompressed(content.read())


def _decompressed(content: bytes) -> bytes:
    return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
