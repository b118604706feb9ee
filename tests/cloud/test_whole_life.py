"""A project's whole life, by the commands a person types, on real parts.

Its images are built and pushed to a registry, by both builders; calls go by way of the project's
session server, here and as a Lambda function, to a local AgentCore Runtime; only AWS itself is a
stand-in, and so is its model.
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

from tests.cloud.test_life import changes
from tests.standins.aws import Aws, aws_standin
from tests.standins.aws.images import Registry
from tests.standins.aws.server_python import make_python, start
from tests.standins.image.codebuild import CodeBuild, Plan, codebuild
from tests.standins.image.engine import Engine
from tests.standins.image.fixtures import all_registries, engine, lab
from tests.standins.image.gate import in_background
from tests.standins.image.lab import Registries
from tests.standins.image.registry import Registry as PushedTo
from tests.standins.models.lab import serve
from tests.standins.models.sigv4 import Keys
from voicecore.local.gateway.sigv4 import LocalCredentials
from voicecore.local.processes.ports import free_port
from voicecore.local.runtime import LocalRuntime, RuntimeSettings
from voicecore.local.sessions.agent_process import AgentSpec

__all__ = ["all_registries", "engine", "lab"]

QUESTION = Path(__file__).parents[2] / "voicecore/samples/what-time-is-it.wav"


@dataclass(frozen=True)
class Person:
    """Somebody at a keyboard, whose machine takes the stand-ins for AWS and ECR."""

    root: Path
    aws: Aws
    lab: Registries
    engine: Engine
    builds: CodeBuild

    def types(
        self, *words: str, docker: bool = False, **more: str
    ) -> subprocess.CompletedProcess[str]:
        """What a command said, once it has done well; `more` are variables."""
        env = {**os.environ, **self.lab.env(), **self.aws.environment, **more}
        # Registries and function are reached here; nothing behind the stand-in's load balancers.
        env["SSL_CERT_FILE"] = str(self.lab.reach.authority)
        env |= {f"AWS_ENDPOINT_URL_{name}": self.builds.endpoint for name in ("S3", "CODEBUILD")}
        del env["AWS_ENDPOINT_URL_ECR"]  # the stand-in of AWS hands out the tokens
        env |= self.engine.env if docker else {"DOCKER_HOST": f"unix://{self.root}/no-docker.sock"}
        argv = self.lab.argv(sys.executable, "-m", "voicecore", *words)
        done = subprocess.run(argv, cwd=self.root, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr + done.stdout
        return done


@contextmanager
def data_plane(aws: Aws, root: Path, arn: str) -> Iterator[LocalRuntime]:
    """The local runtime in the place of AgentCore's: it takes AWS's keys, and runs the agent."""
    agent = root / "agent"
    subprocess.run([uv.find_uv_bin(), "sync", "-q", "--project", str(agent)], check=True)
    caller = aws.caller
    settings = RuntimeSettings(
        root=root,
        arn=arn,
        region=aws.region,
        port=int(str(aws.data_plane).rpartition(":")[2]),
        credentials=LocalCredentials(caller.access_key_id, caller.secret_access_key),
    )
    with in_background(serve()) as models:
        argv = models.reach.argv(str(agent / ".venv/bin/python"), "-m", "internal.app")
        env = {"PATH": os.environ["PATH"], "HOME": str(root), **models.reach.env()}
        spec = AgentSpec(tuple(argv), agent, env)
        with in_background(LocalRuntime(settings, lambda: spec)) as runtime:
            yield runtime


@pytest.fixture
def person(tmp_path: Path, lab: Registries, engine: Engine) -> Iterator[Person]:
    def know(repositories: set[str]) -> None:
        lab.ecr.repositories = repositories

    lab.ecr.immutable = True
    registry = Registry(lab.private.url, lambda: lab.ecr.issue().password, know)
    init = [sys.executable, "-m", "voicecore", "init", "line", "--pipeline", "nova-sonic", "--yes"]
    subprocess.run(init, cwd=tmp_path, check=True, capture_output=True)
    url = f"http://127.0.0.1:{free_port()}"
    python = make_python(tmp_path)
    people: list[Person] = []

    def run(command: Sequence[str], env: Mapping[str, str]) -> subprocess.Popen[str]:
        # The local runtime knows this one caller, and no session tokens.
        known = {k: v for k, v in env.items() if k != "AWS_SESSION_TOKEN"}
        known |= people[0].aws.environment
        return start(python, tmp_path / "line/server", command, known)

    # moto's state is one for the process: the stand-in and its builds see the same account.
    with (
        codebuild(lab.ecr.region, lab.ecr.keys) as builds,
        aws_standin(registry=registry, data_plane=url, containers=run) as aws,
    ):
        developer = replace(aws, caller=aws.new_caller(temporary=False))
        builds.keys = Keys(developer.caller.access_key_id, developer.caller.secret_access_key)
        people.append(Person(tmp_path / "line", developer, lab, engine, builds))
        yield people[0]


def need_a_compiler(root: Path) -> None:
    """The agent needs a package of which there is no wheel."""
    mine = root / "agent/mine"
    mine.mkdir()
    (mine / "pyproject.toml").write_text('[project]\nname = "mine"\nversion = "1"\n')
    settings = root / "agent/pyproject.toml"
    text = settings.read_text().replace("dependencies = [", 'dependencies = [\n    "mine",', 1)
    settings.write_text(f'{text}\n[tool.uv.sources]\nmine = {{ path = "mine" }}\n')
    subprocess.run([uv.find_uv_bin(), "lock", "-q", "--project", str(root / "agent")], check=True)


def same_image(registry: PushedTo, tag: str) -> None:
    """As if a build had made once more what is there: what it makes is tests/image's affair."""
    ours = "voicecore/line"
    registry.put_manifest(ours, tag, ours, registry.tags(ours)[0])


