"""`voicecore build --builder codebuild`: real boto3 with stand-ins for AWS's services."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.standins.image.account import account_of
from tests.standins.image.codebuild import BuildScript, CodeBuild, codebuild
from tests.standins.models.sigv4 import Keys
from voicecore.aws.errors import AwsRefused
from voicecore.aws.session import Aws
from voicecore.console.errors import ExitCode
from voicecore.console.progress import Progress
from voicecore.image.builders import buildspec, codebuild_resources
from voicecore.image.builders import codebuild as builder
from voicecore.image.builders.buildspec import CodeBuildInputs
from voicecore.image.builders.codebuild import BuildTimings
from voicecore.image.builders.codebuild_failures import RemoteBuildFailed, RemoteBuildStopped
from voicecore.image.registry.reference import parse_reference
from voicecore.project import aws_names
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
    agent = tmp_path / "agent"
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


# ---- resources and source


def test_build_reports_its_phases(service: CodeBuild, aws: Aws, inputs: CodeBuildInputs) -> None:
    service.scripts = [BuildScript(log=["#5 [build 2/6] RUN pip install uv", "#5 DONE 2.0s"])]
    progress = ProgressLog()
    builder.build(aws, inputs, progress, timings=QUICK)
    assert progress.finished == [
        "uploading the source",
        "waiting for a machine",
        "starting the machine",
        "downloading the source",
        "logging in to the registry",
        "build 2/6  RUN pip install uv",
        "building",
        "pushing",
    ]
    assert progress.all[-1].note.endswith("s in AWS")
    (build,) = service.builds
    assert build.request["sourceLocationOverride"] == f"{BUCKET}/0123456789abcdef0123.zip"


def test_bucket_is_private_tagged_and_expires_objects(
    service: CodeBuild, aws: Aws, inputs: CodeBuildInputs
) -> None:
    builder.build(aws, inputs, ProgressLog(), timings=QUICK)
    s3 = aws.client("s3")
    assert s3.get_bucket_location(Bucket=BUCKET)["LocationConstraint"] == REGION
    block = s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"]
    assert all(block.values())
    assert len(block) == 4
    (statement,) = json.loads(s3.get_bucket_policy(Bucket=BUCKET)["Policy"])["Statement"]
    assert statement["Effect"] == "Deny"
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    (rule,) = s3.get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"]
    assert rule["Expiration"] == {"Days": 7}
    tags = s3.get_bucket_tagging(Bucket=BUCKET)["TagSet"]
    assert {"Key": "voicecore:project", "Value": "my-agent"} in tags


def test_bucket_in_us_east_1_has_no_location_constraint(
    service: CodeBuild, inputs: CodeBuildInputs
) -> None:
    name = codebuild_resources.ensure_bucket(account_of(service, "us-east-1", KEYS), inputs.owner)
    assert service.client("s3").get_bucket_location(Bucket=name)["LocationConstraint"] is None


def test_every_bucket_call_has_expected_owner(service: CodeBuild, inputs: CodeBuildInputs) -> None:
    aws = account_of(service, REGION, KEYS)
    seen: dict[str, dict[str, Any]] = {}

    def note(params: dict[str, Any], model: Any, **_: Any) -> None:
        seen[model.name] = params

    aws.client("s3").meta.events.register("provide-client-params.s3", note)
    builder.build(aws, inputs, ProgressLog(), timings=QUICK)
    builder.build(aws, inputs, ProgressLog(), timings=QUICK)
    remove_all(aws, inputs.owner)
    assert {"HeadBucket", "PutObject", "PutBucketPolicy", "DeleteBucket"} <= set(seen)
    owners = {
        name: params.get("ExpectedBucketOwner")
        for name, params in seen.items()
        if name != "CreateBucket"  # the bucket has no owner yet
    }
    assert set(owners.values()) == {ACCOUNT}, owners


def test_role_trusts_this_account_and_allows_one_repository(
    service: CodeBuild, aws: Aws, inputs: CodeBuildInputs
) -> None:
    builder.build(aws, inputs, ProgressLog(), timings=QUICK)
    role = aws.client("iam").get_role(RoleName=ROLE)["Role"]
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "codebuild.amazonaws.com"}
    assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": ACCOUNT}}
    assert {"Key": "voicecore:project", "Value": "my-agent"} in role["Tags"]
    (policy,) = aws.client("iam").list_role_policies(RoleName=ROLE)["PolicyNames"]
    document = aws.client("iam").get_role_policy(RoleName=ROLE, PolicyName=policy)["PolicyDocument"]
    allowed = {
        action: statement["Resource"]
        for statement in document["Statement"]
        for action in (
            [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
        )
    }
    arn = f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/voicecore/my-agent"
    assert allowed["ecr:PutImage"] == arn
    assert [action for action, where in allowed.items() if where == "*"] == [
        "ecr:GetAuthorizationToken"
    ]
    assert not any("*" in action for action in allowed)


def test_project_is_arm_privileged_and_logs_to_our_group(
    service: CodeBuild, aws: Aws, inputs: CodeBuildInputs
) -> None:
    builder.build(aws, inputs, ProgressLog(), timings=QUICK)
    (project,) = aws.client("codebuild").batch_get_projects(names=["voicecore-my-agent-builder"])[
        "projects"
    ]
    assert project["environment"]["type"] == "ARM_CONTAINER"
    assert project["environment"]["privilegedMode"] is True
    assert project["artifacts"] == {"type": "NO_ARTIFACTS"}
    assert project["timeoutInMinutes"] == 15
    assert {"key": "voicecore:project", "value": "my-agent"} in project["tags"]
    (group,) = aws.client("logs").describe_log_groups(logGroupNamePrefix="/aws/codebuild/")[
        "logGroups"
    ]
    assert group["logGroupName"] == project["logsConfig"]["cloudWatchLogs"]["groupName"]
    assert group["retentionInDays"] == 30


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


def test_given_role_is_used_and_none_is_created(
    service: CodeBuild, aws: Aws, inputs: CodeBuildInputs
) -> None:
    trust = json.dumps(buildspec.trust(ACCOUNT))
    given = aws.client("iam").create_role(RoleName="ours", AssumeRolePolicyDocument=trust)["Role"][
        "Arn"
    ]
    builder.build(aws, inputs, ProgressLog(), role=given, timings=QUICK)
    assert [role["RoleName"] for role in aws.client("iam").list_roles()["Roles"]] == ["ours"]
    assert aws.client("iam").list_role_policies(RoleName="ours")["PolicyNames"] == []
    assert service.builds[0].project["serviceRole"] == given
    assert "IAM role" not in " ".join(remove_all(aws, inputs.owner))
    assert aws.client("iam").get_role(RoleName="ours")


def test_source_is_build_context_and_reproducible(inputs: CodeBuildInputs) -> None:
    first, second = io.BytesIO(), io.BytesIO()
    buildspec.write_source(inputs, first)
    os.utime(inputs.agent / "app.py", (1, 1))
    buildspec.write_source(replace(inputs, files=sorted(inputs.files)), second)
    assert first.getvalue() == second.getvalue()
    with zipfile.ZipFile(first) as archive:
        modes = {entry.filename: entry.external_attr >> 16 for entry in archive.infolist()}
        assert archive.read("prompts/hello.txt").decode() == "Grüezi\n"
        assert archive.read("link") == b"app.py"
    assert modes["run.sh"] & 0o111
    assert not modes["app.py"] & 0o111
    assert modes["link"] & 0o120000 == 0o120000


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


def test_remove_keeps_resources_without_project_tag(
    service: CodeBuild, aws: Aws, inputs: CodeBuildInputs
) -> None:
    aws.client("s3").create_bucket(
        Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION}
    )
    aws.client("iam").create_role(RoleName=ROLE, AssumeRolePolicyDocument="{}")
    aws.client("logs").create_log_group(logGroupName="/aws/codebuild/voicecore-my-agent-builder")
    assert remove_all(aws, inputs.owner) == []
    assert aws.client("s3").head_bucket(Bucket=BUCKET)
    assert aws.client("iam").get_role(RoleName=ROLE)


# ---- the commands


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


# ---- errors


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


# ---- account and credentials


CONNECT = """
import sys
from voicecore.console.errors import VoicecoreError
from voicecore.image.builders.codebuild import connect
from voicecore.image.registry.reference import parse_reference
try:
    aws = connect(parse_reference(sys.argv[1]))
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
    assert "voicecore build --builder direct --push ghcr.io/me/agent" in output
