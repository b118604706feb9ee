"""The docker commands and credentials of an agent in a container."""

import os
from pathlib import Path

import pytest

from voicecore.console.errors import ExitCode
from voicecore.image.docker.container import (
    CredentialsUnavailable,
    developer_credentials,
    remove_argv,
    run_argv,
)
from voicecore.image.docker.endpoint import EngineEndpoint
from voicecore.local.container_agents import ImageNotBuilt, built_image


def test_run_command() -> None:
    endpoint = EngineEndpoint("unix:///home/ada/.colima/default/docker.sock")
    assert run_argv(endpoint, "voicecore/ada:0a1b", "voicecore-ada-1", ["B", "A"]) == [
        *("docker", "--host", "unix:///home/ada/.colima/default/docker.sock"),
        *("run", "--rm", "--init", "--pull", "never", "--platform", "linux/arm64"),
        *("--name", "voicecore-ada-1", "--label", f"io.voicecore.dev={os.getpid()}"),
        *("--publish", "127.0.0.1:$PORT:8080"),
        *("--add-host", "host.docker.internal:host-gateway", "--memory", "8g"),
        *("--env", "A", "--env", "B", "voicecore/ada:0a1b"),
    ]


def test_command_names_no_engine_that_docker_finds() -> None:
    endpoint = EngineEndpoint("tcp://127.0.0.1:2376", "context colima")
    assert run_argv(endpoint, "image", "name", [])[:2] == ["docker", "run"]
    assert remove_argv(endpoint, "name") == ["docker", "rm", "--force", "--volumes", "name"]


AWS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE")


@pytest.fixture
def no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    for name in AWS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, f"{tmp_path}/none")
    return monkeypatch


def test_developer_credentials_replace_execution_role(no_credentials: pytest.MonkeyPatch) -> None:
    assert developer_credentials() == {}
    no_credentials.setenv("AWS_ACCESS_KEY_ID", "AKIAADA")
    no_credentials.setenv("AWS_SECRET_ACCESS_KEY", "of-ada")
    assert developer_credentials() == {
        "AWS_ACCESS_KEY_ID": "AKIAADA",
        "AWS_SECRET_ACCESS_KEY": "of-ada",
    }
    no_credentials.setenv("AWS_SESSION_TOKEN", "for-an-hour")
    assert developer_credentials()["AWS_SESSION_TOKEN"] == "for-an-hour"


def test_unknown_profile_is_reported(no_credentials: pytest.MonkeyPatch) -> None:
    no_credentials.setenv("AWS_PROFILE", "gone")
    with pytest.raises(CredentialsUnavailable, match="gone"):
        developer_credentials()


DOCUMENT = '{\n  "project": "ada",\n  "reference": "voicecore/ada:0a1b"\n}'


def test_image_in_reads_reference_of_build() -> None:
    lines = ["• Reading the agent", "• context  0.1 s", *DOCUMENT.splitlines()]
    assert built_image(lines, 0) == "voicecore/ada:0a1b"


def test_image_in_raises_error_of_build() -> None:
    line = '{"error": {"message": "No wheel.", "hint": "Leave it out.", "exit_code": 3}}'
    with pytest.raises(ImageNotBuilt) as raised:
        built_image(["• Reading the agent", line], 3)
    assert raised.value.message == "No wheel."
    assert raised.value.hint == "Leave it out."
    assert raised.value.exit_code == ExitCode.BAD_PROJECT


def test_image_in_reports_crash_of_build() -> None:
    with pytest.raises(ImageNotBuilt, match="MemoryError"):
        built_image(["Traceback (most recent call last):", "MemoryError"], 1)
    with pytest.raises(ImageNotBuilt):
        built_image([], -9)
