"""Selecting the Docker engine, errors without one, and details of images."""

import hashlib
import json
import os
import socket
from pathlib import Path

import pytest
from docker.errors import APIError

from voicecore.console.errors import ExitCode
from voicecore.image.builders.buildx import NoBuildx, buildx_version, no_buildx
from voicecore.image.docker.endpoint import (
    DaemonDown,
    DockerMissing,
    EndpointProblem,
    EngineEndpoint,
    EngineTooOld,
    FailedEndpoint,
    RemoteEngine,
    SocketDenied,
    endpoints,
    require_local,
    unavailable,
)
from voicecore.image.docker.engine import open_engine, retry_unpacking
from voicecore.image.docker.image_details import layers_of
from voicecore.image.limits import IMAGE_BYTES_MAX, ImageTooLarge, require_size
from voicecore.image.model import BuiltImage, Layer, Package

SOCKET = "unix:///var/run/docker.sock"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of Docker's settings; the SDK reads this variable."""
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


def test_docker_host_selects_engine(config: Path) -> None:
    use_context(config, "colima", "unix:///colima.sock")
    (endpoint,) = endpoints({"DOCKER_HOST": "tcp://127.0.0.1:2375"})
    assert (endpoint.url, endpoint.named_by) == ("tcp://127.0.0.1:2375", "DOCKER_HOST")


def test_current_context_selects_engine(config: Path) -> None:
    use_context(config, "colima", "unix:///home/ada/.colima/default/docker.sock")
    (endpoint,) = endpoints({})
    assert endpoint.url == "unix:///home/ada/.colima/default/docker.sock"
    assert endpoint.named_by == "context colima"


def test_missing_context_is_reported(config: Path) -> None:
    (endpoint,) = endpoints({"DOCKER_CONTEXT": "gone"})
    error = unavailable(FailedEndpoint(endpoint, EndpointProblem.MISSING))
    assert "context gone, which does not exist" in error.message
    assert "docker context use default" in str(error.hint)


def test_default_sockets_list_docker_before_podman(config: Path) -> None:
    urls = [e.url for e in endpoints({"HOME": "/home/ada", "XDG_RUNTIME_DIR": "/run/user/7"})]
    assert urls[0] == SOCKET
    assert "unix:///run/user/7/docker.sock" in urls  # rootless
    assert "unix:///home/ada/.docker/run/docker.sock" in urls  # Docker Desktop
    assert "unix:///home/ada/.colima/default/docker.sock" in urls
    assert urls[-2:] == ["unix:///run/user/7/podman/podman.sock", "unix:///run/podman/podman.sock"]


@pytest.mark.parametrize(
    ("failed", "kind", "message", "command"),
    [
        (
            FailedEndpoint(EngineEndpoint(SOCKET), EndpointProblem.MISSING, cli=False),
            DockerMissing,
            "Docker is not installed",
            "https://docs.docker.com/get-docker",
        ),
        (
            FailedEndpoint(EngineEndpoint(SOCKET), EndpointProblem.MISSING),
            DaemonDown,
            "does not answer",
            "sudo systemctl start docker",
        ),
        (
            FailedEndpoint(EngineEndpoint(SOCKET), EndpointProblem.SILENT, "Connection refused"),
            DaemonDown,
            "Connection refused",
            "sudo systemctl start docker",
        ),
        (
            FailedEndpoint(EngineEndpoint(SOCKET), EndpointProblem.MISSING, system="darwin"),
            DaemonDown,
            "does not answer",
            "colima start",
        ),
        (
            FailedEndpoint(
                EngineEndpoint("tcp://10.0.0.7:2375", "DOCKER_HOST"),
                EndpointProblem.SILENT,
                cli=False,
            ),
            DaemonDown,
            "tcp://10.0.0.7:2375 (DOCKER_HOST)",
            "unset DOCKER_HOST",
        ),
        (
            FailedEndpoint(EngineEndpoint(SOCKET), EndpointProblem.DENIED),
            SocketDenied,
            "You have no permission to use Docker",
            "sudo usermod -aG docker $USER",
        ),
        (
            FailedEndpoint(EngineEndpoint(SOCKET), EndpointProblem.TOO_OLD, "its API is 1.40"),
            EngineTooOld,
            "its API is 1.40",
            "20.10 or newer",
        ),
    ],
)
def test_unavailable_engine_has_error_with_hint(
    failed: FailedEndpoint, kind: type[Exception], message: str, command: str
) -> None:
    error = unavailable(failed)
    assert type(error) is kind
    assert message in error.message
    assert command in str(error.hint)
    assert "voicecore build --builder direct" in str(error.hint)
    assert error.exit_code == ExitCode.MISSING_TOOL


def test_socket_without_listener_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    with pytest.raises(DaemonDown, match="Connection refused"):
        open_engine({"DOCKER_HOST": f"unix://{path}"})


