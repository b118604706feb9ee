"""Errors of `voicecore build`, which are reported before anything is built."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.image.projects import make_project, run_voicecore
from tests.processes import processes_in
from tests.standins.image.dockerd import DockerDaemon
from tests.standins.image.registries import Registries


@pytest.fixture(scope="module")
def whole(all_registries: Registries, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a lockfile and a known base, planned once."""
    root = make_project(tmp_path_factory.mktemp("whole"), "--pipeline", "nova-sonic")
    done = run_voicecore(all_registries, None, root, "build", "--dry-run")
    assert done.returncode == 0, done.stderr
    return root


@pytest.fixture
def root(whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole.parent / "cache", tmp_path / "cache")
    return shutil.copytree(whole, tmp_path / "ada")


def test_dry_run_changes_nothing(whole: Path, registries: Registries) -> None:
    before = (whole / "agent/Dockerfile").read_text()
    done = run_voicecore(registries, None, whole, "build", "--dry-run", "--json")
    facts = json.loads(done.stdout)
    assert facts["builder"] == "direct"
    assert facts["base"].startswith(registries.official + "@sha256:")
    assert (whole / "agent/Dockerfile").read_text() == before


def test_buildx_without_docker_suggests_direct(root: Path, registries: Registries) -> None:
    done = run_voicecore(registries, None, root, "build", "--builder", "buildx")
    assert done.returncode == 4
    assert "--builder direct" in done.stderr


def test_check_requires_docker(root: Path, registries: Registries) -> None:
    done = run_voicecore(registries, None, root, "build", "--check")
    assert done.returncode == 4
    assert "Docker" in done.stderr
    assert "voicecore build" in done.stderr


def test_build_refuses_outdated_lockfile(root: Path, registries: Registries) -> None:
    settings = root / "agent/pyproject.toml"
    settings.write_text(settings.read_text().replace('"boto3>=1.43"', '"boto3>=1.43", "six"'))
    done = run_voicecore(registries, None, root, "build")
    assert done.returncode == 3
    assert "out of date" in done.stderr
    assert "uv lock --project agent" in done.stderr


def test_build_refuses_package_without_arm64_wheel(root: Path, registries: Registries) -> None:
    settings = root / "agent/pyproject.toml"
    # netifaces 0.11 has wheels only for x86_64; it is unmaintained.
    settings.write_text(
        settings.read_text().replace('"boto3>=1.43"', '"boto3>=1.43", "netifaces==0.11.0"')
    )
    (root / "agent/uv.lock").unlink()
    done = run_voicecore(registries, None, root, "build")
    assert done.returncode == 3
    assert "netifaces 0.11.0" in done.stderr
    assert "required by agent" in done.stderr
    assert "--builder codebuild" in done.stderr


def test_build_refuses_secret_in_files(root: Path, registries: Registries) -> None:
    key = "dg-4f9a1c77e0b2d85566aa90de13c8f7b1"
    bot = root / "agent/bot.py"
    bot.write_text(f'{bot.read_text()}\nDEEPGRAM = "{key}"\n')
    done = run_voicecore(registries, None, root, "build")
    assert done.returncode == 3
    assert "bot.py, line" in done.stderr
    assert key not in done.stderr


def test_build_reports_missing_dockerfile(root: Path, registries: Registries) -> None:
    (root / "agent/Dockerfile").unlink()
    done = run_voicecore(registries, None, root, "build")
    assert done.returncode == 3
    assert f"voicecore update -p {root} --restore agent/Dockerfile" in done.stderr


def test_build_refuses_amd64_base(root: Path, registries: Registries) -> None:
    _set_base(root, _only_amd64(registries))
    done = run_voicecore(registries, None, root, "build")
    assert done.returncode == 3, done.stderr
    assert "linux/arm64" in done.stderr
    assert "linux/amd64" in done.stderr


def _set_base(root: Path, base: str) -> None:
    file = root / "agent/Dockerfile"
    lines = [
        f"ARG BASE={base}" if n.startswith("ARG BASE=") else n
        for n in file.read_text().splitlines()
    ]
    file.write_text("\n".join(lines) + "\n")


def _only_amd64(registries: Registries) -> str:
    repository, _, tag = registries.base.partition("@")[0].partition("/")[2].rpartition(":")
    index = registries.public.manifest(repository, tag)
    digest = next(
        entry["digest"]
        for entry in index["manifests"]
        if entry["platform"]["architecture"] == "amd64"
    )
    return f"{registries.public.host}/{repository}@{digest}"


def test_build_reports_missing_base(root: Path, registries: Registries) -> None:
    _set_base(root, f"{registries.public.host}/docker/library/python:4.0")
    done = run_voicecore(registries, None, root, "build")
    assert done.returncode != 0
    assert "python:4.0" in done.stderr


def test_direct_build_refuses_dockerfile_that_needs_docker(
    root: Path, registries: Registries
) -> None:
    file = root / "agent/Dockerfile"
    file.write_text(file.read_text().replace("USER 1000", "RUN useradd agent\nUSER 1000"))
    done = run_voicecore(registries, None, root, "build")
    assert done.returncode == 3
    assert "RUN useradd agent" in done.stderr
    assert "The Docker daemon does not answer" in done.stderr
    assert "--builder codebuild" in done.stderr


