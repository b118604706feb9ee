"""The image of an adopted agent: its own Dockerfile, and what never reaches an image."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from voicecore.console.errors import ExitCode
from voicecore.image.inputs import own_dockerfile
from voicecore.image.inputs.build_context import NEVER_SENT, context_files, file_from_outside
from voicecore.image.inputs.dockerfile import (
    CONTEXT,
    BadDockerfile,
    NeedsDocker,
    final_base,
    final_stage,
)
from voicecore.project.project import load_project
from voicecore.scaffold import render

SETTINGS = 'name = "an-agent"\ntransports = []\npipeline = "custom"\nregion = "us-east-1"\n'
AGENT = '[agent]\nfolder = "src"\ncommand = "python a.py"\n'


@pytest.mark.parametrize(
    ("text", "base"),
    [
        ("FROM python:3.13\n", "python:3.13"),
        ("FROM --platform=linux/arm64 python:3.13 AS run\n", "python:3.13"),
        ("ARG BASE=python:3.13\nFROM $BASE AS build\nFROM ${BASE}\n", "python:3.13"),
        ("FROM python:3.12 AS Build\nFROM node:22\nFROM build\n", "python:3.12"),
        ('ARG TAG="3.13"\nFROM python:$TAG\nARG TAG=2\n', "python:3.13"),
    ],
)
def test_base_of_the_final_stage_is_found(text: str, base: str) -> None:
    assert final_base(text) == base


@pytest.mark.parametrize("text", ["RUN true\n", "FROM $BASE\n"])
def test_dockerfile_without_a_base_is_refused(text: str) -> None:
    with pytest.raises(BadDockerfile, match="no FROM with the name of an image"):
        final_base(text)


def test_dockerfile_of_one_stage_needs_docker() -> None:
    generated = "ARG BASE=a\nFROM $BASE AS build\nRUN true\nFROM $BASE\n"
    with pytest.raises(NeedsDocker, match="line 1: only Docker can run this"):
        final_stage("FROM python:3.13\nCOPY . .\n", generated)


def test_context_is_the_folder_that_has_the_dockerfile(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "voicecore.toml").write_text(SETTINGS + AGENT)
    assert load_project(tmp_path).image_folder("agent") == tmp_path
    (tmp_path / "src/Dockerfile").touch()
    assert load_project(tmp_path).image_folder("agent") == tmp_path / "src"


def test_dockerfile_that_is_missing_is_named_with_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(BadDockerfile) as error:
        own_dockerfile.read(tmp_path, tmp_path)
    assert error.value.hint
    assert f"voicecore adopt {tmp_path} --force --add dockerfile" in error.value.hint


def test_keys_and_environments_reach_no_image(tmp_path: Path) -> None:
    for file in (
        ".env", "src/.env", ".venv/bin/python", ".voicecore/venv/a", ".git/config",
        "voicecore.toml", "Dockerfile", "src/agent.py",
    ):  # fmt: skip
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text("x")
    (tmp_path / ".dockerignore").write_text("!.env\n")
    paths = [file.path for file in context_files(tmp_path, NEVER_SENT)]
    assert paths == [".dockerignore", "Dockerfile", "src/agent.py"]


def test_requirements_one_level_up_are_in_the_context(tmp_path: Path) -> None:
    (tmp_path / "agent").mkdir()
    (tmp_path / "requirements.txt").write_text("a\n")
    (file,) = file_from_outside(tmp_path / "agent", tmp_path / "agent/../requirements.txt")
    assert (file.path, file.source) == ("requirements.txt", tmp_path / "requirements.txt")
    inside = tmp_path / "agent/requirements.txt"
    inside.touch()
    assert file_from_outside(tmp_path / "agent", inside) == []


@pytest.mark.parametrize("keys", [True, False])
@pytest.mark.parametrize("requirements", ["", "pyproject.toml", "../requirements.txt", "a/r.txt"])
def test_dockerfile_of_adopt_needs_no_docker(requirements: str, keys: bool) -> None:
    variables = {"python": "3.12", "requirements": requirements, "keys": keys}
    command = '["python", "main.py"]'
    given = {**variables, "folder": "src", "command": command}
    text = render.adopted("Dockerfile", given).decode()
    adopted = own_dockerfile.read_adopted(text)
    assert adopted.requirements == requirements.removeprefix("../")
    assert adopted.keys == keys
    stage = final_stage(text, adopted.text)
    assert stage.copies == (("/packages", "/opt/packages"), (CONTEXT, "/app"))
    assert (stage.workdir, stage.user, stage.command) == ("/app/src", "1000", ("python", "main.py"))
    edited = text.replace("FROM $BASE\n", "RUN apt-get update\nFROM $BASE\n")
    with pytest.raises(NeedsDocker, match="only Docker can run this:  RUN apt-get update"):
        final_stage(edited, own_dockerfile.read_adopted(edited).text)


class TestWheels:
    TEXT = 'ARG WHEELS="--only-binary :all:"\nRUN uv pip install --python-version 3.12 $WHEELS\n'

    def requirements(self, folder: Path, *wheels: str) -> Path:
        """Requirements of one package, which the index has these wheels of."""
        index = folder / "index"
        index.mkdir()
        for name in wheels:
            (index / name).touch()
        (folder / "requirements.txt").write_text(
            f"--no-index\n--find-links {index}\nsounds==1.0 --no-deps\n".replace(" --no-deps", "")
        )
        return folder / "requirements.txt"

    def test_package_without_wheel_for_arm64_is_named(self, tmp_path: Path) -> None:
        wanted = self.requirements(tmp_path, "sounds-1.0-cp312-cp312-manylinux_2_17_x86_64.whl")
        error = own_dockerfile.without_wheel(self.TEXT, wanted, os.environ)
        assert error
        assert "sounds" in error.message
        assert "linux/arm64" in error.message
        assert "--builder codebuild" in str(error.hint)
        assert error.exit_code == ExitCode.BAD_PROJECT

    def test_dockerfile_that_may_compile_is_not_asked(self, tmp_path: Path) -> None:
        wanted = self.requirements(tmp_path)
        assert own_dockerfile.without_wheel("RUN pip install -r r.txt", wanted, os.environ) is None
