"""Builds in CodeBuild that fail: what is retried, stopped and told."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from dataclasses import replace

import pytest

from tests.image.codebuilds import BUCKET, QUICK, REGION, ProgressLog
from tests.standins.image.account import account_of
from tests.standins.image.codebuild import CodeBuild
from tests.standins.image.codebuild_builds import BuildScript
from tests.standins.models.sigv4 import Keys
from voicecore.aws.errors import AwsRefused
from voicecore.aws.session import Aws
from voicecore.console.errors import ExitCode
from voicecore.console.progress import Progress
from voicecore.image.builders import codebuild as builder
from voicecore.image.builders.buildspec import CodeBuildInputs
from voicecore.image.builders.codebuild_failures import RemoteBuildFailed, RemoteBuildStopped


@pytest.mark.parametrize(
    ("line", "cause", "command"),
    [
        ("toomanyrequests: You have reached your pull rate limit", "Docker Hub", "upgrade-base"),
        (
            "name unknown: The repository with name 'x' does not exist",
            "repository does not exist",
            "aws ecr create-repository --repository-name voicecore/my-agent",
        ),
        (
            "denied: User is not authorized to perform: ecr:InitiateLayerUpload on resource",
            "has no permission for ecr:InitiateLayerUpload",
            "--codebuild-role",
        ),
        ("write /x: no space left on device", "more disk space", ".dockerignore"),
        (
            "tag invalid: The image tag '1' already exists in the repository and cannot be",
            "immutable",
            "describe-images",
        ),
    ],
)
def test_known_cause_is_named_with_hint(
    line: str, cause: str, command: str, service: CodeBuild, aws: Aws, inputs: CodeBuildInputs
) -> None:
    service.scripts = [BuildScript("POST_BUILD", log=[line])]
    with pytest.raises(RemoteBuildFailed, match=cause) as failure:
        builder.build(aws, inputs, ProgressLog(), timings=QUICK)
    assert command in (failure.value.hint or "")


@pytest.mark.parametrize(
    ("status", "message"),
    [("FAULT", "because of an AWS fault"), ("TIMED_OUT", "exceeded its 15 minutes")],
)
def test_fault_and_timeout_are_reported(
    status: str, message: str, service: CodeBuild, aws: Aws, inputs: CodeBuildInputs
) -> None:
    service.scripts = [BuildScript("BUILD", status=status)]
    with pytest.raises(RemoteBuildFailed, match=message):
        builder.build(aws, inputs, ProgressLog(), timings=QUICK)


def test_build_waits_for_new_role(service: CodeBuild, aws: Aws, inputs: CodeBuildInputs) -> None:
    service.role_unknown = 2
    builder.build(aws, inputs, ProgressLog(), timings=QUICK)
    assert service.operations.count("CreateProject") == 3
    assert len(service.builds) == 1


def test_build_is_repeated_when_new_role_is_denied(
    service: CodeBuild, aws: Aws, inputs: CodeBuildInputs
) -> None:
    service.scripts = [
        BuildScript("DOWNLOAD_SOURCE", says="AccessDenied: Access Denied status code: 403")
    ]
    builder.build(aws, inputs, ProgressLog(), timings=QUICK)
    assert len(service.builds) == 2


def test_role_that_stays_unusable_is_an_error(
    service: CodeBuild, aws: Aws, inputs: CodeBuildInputs
) -> None:
    service.role_unknown = 99
    with pytest.raises(AwsRefused, match="sts:AssumeRole"):
        builder.build(aws, inputs, ProgressLog(), timings=QUICK)


def test_build_over_time_limit_is_stopped(
    service: CodeBuild, aws: Aws, inputs: CodeBuildInputs
) -> None:
    service.scripts = [BuildScript(stays_in="BUILD")]
    with pytest.raises(RemoteBuildStopped, match="was stopped in AWS"):
        builder.build(aws, inputs, ProgressLog(), timings=replace(QUICK, limit=0.3))
    assert service.builds[0].status == "STOPPED"


def test_ctrl_c_stops_build_in_aws(service: CodeBuild, aws: Aws, inputs: CodeBuildInputs) -> None:
    service.scripts = [BuildScript(stays_in="BUILD")]

    def interrupt() -> None:
        while not service.builds or service.builds[0].phases[-1]["phaseType"] != "BUILD":
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(RemoteBuildStopped, match="stopped in AWS") as stopped:
        builder.build(aws, inputs, ProgressLog(), timings=QUICK)
    thread.join()
    assert stopped.value.exit_code is ExitCode.INTERRUPTED
    assert service.builds[0].status == "STOPPED"


def test_build_stopped_by_someone_else_is_reported(
    service: CodeBuild, aws: Aws, inputs: CodeBuildInputs
) -> None:
    service.scripts = [BuildScript("BUILD", status="STOPPED")]
    with pytest.raises(RemoteBuildStopped, match="someone else"):
        builder.build(aws, inputs, ProgressLog(), timings=QUICK)


def test_build_survives_network_failure(
    service: CodeBuild, aws: Aws, inputs: CodeBuildInputs
) -> None:
    progress = ProgressLog()

    def fail_network(step: Progress) -> None:
        if step.task == "starting the machine" and not step.finished:
            service.unanswered = 3
        progress(step)

    builder.build(aws, inputs, fail_network, timings=QUICK)
    assert service.unanswered == 0
    assert progress.finished[-1] == "pushing"


def test_expired_credentials_leave_build_running(
    service: CodeBuild, aws: Aws, inputs: CodeBuildInputs
) -> None:
    service.expired_after = 4
    with pytest.raises(AwsRefused, match="continues in AWS") as refusal:
        builder.build(aws, inputs, ProgressLog(), timings=QUICK)
    assert "aws sso login" in (refusal.value.hint or "")
    assert service.builds[0].status == "IN_PROGRESS"


def test_missing_permission_is_named(service: CodeBuild, aws: Aws, inputs: CodeBuildInputs) -> None:
    service.denied = {"codebuild:StartBuild"}
    with pytest.raises(AwsRefused, match="codebuild:StartBuild") as refusal:
        builder.build(aws, inputs, ProgressLog(), timings=QUICK)
    assert "codebuild:StartBuild" in (refusal.value.hint or "")
    assert refusal.value.exit_code is ExitCode.AWS_REFUSED


def test_quota_error_names_operation(service: CodeBuild, aws: Aws, inputs: CodeBuildInputs) -> None:
    service.quota = {"StartBuild"}
    with pytest.raises(
        AwsRefused, match="quota of this AWS account does not allow StartBuild"
    ) as refusal:
        builder.build(aws, inputs, ProgressLog(), timings=QUICK)
    assert "service-quotas" in (refusal.value.hint or "")


def test_bucket_of_other_account_is_not_used(
    service: CodeBuild, aws: Aws, inputs: CodeBuildInputs
) -> None:
    service.client("s3").create_bucket(
        Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION}
    )
    service.foreign_buckets = {BUCKET}
    with pytest.raises(AwsRefused, match="belongs to another account"):
        builder.build(aws, inputs, ProgressLog(), timings=QUICK)
    assert not service.builds
    assert "Contents" not in service.client("s3").list_objects_v2(Bucket=BUCKET)


def test_user_without_create_role_gets_role_hint(
    service: CodeBuild, inputs: CodeBuildInputs
) -> None:
    """The IAM policy allows everything except creating roles."""
    iam = service.client("iam")
    iam.create_user(UserName="tester")
    allowed = ["s3:*", "logs:*", "iam:GetRole", "iam:UpdateAssumeRolePolicy"]
    document = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": allowed, "Resource": "*"}],
    }
    iam.put_user_policy(UserName="tester", PolicyName="some", PolicyDocument=json.dumps(document))
    key = iam.create_access_key(UserName="tester")["AccessKey"]
    with service.iam_enforced():
        aws = account_of(service, REGION, Keys(key["AccessKeyId"], key["SecretAccessKey"]))
        with pytest.raises(AwsRefused, match="iam:CreateRole") as refusal:
            builder.build(aws, inputs, ProgressLog(), timings=QUICK)
    assert "--codebuild-role ARN" in (refusal.value.hint or "")
    assert '"Action": "iam:CreateRole"' in (refusal.value.hint or "")
