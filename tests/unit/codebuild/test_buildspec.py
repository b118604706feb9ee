"""The commands of the buildspec."""

from __future__ import annotations

from dataclasses import replace

from tests.image.codebuilds import BASE, REGION, REPOSITORY
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
