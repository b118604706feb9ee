"""`voicecore build` and `upgrade-base` with a registry in memory, and without Docker."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.conftest import Result, Voicecore
from tests.standins.background import in_background
from tests.standins.image.in_process_registry import FakeRegistry
from tests.unit.image.sample_project import PYTHON, make_base, uv_env
from voicecore.console.errors import ExitCode
from voicecore.image.docker.smoke_test import SmokeTestResult
from voicecore.image.model import BaseImage, BuiltImage, Layer, Package
from voicecore.image.report import BuildReport, document, lines

PROJECT = f"""\
[project]
name = "an-agent"
version = "0.1.0"
requires-python = ">={PYTHON}"

[tool.uv]
package = false
"""


@dataclass(frozen=True)
class Line:
    """A project without packages, and the registry of its base."""

    root: Path
    registry: FakeRegistry
    voicecore: Callable[..., Result]

    def run(self, *arguments: str, code: int = ExitCode.OK) -> Result:
        env = {**uv_env(), "XDG_CACHE_HOME": str(self.root.parent / "cache")}
        result = self.voicecore(*arguments, cwd=self.root, env=env)
        assert result.code == code, result.stderr + result.stdout
        return result

    @property
    def base(self) -> str:
        """Return the base that the Dockerfile names."""
        return self.dockerfile.read_text().partition("ARG BASE=")[2].splitlines()[0]

    @property
    def dockerfile(self) -> Path:
        return self.root / "agent/Dockerfile"


@pytest.fixture
def line(voicecore: Voicecore, tmp_path: Path) -> Iterator[Line]:
    assert voicecore("init", "line", "--pipeline", "nova-sonic", "--yes").code == ExitCode.OK
    agent = tmp_path / "line/agent"
    (agent / "pyproject.toml").write_text(PROJECT)
    (agent / "uv.lock").unlink(missing_ok=True)
    with in_background(FakeRegistry().serving()) as registry:
        make_base(registry, "python", f"{PYTHON}.0")
        line = Line(tmp_path / "line", registry, voicecore)
        text = line.dockerfile.read_text()
        line.dockerfile.write_text(text.replace(line.base, f"{registry.host}/python:3.13"))
        yield line


@pytest.mark.slow
def test_image_is_planned_built_stored_pushed_and_found_again(line: Line) -> None:
    repository = f"{line.registry.host}/agent"
    build = ("build", "--builder", "direct", "--push", repository)
    planned = line.run(*build, "--dry-run", "--json").json
    assert (planned["builder"], planned["already_there"]) == ("direct", False)
    assert planned["image"].startswith(f"{repository}:")
    assert f"{planned['image']} would be built by direct" in line.run(*build, "--dry-run").stderr
    assert "@sha256:" not in line.base

    stored = line.run("build", "--builder", "direct", "--json").json
    assert (stored["builder"], stored["pushed"], stored["digest"]) == ("direct", False, "")
    assert Path(stored["reference"]).is_dir()
    assert stored["unpacked_bytes"] == sum(layer["unpacked"] for layer in stored["layers"])
    again = line.run("build", "--builder", "direct")
    assert "Nothing to do: the image already exists." in again.stderr
    assert "  total " not in again.stderr
    assert "push it:  voicecore build --push REPOSITORY" in again.stderr

    built = line.run(*build, "--sbom", "sbom.json")
    assert f"Pushed {planned['image']} in " in built.stderr
    assert "SBOM: sbom.json" in built.stderr
    assert "\n  base " in built.stderr and "\n  total " in built.stderr
    assert json.loads((line.root / "sbom.json").read_text())["bomFormat"] == "CycloneDX"
    assert "@sha256:" in line.base

    again = line.run(*build, "--json").json
    assert (again["already_there"], again["builder"]) == (True, None)
    assert again["reference"] == planned["image"]
    assert f"agent/{again['digest']}" in line.registry.manifests
    assert "Nothing to do: the image already exists." in line.run(*build).stderr
    assert "already exists" in line.run(*build, "--dry-run").stderr


def test_code_is_checked_for_what_a_snapshot_must_not_contain(line: Line) -> None:
    assert line.run("build", "--check-code", "--json").json == {"findings": []}
    assert "✓ agent/bot.py keeps nothing" in line.run("build", "--check-code").stderr
    bot = line.root / "agent/bot.py"
    bot.write_text(f"{bot.read_text()}\nimport random\nDICE = random.random()\n")
    found = line.run("build", "--check-code", "--json", code=ExitCode.BAD_PROJECT).json
    assert [finding["file"] for finding in found["findings"]] == ["agent/bot.py"]
    assert "random" in line.run("build", "--check-code", code=ExitCode.BAD_PROJECT).stderr


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--builder", "codebuild"], "CodeBuild pushes what it builds"),
        (["--builder", "codebuild", "--push", "a.test/b", "--check"], "cannot be run and checked"),
        (["--push", "a.test/b:tag"], "voicecore tags an image by its fingerprint"),
    ],
)
def test_build_refuses_options_that_contradict_each_other(
    line: Line, flags: list[str], message: str
) -> None:
    assert message in line.run("build", *flags, code=ExitCode.USAGE).stderr


def test_base_is_pinned_to_its_newest_build(line: Line) -> None:
    before = line.dockerfile.read_text()
    assert "would use this base image" in line.run("upgrade-base", "--dry-run").stderr
    assert line.dockerfile.read_text() == before
    upgraded = line.run("upgrade-base", "--json").json
    assert upgraded == {**upgraded, "changed": True, "base": line.base}
    assert "already has the newest base image, built on 2026-10-01" in (
        line.run("upgrade-base").stderr
    )
    make_base(line.registry, "other", f"{PYTHON}.1")
    other = line.run("upgrade-base", f"{line.registry.host}/other:3.13")
    assert "agent/Dockerfile now uses this base image" in other.stderr
    assert line.base.startswith(f"{line.registry.host}/other:3.13@sha256:")


IMAGE = BuiltImage(
    "tag",
    "sha256:" + "1" * 64,
    {},
    (Layer("base", "a", 40_000_000, "b", 20_000_000), Layer("code", "c", 2_000_000, "d", 100_000)),
    tuple(Package(f"package-{number}", "1.0", 1_000_000) for number in range(12)),
)
RESULT = SmokeTestResult(0.42, 1.3, 128.4, {}, "amd64", True, 60.0)


def test_report_has_layers_largest_packages_and_smoke_test() -> None:
    base = BaseImage("python:3.13", "sha256:" + "2" * 64, {}, {})
    report = BuildReport(
        "line", "tag", "buildx", 2.5, base, 3, IMAGE, "line:tag", False, "", RESULT
    )
    text = "\n".join("".join(span.text for span in row).rstrip() for row in lines(report))
    assert "  base                             20.0 MB     40.0 MB" in text
    assert "  total                            20.1 MB     42.0 MB" in text
    assert "package-9 1.0" in text and "package-10" not in text
    assert "2 others                                      2.0 MB" in text
    assert "answered /ping after 0.4 s of AgentCore's 60 s, emulated on amd64" in text
    assert "pipeline warm after 1.3 s, 128 MB" in text
    written = document(report)
    assert (written["compressed_bytes"], written["unpacked_bytes"]) == (20_100_000, 42_000_000)
    assert written["check"]["ping_seconds"] == 0.42
    assert (written["base"]["days"], written["platform"]) == (3, "linux/arm64")


def test_report_of_an_adopted_agent_has_what_aws_does_not_document() -> None:
    base = BaseImage("python:3.13", "sha256:" + "2" * 64, {}, {})
    result = replace(RESULT, ready_seconds=None, warnings=("/ping answers ok",))
    report = BuildReport(
        "line", "tag", "buildx", 2.5, base, 3, IMAGE, "line:tag", False, "", result
    )
    text = "\n".join("".join(span.text for span in row).rstrip() for row in lines(report))
    assert "pipeline warm" not in text
    assert text.endswith("! /ping answers ok")
    assert document(report)["check"]["warnings"] == ("/ping answers ok",)
