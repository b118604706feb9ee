"""The image of an adopted agent, built by the Dockerfile that its owner has."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.image.projects import KEY, build_report, run_voicecore
from tests.image.pulled_image import pull
from tests.standins.image.dockerd import DockerDaemon
from tests.standins.image.registries import Registries
from voicecore.aws.login import AwsLogin
from voicecore.console.context import Context
from voicecore.console.output import Output
from voicecore.image.part_image import PartImages
from voicecore.project.project import load_project

AGENTS = Path(__file__).parents[1] / "foreign_agents"


def adopt(root: Path, *options: str) -> None:
    argv = [sys.executable, "-m", "voicecore", "adopt", *options]
    subprocess.run(argv, cwd=root, check=True, capture_output=True)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An agent with a Dockerfile that copies all there is; its packages are left out."""
    root = Path(shutil.copytree(AGENTS / "fastapi_healthy", tmp_path / "agent"))
    adopt(root)
    text = (root / "Dockerfile").read_text()
    run = "RUN pip install --no-cache-dir -r requirements.txt\n"
    (root / "Dockerfile").write_text(text.replace(run, "").replace("slim", "slim-trixie"))
    (root / ".env").write_text(f"DEEPGRAM_API_KEY={KEY}\n")
    (root / ".voicecore/venv").mkdir()
    (root / ".voicecore/venv/pyvenv.cfg").touch()
    return root


def test_docker_builds_it_as_its_dockerfile_says(
    root: Path, registries: Registries, daemon: DockerDaemon
) -> None:
    before = (root / "Dockerfile").read_text()
    target = f"{registries.ecr.host}/agent"
    report = build_report(registries, daemon, root, "--push", target)
    assert report["builder"] == "buildx"
    image = pull(registries.private, "agent", report["tag"])
    assert image.config["config"]["Cmd"][:2] == ["uvicorn", "main:app"]
    assert image.config["architecture"] == "arm64"
    own = {name for name in image.files if name.startswith("app/")}
    assert own == {"app/main.py", "app/requirements.txt", "app/Dockerfile"}
    assert (root / "Dockerfile").read_text() == before
    again = build_report(registries, daemon, root, "--push", target)
    assert (again["tag"], again["pushed"]) == (report["tag"], False)


def test_without_docker_the_line_that_needs_it_is_named(root: Path, registries: Registries) -> None:
    done = run_voicecore(registries, None, root, "build", "--dry-run")
    assert done.returncode != 0
    assert "only Docker can run this" in done.stderr
    assert "--builder codebuild" in done.stderr


def test_dockerfile_of_adopt_is_built_without_docker(
    tmp_path: Path, registries: Registries
) -> None:
    root = Path(shutil.copytree(AGENTS / "fastapi_healthy", tmp_path / "agent"))
    (root / "Dockerfile").unlink()
    (root / "requirements.txt").write_text("six==1.17.0\n")
    (root / ".env").write_text(f"DEEPGRAM_API_KEY={KEY}\n")
    adopt(root, "--add", "dockerfile,tests")
    target = f"{registries.ecr.host}/agent"
    report = build_report(registries, None, root, "--push", target)
    assert report["builder"] == "direct"
    image = pull(registries.private, "agent", report["tag"])
    own = {name for name in image.files if name.startswith("app/")}
    assert own == {"app/main.py", "app/requirements.txt", "app/Dockerfile"}
    assert "opt/packages/six.py" in image.files
    config = image.config["config"]
    assert config["Cmd"][:4] == ["python", "-m", "uvicorn", "main:app"]
    assert (config["WorkingDir"], config["User"]) == ("/app", "1000")
    assert "PYTHONPATH=/opt/packages" in config["Env"]


def test_deploy_builds_in_aws_only_what_needs_docker(
    root: Path, registries: Registries, tmp_path: Path
) -> None:
    env = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    env["DOCKER_HOST"] = f"unix://{tmp_path}/no-docker.sock"
    context = Context(tmp_path, env, Output(io.StringIO(), io.StringIO()), interactive=False)

    def note() -> str:
        images = PartImages(context, AwsLogin(None, False))
        return images.plan(load_project(root), "", "agent").note

    file = root / "Dockerfile"
    file.write_text(re.sub(r"FROM \S+ \S+", f"FROM {registries.base}", file.read_text()))
    assert note().endswith("AWS CodeBuild builds the image, in minutes and for some cents.")
    file.unlink()
    (root / "requirements.txt").write_text("six==1.17.0\n")
    adopt(root, "--force", "--add", "dockerfile")
    file.write_text(re.sub(r"ARG BASE=\S+", f"ARG BASE={registries.base}", file.read_text()))
    assert note() == ""
