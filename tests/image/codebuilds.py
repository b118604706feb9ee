"""Fixtures: the stand-in of CodeBuild, and the inputs of a build in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.standins.image.account import account_of
from tests.standins.image.codebuild import CodeBuild
from tests.standins.image.codebuild_server import codebuild
from tests.standins.models.sigv4 import Keys
from voicecore.aws.session import Aws
from voicecore.console.progress import Progress
from voicecore.image.builders import codebuild as builder
from voicecore.image.builders import codebuild_resources
from voicecore.image.builders.buildspec import CodeBuildInputs
from voicecore.image.builders.codebuild import BuildTimings
from voicecore.image.registry.reference import parse_reference
from voicecore.project.identity import Owner

REGION = "eu-west-1"
ACCOUNT = "123456789012"
KEYS = Keys("AKIDVOICECORETEST", "a-secret-that-only-the-stand-ins-know")
REPOSITORY = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/voicecore/my-agent"
BUCKET = f"vc-my-agent-{ACCOUNT}-{REGION}"
ROLE = f"voicecore-my-agent-builder-{REGION}"
QUICK = BuildTimings(poll=0.01, limit=20, role=(0.01, 0.01, 0.01), log=0.05)
BASE = "public.ecr.aws/docker/library/python:3.13-slim-trixie@sha256:" + "b" * 64


@pytest.fixture(scope="module")
def running() -> Iterator[CodeBuild]:
    with codebuild(REGION, KEYS) as stand_in:
        yield stand_in


@pytest.fixture
def service(running: CodeBuild) -> CodeBuild:
    running.reset()
    return running


@pytest.fixture(scope="module")
def aws(running: CodeBuild) -> Aws:
    return account_of(running, REGION, KEYS)


@pytest.fixture
def inputs(tmp_path: Path) -> CodeBuildInputs:
    return make_inputs(tmp_path)


@pytest.fixture(scope="module")
def calls(running: CodeBuild, tmp_path_factory: pytest.TempPathFactory) -> list[ClientCall]:
    """The calls of a build, of another one, and of their removal."""
    running.reset()
    aws, made = account_of(running, REGION, KEYS), make_inputs(tmp_path_factory.mktemp("project"))
    found: list[ClientCall] = []

    def note(params: dict[str, Any], model: Any, **_: Any) -> None:
        found.append(ClientCall(model.service_model.endpoint_prefix, model.name, params))

    for name in ("codebuild", "iam", "logs", "s3"):
        aws.client(name).meta.events.register("provide-client-params.*.*", note)
    for _ in range(2):
        builder.build(aws, made, ProgressLog(), timings=QUICK)
    assert remove_all(aws, made.owner)
    return found


@dataclass(frozen=True)
class ClientCall:
    """A call of the client: the service and its operation, by their names in IAM."""

    service: str
    operation: str
    params: dict[str, Any]


def make_inputs(folder: Path) -> CodeBuildInputs:
    """Return the inputs of an agent in this folder."""
    agent = folder / "agent"
    (agent / "prompts").mkdir(parents=True)
    (agent / "Dockerfile").write_text("FROM python AS build\nFROM python\n")
    (agent / "app.py").write_text("print('hello')\n")
    (agent / "run.sh").write_text("#!/bin/sh\n")
    (agent / "run.sh").chmod(0o755)
    (agent / "prompts" / "hello.txt").write_text("Grüezi\n")
    (agent / "link").symlink_to("app.py")
    return CodeBuildInputs(
        owner=Owner("my-agent"),
        agent=agent,
        files=["run.sh", "Dockerfile", "app.py", "prompts/hello.txt", "link"],
        target=parse_reference(f"{REPOSITORY}:0123456789abcdef0123"),
        base=BASE,
        epoch=1_760_000_000,
        packages_key="feed" * 16,
        labels={"io.voicecore.version": "1"},
    )


def remove_all(aws: Aws, owner: Owner) -> list[str]:
    """Delete a project's resources as `voicecore destroy` does; return their titles."""
    return codebuild_resources.delete(codebuild_resources.leftovers(aws, owner))


class ProgressLog:
    """Collects the progress."""

    def __init__(self) -> None:
        self.all: list[Progress] = []

    def __call__(self, step: Progress) -> None:
        self.all.append(step)

    @property
    def finished(self) -> list[str]:
        return [step.task for step in self.all if step.finished]
