"""`voicecore build --builder codebuild`: real boto3 against stand-ins of AWS's services."""

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

import boto3
import pytest
from botocore.config import Config

from tests.standins.image.codebuild import CodeBuild, Plan, codebuild
from tests.standins.models.sigv4 import Keys
from voicecore.aws.errors import AwsRefused
from voicecore.console.errors import ExitCode
from voicecore.console.progress import Progress
from voicecore.image.builders import buildspec, codebuild_resources
from voicecore.image.builders import codebuild as builder
from voicecore.image.builders.buildspec import Remote
from voicecore.image.builders.codebuild import Pace, RemoteBuildFailed, RemoteBuildStopped
from voicecore.image.builders.codebuild_resources import Aws
from voicecore.image.registry.reference import parse_reference
from voicecore.project import aws_names

REGION = "eu-west-1"
ACCOUNT = "123456789012"
KEYS = Keys("AKIDVOICECORETEST", "a-secret-that-only-the-stand-ins-know")
REPOSITORY = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/voicecore/my-agent"
BUCKET = f"vc-my-agent-{ACCOUNT}-{REGION}"
ROLE = f"voicecore-my-agent-builder-{REGION}"
QUICK = Pace(poll=0.01, limit=20, role=(0.01, 0.01, 0.01), log=0.05)
BASE = "public.ecr.aws/docker/library/python:3.13-slim-trixie@sha256:" + "b" * 64


@pytest.fixture(scope="module")
def running() -> Iterator[CodeBuild]:
    with codebuild(REGION, KEYS) as lab:
        yield lab


@pytest.fixture
def lab(running: CodeBuild) -> CodeBuild:
    running.reset()
    return running


def aws_of(lab: CodeBuild, region: str = REGION, keys: Keys = KEYS) -> Aws:
    """The clients that `connect` makes, led to the stand-ins, without tries of their own."""
    session = boto3.Session(
        aws_access_key_id=keys.access_key_id,
        aws_secret_access_key=keys.secret_access_key,
        region_name=region,
    )
    config = Config(retries={"mode": "standard", "total_max_attempts": 1})

    def client(name: str) -> Any:
        endpoint = lab.endpoint if name in ("codebuild", "s3") else lab.moto
        return session.client(name, endpoint_url=endpoint, config=config)

    return Aws(ACCOUNT, "aws", region, *map(client, ("s3", "iam", "logs", "codebuild")))


@pytest.fixture(scope="module")
def aws(running: CodeBuild) -> Aws:
    return aws_of(running)


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    agent = tmp_path / "agent"
    (agent / "prompts").mkdir(parents=True)
    (agent / "Dockerfile").write_text("FROM python AS build\nFROM python\n")
    (agent / "app.py").write_text("print('hello')\n")
    (agent / "run.sh").write_text("#!/bin/sh\n")
    (agent / "run.sh").chmod(0o755)
    (agent / "prompts" / "hello.txt").write_text("Grüezi\n")
    (agent / "link").symlink_to("app.py")
    return Remote(
        project="my-agent",
        agent=agent,
        files=["run.sh", "Dockerfile", "app.py", "prompts/hello.txt", "link"],
        target=parse_reference(f"{REPOSITORY}:0123456789abcdef0123"),
        base=BASE,
        epoch=1_760_000_000,
        packages_key="feed" * 16,
        labels={"io.voicecore.version": "1"},
    )


class Told:
    """Collects the progress."""

    def __init__(self) -> None:
        self.all: list[Progress] = []

    def __call__(self, progress: Progress) -> None:
        self.all.append(progress)

    @property
    def finished(self) -> list[str]:
        return [progress.task for progress in self.all if progress.finished]


# ---- what is made


