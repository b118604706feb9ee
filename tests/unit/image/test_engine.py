"""Which engine is taken, what is said where there is none, and what an image is made of."""

import hashlib
import json
import os
import socket
from pathlib import Path

import pytest
from docker.errors import APIError  # pyright: ignore[reportMissingTypeStubs]

from voicecore.console.errors import ExitCode
from voicecore.image.docker.engine import (
    IMAGE_BYTES_MAX,
    DaemonDown,
    Endpoint,
    EngineTooOld,
    Found,
    NoBuildx,
    NoDocker,
    NoPermission,
    RemoteEngine,
    TooLarge,
    Trouble,
    buildx_version,
    endpoints,
    layers_of,
    no_buildx,
    open_engine,
    require_local,
    require_size,
    unavailable,
    unpacked,
)
from voicecore.image.model import Image, Layer, Package

SOCKET = "unix:///var/run/docker.sock"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Docker's own settings; the SDK reads them where this variable says."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    return tmp_path


def use_context(config: Path, name: str, host: str) -> None:
    (config / "config.json").write_text(json.dumps({"currentContext": name}))
    folder = config / "contexts/meta" / hashlib.sha256(name.encode()).hexdigest()
    folder.mkdir(parents=True)
    docker = {"docker": {"Host": host, "SkipTLSVerify": False}}
    (folder / "meta.json").write_text(
        json.dumps({"Name": name, "Metadata": {}, "Endpoints": docker})
    )


def test_docker_host_is_the_engine(config: Path) -> None:
    use_context(config, "colima", "unix:///colima.sock")
    (endpoint,) = endpoints({"DOCKER_HOST": "tcp://127.0.0.1:2375"})
    assert (endpoint.url, endpoint.named_by) == ("tcp://127.0.0.1:2375", "DOCKER_HOST")


def test_a_context_is_the_engine(config: Path) -> None:
    use_context(config, "colima", "unix:///home/ada/.colima/default/docker.sock")
    (endpoint,) = endpoints({})
    assert endpoint.url == "unix:///home/ada/.colima/default/docker.sock"
    assert endpoint.named_by == "context colima"


def test_docker_context_names_one_that_is_not_there(config: Path) -> None:
    (endpoint,) = endpoints({"DOCKER_CONTEXT": "gone"})
    error = unavailable(Found(endpoint, Trouble.ABSENT))
    assert "context gone, which does not exist" in error.message
    assert "docker context use default" in str(error.hint)


def test_else_the_usual_sockets_docker_s_before_podman_s(config: Path) -> None:
    urls = [e.url for e in endpoints({"HOME": "/home/ada", "XDG_RUNTIME_DIR": "/run/user/7"})]
    assert urls[0] == SOCKET
    assert "unix:///run/user/7/docker.sock" in urls  # rootless
    assert "unix:///home/ada/.docker/run/docker.sock" in urls  # Docker Desktop
    assert "unix:///home/ada/.colima/default/docker.sock" in urls
    assert urls[-2:] == ["unix:///run/user/7/podman/podman.sock", "unix:///run/podman/podman.sock"]


@pytest.mark.parametrize(
    ("found", "kind", "said", "typed"),
    [
        (
            Found(Endpoint(SOCKET), Trouble.ABSENT, cli=False),
            NoDocker,
            "no Docker on this machine",
            "https://docs.docker.com/get-docker",
        ),
        (
            Found(Endpoint(SOCKET), Trouble.ABSENT),
            DaemonDown,
            "does not answer",
            "sudo systemctl start docker",
        ),
        (
            Found(Endpoint(SOCKET), Trouble.SILENT, "Connection refused"),
            DaemonDown,
            "Connection refused",
            "sudo systemctl start docker",
        ),
        (
            Found(Endpoint(SOCKET), Trouble.ABSENT, system="darwin"),
            DaemonDown,
            "does not answer",
            "colima start",
        ),
        (
            Found(Endpoint("tcp://10.0.0.7:2375", "DOCKER_HOST"), Trouble.SILENT, cli=False),
            DaemonDown,
            "tcp://10.0.0.7:2375 (DOCKER_HOST)",
            "unset DOCKER_HOST",
        ),
        (
            Found(Endpoint(SOCKET), Trouble.CLOSED),
            NoPermission,
            "closed to you",
            "sudo usermod -aG docker $USER",
        ),
        (
            Found(Endpoint(SOCKET), Trouble.OLD, "its API is 1.40"),
            EngineTooOld,
            "its API is 1.40",
            "20.10 or newer",
        ),
    ],
)
def test_what_is_said_without_an_engine(
    found: Found, kind: type[Exception], said: str, typed: str
) -> None:
    error = unavailable(found)
    assert type(error) is kind
    assert said in error.message
    assert typed in str(error.hint)
    assert "voicecore build --builder direct" in str(error.hint)
    assert error.exit_code == ExitCode.MISSING_TOOL


def test_a_socket_that_nobody_listens_on(tmp_path: Path) -> None:
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    with pytest.raises(DaemonDown, match="Connection refused"):
        open_engine({"DOCKER_HOST": f"unix://{path}"})


def test_a_socket_that_is_closed_to_us(tmp_path: Path) -> None:
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        path.chmod(0)
        user = os.geteuid()
        if user == 0:  # whom nothing is closed to
            tmp_path.chmod(0o755)
            os.seteuid(65534)
        try:
            with pytest.raises(NoPermission):
                open_engine({"DOCKER_HOST": f"unix://{path}"})
        finally:
            os.seteuid(user)


