"""Images with what only this machine can get: packages of a company, and linked files."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.image.projects import build_report, make_project, run_voicecore
from tests.image.pulled_image import pull
from tests.standins.image.dockerd import DockerDaemon
from tests.standins.image.registries import Registries
from tests.standins.package_index import package_index
from tests.unit.image.sample_project import make_wheel
from voicecore.aws.login import AwsLogin
from voicecore.console.context import Context
from voicecore.console.output import Output
from voicecore.image.docker.endpoint import DaemonDown
from voicecore.image.part_image import PartImage, PartImages
from voicecore.image.plan import CannotBuild
from voicecore.project.project import load_project

LOGIN = ("ada", "s3cret-of-the-index")
MARK = "\N{BYTE ORDER MARK}"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project whose only package is on an index with a login, and whose files are of Windows."""
    root = make_project(tmp_path_factory.mktemp("own"), "--pipeline", "nova-sonic")
    wheels = root.parent / "wheels"
    wheels.mkdir()
    make_wheel(wheels, "shared")
    (root / "common").mkdir()
    (root / "common/prompts.py").write_text("PROMPT = 'Be short.'\n")
    (root / "agent/prompts.py").symlink_to("../common/prompts.py")
    with package_index(wheels, LOGIN) as url:
        _require_from(root, url)
        yield root


def _require_from(root: Path, url: str) -> None:
    settings = root / "agent/pyproject.toml"
    pattern = re.compile(r"^dependencies = \[.*?^\]", re.MULTILINE | re.DOTALL)
    text = pattern.sub('dependencies = ["shared"]', settings.read_text(), count=1)
    settings.write_text(
        f'{MARK}{text}\n[[tool.uv.index]]\nname = "corp"\nurl = "{url}"\nexplicit = true\n'
        '[tool.uv.sources]\nshared = { index = "corp" }\n'
    )
    file = root / "agent/Dockerfile"
    file.write_bytes((MARK + file.read_text()).replace("\n", "\r\n").encode())


def test_both_builders_make_the_same_image(
    root: Path, registries: Registries, daemon: DockerDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_INDEX_CORP_USERNAME", LOGIN[0])
    monkeypatch.setenv("UV_INDEX_CORP_PASSWORD", LOGIN[1])
    reports = {
        builder: build_report(
            registries, daemon, root, "--builder", builder,
            "--push", f"{registries.ecr.host}/own/{builder}",
        )
        for builder in ("direct", "buildx")
        if not registries.ecr.repositories.add(f"own/{builder}")
    }  # fmt: skip
    assert len({report["tag"] for report in reports.values()}) == 1
    images = [pull(registries.private, f"own/{name}", reports[name]["tag"]) for name in reports]
    for image in images:
        assert image.files["opt/packages/shared.py"].kind == "0"
        assert image.files["app/prompts.py"].kind == "0"
        assert not [name for name in image.files if name.startswith("app/internal/packages")]
        assert not any(LOGIN[1].encode() in layer for layer in image.layers)
    contents = [{name: file.content for name, file in image.files.items()} for image in images]
    differing = {name for name in contents[0] if contents[0][name] != contents[1].get(name)}
    assert not [name for name in differing if not name.endswith((".pyc", "PACKAGES.json"))]
    text = (root / "agent/Dockerfile").read_bytes()
    assert b"@sha256:" in text and text.count(b"\r\n") == text.count(b"\n")


def test_deploy_plans_for_the_chosen_builder(
    root: Path, registries: Registries, tmp_path: Path
) -> None:
    project = load_project(shutil.copytree(root, tmp_path / "ada", symlinks=True))
    file = project.agent / "Dockerfile"
    file.write_bytes(
        re.sub(rb"ARG BASE=\S+", f"ARG BASE={registries.base}".encode(), file.read_bytes())
    )
    env = {**os.environ, "XDG_CACHE_HOME": str(root.parent / "cache")}
    env["DOCKER_HOST"] = f"unix://{tmp_path}/no-docker.sock"
    context = Context(tmp_path, env, Output(io.StringIO(), io.StringIO()), interactive=False)

    def plan(builder: str | None) -> PartImage:
        return PartImages(context, AwsLogin(None, False), builder).plan(project, "", "agent")

    assert plan(None).note == plan("direct").note == ""
    assert plan("codebuild").note.startswith("--builder codebuild: AWS CodeBuild builds the image")
    with pytest.raises(DaemonDown):
        plan("buildx")
    file.write_bytes(file.read_bytes().replace(b"USER 1000", b"RUN make\r\nUSER 1000"))
    with pytest.raises(CannotBuild, match="The Docker daemon does not answer") as refused:
        plan(None)
    assert "--builder codebuild" in (refused.value.hint or "")


def test_next_build_needs_no_login(root: Path, registries: Registries) -> None:
    done = run_voicecore(registries, None, root, "build", "--dry-run", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["files"] > 10
