"""How the agent runs as a container: what the command says, and what it must not."""

import os
from pathlib import Path

import pytest

from voicecore.console.errors import ExitCode
from voicecore.image.docker.container import NoRole, remove_argv, role, run_argv
from voicecore.image.docker.engine import Endpoint
from voicecore.local.container_agents import ImageNotBuilt, built_image


def test_the_command() -> None:
    endpoint = Endpoint("unix:///home/ada/.colima/default/docker.sock")
    assert run_argv(endpoint, "voicecore/ada:0a1b", "voicecore-ada-1", ["B", "A"]) == [
        *("docker", "--host", "unix:///home/ada/.colima/default/docker.sock"),
        *("run", "--rm", "--init", "--pull", "never", "--platform", "linux/arm64"),
        *("--name", "voicecore-ada-1", "--label", f"io.voicecore.dev={os.getpid()}"),
        *("--publish", "127.0.0.1:$PORT:8080"),
        *("--add-host", "host.docker.internal:host-gateway", "--memory", "8g"),
        *("--env", "A", "--env", "B", "voicecore/ada:0a1b"),
    ]


def test_an_engine_that_docker_finds_itself_is_not_named() -> None:
    endpoint = Endpoint("tcp://127.0.0.1:2376", "context colima")
    assert run_argv(endpoint, "image", "name", [])[:2] == ["docker", "run"]
    assert remove_argv(endpoint, "name") == ["docker", "rm", "--force", "--volumes", "name"]


AWS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE")


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    for name in AWS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, f"{tmp_path}/none")
    return monkeypatch


def test_the_developer_s_credentials_stand_for_the_role(nobody: pytest.MonkeyPatch) -> None:
    assert role() == {}
    nobody.setenv("AWS_ACCESS_KEY_ID", "AKIAADA")
    nobody.setenv("AWS_SECRET_ACCESS_KEY", "of-ada")
    assert role() == {"AWS_ACCESS_KEY_ID": "AKIAADA", "AWS_SECRET_ACCESS_KEY": "of-ada"}
    nobody.setenv("AWS_SESSION_TOKEN", "for-an-hour")
    assert role()["AWS_SESSION_TOKEN"] == "for-an-hour"


def test_credentials_that_cannot_be_had(nobody: pytest.MonkeyPatch) -> None:
    nobody.setenv("AWS_PROFILE", "gone")
    with pytest.raises(NoRole, match="gone"):
        role()


DOCUMENT = '{\n  "project": "ada",\n  "reference": "voicecore/ada:0a1b"\n}'


def test_the_image_that_a_build_has_made() -> None:
    lines = ["• Reading the agent", "• context  0.1 s", *DOCUMENT.splitlines()]
    assert built_image(lines, 0) == "voicecore/ada:0a1b"


def test_the_error_of_a_build_is_ours() -> None:
    line = '{"error": {"message": "No wheel.", "hint": "Leave it out.", "exit_code": 3}}'
    with pytest.raises(ImageNotBuilt) as raised:
        built_image(["• Reading the agent", line], 3)
    assert raised.value.message == "No wheel."
    assert raised.value.hint == "Leave it out."
    assert raised.value.exit_code == ExitCode.BAD_PROJECT


def test_a_build_that_says_nothing() -> None:
    with pytest.raises(ImageNotBuilt, match="MemoryError"):
        built_image(["Traceback (most recent call last):", "MemoryError"], 1)
    with pytest.raises(ImageNotBuilt):
        built_image([], -9)