def test_a_port_that_nobody_listens_on() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(DaemonDown, match=r"\(DOCKER_HOST\): Connection refused\.$"):
        open_engine({"DOCKER_HOST": f"tcp://127.0.0.1:{port}"})


def test_an_address_that_docker_does_not_know() -> None:
    with pytest.raises(DaemonDown):
        open_engine({"DOCKER_HOST": "gopher://127.0.0.1"})


@pytest.mark.parametrize(
    "url", ["unix:///var/run/docker.sock", "tcp://127.0.0.1:2375", "npipe:////./pipe/docker"]
)
def test_engines_whose_ports_are_reached(url: str) -> None:
    require_local(Endpoint(url))


@pytest.mark.parametrize("url", ["ssh://ada@build.example", "tcp://10.0.0.7:2375"])
def test_engines_elsewhere(url: str) -> None:
    with pytest.raises(RemoteEngine) as raised:
        require_local(Endpoint(url, "DOCKER_HOST"))
    assert "unset DOCKER_HOST" in str(raised.value.hint)


def test_no_buildx(tmp_path: Path) -> None:
    docker = tmp_path / "docker"
    docker.write_text("#!/bin/sh\necho \"docker: 'buildx' is not a docker command.\" >&2\nexit 1\n")
    docker.chmod(0o755)
    with pytest.raises(NoBuildx, match="no buildx plugin"):
        buildx_version({"PATH": f"{tmp_path}:/usr/bin:/bin"})


def test_no_docker_command(tmp_path: Path) -> None:
    with pytest.raises(NoBuildx, match="no docker command"):
        buildx_version({"PATH": str(tmp_path)})


def test_how_to_get_buildx() -> None:
    assert "apt-get install docker-buildx-plugin" in str(no_buildx("x", "linux").hint)
    assert "brew install docker docker-buildx" in str(no_buildx("x", "darwin").hint)


# Newest first, as the engine tells it: the last stage's, then the base's.
HISTORY = [
    {"CreatedBy": 'CMD ["python" "app.py"]', "Size": 0},
    {"CreatedBy": "EXPOSE map[8080/tcp:{}]", "Size": 0},
    {"CreatedBy": "USER 1000", "Size": 0},
    {"CreatedBy": "WORKDIR /app", "Size": 0},
    {"CreatedBy": "COPY /image/app /app # buildkit", "Size": 79_816},
    {"CreatedBy": "COPY /image/opt /opt # buildkit", "Size": 226_514_331},
    {"CreatedBy": "ENV PYTHONPATH=/opt/packages", "Size": 0},
    {"CreatedBy": "/bin/sh -c set -eux; python3 --version", "Size": 40_000_000},
    {"CreatedBy": "RUN /bin/sh -c apt-get update # buildkit", "Size": 9_000_000},
    {"CreatedBy": "/bin/sh -c #(nop) ADD file:1 in / ", "Size": 78_000_000},
]
DIFF_IDS = [f"sha256:{n}" for n in range(6)]


def test_layers_are_named_by_what_made_them() -> None:
    assert layers_of(DIFF_IDS, HISTORY, base_layers=3) == (
        Layer("base", "sha256:2", 127_000_000),
        Layer("packages", "sha256:3", 226_514_331),
        Layer("code", "sha256:4", 79_816),
        Layer("WORKDIR /app", "sha256:5", 0),
    )


def test_an_instruction_of_the_user_s_own_is_a_layer_too() -> None:
    history = [{"CreatedBy": "RUN /bin/sh -c date # buildkit", "Size": 5}, *HISTORY]
    layers = layers_of([*DIFF_IDS, "sha256:6"], history, base_layers=3)
    assert layers[-1] == Layer("RUN /bin/sh -c date", "sha256:6", 5)


def image(size: int, packages: tuple[Package, ...] = ()) -> Image:
    return Image("tag", "", {}, (Layer("packages", "sha256:0", size),), packages)


def test_an_image_may_have_two_gigabytes() -> None:
    require_size(image(IMAGE_BYTES_MAX))


def test_a_larger_one_is_refused_with_its_largest_packages() -> None:
    packages = tuple(Package(f"package-{n:02}", "1.0", 10**8 - n) for n in range(12))
    with pytest.raises(TooLarge) as raised:
        require_size(image(IMAGE_BYTES_MAX + 1, packages))
    assert "package-09 1.0" in raised.value.message
    assert "package-10" not in raised.value.message
    assert "exclude-dependencies" in str(raised.value.hint)


class Unpacking:
    """Makes something of an image, but for the first times."""

    def __init__(self, *refusals: str) -> None:
        self.refusals = list(refusals)

    def make(self) -> str:
        if self.refusals:
            raise APIError("500 Server Error", explanation=self.refusals.pop(0))
        return "a container"


GONE = 'failed to prepare extraction snapshot "extract-1": parent snapshot sha256:5 does not exist'


def test_a_layer_that_was_thrown_away_is_unpacked_again() -> None:
    assert unpacked(Unpacking().make) == "a container"
    assert unpacked(Unpacking(GONE).make) == "a container"
    for refusals in ([GONE, GONE, GONE], ["no such image", GONE]):
        unpacking = Unpacking(*refusals)
        with pytest.raises(APIError, match="500"):
            unpacked(unpacking.make)
        assert unpacking.refusals == [GONE]  # no more was tried
