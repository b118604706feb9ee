"""Owns where a Docker engine may listen, and the errors when none can be used.

Endpoints are searched as Docker's own tools search them: DOCKER_HOST, the current context, the
usual sockets.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import docker  # pyright: ignore[reportMissingTypeStubs]
from docker.context import ContextAPI  # pyright: ignore[reportMissingTypeStubs]

from voicecore.console.errors import ExitCode, VoicecoreError


class EngineUnavailable(VoicecoreError):
    """No Docker engine can be used; commands that need none still work."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message, hint, ExitCode.MISSING_TOOL)


class DockerMissing(EngineUnavailable):
    """Docker is not installed."""


class DaemonDown(EngineUnavailable):
    """Docker is installed, but its daemon does not answer."""


class SocketDenied(EngineUnavailable):
    """The user has no permission to use the daemon's socket."""


class EngineTooOld(EngineUnavailable):
    """The engine's API lacks what voicecore needs."""


class RemoteEngine(VoicecoreError):
    """The engine is on another machine, where this machine cannot reach published ports."""


class EndpointProblem(StrEnum):
    """Reasons for which an endpoint cannot be used."""

    MISSING = "missing"
    SILENT = "silent"
    DENIED = "denied"
    TOO_OLD = "too old"


@dataclass(frozen=True)
class EngineEndpoint:
    """An address at which an engine may listen."""

    url: str
    named_by: str = ""
    """"DOCKER_HOST" or "context NAME"; empty for a usual socket."""
    tls: Any = None
    """TLSConfig of the Docker SDK, for a context that has one."""


@dataclass(frozen=True)
class FailedEndpoint:
    """An endpoint that cannot be used, and why."""

    endpoint: EngineEndpoint
    problem: EndpointProblem
    detail: str = ""
    """Message of the system or the engine."""
    cli: bool = True
    """True when there is a docker command."""
    system: str = "linux"
    """Name of the system in sys.platform."""


def endpoints(env: Mapping[str, str]) -> list[EngineEndpoint]:
    """Return the endpoints to try, in order."""
    if host := env.get("DOCKER_HOST"):
        return [EngineEndpoint(host, "DOCKER_HOST", _tls_of(env))]
    name = env.get("DOCKER_CONTEXT")
    sdk: Any = ContextAPI
    context = sdk.get_context(name)
    if context is None:
        named = f"context {name}" if name else "the current context"
        return [EngineEndpoint("", f"{named}, which does not exist")]
    if context.name != "default":
        return [EngineEndpoint(context.Host, f"context {context.name}", context.TLSConfig)]
    home = Path(env.get("HOME", "~")).expanduser()
    runtime = Path(env.get("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}"))
    # Docker, rootless Docker, Docker Desktop, colima, rootless podman, podman.
    usual = (
        Path("/var/run/docker.sock"),
        runtime / "docker.sock",
        home / ".docker/run/docker.sock",
        home / ".colima/default/docker.sock",
        runtime / "podman/podman.sock",
        Path("/run/podman/podman.sock"),
    )
    return [EngineEndpoint(f"unix://{path}") for path in usual]


def _tls_of(env: Mapping[str, str]) -> Any:
    sdk: Any = docker
    return sdk.utils.kwargs_from_env(environment=dict(env)).get("tls")


def unavailable(failed: FailedEndpoint) -> EngineUnavailable:
    """Return the error that says what was found and what to type."""
    where = f" ({failed.endpoint.named_by})" if failed.endpoint.named_by else ""
    place = f"{failed.endpoint.url or 'no address'}{where}"
    without = "Or build without Docker:  voicecore build --builder direct"
    if failed.problem is EndpointProblem.DENIED:
        return SocketDenied(
            f"You have no permission to use Docker at {place}.",
            "Join its group, then log in again:  sudo usermod -aG docker $USER && newgrp docker\n"
            + without,
        )
    if failed.problem is EndpointProblem.TOO_OLD:
        return EngineTooOld(
            f"The Docker engine at {place} is too old: {failed.detail}.",
            f"Update Docker to 20.10 or newer:  https://docs.docker.com/engine/install\n{without}",
        )
    if (
        failed.problem is EndpointProblem.MISSING
        and not failed.cli
        and not failed.endpoint.named_by
    ):
        return DockerMissing(
            "Docker is not installed on this machine.",
            f"Install it:  https://docs.docker.com/get-docker\n{without}",
        )
    detail = f": {failed.detail}" if failed.detail else ""
    start = "open -a Docker    (or: colima start)" if failed.system == "darwin" else _START_LINUX
    other = f"Or return to the default engine:  {_unselect(failed.endpoint)}\n" if where else ""
    return DaemonDown(
        f"The Docker daemon does not answer at {place}{detail}.",
        f"Start it:  {start}\n{other}{without}",
    )


_START_LINUX = "sudo systemctl start docker"


def _unselect(endpoint: EngineEndpoint) -> str:
    return (
        "unset DOCKER_HOST" if endpoint.named_by == "DOCKER_HOST" else "docker context use default"
    )


def require_local(endpoint: EngineEndpoint) -> None:
    """Raise RemoteEngine if ports that the engine publishes on 127.0.0.1 are not this machine's."""
    parts = urlsplit(endpoint.url)
    loopback = ("localhost", "127.0.0.1", "::1")
    if parts.scheme in ("tcp", "http", "https", "ssh") and parts.hostname not in loopback:
        raise RemoteEngine(
            f"The Docker engine is on {parts.hostname}: this machine cannot reach its containers.",
            f"Select the local engine, then try again:  {_unselect(endpoint)}",
        )
