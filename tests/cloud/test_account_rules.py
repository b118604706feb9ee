"""What the administrator of an account prescribes is kept, and what they add by hand stays."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.cloud.deploying import Deployer
from tests.cloud.permissions import use_exported_policies
from tests.cloud.test_deploy import changes, edit
from tests.cloud.test_mistakes import expect_refusal, prepend_setting
from tests.cloud.test_restoration import delete_role
from tests.conftest import Voicecore
from tests.standins.aws import Aws
from voicecore.console.errors import ExitCode

ROLE = "voicecore-line-dev-us-east-1"
REPOSITORY = "123456789012.dkr.ecr.us-east-1.amazonaws.com/team/voice"
EVERYTHING = [{"Effect": "Allow", "Action": "*", "Resource": "*"}]


def trust(service: str) -> str:
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "sts:AssumeRole",
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def document(statements: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def create_role(aws: Aws, name: str, service: str, *documents: str, path: str = "/") -> str:
    """Create a role with these policies; return its ARN."""
    iam = aws.client("iam")
    made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust(service), Path=path)
    for number, each in enumerate(documents):
        iam.put_role_policy(RoleName=name, PolicyName=f"p{number}", PolicyDocument=each)
    return made["Role"]["Arn"]


def create_boundary(aws: Aws) -> str:
    made = aws.client("iam").create_policy(PolicyName="b", PolicyDocument=document(EVERYTHING))
    return made["Policy"]["Arn"]


def create_key(aws: Aws, logs: bool = True) -> str:
    kms = aws.client("kms")
    key = kms.create_key()["KeyMetadata"]
    statements = [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "kms:*",
                   "Resource": "*"}]  # fmt: skip
    if logs:
        service = {"Service": "logs.us-east-1.amazonaws.com"}
        statements.append(statements[0] | {"Principal": service})
    kms.put_key_policy(KeyId=key["KeyId"], PolicyName="default", Policy=document(statements))
    return key["Arn"]


def role_of(aws: Aws) -> Mapping[str, Any]:
    return aws.client("iam").get_role(RoleName=ROLE)["Role"]


def exported(root: Path, name: str) -> list[str]:
    return [file.read_text() for file in sorted((root / "cloudformation").glob(f"{name}-*.json"))]


def deploy_up_to_date(aws: Aws, deployer: Deployer) -> None:
    """Check that a deploy without an edit changes nothing."""
    aws.journal.clear()
    again = deployer.deploy()
    assert "nothing was changed" in again.stderr, again.stderr
    assert changes(aws) == []


def update(aws: Aws, stack: str, tags: Mapping[str, str], template: str | None = None) -> None:
    """Update a stack as an administrator does: with these tags more, and another template."""
    cloud = aws.client("cloudformation")
    found = cloud.describe_stacks(StackName=stack)["Stacks"][0]
    more = [{"Key": key, "Value": value} for key, value in tags.items()]
    cloud.update_stack(
        StackName=stack,
        Capabilities=["CAPABILITY_NAMED_IAM"],
        Parameters=[
            {"ParameterKey": p["ParameterKey"], "UsePreviousValue": True}
            for p in found.get("Parameters", [])
        ],
        Tags=[*found["Tags"], *more],
        **({"TemplateBody": template} if template else {"UsePreviousTemplate": True}),
    )
    cloud.get_waiter("stack_update_complete").wait(
        StackName=stack, WaiterConfig={"Delay": 0.1, "MaxAttempts": 600}
    )


def test_boundary_path_tags_and_key_are_kept_where_an_organization_demands_them(
    aws: Aws, deployer: Deployer, monkeypatch: pytest.MonkeyPatch
) -> None:
    boundary, key = create_boundary(aws), create_key(aws)
    (deployer.root / "agent" / ".env").write_text("MY_API_KEY=hidden\n")
    before = aws.inventory()
    aws.organize(
        {
            "Effect": "Deny",
            "Action": "iam:CreateRole",
            "Resource": "*",
            "Condition": {"StringNotEquals": {"iam:PermissionsBoundary": boundary}},
        },
        {
            "Effect": "Deny",
            "Action": ["*:Create*", "kinesisvideo:CreateSignalingChannel"],
            "Resource": "*",
            "Condition": {
                "Null": {"aws:RequestTag/CostCenter": True},
                "StringLike": {"aws:RequestedRegion": "*"},
            },
        }
        | {"Action": ["iam:CreateRole", "ecr:CreateRepository", "secretsmanager:CreateSecret",
                      "bedrock-agentcore:CreateAgentRuntime", "logs:CreateLogGroup"]},
    )  # fmt: skip
    refused = deployer.deploy()
    expect_refusal(refused, "explicit deny in a service control policy", "[tags]")
    prepend_setting(
        deployer,
        f'permissions_boundary = "{boundary}"\nrole_path = "/teams/voice/"\nkms_key = "{key}"',
    )
    toml = deployer.root / "voicecore.toml"
    toml.write_text(f'{toml.read_text()}\n[tags]\nCostCenter = "42"\n')
    use_exported_policies(monkeypatch, aws, deployer)
    deployed = deployer.deploy()
    assert deployed.code == ExitCode.OK, deployed.stderr
    assert "not be checked" not in deployed.stderr
    role = role_of(aws)
    assert role["Path"] == "/teams/voice/"
    assert role["PermissionsBoundary"]["PermissionsBoundaryArn"] == boundary
    delete_role(aws)
    assert "execution role: deleted by hand" in deployer.deploy().stderr
    assert role_of(aws)["Path"] == role["Path"]
    made = aws.inventory() - before
    assert {dict(item.tags).get("CostCenter") for item in made if item.tags} == {"42"}
    assert "log-group" in " ".join(item.kind for item in made if item.tags)
    secret = aws.client("secretsmanager").describe_secret(SecretId="voicecore/line/dev")
    assert secret["KmsKeyId"] == key
    groups = aws.client("logs").describe_log_groups()["logGroups"]
    assert {group.get("kmsKeyId") for group in groups} == {key}
    ecr = aws.client("ecr").describe_repositories()["repositories"][0]
    assert ecr["encryptionConfiguration"]["kmsKey"] == key
    deploy_up_to_date(aws, deployer)
    assert deployer.destroy().code == ExitCode.OK
    assert aws.inventory() == before


def test_boundary_and_tags_that_an_administrator_added_stay(aws: Aws, deployer: Deployer) -> None:
    toml = deployer.root / "voicecore.toml"
    settings = toml.read_text()
    toml.write_text(f'{settings}\n[tags]\nTeam = "voice"\nOwner = "ada"\n')
    assert deployer.deploy().code == ExitCode.OK
    boundary, stack = create_boundary(aws), "voicecore-line-dev"
    template = aws.client("cloudformation").get_template(StackName=stack)["TemplateBody"]
    template["Resources"]["Role"]["Properties"]["PermissionsBoundary"] = boundary
    update(aws, stack, {"CostCenter": "42"}, json.dumps(template))
    update(aws, "voicecore-line-images", {"CostCenter": "42"})
    deploy_up_to_date(aws, deployer)

    toml.write_text(f'{settings}\n[tags]\nTeam = "sound"\n')
    edit(deployer)
    deployed = deployer.deploy()
    assert deployed.code == ExitCode.OK, deployed.stderr
    assert "tags" in deployed.stderr
    assert role_of(aws)["PermissionsBoundary"]["PermissionsBoundaryArn"] == boundary
    for name in (stack, "voicecore-line-images"):
        found = aws.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
        tags = {tag["Key"]: tag["Value"] for tag in found["Tags"]}
        assert (tags["CostCenter"], tags["Team"], tags.get("Owner")) == ("42", "sound", None)


def test_existing_role_is_checked_before_anything_is_created_and_kept(
    aws: Aws, deployer: Deployer, monkeypatch: pytest.MonkeyPatch
) -> None:
    (deployer.root / "agent" / ".env").write_text("MY_API_KEY=hidden\n")
    arn = "arn:aws:iam::123456789012:role/teams/agent"
    prepend_setting(deployer, f'role = "{arn}"')
    expect_refusal(deployer.deploy(), "does not exist in this account", "`role`")
    assert create_role(aws, "agent", "lambda.amazonaws.com", path="/teams/") == arn
    expect_refusal(
        deployer.deploy(),
        "does not let bedrock-agentcore.amazonaws.com assume it",
        '"aws:SourceAccount": "123456789012"',
        "lacks ecr:BatchGetImage",
        "secretsmanager:GetSecretValue",
    )
    assert deployer.deploy(export=True).code == ExitCode.OK
    folder = deployer.root / "cloudformation"
    policy, trusted = (
        (folder / f"execution-role-{each}.json").read_text().replace("ACCOUNT", "123456789012")
        for each in ("policy", "trust")
    )
    iam = aws.client("iam")
    iam.put_role_policy(RoleName="agent", PolicyName="p", PolicyDocument=policy)
    iam.update_assume_role_policy(RoleName="agent", PolicyDocument=trusted)
    assert "cloudformation:CreateStack" not in changes(aws)
    before = aws.inventory()
    use_exported_policies(monkeypatch, aws, deployer)
    deployed = deployer.deploy()
    assert deployed.code == ExitCode.OK, deployed.stderr
    assert "execution role" not in deployed.stderr
    assert "not be checked" not in deployed.stderr
    control = aws.client("bedrock-agentcore-control")
    found = control.list_agent_runtimes()["agentRuntimes"][0]["agentRuntimeId"]
    assert control.get_agent_runtime(agentRuntimeId=found)["roleArn"] == arn
    deploy_up_to_date(aws, deployer)
    assert deployer.destroy().code == ExitCode.OK
    assert aws.inventory() == before


def test_existing_repository_is_used_and_kept(
    aws: Aws, deployer: Deployer, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepend_setting(deployer, f'repository = "{REPOSITORY}"')
    expect_refusal(deployer.deploy(), f"{REPOSITORY} does not exist", "`repository`")
    aws.client("ecr").create_repository(repositoryName="team/voice")
    use_exported_policies(monkeypatch, aws, deployer)
    deployed = deployer.deploy()
    assert deployed.code == ExitCode.OK, deployed.stderr
    assert "image repository" not in deployed.stderr
    deploy_up_to_date(aws, deployer)
    assert deployer.destroy().code == ExitCode.OK
    images = aws.client("ecr").list_images(repositoryName="team/voice")["imageIds"]
    assert len(images) == 1
    assert "repository/voicecore" not in " ".join(exported(deployer.root, "deployer-policy"))


def test_cloudformation_acts_with_its_service_role_and_the_caller_needs_little(
    aws: Aws, deployer: Deployer, monkeypatch: pytest.MonkeyPatch
) -> None:
    (deployer.root / "agent" / ".env").write_text("MY_API_KEY=hidden\n")
    before = aws.inventory()
    arn = "arn:aws:iam::123456789012:role/cloudformation"
    prepend_setting(deployer, f'service_role = "{arn}"')
    assert deployer.deploy(export=True).code == ExitCode.OK
    policies = exported(deployer.root, "service-role-policy")
    expect_refusal(deployer.deploy(), "role/cloudformation does not exist")
    create_role(aws, "cloudformation", "cloudformation.amazonaws.com", *policies)
    own = exported(deployer.root, "deployer-policy")
    statements = [each for text in own for each in json.loads(text)["Statement"]]
    assert "CreateRole" not in json.dumps([s for s in statements if s["Sid"] != "BuildRole"])
    caller = aws.new_caller(policies=statements)
    for name, value in caller.environment().items():
        monkeypatch.setenv(name, value)
    deployed = deployer.deploy()
    assert deployed.code == ExitCode.OK, deployed.stderr
    assert "IAM's policy simulator" not in deployed.stderr
    edit(deployer)
    assert deployer.deploy().code == ExitCode.OK
    gone = deployer.destroy()
    assert gone.code == ExitCode.OK, gone.stderr
    left = aws.inventory() - before
    assert {item.id for item in left} == {"cloudformation"}


def test_boundary_of_the_deployer_is_named_in_the_error(
    aws: Aws, deployer: Deployer, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound = [{"Effect": "Allow", "NotAction": "ecr:CreateRepository", "Resource": "*"}]
    caller = aws.new_caller(policies=EVERYTHING, boundary=bound)
    for name, value in caller.environment().items():
        monkeypatch.setenv(name, value)
    expect_refusal(deployer.deploy(), "permissions boundary", "ecr:CreateRepository")


def test_tag_policy_that_refuses_a_value_is_explained_by_its_tag(
    aws: Aws, deployer: Deployer
) -> None:
    toml = deployer.root / "voicecore.toml"
    toml.write_text(f'{toml.read_text()}\n[tags]\nCostCenter = "41"\n')
    aws.organize(tags={"CostCenter": ["42"]})
    expect_refusal(deployer.deploy(), "tag key: 'CostCenter'", "[tags]", "CostCenter")
    toml.write_text(toml.read_text().replace('"41"', '"42"'))
    assert deployer.deploy().code == ExitCode.OK


def test_region_that_an_organization_denies_is_explained(aws: Aws, deployer: Deployer) -> None:
    aws.organize(
        {
            "Effect": "Deny",
            "NotAction": ["iam:*", "sts:*"],
            "Resource": "*",
            "Condition": {"StringNotEquals": {"aws:RequestedRegion": ["eu-central-1"]}},
        }
    )
    expect_refusal(deployer.deploy(), "service control policy", "us-east-1", "another region")
    assert changes(aws) == []


def test_boundary_that_does_not_exist_is_refused_before_anything_is_created(
    aws: Aws, deployer: Deployer
) -> None:
    boundary = "arn:aws:iam::123456789012:policy/none"
    prepend_setting(deployer, f'permissions_boundary = "{boundary}"')
    expect_refusal(deployer.deploy(), f"{boundary} does not exist", "`permissions_boundary`")
    assert changes(aws) == []


def test_key_that_logs_may_not_use_is_refused_before_anything_is_created(
    aws: Aws, deployer: Deployer
) -> None:
    key = create_key(aws, logs=False)
    prepend_setting(deployer, f'kms_key = "{key}"')
    aws.journal.clear()
    expect_refusal(deployer.deploy(), "CloudWatch Logs", '"kms:Decrypt*"')
    assert changes(aws) == []


def test_stacks_that_others_deployed_from_an_export_are_read_and_updated(
    aws: Aws, deployer: Deployer, voicecore: Voicecore
) -> None:
    """A pipeline has left out voicecore's tags, and a stack set has chosen a name."""
    assert deployer.deploy(export="template").code == ExitCode.OK
    folder = deployer.root / "cloudformation"
    names = {"voicecore-line-images": "voicecore-line-images",
             "voicecore-line-dev": "StackSet-voice-8c1b"}  # fmt: skip
    cloud = aws.client("cloudformation")
    image = "123456789012.dkr.ecr.us-east-1.amazonaws.com/voicecore/line"
    for ours, theirs in names.items():
        parameters: list[dict[str, str]] = []
        if theirs != ours:
            digest = push(aws)
            parameters = [
                {"ParameterKey": "ImageUri", "ParameterValue": f"{image}@{digest}"},
                {"ParameterKey": "LiveVersion", "ParameterValue": "1"},
            ]
        cloud.create_stack(
            StackName=theirs,
            TemplateBody=(folder / f"{ours}.yaml").read_text(),
            Capabilities=["CAPABILITY_NAMED_IAM"],
            Parameters=parameters,
            Tags=[{"Key": "CostCenter", "Value": "42"}],
        )
        cloud.get_waiter("stack_create_complete").wait(
            StackName=theirs, WaiterConfig={"Delay": 0.1, "MaxAttempts": 600}
        )
    shown = voicecore("status", cwd=deployer.root)
    assert shown.code == ExitCode.OK, shown.stderr
    assert "StackSet-voice-8c1b" in shown.stdout
    deployed = deployer.deploy()
    assert deployed.code == ExitCode.OK, deployed.stderr
    assert "~ runtime" in deployed.stderr
    stacks = [each["StackName"] for each in cloud.describe_stacks()["Stacks"]]
    assert sorted(stacks) == sorted(names.values())
    tags = cloud.describe_stacks(StackName="StackSet-voice-8c1b")["Stacks"][0]["Tags"]
    assert {"Key": "CostCenter", "Value": "42"} in tags
    assert {"Key": "voicecore:project", "Value": "line"} in tags
    deploy_up_to_date(aws, deployer)


def push(aws: Aws) -> str:
    """Push an image as another tool does; return its digest."""
    config = {"mediaType": "application/vnd.oci.image.config.v1+json", "size": 10,
              "digest": f"sha256:{'0' * 64}"}  # fmt: skip
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config,
        "layers": [],
    }
    made = aws.client("ecr").put_image(
        repositoryName="voicecore/line",
        imageManifest=json.dumps(manifest),
        imageManifestMediaType=manifest["mediaType"],
        imageTag="theirs",
    )
    return made["image"]["imageId"]["imageDigest"]