def test_a_build_goes_through_its_phases_and_says_so(
    lab: CodeBuild, aws: Aws, remote: Remote
) -> None:
    lab.plans = [Plan(log=["#5 [build 2/6] RUN pip install uv", "#5 DONE 2.0s"])]
    told = Told()
    builder.build(aws, remote, told, pace=QUICK)
    assert told.finished == [
        "source to AWS",
        "waiting for a machine",
        "starting the machine",
        "fetching the source",
        "logging in to the registry",
        "build 2/6  RUN pip install uv",
        "building",
        "pushing",
    ]
    assert told.all[-1].note.endswith("s in AWS")
    (build,) = lab.builds
    assert build.request["sourceLocationOverride"] == f"{BUCKET}/0123456789abcdef0123.zip"


def test_the_bucket_is_private_short_lived_and_tagged(
    lab: CodeBuild, aws: Aws, remote: Remote
) -> None:
    builder.build(aws, remote, Told(), pace=QUICK)
    s3 = aws.s3
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


def test_in_us_east_1_a_bucket_names_no_place(lab: CodeBuild, remote: Remote) -> None:
    name = codebuild_resources.ensure_bucket(aws_of(lab, "us-east-1"), remote.project)
    assert lab.client("s3").get_bucket_location(Bucket=name)["LocationConstraint"] is None


def test_every_call_about_the_bucket_names_its_owner(lab: CodeBuild, remote: Remote) -> None:
    aws = aws_of(lab)
    seen: dict[str, dict[str, Any]] = {}

    def note(params: dict[str, Any], model: Any, **_: Any) -> None:
        seen[model.name] = params

    aws.s3.meta.events.register("provide-client-params.s3", note)
    builder.build(aws, remote, Told(), pace=QUICK)
    builder.build(aws, remote, Told(), pace=QUICK)
    codebuild_resources.remove(aws, remote.project)
    assert {"HeadBucket", "PutObject", "PutBucketPolicy", "DeleteBucket"} <= set(seen)
    owners = {
        name: params.get("ExpectedBucketOwner")
        for name, params in seen.items()
        if name != "CreateBucket"  # there is no owner yet
    }
    assert set(owners.values()) == {ACCOUNT}, owners


def test_the_role_trusts_this_account_and_may_push_to_one_repository(
    lab: CodeBuild, aws: Aws, remote: Remote
) -> None:
    builder.build(aws, remote, Told(), pace=QUICK)
    role = aws.iam.get_role(RoleName=ROLE)["Role"]
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "codebuild.amazonaws.com"}
    assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": ACCOUNT}}
    assert {"Key": "voicecore:project", "Value": "my-agent"} in role["Tags"]
    (policy,) = aws.iam.list_role_policies(RoleName=ROLE)["PolicyNames"]
    document = aws.iam.get_role_policy(RoleName=ROLE, PolicyName=policy)["PolicyDocument"]
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


def test_the_project_is_arm_and_privileged_and_logs_where_we_look(
    lab: CodeBuild, aws: Aws, remote: Remote
) -> None:
    builder.build(aws, remote, Told(), pace=QUICK)
    (project,) = aws.codebuild.batch_get_projects(names=["voicecore-my-agent-builder"])["projects"]
    assert project["environment"]["type"] == "ARM_CONTAINER"
    assert project["environment"]["privilegedMode"] is True
    assert project["artifacts"] == {"type": "NO_ARTIFACTS"}
    assert project["timeoutInMinutes"] == 15
    assert {"key": "voicecore:project", "value": "my-agent"} in project["tags"]
    (group,) = aws.logs.describe_log_groups(logGroupNamePrefix="/aws/codebuild/")["logGroups"]
    assert group["logGroupName"] == project["logsConfig"]["cloudWatchLogs"]["groupName"]
    assert group["retentionInDays"] == 30


def test_a_second_build_brings_everything_up_to_date(
    lab: CodeBuild, aws: Aws, remote: Remote
) -> None:
    builder.build(aws, remote, Told(), pace=QUICK)
    aws.iam.delete_role_policy(RoleName=ROLE, PolicyName="build")
    aws.s3.delete_public_access_block(Bucket=BUCKET)
    builder.build(aws, remote, Told(), pace=QUICK)
    assert "UpdateProject" in lab.asked
    assert aws.iam.list_role_policies(RoleName=ROLE)["PolicyNames"] == ["build"]
    assert aws.s3.get_public_access_block(Bucket=BUCKET)
    assert len(lab.builds) == 2


