"""Owns a connection to a Docker engine, by the Docker SDK: inspects, loads and tags images."""

from __future__ import annotations

import io
import json
import shutil
import socket
import sys
import tarfile
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, cast

import docker  # pyright: ignore[reportMissingTypeStubs]
import requests
from docker.errors import (  # pyright: ignore[reportMissingTypeStubs]
    APIError,
    DockerException,
    ImageLoadError,
    ImageNotFound,
)

from voicecore.console.errors import VoicecoreError
from voicecore.image.docker.endpoint import (
    EndpointProblem,
    EngineEndpoint,
    FailedEndpoint,
    endpoints,
    unavailable,
)
from voicecore.image.docker.image_details import config_of, layers_of, manifest_digest
from voicecore.image.limits import gigabytes
from voicecore.image.model import PLATFORM, BuiltImage, Package

T = TypeVar("T")

PACKAGES_FILE = "/opt/packages/PACKAGES.json"

_API_OLDEST = (1, 41)  # Docker 20.10: the first that creates containers of another platform
_CONNECT_SECONDS = 10
_ANSWER_SECONDS = 300  # between two messages; the engine compresses a large layer in silence


class ImageNotInEngine(VoicecoreError):
    """The engine does not have the image."""


class WrongImagePlatform(VoicecoreError):
    """The image is not linux/arm64, the only platform that AgentCore runs."""


class EngineDiskFull(VoicecoreError):
    """The engine's disk is full."""


def open_engine(env: Mapping[str, str]) -> Engine:
    """Return the engine that Docker's own tools would use. Close it after use.

    If neither DOCKER_HOST nor a context names one, this is the first usual socket that answers.
    Raises EngineUnavailable.
    """
    failures: list[FailedEndpoint] = []
    for endpoint in endpoints(env):
        found = _connect(endpoint)
        if isinstance(found, Engine):
            return found
        failures.append(found)
    # A socket that exists tells more than one that does not.
    worst = next((f for f in failures if f.problem != EndpointProblem.MISSING), failures[0])
    cli = shutil.which("docker", path=env.get("PATH")) is not None
    raise unavailable(replace(worst, cli=cli, system=sys.platform))


def _connect(endpoint: EngineEndpoint) -> Engine | FailedEndpoint:
    if not endpoint.url:
        return FailedEndpoint(endpoint, EndpointProblem.MISSING)
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
        return FailedEndpoint(endpoint, EndpointProblem.MISSING)
    except PermissionError as error:
        return FailedEndpoint(endpoint, EndpointProblem.DENIED, str(error.strerror))
    except OSError as error:
        return FailedEndpoint(endpoint, EndpointProblem.SILENT, str(error.strerror or ""))
    except (DockerException, requests.RequestException, ValueError) as error:
        return FailedEndpoint(endpoint, EndpointProblem.SILENT, _root_cause(error))
    client.api.timeout = _ANSWER_SECONDS
    version = tuple(int(part) for part in str(client.api.api_version).split("."))
    if version < _API_OLDEST:
        client.close()
        detail = f"its API is {client.api.api_version}"
        return FailedEndpoint(endpoint, EndpointProblem.TOO_OLD, detail)
    return Engine(client, endpoint)


