"""Images that are built and pushed without Docker, to an ECR that says no as ECR does."""

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

from tests.image.agents import PROJECT
from tests.standins.image.ecr import Lifetime
from tests.standins.image.gate import Fault
from tests.standins.image.lab import Registries


@dataclass(frozen=True)
class World:
    """A project with one small package, and the registries."""

    lab: Registries
    root: Path

    def start(self, *arguments: str, repository: str = "agent") -> subprocess.Popen[str]:
        env = {**os.environ, **self.lab.env(), "XDG_CACHE_HOME": str(self.root.parent / "cache")}
        env["DOCKER_CONFIG"] = str(self.root.parent / "no-docker")
        # From outside the project, by a path that only holds there.
        where = ["--project", self.root.name]
        build = ["build", *where, "--builder", "direct", "--json", *arguments]
        push = ["--push", f"{self.lab.ecr.host}/{repository}"]
        argv = self.lab.argv(sys.executable, "-m", "voicecore", *build, *push)
        pipe = subprocess.PIPE
        folder = self.root.parent
        return subprocess.Popen(argv, cwd=folder, env=env, stdout=pipe, stderr=pipe, text=True)

    def build(self, *arguments: str, repository: str = "agent") -> dict[str, Any]:
        with self.start(*arguments, repository=repository) as process:
            out, err = process.communicate()
        assert process.returncode == 0, err + out
        return json.loads(out)

    def fails(self, *arguments: str, repository: str = "agent") -> dict[str, Any]:
        """What a build that must fail says, once its exit code is what it says."""
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
        return self.lab.gate.journal.blobs()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("direct")
    init = [sys.executable, "-m", "voicecore", "init", "ada", "--yes", "--region", "us-east-1"]
    subprocess.run(init, cwd=folder, check=True, capture_output=True)
    (folder / "ada/agent/pyproject.toml").write_text(PROJECT)
    (folder / "ada/agent/uv.lock").unlink(missing_ok=True)
    return folder / "ada"


@pytest.fixture
def world(lab: Registries, root: Path) -> World:
    lab.ecr.repositories |= {"agent", "elsewhere"}
    made = World(lab, root)
    made.edit()
    return made


def test_an_edit_sends_its_own_layer_and_the_config(world: World) -> None:
    first = world.build(repository="agent")
    world.lab.gate.journal.clear()
    logins = len(world.lab.ecr.tokens)
    world.edit()
    second = world.build(repository="agent")
    assert len(world.lab.ecr.tokens) == logins + 1  # for the look and for the push
    assert first["tag"] != second["tag"]
    code = second["layers"][-1]
    manifest = world.lab.private.manifest("agent", second["tag"])
    assert world.sent() == {
        code["digest"]: code["size"],
        manifest["config"]["digest"]: manifest["config"]["size"],
    }


def test_what_is_there_is_neither_built_nor_sent(world: World) -> None:
    first = world.build()
    world.lab.gate.journal.clear()
    second = world.build()
    assert second["digest"] == first["digest"]
    assert not world.sent()


def test_a_token_that_expires_mid_push_is_renewed(world: World) -> None:
    world.lab.ecr.repositories.add("late")
    world.lab.ecr.lifetimes += [Lifetime(bytes=5_000_000), Lifetime(requests=4)]
    report = world.build(repository="late")
    refused = [asked for asked in world.lab.gate.journal.asked if asked.status == 403]
    assert refused
    assert world.lab.private.digest("late", report["tag"]) == report["digest"]
    # What had arrived before was not sent again.
    assert world.sent() == {layer["digest"]: layer["size"] for layer in report["layers"]} | {
        digest: size for digest, size in world.sent().items() if size < 10_000
    }


def test_a_line_that_breaks_is_taken_up_again(world: World) -> None:
    world.lab.ecr.repositories.add("broken")
    world.lab.gate.faults.append(Fault("PUT", "/blobs/uploads/", times=2, reset_after=1_000_000))
    report = world.build(repository="broken")
    assert world.lab.private.digest("broken", report["tag"]) == report["digest"]
    sizes = {layer["digest"]: layer["size"] for layer in report["layers"]}
    assert sizes.items() <= world.sent().items()
    whole = sum(world.sent().values())
    assert whole < world.lab.gate.journal.bytes <= whole + 2 * 1_000_000 + 100_000


def test_a_download_of_the_base_that_breaks_goes_on(world: World) -> None:
    world.lab.ecr.repositories.add("resumed")
    world.lab.gate.faults.append(Fault("GET", "/blobs/", times=2, status=503))
    report = world.build(repository="resumed")
    assert world.lab.private.digest("resumed", report["tag"]) == report["digest"]


def test_nobody_answers(world: World) -> None:
    with world.lab.gate.unreachable():
        error = world.fails()
    assert "cannot be reached" in error["message"]


def test_a_repository_that_is_not_there_is_told_before_anything_is_built(world: World) -> None:
    error = world.fails(repository="nobodys")
    assert "has no repository nobodys" in error["message"]
    assert "aws ecr create-repository --repository-name nobodys" in error["hint"]
    assert error["exit_code"] == 5
    assert not world.lab.gate.journal.find("POST", "/blobs/")


@pytest.mark.parametrize(
    "action", ["ecr:GetAuthorizationToken", "ecr:InitiateLayerUpload", "ecr:PutImage"]
)
def test_what_iam_denies_is_told_by_the_action(world: World, action: str) -> None:
    world.lab.ecr.denied.add(action)
    error = world.fails()
    assert action in f"{error}"
    assert error["exit_code"] == 5


def test_who_may_not_ask_what_is_there_may_push(world: World) -> None:
    world.lab.ecr.denied.add("ecr:BatchCheckLayerAvailability")
    report = world.build()
    assert world.lab.private.digest("agent", report["tag"]) == report["digest"]


def test_ctrl_c_ends_a_push_and_the_next_one_goes_on(world: World) -> None:
    world.lab.ecr.repositories.add("slow")
    world.lab.gate.faults.append(Fault("PUT", "/blobs/", times=99, bytes_per_second=500_000))
    with world.start(repository="slow") as process:
        while not world.lab.gate.journal.find("PUT", "/blobs/"):
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=20)
    assert process.returncode == 130, out
    world.lab.gate.faults.clear()
    report = world.build(repository="slow")
    assert world.lab.private.digest("slow", report["tag"]) == report["digest"]
    store = world.root.parent / "cache"
    assert not [
        path for path in store.rglob("*") if "unfinished" in path.name or "work-" in path.name
    ]


def test_what_another_run_has_pushed_meanwhile_is_found_where_tags_do_not_move(
    world: World,
) -> None:
    made = world.build(repository="elsewhere")
    world.lab.ecr.immutable = True
    world.lab.gate.journal.clear()
    world.lab.gate.faults.append(Fault("PUT", "/manifests/", times=1, status=503))
    with world.start() as process:
        while not world.lab.gate.journal.find("PUT", "/manifests/"):
            time.sleep(0.01)
        world.lab.private.put_manifest("agent", made["tag"], "elsewhere")
        out, err = process.communicate()
    assert process.returncode == 0, err + out
    assert json.loads(out)["digest"] == made["digest"]
    assert [asked.status for asked in world.lab.gate.journal.find("PUT", "/manifests/")] == [
        503,
        400,
    ]
