"""A stage is deployed, updated and destroyed, and nothing is left."""

import json
import re
from typing import Any

import pytest
import yaml
from botocore.exceptions import ClientError

from tests.cloud.deploying import Deployer
from tests.cloud.permissions import expect_granted, use_exported_policies
from tests.conftest import Voicecore
from tests.standins.aws import Aws
from voicecore.aws.login import AwsLogin
from voicecore.cloud.resources.agentcore import mmdsv2_update
from voicecore.console.errors import ExitCode
from voicecore.project.project import load_project
from voicecore.talk.target import CallTarget, deployed_arn


def changes(aws: Aws) -> list[str]:
    """Return the actions of a deploy that change something, since the journal was cleared."""
    return [entry.action for entry in aws.journal if entry.by == "client" and entry.changes]


def edit(deployer: Deployer) -> None:
    bot = deployer.root / "agent" / "bot.py"
    bot.write_text(bot.read_text() + "\n# edited\n")


def test_destroy_leaves_nothing_of_a_deploy(
    monkeypatch: pytest.MonkeyPatch, aws: Aws, deployer: Deployer
) -> None:
    before = aws.inventory()
    use_exported_policies(monkeypatch, aws, deployer)
    deployed = deployer.deploy()
    assert deployed.code == ExitCode.OK, deployed.stderr
    assert "IAM's policy simulator" not in deployed.stderr
    assert "account 123456789012  region us-east-1" in deployed.stderr
    assert "+ runtime" in deployed.stderr
    assert "voicecore talk --remote" in deployed.stderr
    assert aws.inventory() != before
    destroyed = deployer.destroy()
    assert destroyed.code == ExitCode.OK, destroyed.stderr
    assert aws.inventory() == before
    expect_granted(aws, deployer, "agent-public")


def test_vpc_is_priced_created_and_deleted(aws: Aws, vpc: Deployer) -> None:
    before = aws.inventory()
    deployed = vpc.deploy()
    assert deployed.code == ExitCode.OK, deployed.stderr
    assert "NAT gateway          +$32.85 a month" in deployed.stderr
    assert "Idle: +$36.50 per month" in deployed.stderr
    destroyed = vpc.destroy(network=True)
    assert destroyed.code == ExitCode.OK, destroyed.stderr
    assert "AgentCore keeps" not in destroyed.stderr
    assert aws.inventory() == before


def test_deploy_without_changes_changes_nothing_in_aws(aws: Aws, vpc: Deployer) -> None:
    assert vpc.deploy().code == ExitCode.OK
    aws.journal.clear()
    again = vpc.deploy()
    assert again.code == ExitCode.OK, again.stderr
    assert "is up to date; nothing was changed" in again.stderr
    assert changes(aws) == []


def test_edited_bot_changes_only_the_runtime(aws: Aws, vpc: Deployer) -> None:
    assert vpc.deploy().code == ExitCode.OK
    edit(vpc)
    aws.journal.clear()
    again = vpc.deploy(message="a kinder voice")
    assert again.code == ExitCode.OK, again.stderr
    assert "~ runtime: image" in again.stderr
    changed = {e.action for e in aws.journal if e.by != "client" and e.changes}
    assert {action.split(":")[0] for action in changed} <= {"bedrock-agentcore"}, changed


def test_calls_during_an_update_reach_a_version_that_answers(aws: Aws, deployer: Deployer) -> None:
    arn = json.loads(deployer.deploy(json=True).stdout)["stack"]["outputs"]["RuntimeArn"]
    edit(deployer)
    answers = call_during_deploy(aws, deployer, arn)
    # The second version is the stack's, without MMDSv2; the third has it.
    assert set(answers) == {"1", "3"}, answers
    assert answers == sorted(answers)


