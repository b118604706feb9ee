"""Builds in CodeBuild: what they create, update, delete and report; tests/image has the rest."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.image.codebuilds import ACCOUNT, BUCKET, QUICK, REGION, ROLE, ProgressLog, remove_all
from tests.standins.image.codebuild import CodeBuild
from tests.standins.image.codebuild_builds import BuildScript
from voicecore.aws.session import Aws
from voicecore.console.errors import ExitCode
from voicecore.image.builders import codebuild as builder
from voicecore.image.builders.buildspec import CodeBuildInputs
from voicecore.image.builders.codebuild_failures import RemoteBuildFailed
from voicecore.project import aws_names
from voicecore.project.identity import Owner


@pytest.mark.slow
def test_second_build_updates_all_resources(
    service: CodeBuild, aws: Aws, inputs: CodeBuildInputs
) -> None:
    builder.build(aws, inputs, ProgressLog(), timings=QUICK)
    aws.client("iam").delete_role_policy(RoleName=ROLE, PolicyName="build")
    aws.client("s3").delete_public_access_block(Bucket=BUCKET)
    builder.build(aws, inputs, ProgressLog(), timings=QUICK)
    assert "UpdateProject" in service.operations
    assert aws.client("iam").list_role_policies(RoleName=ROLE)["PolicyNames"] == ["build"]
    assert aws.client("s3").get_public_access_block(Bucket=BUCKET)
    assert len(service.builds) == 2


@pytest.mark.slow
def test_remove_deletes_resources_of_one_project(
    service: CodeBuild, aws: Aws, inputs: CodeBuildInputs
) -> None:
    other = replace(inputs, owner=Owner("another"))
    builder.build(aws, inputs, ProgressLog(), timings=QUICK)
    builder.build(aws, other, ProgressLog(), timings=QUICK)
    assert remove_all(aws, Owner("my-agent")) == [
        "CodeBuild project voicecore-my-agent-builder",
        "log group /aws/codebuild/voicecore-my-agent-builder",
        f"IAM role {ROLE}",
        f"S3 bucket {BUCKET}",
    ]
    assert remove_all(aws, Owner("my-agent")) == []
    assert [bucket["Name"] for bucket in aws.client("s3").list_buckets()["Buckets"]] == [
        aws_names.builder_bucket_for("another", ACCOUNT, REGION)
    ]
    assert len(aws.client("iam").list_roles()["Roles"]) == 1
    assert len(remove_all(aws, Owner("another"))) == 4


def test_failed_build_shows_phase_and_end_of_log(
    service: CodeBuild, aws: Aws, inputs: CodeBuildInputs
) -> None:
    lines = [f"line {number}" for number in range(40)]
    service.scripts = [
        BuildScript("BUILD", says="exit status 2", log=[*lines, "error: gcc is missing"])
    ]
    progress = ProgressLog()
    with pytest.raises(RemoteBuildFailed) as failure:
        builder.build(aws, inputs, progress, timings=QUICK)
    message, hint = failure.value.message, failure.value.hint or ""
    assert "failed while building" in message
    assert "exit status 2" in message
    assert "error: gcc is missing" in message
    assert "line 39" in message
    assert "line 9\n" not in message
    assert "aws logs tail /aws/codebuild/voicecore-my-agent-builder --log-stream-names" in hint
    assert failure.value.exit_code is ExitCode.FAILED
    assert any(step.note.startswith("failed") for step in progress.all if step.task == "building")
