"""Builds in CodeBuild: bucket, role, project and source."""

from __future__ import annotations

import io
import json
import os
import zipfile
from dataclasses import replace

from tests.cloud.permissions import expect_recorded
from tests.image.codebuilds import (
    ACCOUNT,
    BUCKET,
    KEYS,
    QUICK,
    REGION,
    ROLE,
    ClientCall,
    ProgressLog,
    remove_all,
)
from tests.standins.aws.access import Access, Accesses, granted
from tests.standins.image.account import account_of
from tests.standins.image.codebuild import CodeBuild
from tests.standins.image.codebuild_builds import BuildScript
from tests.unit.cloud.deployments import deployment
from voicecore.aws.session import Aws
from voicecore.cloud.iam.codebuild import codebuild_statements
from voicecore.image.builders import buildspec, codebuild_resources
from voicecore.image.builders import codebuild as builder
from voicecore.image.builders.buildspec import CodeBuildInputs


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


def test_every_bucket_call_has_expected_owner(calls: list[ClientCall]) -> None:
    seen = {call.operation: call.params for call in calls if call.service == "s3"}
    assert {"HeadBucket", "PutObject", "PutBucketPolicy", "DeleteBucket"} <= set(seen)
    owners = {
        name: params.get("ExpectedBucketOwner")
        for name, params in seen.items()
        if name != "CreateBucket"  # the bucket has no owner yet
    }
    assert set(owners.values()) == {ACCOUNT}, owners


def test_deployer_policy_allows_every_call_on_its_resource(calls: list[ClientCall]) -> None:
    all_of, needed = Accesses(), set[Access]()
    for call in calls:
        needed |= all_of.of(f"{call.service}:{call.operation}", call.params, REGION)
    of = replace(deployment(region=REGION), name="my-agent")
    policy = [statement.json for statement in codebuild_statements(of, ACCOUNT)]
    assert [str(access) for access in sorted(needed) if not granted(policy, access)] == []
    expect_recorded(needed, "builds")


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