def test_socket_without_permission_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        path.chmod(0)
        user = os.geteuid()
        if user == 0:  # root has permission for every socket
            tmp_path.chmod(0o755)
            os.seteuid(65534)
        try:
            with pytest.raises(SocketDenied):
                open_engine({"DOCKER_HOST": f"unix://{path}"})
        finally:
            os.seteuid(user)


def test_port_without_listener_is_reported() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(DaemonDown, match=r"\(DOCKER_HOST\): Connection refused\.$"):
        open_engine({"DOCKER_HOST": f"tcp://127.0.0.1:{port}"})


def test_unknown_url_scheme_is_reported() -> None:
    with pytest.raises(DaemonDown):
        open_engine({"DOCKER_HOST": "gopher://127.0.0.1"})


@pytest.mark.parametrize(
    "url", ["unix:///var/run/docker.sock", "tcp://127.0.0.1:2375", "npipe:////./pipe/docker"]
)
def test_local_engine_is_accepted(url: str) -> None:
    require_local(EngineEndpoint(url))


@pytest.mark.parametrize("url", ["ssh://ada@build.example", "tcp://10.0.0.7:2375"])
def test_remote_engine_is_refused(url: str) -> None:
    with pytest.raises(RemoteEngine) as raised:
        require_local(EngineEndpoint(url, "DOCKER_HOST"))
    assert "unset DOCKER_HOST" in str(raised.value.hint)


def test_missing_buildx_plugin_is_reported(tmp_path: Path) -> None:
    docker = tmp_path / "docker"
    docker.write_text("#!/bin/sh\necho \"docker: 'buildx' is not a docker command.\" >&2\nexit 1\n")
    docker.chmod(0o755)
    with pytest.raises(NoBuildx, match="no buildx plugin"):
        buildx_version({"PATH": f"{tmp_path}:/usr/bin:/bin"})


def test_missing_docker_command_is_reported(tmp_path: Path) -> None:
    with pytest.raises(NoBuildx, match="no docker command"):
        buildx_version({"PATH": str(tmp_path)})


def test_buildx_hint_depends_on_system() -> None:
    assert "apt-get install docker-buildx-plugin" in str(no_buildx("x", "linux").hint)
    assert "brew install docker docker-buildx" in str(no_buildx("x", "darwin").hint)


# Newest first, as the engine reports it: the final stage, then the base.
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


def test_layers_have_titles_of_instructions() -> None:
    assert layers_of(DIFF_IDS, HISTORY, base_layers=3) == (
        Layer("base", "sha256:2", 127_000_000),
        Layer("packages", "sha256:3", 226_514_331),
        Layer("code", "sha256:4", 79_816),
        Layer("WORKDIR /app", "sha256:5", 0),
    )


def test_users_instruction_is_a_layer() -> None:
    history = [{"CreatedBy": "RUN /bin/sh -c date # buildkit", "Size": 5}, *HISTORY]
    layers = layers_of([*DIFF_IDS, "sha256:6"], history, base_layers=3)
    assert layers[-1] == Layer("RUN /bin/sh -c date", "sha256:6", 5)


def image(size: int, packages: tuple[Package, ...] = ()) -> BuiltImage:
    return BuiltImage("tag", "", {}, (Layer("packages", "sha256:0", size),), packages)


def test_image_of_size_limit_is_accepted() -> None:
    require_size(image(IMAGE_BYTES_MAX))


def test_larger_image_is_refused_with_largest_packages() -> None:
    packages = tuple(Package(f"package-{n:02}", "1.0", 10**8 - n) for n in range(12))
    with pytest.raises(ImageTooLarge) as raised:
        require_size(image(IMAGE_BYTES_MAX + 1, packages))
    assert "package-09 1.0" in raised.value.message
    assert "package-10" not in raised.value.message
    assert "exclude-dependencies" in str(raised.value.hint)


class FlakyCreate:
    """Fails with each of `refusals` before it succeeds."""

    def __init__(self, *refusals: str) -> None:
        self.refusals = list(refusals)

    def create(self) -> str:
        if self.refusals:
            raise APIError("500 Server Error", explanation=self.refusals.pop(0))
        return "a container"


SNAPSHOT_MISSING = (
    'failed to prepare extraction snapshot "extract-1": parent snapshot sha256:5 does not exist'
)


def test_retry_unpacking_retries_missing_snapshot_once() -> None:
    missing = SNAPSHOT_MISSING
    assert retry_unpacking(FlakyCreate().create) == "a container"
    assert retry_unpacking(FlakyCreate(missing).create) == "a container"
    for refusals in ([missing, missing, missing], ["no such image", missing]):
        flaky = FlakyCreate(*refusals)
        with pytest.raises(APIError, match="500"):
            retry_unpacking(flaky.create)
        assert flaky.refusals == [missing]  # there was no third attempt
