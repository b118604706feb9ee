"""What `voicecore build` says when something is wrong: what, why, and what to type next.

All of it before anything is made, and with nothing left behind.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.image.users import make_project, voicecore
from tests.processes import processes_in
from tests.standins.image.engine import Engine
from tests.standins.image.lab import Registries


@pytest.fixture(scope="module")
def whole(all_registries: Registries, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that has been planned once: locked, and its base known."""
    root = make_project(tmp_path_factory.mktemp("whole"), "--pipeline", "nova-sonic")
    done = voicecore(all_registries, None, root, "build", "--dry-run")
    assert done.returncode == 0, done.stderr
    return root


@pytest.fixture
def root(whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole.parent / "cache", tmp_path / "cache")
    return shutil.copytree(whole, tmp_path / "ada")


def test_a_dry_run_makes_nothing(whole: Path, lab: Registries) -> None:
    before = (whole / "agent/Dockerfile").read_text()
    done = voicecore(lab, None, whole, "build", "--dry-run", "--json")
    facts = json.loads(done.stdout)
    assert facts["builder"] == "direct"
    assert facts["base"].startswith(lab.official + "@sha256:")
    assert (whole / "agent/Dockerfile").read_text() == before


def test_without_docker_it_builds_directly_and_says_why(root: Path, lab: Registries) -> None:
    done = voicecore(lab, None, root, "build", "--builder", "buildx")
    assert done.returncode == 4
    assert "--builder direct" in done.stderr


def test_a_socket_that_nobody_listens_on(root: Path, lab: Registries) -> None:
    done = voicecore(lab, None, root, "build", "--check")
    assert done.returncode == 4
    assert "Docker" in done.stderr
    assert "voicecore build" in done.stderr


def test_a_lockfile_that_is_out_of_date(root: Path, lab: Registries) -> None:
    settings = root / "agent/pyproject.toml"
    settings.write_text(settings.read_text().replace('"boto3>=1.43"', '"boto3>=1.43", "six"'))
    done = voicecore(lab, None, root, "build")
    assert done.returncode == 3
    assert "out of date" in done.stderr
    assert "uv lock --project agent" in done.stderr


def test_a_package_without_a_wheel_for_arm64(root: Path, lab: Registries) -> None:
    settings = root / "agent/pyproject.toml"
    # netifaces 0.11 has wheels for x86_64 only, and is no longer kept up.
    settings.write_text(
        settings.read_text().replace('"boto3>=1.43"', '"boto3>=1.43", "netifaces==0.11.0"')
    )
    (root / "agent/uv.lock").unlink()
    done = voicecore(lab, None, root, "build")
    assert done.returncode == 3
    assert "netifaces 0.11.0" in done.stderr
    assert "needed by agent" in done.stderr
    assert "--builder codebuild" in done.stderr


def test_a_secret_among_the_files(root: Path, lab: Registries) -> None:
    key = "dg-4f9a1c77e0b2d85566aa90de13c8f7b1"
    bot = root / "agent/bot.py"
    bot.write_text(f'{bot.read_text()}\nDEEPGRAM = "{key}"\n')
    done = voicecore(lab, None, root, "build")
    assert done.returncode == 3
    assert "bot.py, line" in done.stderr
    assert key not in done.stderr


def test_no_dockerfile(root: Path, lab: Registries) -> None:
    (root / "agent/Dockerfile").unlink()
    done = voicecore(lab, None, root, "build")
    assert done.returncode == 3
    assert "voicecore init ada" in done.stderr


def test_a_base_for_another_machine(root: Path, lab: Registries) -> None:
    _stand_on(root, _only_amd64(lab))
    done = voicecore(lab, None, root, "build")
    assert done.returncode == 3, done.stderr
    assert "linux/arm64" in done.stderr
    assert "linux/amd64" in done.stderr


def _stand_on(root: Path, base: str) -> None:
    file = root / "agent/Dockerfile"
    lines = [
        f"ARG BASE={base}" if n.startswith("ARG BASE=") else n
        for n in file.read_text().splitlines()
    ]
    file.write_text("\n".join(lines) + "\n")


