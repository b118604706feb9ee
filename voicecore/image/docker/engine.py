"""The Docker engine: found as docker's own tools find it, and held open by the Docker SDK."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tarfile
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, cast
from urllib.parse import urlsplit

import docker  # pyright: ignore[reportMissingTypeStubs]
import requests
from docker.context import ContextAPI  # pyright: ignore[reportMissingTypeStubs]
from docker.errors import (  # pyright: ignore[reportMissingTypeStubs]
    APIError,
    DockerException,
    ImageLoadError,
    ImageNotFound,
)

from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.image.model import PLATFORM, Image, Layer, Package, title_of

T = TypeVar("T")

PACKAGES_FILE = "/opt/packages/PACKAGES.json"

IMAGE_BYTES_MAX = 2 * 1024**3
"""AgentCore takes no larger image (bedrock-agentcore-limits, quota L-0A9E32B3)."""

_API_OLDEST = (1, 41)  # Docker 20.10: the first that creates containers of another platform
_CONNECT_SECONDS = 10
_ANSWER_SECONDS = 300  # between two signs of life; a large layer is compressed in silence
_MAKES_LAYER = ("COPY", "ADD", "RUN", "WORKDIR")


class EngineUnavailable(VoicecoreError):
    """No Docker engine can be used; what needs none still can."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message, hint, ExitCode.MISSING_TOOL)


class NoDocker(EngineUnavailable):
    """Docker is not installed."""


class DaemonDown(EngineUnavailable):
    """Docker is installed, but its daemon does not answer."""


class NoPermission(EngineUnavailable):
    """The daemon's socket is closed to this user."""


class EngineTooOld(EngineUnavailable):
    """The engine's API lacks what voicecore needs."""


class NoBuildx(EngineUnavailable):
    """docker has no buildx plugin, or the engine no BuildKit."""


class RemoteEngine(VoicecoreError):
    """The engine is on another machine, where ports of its containers are not reached."""


class NoImage(VoicecoreError):
    """The engine does not have the image."""


class WrongPlatform(VoicecoreError):
    """The image is not linux/arm64, which is all that AgentCore runs."""


class TooLarge(VoicecoreError):
    """The image is larger than AgentCore takes."""


class DiskFull(VoicecoreError):
    """The engine has no room left on its disk."""


class Trouble(StrEnum):
    """Why an endpoint is of no use."""

    ABSENT = "absent"
    SILENT = "silent"
    CLOSED = "closed"
    OLD = "old"


@dataclass(frozen=True)
class Endpoint:
    """Where an engine may listen, and who says so."""

    url: str
    named_by: str = ""
    """"DOCKER_HOST" or "context NAME"; empty for a usual place."""
    tls: Any = None
    """The SDK's TLSConfig, for a context that has one."""


@dataclass(frozen=True)
class Found:
    """What was found in place of a working engine."""

    endpoint: Endpoint
    trouble: Trouble
    detail: str = ""
    """The system's or the engine's own words."""
    cli: bool = True
    """Whether there is a docker command."""
    system: str = "linux"
    """As sys.platform has it."""


def open_engine(env: Mapping[str, str]) -> Engine:
    """The engine that docker's own tools would use. Close it after use.

    Where nothing says which, the first of the usual sockets that answers: Docker's, rootless
    Docker's, Docker Desktop's, colima's, podman's. Raises EngineUnavailable.
    """
    troubles: list[Found] = []
    for endpoint in endpoints(env):
        trouble = _knock(endpoint)
        if isinstance(trouble, Engine):
            return trouble
        troubles.append(trouble)
    # A socket that is there says more than one that is not.
    worst = next((found for found in troubles if found.trouble != Trouble.ABSENT), troubles[0])
    cli = shutil.which("docker", path=env.get("PATH")) is not None
    raise unavailable(replace(worst, cli=cli, system=sys.platform))


def endpoints(env: Mapping[str, str]) -> list[Endpoint]:
    """Where to look for an engine, in this order."""
    if host := env.get("DOCKER_HOST"):
        return [Endpoint(host, "DOCKER_HOST", _tls_of(env))]
    name = env.get("DOCKER_CONTEXT")
    sdk: Any = ContextAPI
    context = sdk.get_context(name)
    if context is None:
        named = f"context {name}" if name else "the current context"
        return [Endpoint("", f"{named}, which does not exist")]
    if context.name != "default":
        return [Endpoint(context.Host, f"context {context.name}", context.TLSConfig)]
    home = Path(env.get("HOME", "~")).expanduser()
    runtime = Path(env.get("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}"))
    usual = (
        Path("/var/run/docker.sock"),
        runtime / "docker.sock",
        home / ".docker/run/docker.sock",
        home / ".colima/default/docker.sock",
        runtime / "podman/podman.sock",
        Path("/run/podman/podman.sock"),
    )
    return [Endpoint(f"unix://{path}") for path in usual]