def call_during_deploy(aws: Aws, deployer: Deployer, arn: str) -> list[str]:
    """Call the agent after each of a deploy's calls to AWS; return the versions that answer."""
    agent = aws.client("bedrock-agentcore")
    answers: list[str] = []

    def call() -> None:
        try:
            answer = agent.invoke_agent_runtime(agentRuntimeArn=arn, qualifier="dev", payload=b"{}")
            answers.append(json.loads(answer["response"].read())["version"])
        except ClientError as error:
            answers.append(str(error))
        aws.faults.after_calls(1, call, lose=False, of="*:[!I]*")

    aws.faults.after_calls(1, call, lose=False, of="*:[!I]*")
    deployed = deployer.deploy()
    assert deployed.code == ExitCode.OK, deployed.stderr
    return answers


def test_stack_of_before_keeps_its_callers(aws: Aws, deployer: Deployer) -> None:
    """Its template has no parameter for the endpoint's version, and follows the newest."""
    outputs = json.loads(deployer.deploy(json=True).stdout)["stack"]["outputs"]
    cloudformation = aws.client("cloudformation")
    (stack,) = cloudformation.describe_stacks(StackName="voicecore-line-dev")["Stacks"]
    template = cloudformation.get_template(StackName="voicecore-line-dev")["TemplateBody"]
    for name in ("LiveVersion", "EarlierVersions"):
        del template["Parameters"][name]
    newest = {"Fn::GetAtt": ["Runtime", "AgentRuntimeVersion"]}
    template["Resources"]["Endpoint"]["Properties"]["AgentRuntimeVersion"] = newest
    del template["Resources"]["Endpoint"]["Properties"]["Description"]
    del template["Resources"]["Runtime"]["Properties"]["PlatformVersion"]
    cloudformation.update_stack(
        StackName="voicecore-line-dev",
        TemplateBody=json.dumps(template),
        Parameters=[p for p in stack["Parameters"] if p["ParameterKey"] in template["Parameters"]],
        Capabilities=["CAPABILITY_NAMED_IAM"],
        Tags=stack["Tags"],
    )
    cloudformation.get_waiter("stack_update_complete").wait(
        StackName="voicecore-line-dev", WaiterConfig={"Delay": 0.1, "MaxAttempts": 600}
    )
    control, runtime = aws.client("bedrock-agentcore-control"), outputs["RuntimeId"]
    fixed = mmdsv2_update(control.get_agent_runtime(agentRuntimeId=runtime))
    assert fixed
    control.update_agent_runtime(**fixed)
    control.update_agent_runtime_endpoint(
        agentRuntimeId=runtime, endpointName="dev", agentRuntimeVersion="3"
    )
    answers = call_during_deploy(aws, deployer, outputs["RuntimeArn"])
    assert set(answers) == {"3", "5"}, answers
    assert "nothing was changed" in deployer.deploy().stderr


def test_platform_is_said_planned_and_checked(aws: Aws, deployer: Deployer) -> None:
    first = deployer.deploy()
    assert "Platform v2 takes a snapshot of each version of the runtime: minutes" in first.stderr
    settings = deployer.root / "voicecore.toml"
    settings.write_text(settings.read_text().replace('platform = "v2"', 'platform = "v1"'))
    again = deployer.deploy()
    assert "~ runtime: " in again.stderr and "platform" in again.stderr
    assert "snapshot" not in again.stderr
    # A project of before the setting is on V1, whatever AWS gives to runtimes that do not say it.
    lines = settings.read_text().splitlines(keepends=True)
    settings.write_text("".join(line for line in lines if not line.startswith("platform")))
    assert "nothing was changed" in deployer.deploy().stderr
    control = aws.client("bedrock-agentcore-control")
    (runtime,) = control.list_agent_runtimes()["agentRuntimes"]
    versions = [
        control.get_agent_runtime(
            agentRuntimeId=runtime["agentRuntimeId"], agentRuntimeVersion=str(version)
        )["platformVersion"]
        for version in range(1, int(runtime["agentRuntimeVersion"]) + 1)
    ]
    assert versions == ["V2", "V1", "V1"]