def test_a_role_that_was_given_is_used_and_none_is_made(
    lab: CodeBuild, aws: Aws, remote: Remote
) -> None:
    trust = json.dumps(buildspec.trust(ACCOUNT))
    given = aws.iam.create_role(RoleName="ours", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    builder.build(aws, remote, Told(), role=given, pace=QUICK)
    assert [role["RoleName"] for role in aws.iam.list_roles()["Roles"]] == ["ours"]
    assert aws.iam.list_role_policies(RoleName="ours")["PolicyNames"] == []
    assert lab.builds[0].project["serviceRole"] == given
    assert "IAM role" not in " ".join(codebuild_resources.remove(aws, remote.project))
    assert aws.iam.get_role(RoleName="ours")


def test_the_source_is_the_context_and_the_same_every_time(remote: Remote) -> None:
    first, second = io.BytesIO(), io.BytesIO()
    buildspec.write_source(remote, first)
    os.utime(remote.agent / "app.py", (1, 1))
    buildspec.write_source(replace(remote, files=sorted(remote.files)), second)
    assert first.getvalue() == second.getvalue()
    with zipfile.ZipFile(first) as archive:
        modes = {entry.filename: entry.external_attr >> 16 for entry in archive.infolist()}
        assert archive.read("prompts/hello.txt").decode() == "Grüezi\n"
        assert archive.read("link") == b"app.py"
    assert modes["run.sh"] & 0o111
    assert not modes["app.py"] & 0o111
    assert modes["link"] & 0o120000 == 0o120000


def test_all_of_it_is_taken_away_again_and_nothing_else(
    lab: CodeBuild, aws: Aws, remote: Remote
) -> None:
    other = replace(remote, project="another")
    builder.build(aws, remote, Told(), pace=QUICK)
    builder.build(aws, other, Told(), pace=QUICK)
    assert codebuild_resources.remove(aws, "my-agent") == [
        "CodeBuild project voicecore-my-agent-builder",
        "log group /aws/codebuild/voicecore-my-agent-builder",
        f"IAM role {ROLE}",
        f"S3 bucket {BUCKET}",
    ]
    assert codebuild_resources.remove(aws, "my-agent") == []
    assert [bucket["Name"] for bucket in aws.s3.list_buckets()["Buckets"]] == [
        aws_names.builder_bucket_for("another", ACCOUNT, REGION)
    ]
    assert len(aws.iam.list_roles()["Roles"]) == 1
    assert len(codebuild_resources.remove(aws, "another")) == 4


def test_what_does_not_carry_the_projects_tag_is_left_alone(
    lab: CodeBuild, aws: Aws, remote: Remote
) -> None:
    aws.s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    aws.iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument="{}")
    aws.logs.create_log_group(logGroupName="/aws/codebuild/voicecore-my-agent-builder")
    assert codebuild_resources.remove(aws, remote.project) == []
    assert aws.s3.head_bucket(Bucket=BUCKET)
    assert aws.iam.get_role(RoleName=ROLE)


# ---- the commands


def commands(remote: Remote, phase: str) -> list[str]:
    return buildspec.buildspec(remote, REGION)["phases"][phase]["commands"]


def test_a_failed_build_pushes_nothing(remote: Remote) -> None:
    guard, push, keep = commands(remote, "post_build")
    assert guard == 'test "$CODEBUILD_BUILD_SUCCEEDING" = 1'
    assert push == f"docker push {REPOSITORY}:0123456789abcdef0123"
    assert f"docker push {REPOSITORY}:cache-feedfeedfeedfeedfeed" in keep
    assert all("push" not in command for command in commands(remote, "build"))


def test_no_password_is_an_argument(remote: Remote) -> None:
    (login,) = commands(remote, "pre_build")
    assert "--password-stdin" in login
    assert login.startswith(f"aws ecr get-login-password --region {REGION} |")