def _only_amd64(lab: Registries) -> str:
    repository, _, tag = lab.base.partition("@")[0].partition("/")[2].rpartition(":")
    index = lab.public.manifest(repository, tag)
    digest = next(
        entry["digest"]
        for entry in index["manifests"]
        if entry["platform"]["architecture"] == "amd64"
    )
    return f"{lab.public.host}/{repository}@{digest}"


def test_a_base_that_is_not_there(root: Path, lab: Registries) -> None:
    _stand_on(root, f"{lab.public.host}/docker/library/python:4.0")
    done = voicecore(lab, None, root, "build")
    assert done.returncode != 0
    assert "python:4.0" in done.stderr


def test_a_dockerfile_that_only_docker_can_follow(root: Path, lab: Registries) -> None:
    file = root / "agent/Dockerfile"
    file.write_text(file.read_text().replace("USER 1000", "RUN useradd agent\nUSER 1000"))
    done = voicecore(lab, None, root, "build")
    assert done.returncode == 3
    assert "RUN useradd agent" in done.stderr
    assert "--builder buildx" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--push", "not a name!"], 2, "names no repository"),
        (["--push", "localhost:1/agent:latest"], 2, "tags an image by what is in it"),
        (["--builder", "codebuild"], 2, "--builder codebuild --push"),
        (["--builder", "docker"], 2, "'buildx'"),
        (["--push", "127.0.0.1:1/agent"], 1, "127.0.0.1:1"),
    ],
)
def test_arguments_that_cannot_be(
    whole: Path, lab: Registries, arguments: list[str], code: int, said: str
) -> None:
    done = voicecore(lab, None, whole, "build", *arguments)
    assert done.returncode == code, done.stderr
    assert said in done.stderr


def test_a_repository_that_is_not_there(whole: Path, lab: Registries) -> None:
    done = voicecore(lab, None, whole, "build", "--push", f"{lab.ecr.host}/nobody/made-me")
    assert done.returncode != 0
    assert "aws ecr create-repository --repository-name nobody/made-me" in done.stderr


def test_a_registry_that_says_no(whole: Path, lab: Registries) -> None:
    lab.ecr.denied.add("ecr:GetAuthorizationToken")
    done = voicecore(lab, None, whole, "build", "--push", f"{lab.ecr.host}/agent")
    assert done.returncode == 5
    assert "ecr:GetAuthorizationToken" in done.stderr


def test_an_error_is_json_for_programs(whole: Path, lab: Registries) -> None:
    done = voicecore(lab, None, whole, "build", "--json", "--builder", "codebuild")
    error = json.loads(done.stdout)["error"]
    assert error["exit_code"] == 2
    assert "--push" in error["hint"]


@pytest.mark.parametrize(
    ("docker", "sent"),
    [(True, signal.SIGINT), (False, signal.SIGINT), (False, signal.SIGTERM)],
    ids=["buildx", "direct", "direct, politely"],
)
def test_ctrl_c_leaves_nothing_behind(
    root: Path, lab: Registries, engine: Engine, docker: bool, sent: signal.Signals
) -> None:
    env = {**os.environ, **lab.env(), "XDG_CACHE_HOME": str(root.parent / "cache")}
    env |= engine.env if docker else {"DOCKER_HOST": f"unix://{root}/no-docker.sock"}
    argv = lab.argv(sys.executable, "-m", "voicecore", "build", "--no-cache")
    building = subprocess.Popen(
        argv, cwd=root, env=env, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert building.stderr
    begun = [building.stderr.readline() for _ in range(2)]  # the plan, and what is made first
    os.killpg(building.pid, sent)
    _, said = building.communicate(timeout=30)
    assert building.returncode == 130, (begun, said)
    assert "Interrupted" in said
    assert not processes_in(root)
    ours = (root.parent / "cache/voicecore").rglob("*")
    left = [path for path in ours if path.name.startswith(("work-", ".unfinished-"))]
    assert not left
    assert not engine.docker("ps", "--all", "--quiet").strip()


def test_the_newest_base_is_pinned(root: Path, lab: Registries) -> None:
    done = voicecore(lab, None, root, "upgrade-base", "--json")
    told = json.loads(done.stdout)
    assert told["changed"]
    assert f"ARG BASE={told['base']}\n" in (root / "agent/Dockerfile").read_text()
    again = voicecore(lab, None, root, "upgrade-base")
    assert "already has the newest base image" in again.stderr