def _fifo(agent: Path) -> None:
    os.mkfifo(agent / "pipe")


def _append(name: str, line: str) -> Callable[[Path], object]:
    def change(agent: Path) -> None:
        with (agent / name).open("a") as file:
            file.write(f"{line}\n")

    return change


HOSTILE: dict[str, tuple[Callable[[Path], object], str]] = {
    "pipe": (_fifo, "agent/pipe is not a file"),
    "name": (lambda agent: (agent / os.fsdecode(b"caf\xe9")).touch(), "not UTF-8"),
    "link": (lambda agent: (agent / "home").symlink_to("/root"), "agent/home is a link"),
    "ignore": (_append(".dockerignore", "[z-a]"), "[z-a] is not a range"),
    "quote": (_append("Dockerfile", 'ENV A="b'), "no closing quotation"),
    "list": (_append("Dockerfile", 'CMD ["a",'), "not a JSON list"),
    "copy": (_append("Dockerfile", "COPY --from=code /image/app/../.. /x"), "copies / from"),
    "prune": (lambda agent: (agent / "internal/prune.py").unlink(), "has no internal/prune.py"),
}


@pytest.mark.parametrize(("change", "message"), HOSTILE.values(), ids=HOSTILE)
def test_dry_run_refuses_what_build_refuses(
    root: Path, registries: Registries, change: Callable[[Path], object], message: str
) -> None:
    change(root / "agent")
    for options in (["--dry-run"], []):
        done = run_voicecore(registries, None, root, "build", *options)
        assert done.returncode == 3, done.stderr
        assert message in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--push", "not a name!"], 2, "is not a valid repository name"),
        (["--push", "localhost:1/agent:latest"], 2, "tags an image by its fingerprint"),
        (["--builder", "codebuild"], 2, "--builder codebuild --push"),
        (["--builder", "docker"], 2, "'buildx'"),
        (["--push", "127.0.0.1:1/agent"], 1, "127.0.0.1:1"),
    ],
)
def test_build_refuses_invalid_arguments(
    whole: Path, registries: Registries, arguments: list[str], code: int, message: str
) -> None:
    done = run_voicecore(registries, None, whole, "build", *arguments)
    assert done.returncode == code, done.stderr
    assert message in done.stderr


def test_build_reports_missing_repository(whole: Path, registries: Registries) -> None:
    done = run_voicecore(
        registries, None, whole, "build", "--push", f"{registries.ecr.host}/does/not-exist"
    )
    assert done.returncode != 0
    assert "aws ecr create-repository --repository-name does/not-exist" in done.stderr


def test_build_names_denied_iam_action(whole: Path, registries: Registries) -> None:
    registries.ecr.denied.add("ecr:GetAuthorizationToken")
    done = run_voicecore(registries, None, whole, "build", "--push", f"{registries.ecr.host}/agent")
    assert done.returncode == 5
    assert "ecr:GetAuthorizationToken" in done.stderr


def test_error_is_json_with_json_option(whole: Path, registries: Registries) -> None:
    done = run_voicecore(registries, None, whole, "build", "--json", "--builder", "codebuild")
    error = json.loads(done.stdout)["error"]
    assert error["exit_code"] == 2
    assert "--push" in error["hint"]


@pytest.mark.parametrize(
    ("docker", "sent_signal"),
    [(True, signal.SIGINT), (False, signal.SIGINT), (False, signal.SIGTERM)],
    ids=["buildx", "direct", "direct, SIGTERM"],
)
def test_interrupt_leaves_nothing_behind(
    root: Path,
    registries: Registries,
    daemon: DockerDaemon,
    docker: bool,
    sent_signal: signal.Signals,
) -> None:
    env = {**os.environ, **registries.env(), "XDG_CACHE_HOME": str(root.parent / "cache")}
    env |= daemon.env if docker else {"DOCKER_HOST": f"unix://{root}/no-docker.sock"}
    argv = registries.argv(sys.executable, "-m", "voicecore", "build", "--no-cache")
    building = subprocess.Popen(
        argv, cwd=root, env=env, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert building.stderr
    started = [building.stderr.readline() for _ in range(2)]  # the plan and the first step
    os.killpg(building.pid, sent_signal)
    _, rest = building.communicate(timeout=30)
    assert building.returncode == 130, (started, rest)
    assert "Interrupted" in rest
    assert not processes_in(root)
    cached = (root.parent / "cache/voicecore").rglob("*")
    left = [path for path in cached if path.name.startswith(("work-", ".unfinished-"))]
    assert not left
    assert not daemon.docker("ps", "--all", "--quiet").strip()


def test_upgrade_base_pins_newest_base(root: Path, registries: Registries) -> None:
    done = run_voicecore(registries, None, root, "upgrade-base", "--json")
    report = json.loads(done.stdout)
    assert report["changed"]
    assert f"ARG BASE={report['base']}\n" in (root / "agent/Dockerfile").read_text()
    again = run_voicecore(registries, None, root, "upgrade-base")
    assert "already has the newest base image" in again.stderr
