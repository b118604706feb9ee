"""A project is known by the ID in its voicecore.toml, never by its name."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cloud.deploying import Deployer
from tests.cloud.test_deploy import changes
from tests.cloud.test_mistakes import expect_refusal
from tests.conftest import Result, Voicecore
from tests.standins.aws import Aws
from voicecore.aws.login import AwsLogin
from voicecore.aws.ownership import ForeignResource
from voicecore.console.errors import ExitCode
from voicecore.image.builders import codebuild, codebuild_resources
from voicecore.image.registry.ownership import require_own_repository
from voicecore.image.registry.reference import parse_reference
from voicecore.project.project import load_project

_ID = re.compile(r"^id = .*\n", re.MULTILINE)


def set_id(deployer: Deployer, line: str) -> None:
    """Give the project the ID of this line; none for an empty one."""
    path = deployer.root / "voicecore.toml"
    text = _ID.sub("", path.read_text())
    path.write_text(f"{line}\n{text}" if line else text)


def id_of(deployer: Deployer) -> str:
    return load_project(deployer.root).id


def tags_of(aws: Aws, stack: str) -> dict[str, str]:
    found = aws.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
    return {tag["Key"]: tag["Value"] for tag in found["Tags"]}


@pytest.fixture
def colleague(deployer: Deployer, voicecore: Voicecore, tmp_path: Path) -> Deployer:
    """Another project of the same name."""
    created = voicecore("init", "line", "--pipeline", "nova-sonic", "--yes", cwd=tmp_path / "line")
    assert created.code == 0, created.stderr
    return Deployer(tmp_path / "line" / "line")


def test_project_of_the_same_name_is_refused_by_every_command(
    aws: Aws,
    deployer: Deployer,
    colleague: Deployer,
    voicecore: Voicecore,
) -> None:
    assert id_of(deployer) != id_of(colleague)
    deployed = colleague.deploy()
    assert deployed.code == ExitCode.OK, deployed.stderr
    owned = [{"Key": key, "Value": v} for key, v in tags_of(aws, "voicecore-line-dev").items()]
    aws.client("cloudformation").create_stack(
        StackName="voicecore-line-dev-server",
        TemplateBody=json.dumps({"Resources": {"R": {"Type": "AWS::ECR::Repository"}}}),
        Tags=owned,
    )
    aws.client("cloudformation").get_waiter("stack_create_complete").wait(
        StackName="voicecore-line-dev-server", WaiterConfig={"Delay": 0.1, "MaxAttempts": 600}
    )
    before = aws.inventory()
    aws.journal.clear()

    def run(*words: str) -> Callable[[], Result]:
        return lambda: voicecore(*words, cwd=deployer.root)

    commands = (
        deployer.deploy, deployer.destroy, lambda: deployer.destroy(only_server=True),
        run("status"), run("logs"), run("logs", "--server"), run("invite"),
        run("talk", "--text", "--remote"),
    )  # fmt: skip
    for command in commands:
        expect_refusal(
            command(),
            "belongs to another project named line",
            'name = "line-2"',
            f'id = "{id_of(colleague)}"',
        )
    assert changes(aws) == []
    assert aws.inventory() == before
    set_id(deployer, f'id = "{id_of(colleague)}"')
    assert deployer.destroy().code == ExitCode.OK


def test_repository_and_builds_of_another_project_are_refused(
    aws: Aws, deployer: Deployer, colleague: Deployer
) -> None:
    assert colleague.deploy().code == ExitCode.OK
    target = parse_reference("123456789012.dkr.ecr.us-east-1.amazonaws.com/voicecore/line:x")
    mine, theirs = load_project(deployer.root).owner, load_project(colleague.root).owner
    require_own_repository(target, theirs, AwsLogin())
    with pytest.raises(ForeignResource, match="repository named voicecore/line"):
        require_own_repository(target, mine, AwsLogin())
    account = codebuild.connect(target, AwsLogin())
    codebuild_resources.ensure_role(account, theirs, target)
    codebuild_resources.require_own_resources(account, theirs)
    with pytest.raises(ForeignResource, match="IAM role voicecore-line-builder"):
        codebuild_resources.require_own_resources(account, mine)
    assert codebuild_resources.leftovers(account, mine) == []
    assert len(codebuild_resources.leftovers(account, theirs)) == 1


def test_copies_of_a_project_deploy_it_and_another_stage(
    aws: Aws, vpc: Deployer, tmp_path: Path
) -> None:
    toml = vpc.root / "voicecore.toml"
    toml.write_text(f"{toml.read_text()}\n[stages.prod]\n")
    assert vpc.deploy().code == ExitCode.OK
    clone = replace(vpc, root=tmp_path / "clone")
    shutil.copytree(vpc.root, clone.root)
    assert "nothing was changed" in clone.deploy().stderr
    deployed = clone.deploy(stage="prod")
    assert deployed.code == ExitCode.OK, deployed.stderr
    assert clone.destroy().code == ExitCode.OK
    assert clone.destroy(stage="prod", network=True).code == ExitCode.OK


def test_failed_stack_of_another_project_is_kept(
    aws: Aws, deployer: Deployer, colleague: Deployer
) -> None:
    aws.faults.fail_resource("AWS::ECR::Repository", "not now")
    assert colleague.deploy().code == ExitCode.AWS_REFUSED
    stack = aws.client("cloudformation").describe_stacks(StackName="voicecore-line-images")
    assert stack["Stacks"][0]["StackStatus"] == "ROLLBACK_COMPLETE"
    aws.journal.clear()
    expect_refusal(deployer.deploy(), "belongs to another project named line")
    assert changes(aws) == []


def test_project_without_id_gets_one_and_checkouts_without_it_go_on(
    aws: Aws, deployer: Deployer, tmp_path: Path
) -> None:
    set_id(deployer, "")
    before = tmp_path / "before"
    shutil.copytree(deployer.root, before)
    assert "+ runtime" in deployer.deploy(yes=False, dry_run=True).stderr
    assert id_of(deployer) == ""

    deployed = deployer.deploy()
    assert deployed.code == ExitCode.OK, deployed.stderr
    id = id_of(deployer)
    assert f'commit it:\n  id = "{id}"' in deployed.stderr
    for stack in ("voicecore-line-dev", "voicecore-line-images"):
        assert tags_of(aws, stack)["voicecore:id"] == id
    assert "nothing was changed" in deployer.deploy().stderr

    pipeline = replace(deployer, root=before)
    assert "nothing was changed" in pipeline.deploy().stderr
    assert id_of(pipeline) == id
    assert pipeline.destroy().code == ExitCode.OK


def test_stacks_without_id_are_adopted_and_refused_to_a_new_project(
    aws: Aws, deployer: Deployer, colleague: Deployer
) -> None:
    new = id_of(deployer)
    set_id(deployer, "")
    assert deployer.deploy().code == ExitCode.OK
    cloud = aws.client("cloudformation")
    for stack in ("voicecore-line-images", "voicecore-line-dev"):
        tags = {key: v for key, v in tags_of(aws, stack).items() if key != "voicecore:id"}
        cloud.update_stack(
            StackName=stack, UsePreviousTemplate=True, Capabilities=["CAPABILITY_NAMED_IAM"],
            Parameters=[
                {"ParameterKey": p["ParameterKey"], "UsePreviousValue": True}
                for p in cloud.describe_stacks(StackName=stack)["Stacks"][0].get("Parameters", [])
            ],
            Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
        )  # fmt: skip
        cloud.get_waiter("stack_update_complete").wait(
            StackName=stack, WaiterConfig={"Delay": 0.1, "MaxAttempts": 600}
        )
    expect_refusal(colleague.deploy(), "its ID is missing", "delete the line of id")
    set_id(deployer, f'id = "{new}"')
    expect_refusal(deployer.destroy(), "its ID is missing")
    set_id(deployer, "")
    deployed = deployer.deploy()
    assert deployed.code == ExitCode.OK, deployed.stderr
    assert "tags" in deployed.stderr
    assert tags_of(aws, "voicecore-line-dev")["voicecore:id"] == id_of(deployer)


def test_init_over_a_project_keeps_its_id(
    aws: Aws, deployer: Deployer, voicecore: Voicecore
) -> None:
    def again() -> None:
        words = ("init", "line", "--pipeline", "nova-sonic", "--force", "--yes")
        assert voicecore(*words, cwd=deployer.root.parent).code == ExitCode.OK

    before = id_of(deployer)
    again()
    assert id_of(deployer) == before
    set_id(deployer, "")
    again()
    assert id_of(deployer) == ""
