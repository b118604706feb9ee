"""The buildspec, run by a real Docker engine like CodeBuild's, with a push to ECR's stand-in."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.standins.image.account import account_of
from tests.standins.image.base_image import REPOSITORY, TAG
from tests.standins.image.codebuild import CodeBuild
from tests.standins.image.codebuild_builds import BuildMachine
from tests.standins.image.codebuild_server import codebuild
from tests.standins.image.dockerd import dockerd
from tests.standins.image.registries import Registries
from voicecore.console.progress import Progress
from voicecore.image.builders import codebuild as builder
from voicecore.image.builders.buildspec import CodeBuildInputs
from voicecore.image.builders.codebuild import BuildTimings
from voicecore.image.builders.codebuild_failures import RemoteBuildFailed
from voicecore.image.registry.reference import parse_reference
from voicecore.project.identity import Owner

QUICK = BuildTimings(poll=0.2, limit=240, role=(), log=2)
# Like the generated one, without slow steps. The file in place of the packages is random, so two
# builds share it only if the second reuses it from the first.
DOCKERFILE = """\
ARG BASE
FROM --platform=$BUILDPLATFORM $BASE AS build
COPY pyproject.toml ./
RUN mkdir -p /image/opt && python -c 'import uuid; print(uuid.uuid4())' > /image/opt/packages
COPY . /image/app
FROM --platform=linux/arm64 $BASE
COPY --from=build /image/opt /opt
COPY --from=build /image/app /app
USER 1000
CMD ["python", "app.py"]
"""
AWS = """\
#!{python}
# `aws ecr get-login-password`, as on a machine of CodeBuild.
import base64, sys
import boto3
assert sys.argv[1:3] == ["ecr", "get-login-password"], sys.argv
client = boto3.client("ecr", region_name=sys.argv[sys.argv.index("--region") + 1])
token = client.get_authorization_token()["authorizationData"][0]["authorizationToken"]
print(base64.b64decode(token).decode().partition(":")[2])
"""


@pytest.fixture
def cloud(registries: Registries) -> Iterator[CodeBuild]:
    with codebuild(registries.ecr.region, registries.ecr.keys) as running:
        yield running


@contextmanager
def machine(cloud: CodeBuild, registries: Registries, folder: Path) -> Iterator[None]:
    """Run a new machine of CodeBuild, with an empty engine."""
    commands = folder / "bin"
    commands.mkdir(parents=True)
    (commands / "aws").write_text(AWS.format(python=sys.executable))
    (commands / "aws").chmod(0o755)
    # The classic store: CodeBuild's engine is a plain Docker 27 (aws-codebuild-docker-images).
    with dockerd(registries.reach, containerd_store=False) as daemon:
        env = {
            **os.environ,
            **registries.env(),
            **daemon.env,
            "HOME": str(folder),
            "PATH": f"{commands}:{os.environ['PATH']}",
        }
        cloud.machine = BuildMachine(registries.argv, env)
        yield


@pytest.fixture
def inputs(registries: Registries, tmp_path: Path) -> CodeBuildInputs:
    agent = tmp_path / "agent"
    agent.mkdir()
    (agent / "Dockerfile").write_text(DOCKERFILE)
    (agent / "pyproject.toml").write_text("[project]\n")
    (agent / "app.py").write_text("print('first')\n")
    digest = registries.public.digest(REPOSITORY, TAG)
    return CodeBuildInputs(
        owner=Owner("my-agent"),
        agent=agent,
        files=["Dockerfile", "app.py", "pyproject.toml"],
        target=parse_reference(f"{registries.ecr.host}/agent:first"),
        base=f"{registries.official}@{digest}",
        epoch=1_760_000_000,
        packages_key="feed" * 16,
        labels={"io.voicecore.fingerprint": "it's the first"},
    )


def layers(registries: Registries, tag: str) -> list[str]:
    return [layer["digest"] for layer in registries.private.manifest("agent", tag)["layers"]]


def config(registries: Registries, tag: str) -> Any:
    digest = registries.private.manifest("agent", tag)["config"]["digest"]
    return json.loads(registries.private.blob("agent", digest))


def ignore(_: Progress) -> None:
    pass


def test_build_on_new_machine_reuses_packages_of_earlier_build(
    cloud: CodeBuild, registries: Registries, inputs: CodeBuildInputs, tmp_path: Path
) -> None:
    aws = account_of(cloud, registries.ecr.region, registries.ecr.keys)
    progress: list[Progress] = []
    with machine(cloud, registries, tmp_path / "one"):
        builder.build(aws, inputs, progress.append, timings=QUICK)
    first = config(registries, "first")
    assert (first["os"], first["architecture"]) == ("linux", "arm64")
    assert first["config"]["User"] == "1000"
    assert first["config"]["Labels"]["io.voicecore.fingerprint"] == "it's the first"
    assert "cache-feedfeedfeedfeedfeed" in registries.private.tags("agent")
    titles = [step.task for step in progress if step.finished]
    assert any("RUN mkdir" in title for title in titles)
    assert titles[-1] == "pushing"

    (inputs.agent / "app.py").write_text("print('second')\n")
    second = replace(inputs, target=parse_reference(f"{registries.ecr.host}/agent:second"))
    with machine(cloud, registries, tmp_path / "two"):
        builder.build(aws, second, ignore, timings=QUICK)
    *first_packages, first_code = layers(registries, "first")
    *second_packages, second_code = layers(registries, "second")
    assert first_packages == second_packages
    assert first_code != second_code


def test_failed_build_pushes_nothing_and_shows_output(
    cloud: CodeBuild, registries: Registries, inputs: CodeBuildInputs, tmp_path: Path
) -> None:
    (inputs.agent / "Dockerfile").write_text(
        DOCKERFILE.replace("COPY . ", "RUN echo no such compiler >&2; exit 7\nCOPY . ")
    )
    failing = replace(inputs, target=parse_reference(f"{registries.ecr.host}/agent:failed"))
    with (
        machine(cloud, registries, tmp_path / "one"),
        pytest.raises(RemoteBuildFailed) as failure,
    ):
        builder.build(
            account_of(cloud, registries.ecr.region, registries.ecr.keys),
            failing,
            ignore,
            timings=QUICK,
        )
    assert "failed while building, Dockerfile, line 5:" in failure.value.message
    assert "  RUN echo no such compiler >&2; exit 7\nno such compiler" in failure.value.message
    assert not registries.proxy.log.find("PUT", "/manifests/")


def test_build_reports_missing_repository(
    cloud: CodeBuild, registries: Registries, inputs: CodeBuildInputs, tmp_path: Path
) -> None:
    unknown = replace(inputs, target=parse_reference(f"{registries.ecr.host}/missing:first"))
    with (
        machine(cloud, registries, tmp_path / "one"),
        pytest.raises(RemoteBuildFailed, match="repository does not exist") as failure,
    ):
        builder.build(
            account_of(cloud, registries.ecr.region, registries.ecr.keys),
            unknown,
            ignore,
            timings=QUICK,
        )
    assert "failed while pushing" in failure.value.message
    assert "aws ecr create-repository --repository-name missing" in (failure.value.hint or "")
