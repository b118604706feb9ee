"""Images built, inspected, run and pushed by a real Docker engine, and what stands in the way."""

from __future__ import annotations

import base64
import gzip
import socket
import subprocess
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from tests.image.agents import env_of, held, identity, order, small_agent
from tests.standins.image.engine import Engine as Lab
from tests.standins.image.engine import dockerd
from tests.standins.image.lab import Registries
from voicecore.console.progress import Progress
from voicecore.image.builders import buildx
from voicecore.image.builders.buildx import BaseMissing, BuildFailed
from voicecore.image.docker.engine import DiskFull, NoImage, WrongPlatform
from voicecore.image.model import Image, Package


def ignore(_: Progress) -> None:
    """Take no notice."""


@pytest.fixture(scope="module")
def classic(all_registries: Registries) -> Iterator[Lab]:
    """An engine with Docker's own store of images, as in Docker before 29."""
    with dockerd(all_registries.reach, containerd_store=False) as running:
        yield running


@pytest.fixture(params=["containerd", "classic"])
def store(request: pytest.FixtureRequest, engine: Lab, classic: Lab) -> Lab:
    return engine if request.param == "containerd" else classic


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_agent(tmp_path_factory.mktemp("small") / "agent")


def built(lab: Registries, store: Lab, agent: Path, tag: str, *, no_cache: bool = False) -> Image:
    with held(store) as engine:
        buildx.build(engine, order(agent, lab, tag, no_cache=no_cache), env_of(store), ignore)
        return engine.inspect(f"small:{tag}", tag, base_layers=2)


def test_built_twice_without_cache_it_is_the_same_image(
    lab: Registries, store: Lab, agent: Path
) -> None:
    first = built(lab, store, agent, "one", no_cache=True)
    with held(store) as engine:
        before = identity(engine, "small:one")
        assert built(lab, store, agent, "one", no_cache=True) == first
        assert identity(engine, "small:one") == before
    titles = [layer.title for layer in first.layers]
    assert titles[0] == "base"
    assert titles.index("packages") < titles.index("code")
    assert first.config["architecture"] == "arm64"
    assert first.config["created"] == "2023-11-14T22:13:20Z"
    assert first.config["config"]["User"] == "1000"
    assert first.packages == (Package("six", "1.17.0", first.packages[0].bytes),)
    assert first.packages[0].bytes > 11_000


def test_both_stores_hold_the_same_layers(
    lab: Registries, engine: Lab, classic: Lab, agent: Path
) -> None:
    one, other = built(lab, engine, agent, "same"), built(lab, classic, agent, "same")
    assert [layer.diff_id for layer in one.layers] == [layer.diff_id for layer in other.layers]


def test_progress_by_step_and_what_is_cached(lab: Registries, engine: Lab, agent: Path) -> None:
    built(lab, engine, agent, "two")
    told: list[Progress] = []
    with held(engine) as holding:
        buildx.build(holding, order(agent, lab, "two"), env_of(engine), told.append)
    over = {step.task.partition("  ")[2] or step.task: step.note for step in told if step.finished}
    assert over["COPY /image/opt /opt"] == "cached"
    assert over["RUN pip install --no-cache-dir --root-user-action ignore uv…"] == "cached"
    assert "image into the engine" in over


def dockerfile(agent: Path, old: str, new: str, folder: Path) -> Path:
    """Another agent, whose Dockerfile differs in one place."""
    folder.mkdir(parents=True)
    for path in agent.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    text = (agent / "Dockerfile").read_text()
    assert old in text
    (folder / "Dockerfile").write_text(text.replace(old, new))
    return folder


def test_a_failed_instruction(lab: Registries, engine: Lab, agent: Path, tmp_path: Path) -> None:
    broken = dockerfile(
        agent,
        "COPY . /image/app",
        "RUN echo tried && exit 7\nCOPY . /image/app",
        tmp_path / "agent",
    )
    with pytest.raises(BuildFailed) as raised:
        built(lab, engine, broken, "broken")
    assert raised.value.message.startswith("Dockerfile, line ")
    assert "RUN echo tried && exit 7\ntried" in raised.value.message
    assert str(raised.value.hint).startswith(
        "Try it by hand:  docker buildx build --output type=docker"
    )


def test_a_base_that_is_not_there(lab: Registries, engine: Lab, agent: Path) -> None:
    wanted = order(agent, lab, "baseless")
    gone = buildx.Order(agent, "small:baseless", f"{lab.public.host}/nobody/knows:1", wanted.epoch)
    with held(engine) as holding, pytest.raises(BaseMissing, match="nobody/knows:1 cannot be had"):
        buildx.build(holding, gone, env_of(engine), ignore)