def test_every_deploy_is_a_version_with_image_time_and_message(
    aws: Aws, deployer: Deployer
) -> None:
    deployer.deploy(message="first")
    edit(deployer)
    deployed = deployer.deploy(message="second: kinder", json=True)
    stack = json.loads(deployed.stdout)["stack"]
    tags = aws.client("bedrock-agentcore-control").list_tags_for_resource(
        resourceArn=stack["outputs"]["RuntimeArn"]
    )["tags"]
    first, second = (tags[f"voicecore:v{n}"] for n in (1, 2))
    assert first.endswith("first") and "sha256:" in first
    assert second.endswith("second: kinder")
    assert f"++{aws.caller.arn.rpartition('/')[2]} " in second
    assert stack["parameters"]["ImageUri"].split("@")[1] in second


@pytest.mark.parametrize("message", ["two  spaces\tand\nlines", "😀" * 205], ids=["spaces", "long"])
def test_message_that_is_shortened_does_not_make_another_version(
    aws: Aws, deployer: Deployer, message: str
) -> None:
    assert deployer.deploy(message=message).code == ExitCode.OK
    aws.journal.clear()
    assert "nothing was changed" in deployer.deploy().stderr
    assert changes(aws) == []


def test_talk_finds_the_deployed_agent(aws: Aws, deployer: Deployer, voicecore: Voicecore) -> None:
    missing = voicecore("talk", "--text", "--remote", cwd=deployer.root)
    assert missing.code == ExitCode.NOT_DEPLOYED
    assert "line · dev is not deployed to us-east-1." in missing.stderr
    stack = json.loads(deployer.deploy(json=True).stdout)["stack"]
    target = CallTarget("SESSION_API_KEY", "voicecore talk --remote", remote=True)
    found = deployed_arn(load_project(deployer.root), AwsLogin(), target)
    assert found == stack["outputs"]["RuntimeArn"]


def test_dry_run_shows_the_plan_and_creates_nothing(aws: Aws, vpc: Deployer) -> None:
    before = aws.inventory()
    shown = vpc.deploy(yes=False, dry_run=True, json=True)
    plan = json.loads(shown.stdout)["plan"]
    assert plan["dollars_per_month"] == 36.5
    assert aws.inventory() == before
    assert changes(aws) == []


def test_dry_run_of_an_update_leaves_no_change_set(aws: Aws, deployer: Deployer) -> None:
    deployer.deploy()
    edit(deployer)
    before = aws.inventory()
    shown = deployer.deploy(yes=False, dry_run=True)
    assert "~ runtime: image" in shown.stderr
    assert "Nothing was changed." in shown.stderr
    assert aws.inventory() == before
    left = aws.client("cloudformation").list_change_sets(StackName="voicecore-line-dev")
    assert [c for c in left["Summaries"] if c["ExecutionStatus"] == "AVAILABLE"] == []


def test_unconfirmed_deploy_and_destroy_change_nothing(aws: Aws, deployer: Deployer) -> None:
    refused = deployer.deploy(yes=False)
    assert refused.code == ExitCode.USAGE
    assert "voicecore deploy --yes" in refused.stderr
    assert changes(aws) == []
    deployer.deploy()
    kept = deployer.destroy(yes=False)
    assert kept.code == ExitCode.USAGE
    assert deployer.deploy().stderr.count("nothing was changed") == 1


