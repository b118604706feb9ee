"""Compares images and startup of the agent with other tools: build, push, edit, start.

`python -m benchmarks.image` builds the WebSocket agent of Nova Sonic with `voicecore build`, and
with the other tools of `other_images`. Each build has its own engine with only the base image, so
all downloads and caches are cold. Then it starts the agents of `agent_starts`.

Needs the stand-ins of tests/standins/image (Linux, root, `make lab`) and uv with a Python 3.13.
"""

from __future__ import annotations

import gzip
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.agent_starts import starts
from benchmarks.example_agents import call, project
from benchmarks.other_images import BuildMethod, Workspace, pipecat, push_uv_base, toolkit
from tests.standins.image.dockerd import DockerDaemon, dockerd
from tests.standins.image.emulation import arm64_emulation
from tests.standins.image.registries import Registries, run_registries

EDITS = 5


@dataclass(frozen=True)
class BuildResult:
    """Measurements of a build method, with times in seconds and sizes in bytes."""

    cold: float
    edits: list[float]
    sent: list[int]
    """Bytes sent to ECR after each edit."""
    compressed: int
    unpacked: int
    check: Mapping[str, Any] | None
    """Measurements of the running image."""


def images(edits: int = EDITS) -> None:
    """Print the table of the images, and the results of `voicecore build --check`."""
    with (
        tempfile.TemporaryDirectory() as folder,
        arm64_emulation(),
        run_registries() as registries,
    ):
        workspace = Workspace(registries, Path(folder), push_uv_base(registries, Path(folder)))
        methods = (
            ours(workspace, "buildx"),
            ours(workspace, "direct"),
            toolkit(workspace),
            pipecat(workspace),
        )
        results = {method.name: measure(workspace, method, edits) for method in methods}
    first = next(iter(results.values()))
    print("| WebSocket and Nova Sonic | cold build and push, s | against voicecore "
          "| an edit pushed, s | sent, KB | compressed, MB | on disk, MB |\n"
          "|---|---|---|---|---|---|---|")  # fmt: skip
    for name, it in results.items():
        print(f"| {name} | {it.cold:.1f} | {it.cold / first.cold:.1f} × "
              f"| {statistics.median(it.edits):.2f} | {statistics.median(it.sent) / 1e3:.1f} "
              f"| {it.compressed / 1e6:.0f} | {it.unpacked / 1e6:.0f} |")  # fmt: skip
    for check in (it.check for it in results.values() if it.check):
        ping, warm = check["ping_seconds"], check["ready_seconds"]
        print(f"\n`voicecore build --check`, emulated: `/ping` after {ping:.1f} s, "
              f"warm after {warm:.1f} s, {check['peak_mb']:.0f} MB")  # fmt: skip


def measure(workspace: Workspace, method: BuildMethod, edits: int) -> BuildResult:
    """Measure a cold build and then edits, in an engine that has only the base images."""
    registries = workspace.registries
    registries.ecr.repositories.add(method.repository)
    with dockerd(registries.reach) as daemon:
        for image in (registries.official, workspace.uv_base):
            daemon.docker("pull", "--quiet", "--platform", "linux/arm64", image)
        daemon.docker("pull", "--quiet", "--platform", "linux/amd64", registries.official)
        token = registries.ecr.issue().password
        login = ["login", "--username", "AWS", "--password-stdin", registries.ecr.host]
        daemon.docker(*login, stdin=token)
        cold, _ = timed(registries, method, daemon)
        compressed, unpacked = sizes(registries, method.repository)
        edited = [timed(registries, method, daemon, edit) for edit in range(edits)]
        check = method.check(daemon) if method.check else None
    print(
        f"{method.name}: {cold:.2f} s, then (seconds, bytes) {edited}", file=sys.stderr, flush=True
    )
    times, sent = [seconds for seconds, _ in edited], [count for _, count in edited]
    return BuildResult(cold, times, sent, compressed, unpacked, check)


def timed(
    registries: Registries, method: BuildMethod, daemon: DockerDaemon, edit: int | None = None
) -> tuple[float, int]:
    """Return the seconds of one build and the bytes it sent, after an edit if there is one."""
    if edit is not None:
        method.edited.write_text(f"{method.edited.read_text()}# {edit}\n")
    registries.proxy.log.clear()
    started = time.perf_counter()
    method.build(daemon)
    return time.perf_counter() - started, registries.proxy.log.bytes


def sizes(registries: Registries, repository: str) -> tuple[int, int]:
    """Return the bytes of an image's layers, compressed and unpacked."""
    registry = registries.private
    manifest = registry.manifest(repository, registry.tags(repository)[0])
    layers = manifest["layers"]
    blobs = (registry.blob(repository, layer["digest"]) for layer in layers)
    return sum(layer["size"] for layer in layers), sum(len(gzip.decompress(each)) for each in blobs)


def ours(workspace: Workspace, builder: str) -> BuildMethod:
    """Return `voicecore build` with the generated project."""
    agent = project(workspace.folder / f"voicecore-{builder}")
    # The caches of uv and voicecore are empty, like the engine.
    env = {
        **os.environ,
        **workspace.registries.env(),
        "XDG_CACHE_HOME": str(agent.parents[1] / "cache"),
    }
    env.pop("UV_CACHE_DIR", None)
    repository = f"voicecore-{builder}"

    def build(daemon: DockerDaemon, *more: str) -> Mapping[str, Any]:
        docker = daemon.env if builder == "buildx" else {"DOCKER_CONFIG": str(workspace.folder)}
        words = [
            "build",
            "--builder",
            builder,
            "--push",
            f"{workspace.registries.ecr.host}/{repository}",
        ]
        argv = [sys.executable, "-m", "voicecore", *words, "--json", *more]
        return json.loads(call(workspace.registries.argv(*argv), agent.parent, {**env, **docker}))

    def check(daemon: DockerDaemon) -> Mapping[str, Any]:
        return build(daemon, "--check")["check"]

    name = f"`voicecore build --builder {builder}`"
    return BuildMethod(
        name, repository, agent / "bot.py", build, check if builder == "buildx" else None
    )


def main() -> None:
    """Print the tables for RESULTS.md."""
    images()
    print()
    starts()


if __name__ == "__main__":
    main()