def test_packages_without_a_wheel_are_compiled_on_the_same_python_with_compilers(
    remote: Remote,
) -> None:
    stage, image = commands(replace(remote, compiles=True), "build")
    for command in (stage, image):
        assert "BUILD_BASE=public.ecr.aws/docker/library/python:3.13-trixie " in command
        assert "--build-arg WHEELS= " in command
        assert f"BASE={BASE} " in command
    assert "BUILD_BASE" not in commands(remote, "build")[0]


def test_the_build_stage_is_kept_for_the_next_build(remote: Remote) -> None:
    stage, image = commands(remote, "build")
    kept = f"{REPOSITORY}:cache-feedfeedfeedfeedfeed"
    assert "--target build --cache-to type=inline ." in stage
    assert f"--tag {kept} " in stage
    assert f"--cache-from type=registry,ref={kept}" in stage
    assert f"--cache-from type=registry,ref={kept}" in image


def test_without_what_was_kept_there_is_one_plain_build(remote: Remote) -> None:
    (image,) = commands(replace(remote, fresh=True), "build")
    assert "--no-cache" in image
    assert "cache-from" not in image
    assert len(commands(replace(remote, fresh=True), "post_build")) == 2


def test_a_dockerfile_without_a_named_stage_is_built_without_keeping_one(remote: Remote) -> None:
    (remote.agent / "Dockerfile").write_text("FROM python\nCOPY . /app\n")
    assert len(commands(remote, "build")) == 1


def test_names_with_spaces_stay_one_word(remote: Remote) -> None:
    labelled = replace(remote, labels={"org.opencontainers.image.title": "it's my agent; $HOME"})
    assert (
        "'org.opencontainers.image.title=it'\"'\"'s my agent; $HOME'"
        in commands(labelled, "build")[-1]
    )


# ---- what goes wrong


def test_a_failed_build_shows_the_phase_and_the_end_of_the_log(
    lab: CodeBuild, aws: Aws, remote: Remote
) -> None:
    lines = [f"line {number}" for number in range(40)]
    lab.plans = [Plan("BUILD", says="exit status 2", log=[*lines, "error: gcc is missing"])]
    told = Told()
    with pytest.raises(RemoteBuildFailed) as failure:
        builder.build(aws, remote, told, pace=QUICK)
    message, hint = failure.value.message, failure.value.hint or ""
    assert "failed while building" in message
    assert "exit status 2" in message
    assert "error: gcc is missing" in message
    assert "line 39" in message
    assert "line 9\n" not in message
    assert "aws logs tail /aws/codebuild/voicecore-my-agent-builder --log-stream-names" in hint
    assert failure.value.exit_code is ExitCode.FAILED
    assert any(step.note.startswith("failed") for step in told.all if step.task == "building")


@pytest.mark.parametrize(
    ("line", "cause", "command"),
    [
        ("toomanyrequests: You have reached your pull rate limit", "Docker Hub", "upgrade-base"),
        (
            "name unknown: The repository with name 'x' does not exist",
            "repository is not there",
            "aws ecr create-repository --repository-name voicecore/my-agent",
        ),
        (
            "denied: User is not authorized to perform: ecr:InitiateLayerUpload on resource",
            "may not do ecr:InitiateLayerUpload",
            "--codebuild-role",
        ),
        ("write /x: no space left on device", "more room", ".dockerignore"),
        (
            "tag invalid: The image tag '1' already exists in the repository and cannot be",
            "immutable",
            "describe-images",
        ),
    ],
)
def test_known_causes_are_named_with_what_to_do(
    line: str, cause: str, command: str, lab: CodeBuild, aws: Aws, remote: Remote
) -> None:
    lab.plans = [Plan("POST_BUILD", log=[line])]
    with pytest.raises(RemoteBuildFailed, match=cause) as failure:
        builder.build(aws, remote, Told(), pace=QUICK)
    assert command in (failure.value.hint or "")