def test_from_init_to_nothing_left(person: Person) -> None:
    aws, root = person.aws, person.root
    before = aws.inventory()

    first = person.types("deploy", "--yes", "--server")
    assert "push packages" in first.stderr
    assert "server: push packages" in first.stderr
    assert "Speak to it:  voicecore talk --remote" in first.stderr

    stage = json.loads(person.types("status", "--json").stdout)["stages"][0]
    runtime = stage["runtime"]
    assert (runtime["status"], stage["versions"][0]["number"]) == ("READY", 1)
    registry = person.lab.private
    tags = registry.tags("voicecore/line")
    images = [runtime["image"], stage["server"]["image"]]
    pushed = {registry.digest("voicecore/line", tag) for tag in tags}
    assert {image.partition("@")[2] for image in images} == pushed

    with data_plane(aws, root, runtime["arn"]) as local:
        talked = person.types("talk", "--remote", "--json", "--input", str(QUESTION))
        server = stage["server"]["url"].rstrip("/")
        invite = person.types("invite").stdout.strip().partition("#")[2]
        spoken = ["talk", "--url", server, "--json", "--input", str(QUESTION)]
        through_url = person.types(*spoken, SESSION_API_KEY=invite)
        logged = next(local.logs.rglob("*runtime-logs*")).read_text().splitlines()
    for said in (talked, through_url):
        events = [json.loads(line) for line in said.stdout.splitlines()]
        answers = [event["text"] for event in events if event["event"] == "agent_said"]
        assert answers[-1].startswith("You said")

    aws.agent_says(runtime["id"], *logged)
    assert "agent  You said" in person.types("logs").stdout

    aws.journal.clear()
    assert "nothing was changed" in person.types("deploy", "--yes").stderr
    assert changes(aws) == []

    for part in ("agent/bot.py", "server/internal/server.py"):
        file = root / part
        file.write_text(f"{file.read_text()}# edited\n")
    edited = person.types("deploy", "--yes", "--message", "kinder", docker=True)
    assert "~ runtime: image" in edited.stderr
    assert "~ server function: image" in edited.stderr
    stage = json.loads(person.types("status", "--json").stdout)["stages"][0]
    assert [version["message"] for version in stage["versions"]] == ["", "kinder"]

    need_a_compiler(root)
    person.builds.plans = [Plan(pushes=partial(same_image, person.lab.private))]
    compiled = person.types("deploy", "--yes", "--message", "faster")
    assert "1 package has no wheel" in compiled.stderr
    assert "built by AWS CodeBuild" in compiled.stderr
    stage = json.loads(person.types("status", "--json").stdout)["stages"][0]
    assert stage["versions"][-1]["message"] == "faster"
    assert stage["runtime"]["status"] == "READY"

    gone = person.types("destroy", "--yes")
    assert "- CodeBuild project" in gone.stderr
    assert "- S3 bucket" in gone.stderr
    assert aws.inventory() == before
    assert person.lab.private.tags("voicecore/line") == []
