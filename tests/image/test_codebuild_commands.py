"""Builds in CodeBuild: the commands of the buildspec, and the connection to the account."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from tests.image.codebuilds import ACCOUNT, BASE, KEYS, REGION, REPOSITORY
from tests.standins.image.codebuild import CodeBuild
from voicecore.image.builders import buildspec
from voicecore.image.builders.buildspec import CodeBuildInputs


def commands(inputs: CodeBuildInputs, phase: str) -> list[str]:
    return buildspec.buildspec(inputs, REGION)["phases"][phase]["commands"]


def test_commands_push_nothing_after_failed_build(inputs: CodeBuildInputs) -> None:
    guard, push, keep = commands(inputs, "post_build")
    assert guard == 'test "$CODEBUILD_BUILD_SUCCEEDING" = 1'
    assert push == f"docker push {REPOSITORY}:0123456789abcdef0123"
    assert f"docker push {REPOSITORY}:cache-feedfeedfeedfeedfeed" in keep
    assert all("push" not in command for command in commands(inputs, "build"))


def test_login_password_is_not_an_argument(inputs: CodeBuildInputs) -> None:
    (login,) = commands(inputs, "pre_build")
    assert "--password-stdin" in login
    assert login.startswith(f"aws ecr get-login-password --region {REGION} |")


def test_packages_without_wheel_are_compiled_on_base_with_compilers(
    inputs: CodeBuildInputs,
) -> None:
    stage, image = commands(replace(inputs, compiles=True), "build")
    for command in (stage, image):
        assert "BUILD_BASE=public.ecr.aws/docker/library/python:3.13-trixie " in command
        assert "--build-arg WHEELS= " in command
        assert f"BASE={BASE} " in command
    assert "BUILD_BASE" not in commands(inputs, "build")[0]


def test_build_stage_is_cached(inputs: CodeBuildInputs) -> None:
    stage, image = commands(inputs, "build")
    kept = f"{REPOSITORY}:cache-feedfeedfeedfeedfeed"
    assert "--target build --cache-to type=inline ." in stage
    assert f"--tag {kept} " in stage
    assert f"--cache-from type=registry,ref={kept}" in stage
    assert f"--cache-from type=registry,ref={kept}" in image


def test_fresh_build_uses_no_cache(inputs: CodeBuildInputs) -> None:
    (image,) = commands(replace(inputs, fresh=True), "build")
    assert "--no-cache" in image
    assert "cache-from" not in image
    assert len(commands(replace(inputs, fresh=True), "post_build")) == 2


def test_dockerfile_without_named_stage_is_built_without_cache(inputs: CodeBuildInputs) -> None:
    (inputs.agent / "Dockerfile").write_text("FROM python\nCOPY . /app\n")
    assert len(commands(inputs, "build")) == 1


def test_labels_with_spaces_are_quoted(inputs: CodeBuildInputs) -> None:
    labelled = replace(inputs, labels={"org.opencontainers.image.title": "it's my agent; $HOME"})
    assert (
        "'org.opencontainers.image.title=it'\"'\"'s my agent; $HOME'"
        in commands(labelled, "build")[-1]
    )


CONNECT = """
import sys
from voicecore.aws.login import AwsLogin
from voicecore.console.errors import VoicecoreError
from voicecore.image.builders.codebuild import connect
from voicecore.image.registry.reference import parse_reference
try:
    aws = connect(parse_reference(sys.argv[1]), AwsLogin())
    print(aws.account, aws.partition, aws.region, aws.client("codebuild").meta.region_name)
except VoicecoreError as error:
    print(type(error).__name__, error.message, error.hint)
"""


def connect(repository: str, tmp_path: Path, **env: str) -> str:
    """Return what a new process prints, which has only the credentials in `env`."""
    clean = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "AWS_EC2_METADATA_DISABLED": "true",
        **env,
    }
    done = subprocess.run(
        [sys.executable, "-c", CONNECT, repository],
        env=clean, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


def test_connect_uses_our_account_in_repositorys_region(service: CodeBuild, tmp_path: Path) -> None:
    keys = {
        "AWS_ACCESS_KEY_ID": KEYS.access_key_id,
        "AWS_SECRET_ACCESS_KEY": KEYS.secret_access_key,
        "AWS_REGION": "us-east-2",
    }
    found = connect(REPOSITORY, tmp_path, AWS_ENDPOINT_URL=service.moto, **keys)
    assert found == f"{ACCOUNT} aws {REGION} {REGION}"


def test_connect_without_credentials_says_how_to_log_in(tmp_path: Path) -> None:
    output = connect(REPOSITORY, tmp_path)
    assert output.startswith("NoAwsCredentials No AWS credentials were found.")
    assert "aws configure sso" in output
    output = connect(REPOSITORY, tmp_path, AWS_PROFILE="unknown")
    assert "unknown" in output


def test_connect_refuses_repository_outside_ecr(tmp_path: Path) -> None:
    output = connect("ghcr.io/me/agent:1", tmp_path)
    assert output.startswith(
        "NotEcr CodeBuild pushes only to Amazon ECR; ghcr.io/me/agent is not an ECR repository."
    )
    assert "voicecore build --push ghcr.io/me/agent" in output