@pytest.mark.parametrize(
    ("status", "words"),
    [("FAULT", "by a fault of AWS"), ("TIMED_OUT", "ran out of its 15 minutes")],
)
def test_other_bad_ends_are_told(
    status: str, words: str, lab: CodeBuild, aws: Aws, remote: Remote
) -> None:
    lab.plans = [Plan("BUILD", status=status)]
    with pytest.raises(RemoteBuildFailed, match=words):
        builder.build(aws, remote, Told(), pace=QUICK)


def test_iams_slowness_is_waited_for(lab: CodeBuild, aws: Aws, remote: Remote) -> None:
    lab.role_unknown = 2
    builder.build(aws, remote, Told(), pace=QUICK)
    assert lab.asked.count("CreateProject") == 3
    assert len(lab.builds) == 1


def test_a_role_that_the_first_build_cannot_use_yet_is_tried_again(
    lab: CodeBuild, aws: Aws, remote: Remote
) -> None:
    lab.plans = [Plan("DOWNLOAD_SOURCE", says="AccessDenied: Access Denied status code: 403")]
    builder.build(aws, remote, Told(), pace=QUICK)
    assert len(lab.builds) == 2


def test_a_role_that_nobody_can_use_is_an_error(lab: CodeBuild, aws: Aws, remote: Remote) -> None:
    lab.role_unknown = 99
    with pytest.raises(AwsRefused, match="sts:AssumeRole"):
        builder.build(aws, remote, Told(), pace=QUICK)


def test_a_build_that_takes_too_long_is_stopped(lab: CodeBuild, aws: Aws, remote: Remote) -> None:
    lab.plans = [Plan(stays_in="BUILD")]
    with pytest.raises(RemoteBuildStopped, match="was stopped in AWS"):
        builder.build(aws, remote, Told(), pace=replace(QUICK, limit=0.3))
    assert lab.builds[0].status == "STOPPED"


def test_control_c_stops_the_build_in_aws(lab: CodeBuild, aws: Aws, remote: Remote) -> None:
    lab.plans = [Plan(stays_in="BUILD")]

    def interrupt() -> None:
        while not lab.builds or lab.builds[0].phases[-1]["phaseType"] != "BUILD":
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(RemoteBuildStopped, match="stopped in AWS") as stopped:
        builder.build(aws, remote, Told(), pace=QUICK)
    thread.join()
    assert stopped.value.exit_code is ExitCode.INTERRUPTED
    assert lab.builds[0].status == "STOPPED"


def test_somebody_else_may_stop_it(lab: CodeBuild, aws: Aws, remote: Remote) -> None:
    lab.plans = [Plan("BUILD", status="STOPPED")]
    with pytest.raises(RemoteBuildStopped, match="someone else"):
        builder.build(aws, remote, Told(), pace=QUICK)


def test_a_network_that_is_away_for_a_while_ends_nothing(
    lab: CodeBuild, aws: Aws, remote: Remote
) -> None:
    told = Told()

    def break_the_line(progress: Progress) -> None:
        if progress.task == "starting the machine" and not progress.finished:
            lab.away = 3
        told(progress)

    builder.build(aws, remote, break_the_line, pace=QUICK)
    assert lab.away == 0
    assert told.finished[-1] == "pushing"


def test_credentials_that_expire_meanwhile_leave_the_build_running(
    lab: CodeBuild, aws: Aws, remote: Remote
) -> None:
    lab.expired_after = 4
    with pytest.raises(AwsRefused, match="goes on without us") as refusal:
        builder.build(aws, remote, Told(), pace=QUICK)
    assert "aws sso login" in (refusal.value.hint or "")
    assert lab.builds[0].status == "IN_PROGRESS"


def test_a_missing_permission_is_named(lab: CodeBuild, aws: Aws, remote: Remote) -> None:
    lab.denied = {"codebuild:StartBuild"}
    with pytest.raises(AwsRefused, match="codebuild:StartBuild") as refusal:
        builder.build(aws, remote, Told(), pace=QUICK)
    assert "codebuild:StartBuild" in (refusal.value.hint or "")
    assert refusal.value.exit_code is ExitCode.AWS_REFUSED