def test_an_image_of_this_machine_s_own_platform(lab: Registries, engine: Lab) -> None:
    engine.docker("pull", "--quiet", "--platform", "linux/amd64", lab.base)
    engine.docker("tag", lab.base, "small:amd64")
    with held(engine) as holding, pytest.raises(WrongPlatform, match="is linux/amd64"):
        holding.inspect("small:amd64", "tag", base_layers=2)


def test_an_image_that_is_not_there(engine: Lab) -> None:
    with held(engine) as holding:
        assert not holding.has("small:nowhere")
        with pytest.raises(NoImage, match="has no image small:nowhere"):
            holding.inspect("small:nowhere", "nowhere", base_layers=2)


def test_a_disk_that_is_full(lab: Registries, agent: Path) -> None:
    with (
        dockerd(lab.reach, containerd_store=False, disk_mb=60) as small,
        pytest.raises(DiskFull) as raised,
    ):
        built(lab, small, agent, "large")
    assert "images take" in raised.value.message
    assert "docker builder prune" in str(raised.value.hint)


def test_an_image_from_a_file(lab: Registries, engine: Lab, agent: Path, tmp_path: Path) -> None:
    built(lab, engine, agent, "filed")
    engine.docker("save", "--output", str(tmp_path / "image.tar"), "small:filed")
    with held(engine) as holding:
        before = identity(holding, "small:filed")
        engine.docker("image", "rm", "small:filed")
        holding.load(tmp_path / "image.tar")
        assert identity(holding, "small:filed") == before


# ---- Ctrl-C


def interrupt_at(task: str) -> Callable[[Progress], None]:
    def tell(step: Progress) -> None:
        if task in step.task:
            raise KeyboardInterrupt

    return tell


def processes_with(text: str) -> list[str]:
    return subprocess.run(
        ["pgrep", "-f", text], capture_output=True, text=True
    ).stdout.split()  # fmt: skip


def test_ctrl_c_ends_a_build_in_the_engine_too(
    lab: Registries, engine: Lab, agent: Path, tmp_path: Path
) -> None:
    slow = dockerfile(
        agent, "COPY . /image/app", "RUN sleep 4243\nCOPY . /image/app", tmp_path / "agent"
    )
    begun: list[Progress] = []

    def tell(step: Progress) -> None:
        if "sleep 4243" in step.task and not begun:
            begun.append(step)
            while not processes_with("^sleep 4243"):
                time.sleep(0.05)
            raise KeyboardInterrupt

    with held(engine) as holding, pytest.raises(KeyboardInterrupt):
        buildx.build(holding, order(slow, lab, "slow"), env_of(engine), tell)
    until = time.monotonic() + 10
    while processes_with("^sleep 4243") and time.monotonic() < until:
        time.sleep(0.05)
    assert not processes_with("^sleep 4243")
    assert not processes_with(f"buildx build .*{slow}")


# ---- a package index of one's own


class Index(BaseHTTPRequestHandler):
    """Lets in who knows the password, and sends them on to PyPI."""

    let_in: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        pair = base64.b64encode(b"ada:s3cr3t-of-ada").decode()
        if self.headers.get("Authorization") != f"Basic {pair}":
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="packages"')
        else:
            self.let_in.append(self.path)
            self.send_response(302)
            self.send_header("Location", f"https://pypi.org{self.path}")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def index() -> Iterator[str]:
    """The address of an index, as containers reach it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 1))  # sends nothing; it tells the address that leads outside
        address = probe.getsockname()[0]
    server = ThreadingHTTPServer((address, 0), Index)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"{address}:{server.server_port}"
    server.shutdown()


def test_an_index_s_password_is_used_and_in_no_layer(
    lab: Registries, engine: Lab, agent: Path, index: str, tmp_path: Path
) -> None:
    env = {
        **env_of(engine),
        "UV_DEFAULT_INDEX": f"http://ada:s3cr3t-of-ada@{index}/simple",
        "UV_NO_CACHE": "1",
        "PIP_TRUSTED_HOST": index.partition(":")[0],
        "SSL_CERT_FILE": str(lab.reach.authority),
    }
    with held(engine) as holding:
        buildx.build(holding, order(agent, lab, "secretive", no_cache=True), env, ignore)
    assert {"/simple/uv/", "/simple/six/"} <= set(Index.let_in)
    engine.docker("save", "--output", str(tmp_path / "image.tar"), "small:secretive")
    with tarfile.open(tmp_path / "image.tar") as image:
        for entry in image:
            content = image.extractfile(entry)
            assert content is None or b"s3cr3t-of-ada" not in _unpacked(content.read())


def _unpacked(content: bytes) -> bytes:
    return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