def _root_cause(error: BaseException) -> str:
    """Return the message of the innermost of several wrapped errors."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return str(getattr(error, "strerror", None) or error)


def _try_socket(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.connect(path)


class Engine:
    """A Docker engine that answers; close it after use."""

    def __init__(self, client: Any, endpoint: EngineEndpoint) -> None:
        self.client = client
        """Client of the Docker SDK, which has no types."""
        self.endpoint = endpoint
        version = client.version()
        self.machine = str(version["Arch"])
        """Architecture of the engine's machine: "amd64" or "arm64"."""
        self.is_podman = any("Podman" in part["Name"] for part in version.get("Components") or ())
        self.buildx: tuple[int, ...] | None = None
        """Version of buildx; None until `buildx.require` has asked for it, which takes a while."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.client.close()

    def client_env(self, env: Mapping[str, str]) -> dict[str, str]:
        """Return `env` with which the docker command uses this engine."""
        # docker itself finds an engine that DOCKER_HOST or a context names, and its TLS settings.
        ours = {} if self.endpoint.named_by else {"DOCKER_HOST": self.endpoint.url}
        return {**env, **ours}

    def inspect(self, reference: str, tag: str, base_layers: int) -> BuiltImage:
        """Return the image `reference`; its first `base_layers` layers are its base's.

        An engine stores layers uncompressed, so their compressed size is unknown. The digest is
        empty if the engine creates the manifest on push.

        Raises ImageNotInEngine or WrongImagePlatform.
        """
        attributes = self._attributes(reference)
        platform = f"{attributes['Os']}/{attributes['Architecture']}"
        if platform != PLATFORM:
            raise WrongImagePlatform(
                f"{reference} is {platform}; AgentCore runs only {PLATFORM}.",
                "Start the last stage of agent/Dockerfile with:  FROM --platform=linux/arm64 $BASE",
            )
        # A containerd store unpacks an image of another platform only for a container, and only
        # while the container exists; without one, it reports no sizes.
        with self._container(reference) as container:
            packages = self._packages_in(container)
            history = self.client.api.history(reference)
        return BuiltImage(
            tag=tag,
            digest=manifest_digest(attributes),
            config=config_of(attributes),
            layers=layers_of(attributes["RootFS"]["Layers"], history, base_layers),
            packages=packages,
        )

    @contextmanager
    def _container(self, reference: str) -> Generator[str]:
        """Give the ID of a container of an image; the container is created but not started."""
        api = self.client.api
        created = retry_unpacking(
            lambda: api.create_container(reference, command=["-"], platform=PLATFORM)
        )
        container = str(created["Id"])
        try:
            yield container
        finally:
            api.remove_container(container, force=True)

    def _packages_in(self, container: str) -> tuple[Package, ...]:
        """Return the packages in prune.py's list, largest first; () without a list."""
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
        """Load an image from the tar at `path` (docker-archive or OCI layout); return its ID.

        Raises EngineDiskFull.
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
        """Give an image another name. Raises ImageNotInEngine."""
        self._attributes(reference)
        self.client.api.tag(reference, repository, tag)

    def has(self, reference: str) -> bool:
        """Return whether the engine has this image."""
        try:
            self._attributes(reference)
        except ImageNotInEngine:
            return False
        return True

    def _attributes(self, reference: str) -> dict[str, Any]:
        try:
            return cast("dict[str, Any]", self.client.api.inspect_image(reference))
        except ImageNotFound as error:
            raise ImageNotInEngine(
                f"The Docker engine has no image {reference}.", "Build it:  voicecore build"
            ) from error

    def disk_full(self) -> EngineDiskFull:
        """Return the error that says what uses the engine's disk."""
        return EngineDiskFull(
            f"The disk of the Docker engine is full{_disk_usage(self.client.df())}.",
            "Delete what no container uses:   docker system prune\n"
            "and the build cache:             docker builder prune",
        )


def retry_unpacking(create: Callable[[], T]) -> T:
    """Return the result of `create`, for which the engine unpacks an image.

    It is called once more if containerd has deleted a layer that the next one needs, as it does
    soon after another container is removed (https://github.com/moby/buildkit/issues/6521).
    """
    try:
        return create()
    except APIError as error:
        if "parent snapshot" not in str(error.explanation):
            raise
        return create()


def is_disk_full(text: str) -> bool:
    """Return whether an engine's message means that its disk is full (ENOSPC, in Go's words)."""
    return "no space left on device" in text


def _disk_usage(df: Mapping[str, Any]) -> str:
    cache = sum(entry.get("Size", 0) for entry in df.get("BuildCache") or ())
    images = df.get("LayersSize") or 0
    return f": images take {gigabytes(images)}, the build cache {gigabytes(cache)}"
