"""Owns the docker commands that run the agent in a container for the local runtime."""

from __future__ import annotations

import os
from collections.abc import Iterable

from voicecore.aws.errors import AwsRefused, translated_errors
from voicecore.aws.login import AwsLogin
from voicecore.console.errors import VoicecoreError
from voicecore.image.docker.endpoint import EngineEndpoint
from voicecore.image.model import PLATFORM

MEMORY = "8g"
"""Memory of an AgentCore session (bedrock-agentcore-limits)."""

HOST = "host.docker.internal"
"""Name of this machine inside containers, where 127.0.0.1 is the container itself."""


class CredentialsUnavailable(VoicecoreError):
    """The developer's AWS credentials, used in place of the execution role, cannot be read."""


def run_argv(
    endpoint: EngineEndpoint, image: str, name: str, variables: Iterable[str]
) -> list[str]:
    """Return the command that runs an agent in the container `name`, published at `$PORT`.

    It passes on `variables` from its own environment, so that no value is in the command. The
    command ends with the container and forwards signals to it.
    """
    return [
        *_docker(endpoint),
        *("run", "--rm", "--init", "--pull", "never", "--platform", PLATFORM),
        *("--name", name, "--label", f"io.voicecore.dev={os.getpid()}"),
        *("--publish", "127.0.0.1:$PORT:8080", "--add-host", f"{HOST}:host-gateway"),
        *("--memory", MEMORY),
        *(word for variable in sorted(variables) for word in ("--env", variable)),
        image,
    ]


def exec_argv(endpoint: EngineEndpoint, name: str) -> list[str]:
    """Return the command that runs the shell command after it in the container."""
    return [*_docker(endpoint), "exec", name, "/bin/sh", "-c"]


def remove_argv(endpoint: EngineEndpoint, name: str) -> list[str]:
    """Return the command that removes the container, running or not."""
    return [*_docker(endpoint), "rm", "--force", "--volumes", name]


def _docker(endpoint: EngineEndpoint) -> list[str]:
    # docker itself finds an engine that DOCKER_HOST or a context names.
    return ["docker"] if endpoint.named_by else ["docker", "--host", endpoint.url]


def developer_credentials() -> dict[str, str]:
    """Return the developer's AWS credentials as variables, in place of the execution role.

    Empty without credentials. Raises CredentialsUnavailable if they cannot be read, for example
    because they have expired.
    """
    try:
        with translated_errors():
            return AwsLogin().variables()
    except AwsRefused as error:
        raise CredentialsUnavailable(
            f"Could not read AWS credentials for the agent: {error.message}", error.hint
        ) from error
