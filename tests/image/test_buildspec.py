"""The buildspec, carried out by a real engine, as CodeBuild has one, and pushed to ECR's twin."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.standins.image.codebuild import CodeBuild, Machine, codebuild
from tests.standins.image.engine import dockerd
from tests.standins.image.lab import Registries
from voicecore.console.progress import Progress
from voicecore.image.builders import codebuild as builder
from voicecore.image.builders.buildspec import Remote
from voicecore.image.builders.codebuild import Pace, RemoteBuildFailed
from voicecore.image.builders.codebuild_resources import Aws
from voicecore.image.registry.reference import parse_reference

QUICK = Pace(poll=0.2, limit=240, role=(), log=2)
# As the generated one, without what takes long: what stands for the packages is random, so that two
# builds have it in common only if the second has it from the first.
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
# `aws ecr get-login-password`, as a machine of CodeBuild has it.
import base64, sys
import boto3
assert sys.argv[1:3] == ["ecr", "get-login-password"], sys.argv
client = boto3.client("ecr", region_name=sys.argv[sys.argv.index("--region") + 1])
token = client.get_authorization_token()["authorizationData"][0]["authorizationToken"]
print(base64.b64decode(token).decode().partition(":")[2])
"""


@pytest.fixture
def cloud(lab: Registries) -> Iterator[CodeBuild]:
    with codebuild(lab.ecr.region, lab.ecr.keys) as running:
        yield running


@contextmanager
def machine(cloud: CodeBuild, lab: Registries, folder: Path) -> Iterator[None]:
    """A new machine of CodeBuild's, with an engine that has seen nothing yet."""
    commands = folder / "bin"
    commands.mkdir(parents=True)
    (commands / "aws").write_text(AWS.format(python=sys.executable))
    (commands / "aws").chmod(0o755)
    # The classic store: CodeBuild's engine is a plain Docker 27 (aws-codebuild-docker-images).
    with dockerd(lab.reach, containerd_store=False) as engine:
        env = {
            **os.environ,
            **lab.env(),
            **engine.env,
            "HOME": str(folder),
            "PATH": f"{commands}:{os.environ['PATH']}",
        }
        cloud.machine = Machine(lab.argv, env)
        yield


def aws_of(cloud: CodeBuild, lab: Registries) -> Aws:
    session = boto3.Session(
        lab.ecr.keys.access_key_id, lab.ecr.keys.secret_access_key, region_name=lab.ecr.region
    )

    def client(name: str) -> Any:
        endpoint = cloud.endpoint if name in ("codebuild", "s3") else cloud.moto
        return session.client(name, endpoint_url=endpoint)

    clients = map(client, ("s3", "iam", "logs", "codebuild"))
    return Aws(lab.ecr.account, "aws", lab.ecr.region, *clients)


@pytest.fixture
def remote(lab: Registries, tmp_path: Path) -> Remote:
    agent = tmp_path / "agent"
    agent.mkdir()
    (agent / "Dockerfile").write_text(DOCKERFILE)
    (agent / "pyproject.toml").write_text("[project]\n")
    (agent / "app.py").write_text("print('first')\n")
    return Remote(
        project="my-agent",
        agent=agent,
        files=["Dockerfile", "app.py", "pyproject.toml"],
        target=parse_reference(f"{lab.ecr.host}/agent:first"),
        base=f"{lab.official}@{lab.public.digest('docker/library/python', '3.13-slim-trixie')}",
        epoch=1_760_000_000,
        packages_key="feed" * 16,
        labels={"io.voicecore.fingerprint": "it's the first"},
    )


def layers(lab: Registries, tag: str) -> list[str]:
    return [layer["digest"] for layer in lab.private.manifest("agent", tag)["layers"]]


def config(lab: Registries, tag: str) -> Any:
    digest = lab.private.manifest("agent", tag)["config"]["digest"]
    return json.loads(lab.private.blob("agent", digest))


def ignore(_: Progress) -> None:
    pass


def test_images_are_pushed_and_the_packages_of_one_serve_the_next_on_another_machine(
    cloud: CodeBuild, lab: Registries, remote: Remote, tmp_path: Path
) -> None:
    aws = aws_of(cloud, lab)
    told: list[Progress] = []
    with machine(cloud, lab, tmp_path / "one"):
        builder.build(aws, remote, told.append, pace=QUICK)
    made = config(lab, "first")
    assert (made["os"], made["architecture"]) == ("linux", "arm64")
    assert made["config"]["User"] == "1000"
    assert made["config"]["Labels"]["io.voicecore.fingerprint"] == "it's the first"
    assert "cache-feedfeedfeedfeedfeed" in lab.private.tags("agent")
    titles = [progress.task for progress in told if progress.finished]
    assert any("RUN mkdir" in title for title in titles)
    assert titles[-1] == "pushing"

    (remote.agent / "app.py").write_text("print('second')\n")
    second = replace(remote, target=parse_reference(f"{lab.ecr.host}/agent:second"))
    with machine(cloud, lab, tmp_path / "two"):
        builder.build(aws, second, ignore, pace=QUICK)
    *first_packages, first_code = layers(lab, "first")
    *second_packages, second_code = layers(lab, "second")
    assert first_packages == second_packages
    assert first_code != second_code


def test_a_build_that_fails_pushes_nothing_and_shows_what_failed(
    cloud: CodeBuild, lab: Registries, remote: Remote, tmp_path: Path
) -> None:
    (remote.agent / "Dockerfile").write_text(
        DOCKERFILE.replace("COPY . ", "RUN echo no such compiler >&2; exit 7\nCOPY . ")
    )
    failing = replace(remote, target=parse_reference(f"{lab.ecr.host}/agent:failed"))
    with (
        machine(cloud, lab, tmp_path / "one"),
        pytest.raises(RemoteBuildFailed) as failure,
    ):
        builder.build(aws_of(cloud, lab), failing, ignore, pace=QUICK)
    assert "failed while building, Dockerfile, line 5:" in failure.value.message
    assert "  RUN echo no such compiler >&2; exit 7\nno such compiler" in failure.value.message
    assert not lab.gate.journal.find("PUT", "/manifests/")


def test_a_repository_that_is_not_there_is_named(
    cloud: CodeBuild, lab: Registries, remote: Remote, tmp_path: Path
) -> None:
    nowhere = replace(remote, target=parse_reference(f"{lab.ecr.host}/nowhere:first"))
    with (
        machine(cloud, lab, tmp_path / "one"),
        pytest.raises(RemoteBuildFailed, match="repository is not there") as failure,
    ):
        builder.build(aws_of(cloud, lab), nowhere, ignore, pace=QUICK)
    assert "failed while pushing" in failure.value.message
    assert "aws ecr create-repository --repository-name nowhere" in (failure.value.hint or "")