def unavailable(found: Found) -> EngineUnavailable:
    """The error that says what was found and what to type."""
    where = f" ({found.endpoint.named_by})" if found.endpoint.named_by else ""
    place = f"{found.endpoint.url or 'no address'}{where}"
    without = "Or build without Docker:  voicecore build --builder direct"
    if found.trouble is Trouble.CLOSED:
        return NoPermission(
            f"You may not use Docker: {place} is closed to you.",
            "Join its group, then log in again:  sudo usermod -aG docker $USER && newgrp docker\n"
            + without,
        )
    if found.trouble is Trouble.OLD:
        return EngineTooOld(
            f"The Docker engine at {place} is too old: {found.detail}.",
            f"Update Docker to 20.10 or newer:  https://docs.docker.com/engine/install\n{without}",
        )
    if found.trouble is Trouble.ABSENT and not found.cli and not found.endpoint.named_by:
        return NoDocker(
            "There is no Docker on this machine.",
            f"Install it:  https://docs.docker.com/get-docker\n{without}",
        )
    said = f": {found.detail}" if found.detail else ""
    start = "open -a Docker    (or: colima start)" if found.system == "darwin" else _START_LINUX
    other = f"Or go back to the usual engine:  {_forget(found.endpoint)}\n" if where else ""
    return DaemonDown(
        f"Docker's daemon does not answer at {place}{said}.",
        f"Start it:  {start}\n{other}{without}",
    )


_START_LINUX = "sudo systemctl start docker"


def _forget(endpoint: Endpoint) -> str:
    return (
        "unset DOCKER_HOST" if endpoint.named_by == "DOCKER_HOST" else "docker context use default"
    )


def require_local(endpoint: Endpoint) -> None:
    """Raise RemoteEngine if a port that the engine publishes on 127.0.0.1 is not ours."""
    parts = urlsplit(endpoint.url)
    ours = ("localhost", "127.0.0.1", "::1")
    if parts.scheme in ("tcp", "http", "https", "ssh") and parts.hostname not in ours:
        raise RemoteEngine(
            f"The Docker engine is on {parts.hostname}: its containers cannot be reached here.",
            f"Take the one of this machine, then try again:  {_forget(endpoint)}",
        )


def _tls_of(env: Mapping[str, str]) -> Any:
    sdk: Any = docker
    return sdk.utils.kwargs_from_env(environment=dict(env)).get("tls")


def _knock(endpoint: Endpoint) -> Engine | Found:
    """The engine at `endpoint`, or what is there instead."""
    if not endpoint.url:
        return Found(endpoint, Trouble.ABSENT)
    try:
        if endpoint.url.startswith("unix://"):
            _try_socket(endpoint.url.removeprefix("unix://"))
        sdk: Any = docker
        client = sdk.DockerClient(
            base_url=endpoint.url,
            version="auto",
            timeout=_CONNECT_SECONDS,
            tls=endpoint.tls or False,
        )
    except FileNotFoundError:
        return Found(endpoint, Trouble.ABSENT)
    except PermissionError as error:
        return Found(endpoint, Trouble.CLOSED, str(error.strerror))
    except OSError as error:
        return Found(endpoint, Trouble.SILENT, str(error.strerror or ""))
    except (DockerException, requests.RequestException, ValueError) as error:
        return Found(endpoint, Trouble.SILENT, _reason(error))
    client.api.timeout = _ANSWER_SECONDS
    version = tuple(int(part) for part in str(client.api.api_version).split("."))
    if version < _API_OLDEST:
        client.close()
        return Found(endpoint, Trouble.OLD, f"its API is {client.api.api_version}")
    return Engine(client, endpoint)


def _reason(error: BaseException) -> str:
    """What lies at the bottom of an error that was wrapped again and again."""
    while below := error.__cause__ or error.__context__:
        error = below
    return str(getattr(error, "strerror", None) or error)


