"""Owns `voicecore dev --container`: an image for each version, a container for each session."""

from __future__ import annotations

import asyncio
import json
import secrets
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from voicecore.catalog import platforms
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.image.docker.container import (
    CredentialsUnavailable,
    developer_credentials,
    exec_argv,
    remove_argv,
    run_argv,
)
from voicecore.image.docker.endpoint import EngineEndpoint, require_local
from voicecore.image.docker.engine import open_engine
from voicecore.image.docker.smoke_test import require_emulation
from voicecore.local.processes.child import Child, Reaper
from voicecore.local.processes.crash_reason import last_error
from voicecore.local.sessions.agent_process import KEY_VARIABLE, AgentSpec
from voicecore.project.dotenv import dotenv_of, without_ours
from voicecore.project.project import Project


class ImageNotBuilt(VoicecoreError):
    """`voicecore build` failed; carries its message, hint and exit code."""


@dataclass(frozen=True)
class LocalImage:
    """An image and the Docker engine that holds it."""

    name: str
    endpoint: EngineEndpoint


def build_image(project: Project, env: Mapping[str, str]) -> LocalImage:
    """Build the image, with progress on stderr.

    Raises ImageNotBuilt, EngineUnavailable, RemoteEngine or EmulationUnavailable.
    """
    with open_engine(env) as engine:
        require_local(engine.endpoint)
        build = subprocess.run(
            _build_argv(project), env=dict(env), stdout=subprocess.PIPE, text=True
        )
        image = built_image(build.stdout.splitlines(), build.returncode)
        require_emulation(engine, image)
        return LocalImage(image, engine.endpoint)


def _build_argv(project: Project) -> list[str]:
    argv = [sys.executable, "-m", "voicecore", "build", "--builder", "buildx", "--json"]
    return [*argv, "--project", str(project.root)]


def built_image(lines: Sequence[str], code: int | None) -> str:
    """Return the image in the output of `voicecore build --json`. Raises ImageNotBuilt."""
    error = next((line for line in reversed(lines) if line.startswith('{"error"')), None)
    if error:
        document: dict[str, Any] = json.loads(error)["error"]
        raise ImageNotBuilt(document["message"], document["hint"], ExitCode(document["exit_code"]))
    if code != 0 or "{" not in lines:
        raise ImageNotBuilt(
            f"Could not build the image: {last_error(list(lines))}",
            "To see all output, run:  voicecore build",
        )
    # Progress lines precede the document, which starts with a line that is a single brace.
    return str(json.loads("\n".join(lines[lines.index("{") :]))["reference"])


class ContainerAgents:
    """Builds the image of each new version, and returns the command that starts its container."""

    def __init__(
        self,
        project: Project,
        env: Mapping[str, str],
        image: LocalImage,
        reaper: Reaper,
        warn: Callable[[VoicecoreError], None],
        platform: str = platforms.V1,
    ) -> None:
        self._project = project
        self._env = env
        self._image = image
        self._version = 1
        self._reaper = reaper
        self._warn = warn
        self._platform = platform
        self._build: Child | None = None
        self._role: Mapping[str, str] = {}
        self._lock = asyncio.Lock()

    async def prepare(self, version: int) -> None:
        """Build the image of this version and get AWS credentials. Raises ImageNotBuilt."""
        async with self._lock:
            if version != self._version:
                self._image = replace(self._image, name=await self._build_again())
                self._version = version
            try:
                # Read each time: temporary credentials expire.
                self._role = await asyncio.to_thread(developer_credentials)
            except CredentialsUnavailable as error:
                self._role = {}
                self._warn(error)

    def spec(self) -> AgentSpec:
        """Return how to start the next container, with only the current agent/.env."""
        values = {
            "AWS_REGION": self._project.region,
            **self._project.model_variables,
            **self._project.agent_settings.environment,
            # Without this, boto3 would use the role of the machine.
            "AWS_EC2_METADATA_DISABLED": "true",
            **self._role,
            **dotenv_of(self._project.agent),
            platforms.VARIABLE: self._platform,
        }
        name = f"voicecore-{self._project.name}-{secrets.token_hex(4)}"
        passed = [*values, KEY_VARIABLE]
        return AgentSpec(
            argv=tuple(run_argv(self._image.endpoint, self._image.name, name, passed)),
            cwd=self._project.agent,
            env={**without_ours(self._env), **values},
            cleanup=tuple(remove_argv(self._image.endpoint, name)),
            shell=tuple(exec_argv(self._image.endpoint, name)),
        )

    async def stop(self) -> None:
        """Stop a running build."""
        if self._build:
            await self._build.stop()

    async def _build_again(self) -> str:
        lines: list[str] = []
        argv = _build_argv(self._project)
        self._build = await Child.start(
            argv, self._project.root, self._env, self._reaper, lines.extend
        )
        try:
            code = await self._build.exited
            await self._build.output_read()
        finally:
            await self._build.stop()
            self._build = None
        return built_image(lines, code)
