"""Images built and pushed without Docker, to a stand-in with ECR's errors."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.aws.settle.deployer import export_project
from tests.image.small_agent import PROJECT
from tests.requirements import require
from tests.standins.image.ecr import Lifetime
from tests.standins.image.proxy import Fault
from tests.standins.image.registries import Registries
from tests.standins.inspecting_proxy import inspecting_proxy


@dataclass(frozen=True)
class DirectProject:
    """A project with one small package, and the registries."""

    registries: Registries
    root: Path

    def start(
        self, *arguments: str, repository: str = "agent", **more: str
    ) -> subprocess.Popen[str]:
        env = {
            **os.environ,
            **self.registries.env(),
            "XDG_CACHE_HOME": str(self.root.parent / "cache"),
            **more,
        }
        env["DOCKER_CONFIG"] = str(self.root.parent / "no-docker")
        # From outside the project, with a relative path.
        project = ["--project", self.root.name]
        build = ["build", *project, "--builder", "direct", "--json", *arguments]
        push = ["--push", f"{self.registries.ecr.host}/{repository}"]
        argv = self.registries.argv(sys.executable, "-m", "voicecore", *build, *push)
        pipe = subprocess.PIPE
        folder = self.root.parent
        return subprocess.Popen(argv, cwd=folder, env=env, stdout=pipe, stderr=pipe, text=True)

    def build(self, *arguments: str, repository: str = "agent") -> dict[str, Any]:
        with self.start(*arguments, repository=repository) as process:
            out, err = process.communicate()
        assert process.returncode == 0, err + out
        return json.loads(out)

    def fails(self, *arguments: str, repository: str = "agent") -> dict[str, Any]:
        """Run a build that must fail, and return its error."""
        with self.start(*arguments, repository=repository) as process:
            out, err = process.communicate()
        assert process.returncode not in (0, None), err + out
        error = json.loads(out.splitlines()[-1])["error"]
        assert error["exit_code"] == process.returncode, error
        return error

    def edit(self) -> None:
        bot = self.root / "agent" / "bot.py"
        bot.write_text(f"{bot.read_text()}# {time.time_ns()}\n")

    def sent(self) -> dict[str, int]:
        return self.registries.proxy.log.blobs()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    require("Python 3.13")
    folder = tmp_path_factory.mktemp("direct")
    init = [sys.executable, "-m", "voicecore", "init", "ada", "--yes", "--region", "us-east-1"]
    subprocess.run(init, cwd=folder, check=True, capture_output=True)
    (folder / "ada/agent/pyproject.toml").write_text(PROJECT)
    (folder / "ada/agent/uv.lock").unlink(missing_ok=True)
    return folder / "ada"


@pytest.fixture
def project(registries: Registries, root: Path) -> DirectProject:
    registries.ecr.repositories |= {"agent", "elsewhere"}
    project = DirectProject(registries, root)
    project.edit()
    return project


def test_edit_pushes_only_code_layer_and_config(project: DirectProject) -> None:
    first = project.build(repository="agent")
    project.registries.proxy.log.clear()
    logins = len(project.registries.ecr.tokens)
    project.edit()
    second = project.build(repository="agent")
    assert len(project.registries.ecr.tokens) == logins + 1  # one login for the lookup and the push
    assert first["tag"] != second["tag"]
    code = second["layers"][-1]
    manifest = project.registries.private.manifest("agent", second["tag"])
    assert project.sent() == {
        code["digest"]: code["size"],
        manifest["config"]["digest"]: manifest["config"]["size"],
    }


def test_existing_image_is_neither_built_nor_pushed(project: DirectProject) -> None:
    first = project.build()
    project.registries.proxy.log.clear()
    second = project.build()
    assert second["digest"] == first["digest"]
    assert not project.sent()


def test_push_renews_token_that_expires(project: DirectProject) -> None:
    project.registries.ecr.repositories.add("late")
    project.registries.ecr.lifetimes += [Lifetime(bytes=5_000_000), Lifetime(requests=4)]
    report = project.build(repository="late")
    refused = [
        request for request in project.registries.proxy.log.requests if request.status == 403
    ]
    assert refused
    assert project.registries.private.digest("late", report["tag"]) == report["digest"]
    # Blobs that arrived before were not sent again.
    assert project.sent() == {layer["digest"]: layer["size"] for layer in report["layers"]} | {
        digest: size for digest, size in project.sent().items() if size < 10_000
    }


def test_push_retries_after_lost_connection(project: DirectProject) -> None:
    project.registries.ecr.repositories.add("broken")
    project.registries.proxy.faults.append(
        Fault("PUT", "/blobs/uploads/", times=2, reset_after=1_000_000)
    )
    report = project.build(repository="broken")
    assert project.registries.private.digest("broken", report["tag"]) == report["digest"]
    sizes = {layer["digest"]: layer["size"] for layer in report["layers"]}
    assert sizes.items() <= project.sent().items()
    whole = sum(project.sent().values())
    assert whole < project.registries.proxy.log.bytes <= whole + 2 * 1_000_000 + 100_000


def test_base_download_retries_after_lost_connection(project: DirectProject) -> None:
    project.registries.ecr.repositories.add("resumed")
    project.registries.proxy.faults.append(Fault("GET", "/blobs/", times=2, status=503))
    report = project.build(repository="resumed")
    assert project.registries.private.digest("resumed", report["tag"]) == report["digest"]


def test_build_reports_unreachable_registry(project: DirectProject) -> None:
    with project.registries.proxy.unreachable():
        error = project.fails()
    assert "Could not connect to the registry" in error["message"]


def test_missing_repository_is_reported_before_build(project: DirectProject) -> None:
    error = project.fails(repository="missing")
    assert "has no repository missing" in error["message"]
    assert "aws ecr create-repository --repository-name missing" in error["hint"]
    assert error["exit_code"] == 5
    assert not project.registries.proxy.log.find("POST", "/blobs/")


@pytest.mark.parametrize(
    "action", ["ecr:GetAuthorizationToken", "ecr:InitiateLayerUpload", "ecr:PutImage"]
)
def test_denial_names_iam_action(project: DirectProject, action: str) -> None:
    project.registries.ecr.denied.add(action)
    error = project.fails()
    assert action in f"{error}"
    assert error["exit_code"] == 5


def test_push_works_without_permission_to_look_up_layers(project: DirectProject) -> None:
    project.registries.ecr.denied.add("ecr:BatchCheckLayerAvailability")
    report = project.build()
    assert project.registries.private.digest("agent", report["tag"]) == report["digest"]


def test_ctrl_c_ends_push_and_next_push_succeeds(project: DirectProject) -> None:
    project.registries.ecr.repositories.add("slow")
    project.registries.proxy.faults.append(
        Fault("PUT", "/blobs/", times=99, bytes_per_second=500_000)
    )
    with project.start(repository="slow") as process:
        while not project.registries.proxy.log.find("PUT", "/blobs/"):
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 130, out
    project.registries.proxy.faults.clear()
    report = project.build(repository="slow")
    assert project.registries.private.digest("slow", report["tag"]) == report["digest"]
    store = project.root.parent / "cache"
    assert not [
        path for path in store.rglob("*") if "unfinished" in path.name or "work-" in path.name
    ]


def test_push_accepts_same_immutable_tag_from_another_build(
    project: DirectProject,
) -> None:
    first = project.build(repository="elsewhere")
    project.registries.ecr.immutable = True
    project.registries.proxy.log.clear()
    project.registries.proxy.faults.append(Fault("PUT", "/manifests/", times=1, status=503))
    with project.start() as process:
        while not project.registries.proxy.log.find("PUT", "/manifests/"):
            time.sleep(0.01)
        project.registries.private.put_manifest("agent", first["tag"], "elsewhere")
        out, err = process.communicate()
    assert process.returncode == 0, err + out
    assert json.loads(out)["digest"] == first["digest"]
    assert [
        request.status for request in project.registries.proxy.log.find("PUT", "/manifests/")
    ] == [
        503,
        400,
    ]


def test_image_of_the_probes_for_an_account_is_built(
    registries: Registries, tmp_path: Path
) -> None:
    root = export_project(tmp_path, "settle-x", "us-east-1")
    assert DirectProject(registries, root).build()["digest"].startswith("sha256:")


def test_build_and_push_through_a_proxy_that_inspects_tls(
    project: DirectProject, tmp_path: Path
) -> None:
    stand_ins = [*project.registries.proxy.hosts, "api.ecr.us-east-1.amazonaws.com"]
    real = {host: f"https://{host}" for host in ("pypi.org", "files.pythonhosted.org")}
    routes = dict.fromkeys(stand_ins, project.registries.proxy.endpoint) | real
    names = {"AWS_ENDPOINT_URL_ECR": "", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    with inspecting_proxy(tmp_path, routes) as proxy:
        env = proxy.environment("SSL_CERT_FILE") | names
        with project.start(**env) as process:
            out, err = process.communicate()
        assert process.returncode == 0, err + out
    assert {*stand_ins[:1], "public.ecr.aws", "pypi.org"} <= set(proxy.hosts)