def _try_socket(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.connect(path)


class Engine:
    """A Docker engine that answers; close it after use."""

    def __init__(self, client: Any, endpoint: Endpoint) -> None:
        self.client = client
        """The SDK's client; the SDK has no types."""
        self.endpoint = endpoint
        version = client.version()
        self.version = str(version["Version"])
        self.machine = str(version["Arch"])
        """Architecture of the engine's machine, as images name it: "amd64", "arm64"."""
        self.is_podman = any("Podman" in part["Name"] for part in version.get("Components") or ())
        self.buildx: tuple[int, ...] | None = None
        """The version of buildx, once `buildx.require` has asked, which takes its time."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.client.close()

    def environment(self, env: Mapping[str, str]) -> dict[str, str]:
        """`env` in which docker's command line talks to this engine."""
        # What DOCKER_HOST or a context names, docker finds itself, with the context's TLS.
        ours = {} if self.endpoint.named_by else {"DOCKER_HOST": self.endpoint.url}
        return {**env, **ours}

    def inspect(self, reference: str, tag: str, base_layers: int) -> Image:
        """The image `reference`, of which the lowest `base_layers` layers are its base's.

        An engine keeps layers unpacked, so that their compressed size is not known; its digest is
        empty where the engine makes the manifest when it pushes. Raises NoImage or WrongPlatform.
        """
        attributes = self._attributes(reference)
        platform = f"{attributes['Os']}/{attributes['Architecture']}"
        if platform != PLATFORM:
            raise WrongPlatform(
                f"{reference} is {platform}; AgentCore runs {PLATFORM} only.",
                "Let the last stage of agent/Dockerfile begin:  FROM --platform=linux/arm64 $BASE",
            )
        # A containerd store unpacks an image of another platform only for a container, and keeps it
        # so only as long; before and after, it knows no sizes.
        with self._container(reference) as container:
            packages = self._packages_in(container)
            history = self.client.api.history(reference)
        diff_ids = attributes["RootFS"]["Layers"]
        return Image(
            tag=tag,
            digest=_manifest_digest(attributes),
            config=_config(attributes),
            layers=layers_of(diff_ids, history, base_layers),
            packages=packages,
        )

    @contextmanager
    def _container(self, reference: str) -> Generator[str]:
        """A container of an image, by its id: only made, never run."""
        api = self.client.api
        made = unpacked(lambda: api.create_container(reference, command=["-"], platform=PLATFORM))
        container = str(made["Id"])
        try:
            yield container
        finally:
            api.remove_container(container, force=True)

    def _packages_in(self, container: str) -> tuple[Package, ...]:
        """What slim.py has listed, the largest first; () if it has not."""
        try:
            chunks, _ = self.client.api.get_archive(container, PACKAGES_FILE)
            archive = io.BytesIO(b"".join(chunks))
        except APIError as error:
            if error.status_code != 404:
                raise
            return ()
        with tarfile.open(fileobj=archive) as tar:
            file = tar.extractfile(tar.next() or tarfile.TarInfo())
            listed = cast("list[dict[str, Any]]", json.load(file) if file else [])
        return tuple(Package(p["name"], p["version"], p["bytes"]) for p in listed)

    def load(self, path: Path) -> str:
        """Take an image from the tar at `path` (docker-archive or OCI layout); return its id.

        Raises DiskFull.
        """
        try:
            with path.open("rb") as tar:
                (image,) = self.client.images.load(tar)
        except (APIError, ImageLoadError) as error:
            if is_disk_full(str(error)):
                raise self.disk_full() from error
            raise
        return str(image.id)

    def tag(self, reference: str, repository: str, tag: str) -> None:
        """Give an image another name. Raises NoImage."""
        self._attributes(reference)
        self.client.api.tag(reference, repository, tag)

    def has(self, reference: str) -> bool:
        """Whether the engine has this image."""
        try:
            self._attributes(reference)
        except NoImage:
            return False
        return True

    def _attributes(self, reference: str) -> dict[str, Any]:
        try:
            return cast("dict[str, Any]", self.client.api.inspect_image(reference))
        except ImageNotFound as error:
            raise NoImage(
                f"The Docker engine has no image {reference}.", "Build it:  voicecore build"
            ) from error

    def disk_full(self) -> DiskFull:
        """The error that says what fills the engine's disk."""
        return DiskFull(
            f"The disk of the Docker engine is full{_usage(self.client.df())}.",
            "Remove what no container uses:   docker system prune\n"
            "and what builds have kept:       docker builder prune",
        )


def unpacked(make: Callable[[], T]) -> T:
    """What `make` makes of an image, which the engine unpacks for it.

    Tried once more where containerd has thrown away a layer that the next was to be unpacked on, as
    it does soon after another container is gone (https://github.com/moby/buildkit/issues/6521).
    """
    try:
        return make()
    except APIError as error:
        if "parent snapshot" not in str(error.explanation):
            raise
        return make()


def is_disk_full(text: str) -> bool:
    """Whether an engine's words mean that its disk is full (ENOSPC, as Go says it)."""
    return "no space left on device" in text


def _usage(df: Mapping[str, Any]) -> str:
    cache = sum(entry.get("Size", 0) for entry in df.get("BuildCache") or ())
    images = df.get("LayersSize") or 0
    return f": images take {_gigabytes(images)}, the build cache {_gigabytes(cache)}"


def _gigabytes(count: float) -> str:
    return f"{count / 1e9:.1f} GB"


def layers_of(
    diff_ids: Sequence[str], history: Sequence[Mapping[str, Any]], base_layers: int
) -> tuple[Layer, ...]:
    """An image's layers: the base's as one, then each that the Dockerfile made.

    `history` is the engine's, newest first. It does not say which entries made a layer, so that
    those of the Dockerfile are known by their instruction; all the rest is the base.
    """
    own = len(diff_ids) - base_layers
    made = [entry for entry in history if _instruction(entry["CreatedBy"])][:own]
    above = sum(entry["Size"] for entry in made)
    base = Layer("base", diff_ids[base_layers - 1], sum(e["Size"] for e in history) - above)
    titled = zip(diff_ids[base_layers:], reversed(made), strict=True)
    return (base, *(Layer(title_of(e["CreatedBy"]), diff_id, e["Size"]) for diff_id, e in titled))


def _instruction(created_by: str) -> str | None:
    """The instruction that made a layer; None for one that made none. BuildKit's own words."""
    word = created_by.partition(" ")[0]
    return word if word in _MAKES_LAYER else None


def _config(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The image's config as OCI has it (image-spec, config.md), as far as the engine tells it."""
    return {
        "architecture": attributes["Architecture"],
        "os": attributes["Os"],
        "created": attributes["Created"],
        "config": attributes["Config"],
        "rootfs": {"type": "layers", "diff_ids": attributes["RootFS"]["Layers"]},
    }


def _manifest_digest(attributes: Mapping[str, Any]) -> str:
    """Known where the engine keeps images as containerd does, or since the image was pushed."""
    known: Sequence[str] = attributes.get("RepoDigests") or ()
    digests = [name.partition("@")[2] for name in known]
    return str(attributes["Id"]) if attributes["Id"] in digests else "".join(digests[-1:])


def require_size(image: Image) -> None:
    """Raise TooLarge, naming the ten largest packages, if AgentCore would refuse the image."""
    size = image.size or image.unpacked
    if size <= IMAGE_BYTES_MAX:
        return
    largest = "\n".join(
        f"  {f'{package.name} {package.version}':40} {package.bytes / 1e6:7.1f} MB"
        for package in image.packages[:10]
    )
    raise TooLarge(
        f"The image has {_gigabytes(size)}; AgentCore takes {_gigabytes(IMAGE_BYTES_MAX)}.\n"
        f"Its largest packages:\n{largest}",
        "Leave out what the agent never imports, under [tool.uv] exclude-dependencies in "
        "agent/pyproject.toml, then:  uv lock --project agent && voicecore build",
    )


def buildx_version(env: Mapping[str, str]) -> tuple[int, ...]:
    """The version of docker's buildx plugin, such as (0, 13, 1). Raises NoBuildx."""
    try:
        run = subprocess.run(
            ["docker", "buildx", "version"],
            env=dict(env), capture_output=True, text=True, errors="replace",
        )  # fmt: skip
    except FileNotFoundError:
        raise no_buildx("There is no docker command here", sys.platform) from None
    found = re.search(r"v?(\d+)\.(\d+)\.(\d+)", run.stdout)
    if run.returncode != 0 or not found:
        raise no_buildx("docker has no buildx plugin, which builds for arm64", sys.platform)
    return tuple(int(number) for number in found.groups())


def no_buildx(what: str, system: str) -> NoBuildx:
    """The error that says how to get buildx on a system (as sys.platform names it)."""
    get = (
        "brew install docker docker-buildx && mkdir -p ~/.docker/cli-plugins\n"
        "  ln -sf $(brew --prefix)/bin/docker-buildx ~/.docker/cli-plugins/"
        if system == "darwin"
        else "sudo apt-get install docker-buildx-plugin    (of Docker's own packages)\n"
        "  sudo apt-get install docker-buildx           (of Debian 13 and newer, or Ubuntu)\n"
        "  sudo dnf install docker-buildx-plugin        (Fedora, RHEL)"
    )
    return NoBuildx(
        f"{what}.",
        f"Get it:\n  {get}\nor build without it meanwhile:  voicecore build --builder direct",
    )
