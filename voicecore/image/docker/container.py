"""The agent as a container of its image, for the local runtime: its command and its environment."""

from __future__ import annotations

import os
from collections.abc import Iterable

from voicecore.aws.errors import AwsRefused, translated_errors
from voicecore.aws.session import credential_variables
from voicecore.console.errors import VoicecoreError
from voicecore.image.docker.engine import Endpoint
from voicecore.image.model import PLATFORM

MEMORY = "8g"
"""What AgentCore gives a session (bedrock-agentcore-limits)."""

HOST = "host.docker.internal"
"""This machine, as containers know it; there, 127.0.0.1 is the container itself."""


class NoRole(VoicecoreError):
    """The developer's AWS credentials, which stand for the agent's role, cannot be had."""


def run_argv(endpoint: Endpoint, image: str, name: str, variables: Iterable[str]) -> list[str]:
    """The command that runs an agent as the container `name`, reached at `$PORT` of this machine.

    It is given `variables` of the command's own environment: no value is in the command. It ends
    with the container, and passes signals on.
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


def remove_argv(endpoint: Endpoint, name: str) -> list[str]:
    """The command that takes the container away, however far it has come."""
    return [*_docker(endpoint), "rm", "--force", "--volumes", name]


def _docker(endpoint: Endpoint) -> list[str]:
    # What DOCKER_HOST or a context names, docker finds itself.
    return ["docker"] if endpoint.named_by else ["docker", "--host", endpoint.url]


def role() -> dict[str, str]:
    """The developer's AWS credentials as variables, in place of the role that AgentCore gives.

    Empty where there are none. Raises NoRole when they cannot be had, as when they have expired.
    """
    try:
        with translated_errors():
            return credential_variables()
    except AwsRefused as error:
        raise NoRole(f"No AWS credentials reach the agent: {error.message}", error.hint) from error