def test_a_quota_is_told_as_one(lab: CodeBuild, aws: Aws, remote: Remote) -> None:
    lab.quota = {"StartBuild"}
    with pytest.raises(AwsRefused, match="no room for StartBuild") as refusal:
        builder.build(aws, remote, Told(), pace=QUICK)
    assert "service-quotas" in (refusal.value.hint or "")


def test_another_accounts_bucket_of_that_name_is_not_spoken_to(
    lab: CodeBuild, aws: Aws, remote: Remote
) -> None:
    lab.client("s3").create_bucket(
        Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION}
    )
    lab.not_ours = {BUCKET}
    with pytest.raises(AwsRefused, match="is another account's"):
        builder.build(aws, remote, Told(), pace=QUICK)
    assert not lab.builds
    assert "Contents" not in lab.client("s3").list_objects_v2(Bucket=BUCKET)


def test_who_may_make_no_role_is_told_to_name_one(lab: CodeBuild, remote: Remote) -> None:
    """With moto's own IAM deciding: a user who may do all but make roles."""
    iam = lab.client("iam")
    iam.create_user(UserName="tester")
    allowed = ["s3:*", "logs:*", "iam:GetRole", "iam:UpdateAssumeRolePolicy"]
    document = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": allowed, "Resource": "*"}],
    }
    iam.put_user_policy(UserName="tester", PolicyName="some", PolicyDocument=json.dumps(document))
    made = iam.create_access_key(UserName="tester")["AccessKey"]
    with lab.iam_decides():
        aws = aws_of(lab, keys=Keys(made["AccessKeyId"], made["SecretAccessKey"]))
        with pytest.raises(AwsRefused, match="iam:CreateRole") as refusal:
            builder.build(aws, remote, Told(), pace=QUICK)
    assert "--codebuild-role ARN" in (refusal.value.hint or "")
    assert "The action that is missing:  iam:CreateRole" in (refusal.value.hint or "")


# ---- who we are


CONNECT = """
import sys
from voicecore.errors import VoicecoreError
from voicecore.image.codebuild import connect
from voicecore.image.reference import parse_reference
try:
    aws = connect(parse_reference(sys.argv[1]))
    print(aws.account, aws.partition, aws.region, aws.codebuild.meta.region_name)
except VoicecoreError as error:
    print(type(error).__name__, error.message, error.hint)
"""


def connect(repository: str, tmp_path: Path, **env: str) -> str:
    """What a process of its own finds, with no credentials but those in `env`."""
    nobody = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "AWS_EC2_METADATA_DISABLED": "true",
        **env,
    }
    done = subprocess.run(
        [sys.executable, "-c", CONNECT, repository],
        env=nobody, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


def test_the_account_is_whose_credentials_we_have_in_the_repositorys_region(
    lab: CodeBuild, tmp_path: Path
) -> None:
    keys = {
        "AWS_ACCESS_KEY_ID": KEYS.access_key_id,
        "AWS_SECRET_ACCESS_KEY": KEYS.secret_access_key,
        "AWS_REGION": "us-east-2",
    }
    found = connect(REPOSITORY, tmp_path, AWS_ENDPOINT_URL=lab.moto, **keys)
    assert found == f"{ACCOUNT} aws {REGION} {REGION}"


def test_without_credentials_it_is_said_how_to_get_some(tmp_path: Path) -> None:
    told = connect(REPOSITORY, tmp_path)
    assert told.startswith("AwsRefused There are no AWS credentials")
    assert "aws sso login" in told
    told = connect(REPOSITORY, tmp_path, AWS_PROFILE="nobodys")
    assert "nobodys" in told


def test_a_repository_elsewhere_than_in_ecr_is_refused(tmp_path: Path) -> None:
    told = connect("ghcr.io/me/agent:1", tmp_path)
    assert told.startswith("NotEcr CodeBuild pushes to Amazon ECR; ghcr.io/me/agent is not there.")
    assert "voicecore build --builder direct --push ghcr.io/me/agent" in told
