"""A project from `voicecore init` to `voicecore destroy`, through the command line.

Images are built and pushed to a registry by both builders. Calls pass through the project's session
server, on this machine and as a Lambda function, to a local AgentCore Runtime. Only AWS and its
model are stand-ins.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest
import uv

from tests.cloud.test_deploy import changes
from tests.ports import free_port
from tests.standins.aws import Aws, aws_standin
from tests.standins.aws.server_python import make_python, start
from tests.standins.aws.services.ecr import Registry
from tests.standins.background import in_background
from tests.standins.image.codebuild import CodeBuild
from tests.standins.image.codebuild_builds import BuildScript
from tests.standins.image.codebuild_server import codebuild
from tests.standins.image.dockerd import DockerDaemon
from tests.standins.image.fixtures import all_registries, daemon, registries
from tests.standins.image.registries import Registries
from tests.standins.image.registry import Registry as PushedTo
from tests.standins.models.lab import serve
from tests.standins.models.sigv4 import Keys
from voicecore.local.gateway.sigv4 import LocalCredentials
from voicecore.local.runtime import LocalRuntime, RuntimeSettings
from voicecore.local.sessions.agent_process import AgentSpec

__all__ = ["all_registries", "daemon", "registries"]

QUESTION = Path(__file__).parents[2] / "voicecore/samples/what-time-is-it.wav"


@dataclass(frozen=True)
class Shell:
    """Runs commands in a project, with the stand-ins of AWS and ECR."""

    root: Path
    aws: Aws
    registries: Registries
    daemon: DockerDaemon
    builds: CodeBuild

    def run(
        self, *words: str, docker: bool = False, **more: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command that must succeed; `more` are environment variables."""
        env = {**os.environ, **self.registries.env(), **self.aws.environment, **more}
        # Only registries and the function are reached, nothing behind load balancers.
        env["SSL_CERT_FILE"] = str(self.registries.reach.authority)
        env |= {f"AWS_ENDPOINT_URL_{name}": self.builds.endpoint for name in ("S3", "CODEBUILD")}
        del env["AWS_ENDPOINT_URL_ECR"]  # the stand-in of AWS issues the tokens
        env |= self.daemon.env if docker else {"DOCKER_HOST": f"unix://{self.root}/no-docker.sock"}
        argv = self.registries.argv(sys.executable, "-m", "voicecore", *words)
        done = subprocess.run(argv, cwd=self.root, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr + done.stdout
        return done


@contextmanager
def data_plane(aws: Aws, root: Path, arn: str) -> Iterator[LocalRuntime]:
    """Run the agent in the local runtime, which replaces AgentCore and accepts AWS's keys."""
    agent = root / "agent"
    subprocess.run([uv.find_uv_bin(), "sync", "-q", "--project", str(agent)], check=True)
    caller = aws.caller
    settings = RuntimeSettings(
        root=root,
        arn=arn,
        region=aws.region,
        port=int(str(aws.data_plane).rpartition(":")[2]),
        credentials=LocalCredentials(caller.access_key_id, caller.secret_access_key),
        qualifiers=("dev",),
    )
    with in_background(serve()) as models:
        argv = models.reach.argv(str(agent / ".venv/bin/python"), "-m", "internal.app")
        env = {"PATH": os.environ["PATH"], "HOME": str(root), **models.reach.env()}
        spec = AgentSpec(tuple(argv), agent, env)
        with in_background(LocalRuntime(settings, lambda: spec)) as runtime:
            yield runtime


@pytest.fixture
def shell(tmp_path: Path, registries: Registries, daemon: DockerDaemon) -> Iterator[Shell]:
    def set_repositories(repositories: set[str]) -> None:
        registries.ecr.repositories = repositories

    registries.ecr.immutable = True
    registry = Registry(
        registries.private.url, lambda: registries.ecr.issue().password, set_repositories
    )
    init = [sys.executable, "-m", "voicecore", "init", "line", "--pipeline", "nova-sonic", "--yes"]
    subprocess.run(init, cwd=tmp_path, check=True, capture_output=True)
    url = f"http://127.0.0.1:{free_port()}"
    python = make_python(tmp_path)
    shells: list[Shell] = []

    def run(command: Sequence[str], env: Mapping[str, str]) -> subprocess.Popen[str]:
        # The local runtime accepts only this caller, without session tokens.
        known = {k: v for k, v in env.items() if k != "AWS_SESSION_TOKEN"}
        known |= shells[0].aws.environment
        return start(python, tmp_path / "line/server", command, known)

    # moto has one state per process: the stand-in and its builds share the account.
    with (
        codebuild(registries.ecr.region, registries.ecr.keys) as builds,
        aws_standin(registry=registry, data_plane=url, containers=run) as aws,
    ):
        developer = replace(aws, caller=aws.new_caller(temporary=False))
        builds.keys = Keys(developer.caller.access_key_id, developer.caller.secret_access_key)
        shells.append(Shell(tmp_path / "line", developer, registries, daemon, builds))
        yield shells[0]


def push_same_image(registry: PushedTo, tag: str) -> None:
    """Push the existing image under a new tag, instead of a real build (see tests/image)."""
    ours = "voicecore/line"
    registry.put_manifest(ours, tag, ours, registry.tags(ours)[0])


def test_project_from_init_to_destroy(shell: Shell) -> None:
    aws, root = shell.aws, shell.root
    before = aws.inventory()

    first = shell.run("deploy", "--yes", "--server")
    assert "pushing packages" in first.stderr
    assert "server: pushing packages" in first.stderr
    assert "Talk to it:  voicecore talk --remote" in first.stderr

    stage = json.loads(shell.run("status", "--json").stdout)["stages"][0]
    runtime = stage["runtime"]
    assert (runtime["status"], stage["versions"][0]["number"]) == ("READY", 1)
    registry = shell.registries.private
    tags = registry.tags("voicecore/line")
    images = [runtime["image"], stage["server"]["image"]]
    pushed = {registry.digest("voicecore/line", tag) for tag in tags}
    assert {image.partition("@")[2] for image in images} == pushed

    with data_plane(aws, root, runtime["arn"]) as local:
        talked = shell.run("talk", "--remote", "--json", "--input", str(QUESTION))
        server = stage["server"]["url"].rstrip("/")
        invite = shell.run("invite").stdout.strip().partition("#")[2]
        talk = ["talk", "--url", server, "--json", "--input", str(QUESTION)]
        through_url = shell.run(*talk, SESSION_API_KEY=invite)
        logged = next(local.logs.rglob("*runtime-logs*")).read_text().splitlines()
    for result in (talked, through_url):
        events = [json.loads(line) for line in result.stdout.splitlines()]
        answers = [event["text"] for event in events if event["event"] == "agent_said"]
        assert answers[-1].startswith("You said"), "\n".join([result.stdout, *logged])

    aws.agent_says(runtime["id"], *logged)
    assert "agent  You said" in shell.run("logs").stdout

    aws.journal.clear()
    assert "nothing was changed" in shell.run("deploy", "--yes").stderr
    assert changes(aws) == []

    for part in ("agent/bot.py", "server/internal/server.py"):
        file = root / part
        file.write_text(f"{file.read_text()}# edited\n")
    edited = shell.run("deploy", "--yes", "--message", "kinder", docker=True)
    assert "~ runtime: image" in edited.stderr
    assert "~ server function: image" in edited.stderr
    stage = json.loads(shell.run("status", "--json").stdout)["stages"][0]
    assert [version["message"] for version in stage["versions"]] == ["", "kinder"]

    bot = root / "agent/bot.py"
    bot.write_text(f"{bot.read_text()}# edited again\n")
    shell.builds.scripts = [BuildScript(pushes=partial(push_same_image, shell.registries.private))]
    compiled = shell.run("deploy", "--yes", "--builder", "codebuild", "--message", "faster")
    assert "AWS CodeBuild builds the image" in compiled.stderr
    stage = json.loads(shell.run("status", "--json").stdout)["stages"][0]
    assert stage["versions"][-1]["message"] == "faster"
    assert stage["runtime"]["status"] == "READY"

    destroyed = shell.run("destroy", "--yes")
    assert "- CodeBuild project" in destroyed.stderr
    assert "- S3 bucket" in destroyed.stderr
    assert aws.inventory() == before
    assert shell.registries.private.tags("voicecore/line") == []