def test_stacks_that_others_wrote_in_yaml_are_continued(
    aws: Aws, deployer: Deployer, voicecore: Voicecore
) -> None:
    cloud = aws.client("cloudformation")
    assert deployer.deploy(export=True).code == ExitCode.OK
    exported = (deployer.root / "cloudformation/voicecore-line-images.yaml").read_text()
    # As the command at the top of the file does.
    tags = [{"Key": k, "Value": v} for k, v in re.findall(r"(voicecore:\w+)=(\S+)", exported)]
    cloud.create_stack(StackName="voicecore-line-images", TemplateBody=exported, Tags=tags)
    aws.journal.clear()
    deployed = deployer.deploy()
    assert deployed.code == ExitCode.OK, deployed.stderr
    assert not [call for call in aws.journal.changes if "images" in str(call.params)]

    stack = {"StackName": "voicecore-line-dev"}
    described = cloud.describe_stacks(**stack)["Stacks"][0]
    template = json.loads(json.dumps(cloud.get_template(**stack)["TemplateBody"]))
    template["Resources"]["Role"]["Properties"]["Description"] = "Mine"
    written = yaml.safe_dump(template)
    short = written.replace("Fn::GetAtt:\n        - Role\n        - Arn", "!GetAtt Role.Arn")
    cloud.update_stack(
        **stack,
        TemplateBody=re.sub(r"\n +Ref: (\w+)$", r" !Ref \1", short, flags=re.M),
        Parameters=[
            {"ParameterKey": each["ParameterKey"], "UsePreviousValue": True}
            for each in described["Parameters"]
        ],
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )
    assert "!Ref" in cloud.get_template(**stack)["TemplateBody"]
    shown = voicecore("status", cwd=deployer.root)
    assert shown.code == ExitCode.OK, shown.stderr
    changed = deployer.deploy()
    assert changed.code == ExitCode.OK, changed.stderr
    assert "Mine" not in str(cloud.get_template(**stack)["TemplateBody"])
    assert deployer.destroy().code == ExitCode.OK


SECRET = "voicecore/line/dev"


def with_secret(aws: Aws, deployer: Deployer) -> Any:
    """Give the agent a key, and return a client for its secret."""
    (deployer.root / "agent/.env").write_text("DEEPGRAM_API_KEY=hidden\n")
    return aws.client("secretsmanager")


def test_name_of_a_secret_scheduled_for_deletion_stays_taken(aws: Aws, deployer: Deployer) -> None:
    secrets = with_secret(aws, deployer)
    secrets.create_secret(Name=SECRET)
    secrets.delete_secret(SecretId=SECRET, RecoveryWindowInDays=7)
    aws.journal.clear()
    refused = deployer.deploy()
    assert refused.code == ExitCode.AWS_REFUSED
    assert f"a secret named {SECRET} is scheduled for deletion on 20" in refused.stderr
    for command in ("delete-secret", "restore-secret"):
        typed = f"aws secretsmanager {command} --region us-east-1 --secret-id {SECRET}"
        assert typed in refused.stderr, refused.stderr
    assert "--force-delete-without-recovery" in refused.stderr
    assert changes(aws) == []
    secrets.delete_secret(SecretId=SECRET, ForceDeleteWithoutRecovery=True)
    assert deployer.deploy().code == ExitCode.OK


def test_secret_of_a_stack_that_is_scheduled_for_deletion_is_to_be_restored(
    aws: Aws, deployer: Deployer, voicecore: Voicecore
) -> None:
    secrets = with_secret(aws, deployer)
    assert deployer.deploy().code == ExitCode.OK
    secrets.delete_secret(SecretId=SECRET)
    aws.journal.clear()
    refused = deployer.deploy()
    assert refused.code == ExitCode.AWS_REFUSED
    assert "is scheduled for deletion" in refused.stderr
    restore = "aws secretsmanager restore-secret --region us-east-1 --secret-id arn:aws:"
    assert restore in refused.stderr, refused.stderr
    assert "delete-secret --region us-east-1 --secret-id arn:aws:" in refused.stderr
    status = voicecore("status", cwd=deployer.root).stdout
    assert "Secret of voicecore-line-dev is scheduled for deletion on 20" in status
    assert restore in status
    assert changes(aws) == []
    secrets.restore_secret(SecretId=SECRET)
    assert deployer.deploy().code == ExitCode.OK


def test_plans_where_kinesis_video_streams_has_no_host(aws: Aws, deployer: Deployer) -> None:
    planned = deployer.deploy(region="eu-north-1", dry_run=True)
    assert planned.code == ExitCode.OK, planned.stderr
