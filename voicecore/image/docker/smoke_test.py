"""Owns the smoke test of an image: whether it starts as AgentCore requires, and how fast."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, cast

from docker.errors import (  # pyright: ignore[reportMissingTypeStubs]
    APIError,
    ContainerError,
    NotFound,
)

from voicecore.catalog.platforms import START_SECONDS, V1, V2, VARIABLE
from voicecore.console.progress import OnProgress
from voicecore.contract.ping import ping_advice
from voicecore.image.docker.agent_probe import (
    PORT,
    AgentProbe,
    ImageUnfit,
    exit_error,
    start_error,
)
from voicecore.image.docker.endpoint import require_local
from voicecore.image.docker.engine import Engine, retry_unpacking
from voicecore.image.limits import require_size
from voicecore.image.model import PLATFORM, BuiltImage

# Without credentials, boto3 waits seconds for EC2's metadata service.
_ENVIRONMENT = {"AWS_EC2_METADATA_DISABLED": "true"}


@dataclass(frozen=True)
class SmokeTestResult:
    """Measurements; seconds count from the start of the container."""

    ping_seconds: float
    """Seconds to the first healthy answer to /ping."""
    ready_seconds: float | None
    """Seconds until the agent logged that its pipeline is warm; None for one that logs no such."""
    peak_mb: float
    """Peak memory of the agent until then, in MB."""
    describes: Mapping[str, Any]
    """Answer to POST /invocations of a generated agent."""
    machine: str
    """Architecture of the engine's machine: "arm64" or "amd64"."""
    emulated: bool
    """True when the engine's machine is not arm64."""
    limit_seconds: float
    """Limit for the answer to /ping."""
    warnings: tuple[str, ...] = ()
    """What AWS accepts, and does not document or advise."""


def smoke_test(
    engine: Engine,
    reference: str,
    image: BuiltImage,
    platforms: Collection[str],
    on_progress: OnProgress,
    generated: bool = True,
) -> SmokeTestResult:
    """Run the image `reference` until its pipeline is warm, and remove its container.

    It runs as on V1 if a stage does, whose limit is the shorter. The agent gets no credentials. Of
    one that voicecore did not generate, only /ping is known. Raises ImageUnfit,
    EmulationUnavailable, ImageTooLarge or RemoteEngine.
    """
    require_size(image)
    unfit = user_problem(image.config)
    if unfit and generated:
        raise unfit
    require_local(engine.endpoint)
    emulated = not PLATFORM.endswith(f"/{engine.machine}")
    platform = V2 if set(platforms) == {V2} else V1
    with _container(engine, reference, platform) as container:
        probe = AgentProbe(engine, container, emulated, on_progress, platform)
        probe.start()
        seconds, ping = probe.wait_ping()
        describes: Mapping[str, Any] = probe.invoke() if generated else {}
        ready = probe.wait_ready() if generated else None
    found = (unfit and f"{unfit.message} {unfit.hint}", ping_advice([ping]))
    return SmokeTestResult(
        ping_seconds=seconds,
        ready_seconds=ready.at if ready else None,
        peak_mb=float(ready.event.get("peak_mb", 0)) if ready else 0.0,
        describes=describes,
        machine=engine.machine,
        emulated=emulated,
        limit_seconds=START_SECONDS[platform],
        warnings=tuple(warning for warning in found if warning),
    )


def require_emulation(engine: Engine, reference: str) -> None:
    """Raise EmulationUnavailable unless the engine can run the image. Takes half a second."""
    try:
        retry_unpacking(
            lambda: engine.client.containers.run(
                reference, ["python", "-c", ""], platform=PLATFORM, init=True, remove=True
            )
        )
    except ContainerError as error:
        output = cast("bytes | None", error.stderr) or b""
        lines = output.decode(errors="replace").splitlines()
        raise exit_error({"ExitCode": error.exit_status}, lines, emulated=True) from error
    except APIError as error:
        raise start_error(str(error.explanation or error)) from error


def user_problem(config: Mapping[str, Any]) -> ImageUnfit | None:
    """Return the error unless the image's user is a number other than root's.

    AgentCore mounts the image's layers to look up a user name, which fails with many layers
    (runtime-troubleshooting).
    """
    settings = cast("Mapping[str, Any]", config.get("config") or {})
    user = str(settings.get("User") or "")
    number = user.partition(":")[0]
    if number.isdigit() and number != "0":
        return None
    name = f"user {user}" if user else "root"
    return ImageUnfit(
        f"The image runs as {name}; AgentCore needs a numeric user, and no agent needs root.",
        "Add to the last stage of the Dockerfile:  USER 1000",
    )


@contextmanager
def _container(engine: Engine, reference: str, platform: str) -> Generator[Any]:
    name = f"voicecore-check-{secrets.token_hex(4)}"
    try:
        yield _create(engine, reference, name, platform)
    finally:  # by name: an interrupted create call may have created it without an answer
        with suppress(NotFound):
            engine.client.api.remove_container(name, force=True, v=True)


def _create(engine: Engine, reference: str, name: str, platform: str) -> Any:
    try:
        return retry_unpacking(
            lambda: engine.client.containers.create(
                reference,
                name=name,
                platform=PLATFORM,
                init=True,  # like AgentCore: an init process handles signals and orphans
                environment={**_ENVIRONMENT, VARIABLE: platform},
                ports={f"{PORT}/tcp": ("127.0.0.1", None)},
                labels={"io.voicecore.check": "true"},
            )
        )
    except APIError as error:
        raise start_error(str(error.explanation or error)) from error
