"""The codebuild builder in a real account: its shapes, its waiting, and that it leaves nothing.

    AWS_REGION=us-east-1 python -m pytest -m aws tests/aws/test_codebuild.py

takes about four minutes and a few cents, and makes and removes an ECR repository of its own.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from voicecore.aws.login import AwsLogin
from voicecore.console.progress import Progress
from voicecore.image.builders import codebuild, codebuild_resources
from voicecore.image.builders.buildspec import CodeBuildInputs
from voicecore.image.builders.codebuild_failures import RemoteBuildFailed
from voicecore.image.registry.reference import Reference, parse_reference
from voicecore.project.identity import Owner

pytestmark = pytest.mark.aws

DOCKERFILE = """\
ARG BASE=public.ecr.aws/docker/library/python:3.13-slim-trixie
ARG BUILD_BASE=$BASE
FROM --platform=$BUILDPLATFORM $BUILD_BASE AS build
ARG WHEELS="--only-binary :all:"
RUN pip install --no-cache-dir --root-user-action ignore uv
COPY pyproject.toml ./
RUN uv pip install --target /image/opt/packages $WHEELS netifaces==0.11.0
COPY app.py /image/app/
FROM --platform=linux/arm64 $BASE
ENV PYTHONPATH=/opt/packages
COPY --from=build /image/opt /opt
COPY --from=build /image/app /app
USER 1000
CMD ["python", "/app/app.py"]
"""


@pytest.fixture(scope="module")
def ecr() -> Any:
    return boto3.client("ecr")


@pytest.fixture(scope="module")
def repository(ecr: Any) -> Iterator[Reference]:
    name = f"voicecore/test-{uuid.uuid4().hex[:8]}"
    made = ecr.create_repository(repositoryName=name)["repository"]
    yield parse_reference(made["repositoryUri"])
    ecr.delete_repository(repositoryName=name, force=True)


@pytest.fixture
def remote(repository: Reference, tmp_path: Path) -> CodeBuildInputs:
    agent = tmp_path / "agent"
    agent.mkdir()
    (agent / "Dockerfile").write_text(DOCKERFILE)
    (agent / "pyproject.toml").write_text("[project]\n")
    (agent / "app.py").write_text("import netifaces\n")
    return CodeBuildInputs(
        owner=Owner(repository.repository.rpartition("/")[2]),
        agent=agent,
        files=["Dockerfile", "app.py", "pyproject.toml"],
        target=replace(repository, tag="one"),
        base="public.ecr.aws/docker/library/python:3.13-slim-trixie",
        epoch=1_760_000_000,
        packages_key=uuid.uuid4().hex * 2,
        compiles=True,
    )


def test_a_package_is_compiled_and_the_image_pushed_and_nothing_is_left(
    remote: CodeBuildInputs, ecr: Any
) -> None:
    aws = codebuild.connect(remote.target, AwsLogin())
    told: list[Progress] = []
    try:
        codebuild.build(aws, remote, told.append)
        (remote.agent / "app.py").write_text("import netifaces as second\n")
        codebuild.build(aws, replace(remote, target=replace(remote.target, tag="two")), told.append)
        (remote.agent / "Dockerfile").write_text("FROM no-such-image.example/none\n")
        with pytest.raises(RemoteBuildFailed):
            codebuild.build(
                aws, replace(remote, target=replace(remote.target, tag="three")), told.append
            )
    finally:
        left = codebuild_resources.leftovers(aws, remote.owner)
        removed = codebuild_resources.delete(left)
    assert len(removed) == 4
    images = ecr.describe_images(repositoryName=remote.target.repository)["imageDetails"]
    tags = {tag for image in images for tag in image.get("imageTags", [])}
    assert {"one", "two"} <= tags
    assert "three" not in tags
    manifests = [
        ecr.batch_get_image(repositoryName=remote.target.repository, imageIds=[{"imageTag": tag}])[
            "images"
        ][0]["imageManifest"]
        for tag in ("one", "two")
    ]
    # The packages of the first were kept for the second.
    assert _layers(manifests[0])[:-1] == _layers(manifests[1])[:-1]


def _layers(manifest: str) -> list[str]:
    return [layer["digest"] for layer in json.loads(manifest)["layers"]]
