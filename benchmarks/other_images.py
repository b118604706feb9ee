"""Builds images as other tools do: AWS's starter toolkit, and `pipecat init`.

Both install their packages in an emulated image. Their base images cannot be reached; they use
voicecore's base image with uv.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.example_agents import EXAMPLE_SONIC, ONE_MODEL, call
from benchmarks.processes import peer
from tests.standins.image.dockerd import DockerDaemon, dockerd
from tests.standins.image.registries import Registries

# The toolkit's generator; none of its commands generates only the Dockerfile.
GENERATE = """\
import sys
from pathlib import Path
from bedrock_agentcore_starter_toolkit.utils.runtime.container import ContainerRuntime

agent = Path(sys.argv[1])
ContainerRuntime(print_logs=False).generate_dockerfile(
    agent / "agent.py", agent, "agent", aws_region="us-east-1", source_path=str(agent),
    silence_warn=True,
)
"""
# An attestation would turn the image into an index.
_AS_ARM64 = ("--platform", "linux/arm64", "--provenance=false")
# ghcr.io/astral-sh/uv is a slim Python with uv; Debian's useradd comes with the official image.
UV_BASE = """\
FROM --platform=$BUILDPLATFORM {base} AS build
RUN pip install --quiet --target /uv --platform manylinux2014_aarch64 --only-binary :all: uv \\
 && printf '#!/bin/sh\\necho "bedrock_agentcore:x:1000:1000::/tmp:/bin/sh" >> /etc/passwd\\n' \\
    > /uv/bin/useradd && chmod +x /uv/bin/*
FROM --platform=linux/arm64 {base}
COPY --from=build /uv/bin/uv /uv/bin/useradd /usr/local/bin/
WORKDIR /app
"""


@dataclass(frozen=True)
class Workspace:
    """Registries, working folder and base of the other tools."""

    registries: Registries
    folder: Path
    uv_base: str
    """Base image of the other tools' Dockerfiles."""


@dataclass(frozen=True)
class BuildMethod:
    """A tool that builds an image and pushes it to ECR."""

    name: str
    repository: str
    edited: Path
    """File that the agent's author edits."""
    build: Callable[[DockerDaemon], object]
    """Builds the image and pushes it to the repository."""
    check: Callable[[DockerDaemon], Mapping[str, Any]] | None = None
    """Runs the image and returns the measurements; None if it is not run."""


def toolkit(workspace: Workspace) -> BuildMethod:
    """Return the starter toolkit's Dockerfile with an agent like the examples."""
    agent = workspace.folder / "starter-toolkit"
    agent.mkdir()
    (agent / "agent.py").write_text(ONE_MODEL)
    (agent / "pyproject.toml").write_text(
        f'[project]\nname = "agent"\nversion = "0.1.0"\nrequires-python = ">=3.11"\n'
        f"dependencies = {json.dumps(EXAMPLE_SONIC)}\n"
    )
    tool = peer("starter-toolkit", "bedrock-agentcore-starter-toolkit")
    call([str(tool / "python"), "-c", GENERATE, str(agent)], workspace.folder)
    return emulated(workspace, "the starter toolkit's Dockerfile", agent, "agent.py")


def pipecat(workspace: Workspace) -> BuildMethod:
    """Return the Dockerfile of `pipecat init` with its project."""
    options = "-b web -t websocket -m realtime --realtime aws_nova_realtime --client-framework none"
    tool = peer("pipecat", "pipecat-ai[cli]")
    argv = [str(tool / "pipecat"), "init", "ada", "-n", "ada", *options.split(), "--no-context-hub"]
    (workspace.folder / "pipecat").mkdir()
    call(argv, workspace.folder / "pipecat")
    agent = workspace.folder / "pipecat/ada/server"
    call(["uv", "lock", "--quiet"], agent)
    return emulated(workspace, "`pipecat init`'s Dockerfile", agent, "bot.py")


def emulated(workspace: Workspace, name: str, agent: Path, edited: str) -> BuildMethod:
    """Return a build of a Dockerfile whose base, unreachable here, is replaced by a similar one."""
    dockerfile = agent / "Dockerfile"
    text = re.sub(r"(?m)^FROM \S+", f"FROM {workspace.uv_base}", dockerfile.read_text(), count=1)
    dockerfile.write_text(text)
    repository = agent.relative_to(workspace.folder).parts[0]
    target = f"{workspace.registries.ecr.host}/{repository}:latest"

    def build(daemon: DockerDaemon) -> None:
        # In two steps, like the toolkit.
        daemon.docker("buildx", "build", "--quiet", *_AS_ARM64, "--tag", target, str(agent))
        daemon.docker("push", "--quiet", target)

    return BuildMethod(name, repository, agent / edited, build)


def push_uv_base(registries: Registries, folder: Path) -> str:
    """Build the base of the other tools and push it to a registry."""
    (folder / "Dockerfile").write_text(UV_BASE.format(base=registries.base))
    name = f"{registries.private.host}/uv:latest"
    with dockerd(registries.reach) as daemon:
        daemon.docker("buildx", "build", "--quiet", *_AS_ARM64, "--tag", name, str(folder))
        daemon.docker("push", "--quiet", name)
    return name
