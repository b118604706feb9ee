"""Others are at it too: two deploys at once, stages that share, Ctrl-C, and AWS's own pace."""

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cloud.deploying import Deployer, ImagesDouble
from tests.cloud.test_life import changes, edit
from tests.conftest import Result
from tests.standins.aws import Aws
from tests.standins.aws.journal import JournalEntry
from voicecore.console.errors import ExitCode
from voicecore.image.builders import codebuild, codebuild_resources
from voicecore.image.registry.reference import parse_reference


class Beside:
    """A deploy in a thread of this process."""

    def __init__(self, deployer: Deployer) -> None:
        self._results: list[Result] = []
        self._thread = threading.Thread(target=lambda: self._results.append(deployer.deploy()))
        self._thread.start()

    def result(self) -> Result:
        self._thread.join(60)
        return self._results[0]


def until(true: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def status(aws: Aws, stack: str) -> str | None:
    found = aws.client("cloudformation").describe_stacks()["Stacks"]
    return next((s["StackStatus"] for s in found if s["StackName"] == stack), None)


def asks_of_the_stage(entry: JournalEntry) -> bool:
    """Whether a deploy that waits for its stage's stack looks at it again."""
    name = entry.params.get("StackName")
    return entry.action == "cloudformation:DescribeStacks" and name == "voicecore-line-dev"


def test_a_deploy_waits_for_another_that_is_at_it(aws: Aws, deployer: Deployer) -> None:
    assert deployer.deploy().code == ExitCode.OK
    edit(deployer)
    with aws.faults.hold("Runtime"):
        first = Beside(deployer)
        until(lambda: status(aws, "voicecore-line-dev") == "UPDATE_IN_PROGRESS")
        aws.journal.clear()
        second = Beside(deployer)
        until(lambda: sum(asks_of_the_stage(entry) for entry in aws.journal) > 2)
    assert first.result().code == ExitCode.OK, first.result().stderr
    told = second.result()
    assert told.code == ExitCode.OK, told.stderr
    assert "voicecore-line-dev is being changed already" in told.stderr
    assert "nothing was changed" in told.stderr


def test_a_plan_that_another_deploy_made_old_is_not_carried_out(
    aws: Aws, deployer: Deployer
) -> None:
    assert deployer.deploy().code == ExitCode.OK
    edit(deployer)
    pushing, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        pushing.set()
        go_on.wait(30)

    slow = Beside(deployer.with_images(ImagesDouble(before_push=hold)))
    assert pushing.wait(30)
    aws.client("cloudformation").update_stack(
        StackName="voicecore-line-dev",
        UsePreviousTemplate=True,
        Parameters=[{"ParameterKey": "ImageUri", "UsePreviousValue": True}],
        Tags=[{"Key": "voicecore:project", "Value": "line"}, {"Key": "by", "Value": "hand"}],
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )
    until(lambda: status(aws, "voicecore-line-dev") == "UPDATE_COMPLETE")
    go_on.set()
    refused = slow.result()
    assert refused.code == ExitCode.AWS_REFUSED, refused.stderr
    assert "Another deploy changed the stack voicecore-line-dev" in refused.stderr
    assert deployer.deploy().code == ExitCode.OK


def add_stage(deployer: Deployer, name: str) -> None:
    path = deployer.root / "voicecore.toml"
    path.write_text(f"{path.read_text()}\n[stages.{name}]\n")


def test_stages_are_stacks_of_their_own_that_share_network_and_images(
    aws: Aws, vpc: Deployer
) -> None:
    before = aws.inventory()
    add_stage(vpc, "prod")
    assert vpc.deploy().code == ExitCode.OK
    prod = vpc.deploy(stage="prod")
    assert prod.code == ExitCode.OK, prod.stderr
    assert "NAT gateway" not in prod.stderr
    assert len(aws.client("bedrock-agentcore-control").list_agent_runtimes()["agentRuntimes"]) == 2

    kept = vpc.destroy(network=True)
    assert kept.code == ExitCode.AWS_REFUSED
    assert "voicecore destroy --stage prod" in kept.stderr
    gone = vpc.destroy()
    assert gone.code == ExitCode.OK, gone.stderr
    for name in ("voicecore-line-prod", "voicecore-line-images", "voicecore-line-network"):
        assert f"kept: {name}" in gone.stderr
    assert vpc.deploy(stage="prod").stderr.count("nothing was changed") == 1
    last = vpc.destroy(stage="prod", network=True)
    assert last.code == ExitCode.OK, last.stderr
    assert aws.inventory() == before


def test_two_stages_deployed_at_once_make_what_they_share_once(aws: Aws, vpc: Deployer) -> None:
    add_stage(vpc, "prod")
    dev = vpc.start(aws.environment)
    prod = vpc.start(aws.environment, stage="prod")
    dev.join(90)
    prod.join(90)
    assert (dev.exitcode, prod.exitcode) == (0, 0), vpc.log
    assert len(aws.client("ec2").describe_nat_gateways()["NatGateways"]) == 1


@pytest.mark.parametrize("held", ["AWS::EC2::NatGateway", "AWS::BedrockAgentCore::Runtime"])
def test_ctrl_c_while_stacks_come_up_leaves_the_rest_to_the_next_deploy(
    aws: Aws, vpc: Deployer, held: str
) -> None:
    with aws.faults.hold(held):
        process = vpc.start(aws.environment)
        stack = "network" if "EC2" in held else "dev"
        log = vpc.root / "deploy.log"
        until(lambda: log.exists() and f"voicecore-line-{stack}" in log.read_text())
        until(lambda: (status(aws, f"voicecore-line-{stack}") or "").endswith("_IN_PROGRESS"))
        assert process.pid is not None
        os.kill(process.pid, signal.SIGINT)
        process.join(10)
        assert process.exitcode == ExitCode.INTERRUPTED, vpc.log
        assert "What was begun in AWS goes on there. To go on:  voicecore deploy" in vpc.log
    again = vpc.deploy()
    assert again.code == ExitCode.OK, again.stderr


def test_ctrl_c_ends_a_build(aws: Aws, deployer: Deployer) -> None:
    process = deployer.start(aws.environment, images=ImagesDouble(seconds=60))
    until(lambda: status(aws, "voicecore-line-images") == "CREATE_COMPLETE")
    assert process.pid is not None
    os.kill(process.pid, signal.SIGINT)
    process.join(10)
    assert process.exitcode == ExitCode.INTERRUPTED, deployer.log
    assert "building is given up" in deployer.log
    assert deployer.deploy().code == ExitCode.OK


def test_ctrl_c_in_a_destroy_leaves_the_rest_to_the_next(aws: Aws, vpc: Deployer) -> None:
    before = aws.inventory()
    assert vpc.deploy().code == ExitCode.OK
    with aws.faults.hold("Endpoint"):
        process = vpc.start(aws.environment, command="destroy", network=True)
        until(lambda: status(aws, "voicecore-line-dev") == "DELETE_IN_PROGRESS")
        assert process.pid is not None
        os.kill(process.pid, signal.SIGINT)
        process.join(10)
        assert process.exitcode == ExitCode.INTERRUPTED, vpc.log
        assert "goes on there. To go on:  voicecore destroy --network" in vpc.log
    assert vpc.destroy(network=True).code == ExitCode.OK
    assert aws.inventory() == before


def test_ctrl_c_before_anything_is_made_makes_nothing(aws: Aws, vpc: Deployer) -> None:
    aws.faults.slow("servicequotas:*", 3)
    process = vpc.start(aws.environment)
    until(lambda: any(entry.action == "iam:SimulatePrincipalPolicy" for entry in aws.journal))
    assert process.pid is not None
    os.kill(process.pid, signal.SIGINT)
    process.join(10)
    assert process.exitcode == ExitCode.INTERRUPTED, vpc.log
    assert changes(aws) == []


def test_secrets_go_to_secrets_manager_and_nowhere_else(aws: Aws, deployer: Deployer) -> None:
    before = aws.inventory()
    dotenv = deployer.root / "agent" / ".env"
    dotenv.write_text("DEEPGRAM_API_KEY=first-key\nLOG_LEVEL=DEBUG\n")
    deployed = deployer.deploy()
    assert deployed.code == ExitCode.OK, deployed.stderr
    secrets = aws.client("secretsmanager")

    def value() -> str:
        return secrets.get_secret_value(SecretId="voicecore/line/dev")["SecretString"]

    assert value() == '{"DEEPGRAM_API_KEY": "first-key"}'
    aws.journal.clear()
    assert "nothing was changed" in deployer.deploy().stderr
    assert changes(aws) == []

    dotenv.write_text("DEEPGRAM_API_KEY=second-key\nLOG_LEVEL=DEBUG\n")
    changed = deployer.deploy()
    assert changed.code == ExitCode.OK, changed.stderr
    assert "~ secret: DEEPGRAM_API_KEY" in changed.stderr
    assert value() == '{"DEEPGRAM_API_KEY": "second-key"}'
    template = aws.client("cloudformation").get_template(StackName="voicecore-line-dev")
    assert "-key" not in str(template)
    assert "-key" not in deployed.stderr + changed.stderr
    assert deployer.destroy().code == ExitCode.OK
    assert aws.inventory() == before


def test_a_first_secret_is_filled_before_the_runtime_learns_of_it(
    aws: Aws, deployer: Deployer
) -> None:
    assert deployer.deploy().code == ExitCode.OK
    (deployer.root / "agent" / ".env").write_text("DEEPGRAM_API_KEY=key\n")
    aws.journal.clear()
    assert deployer.deploy().code == ExitCode.OK
    actions = [entry.action for entry in aws.journal]
    put = actions.index("secretsmanager:PutSecretValue")
    assert put < actions.index("bedrock-agentcore:UpdateAgentRuntime")


def test_a_network_that_is_not_needed_any_more_is_told_and_removed(aws: Aws, vpc: Deployer) -> None:
    before = aws.inventory()
    assert vpc.deploy().code == ExitCode.OK
    needed = vpc.destroy(only_network=True)
    assert needed.code == ExitCode.AWS_REFUSED
    assert "The network is needed by dev" in needed.stderr
    settings = vpc.root / "voicecore.toml"
    settings.write_text(settings.read_text().replace('network = "vpc"', 'network = "public"'))
    moved = vpc.deploy()
    assert moved.code == ExitCode.OK, moved.stderr
    assert "voicecore-line-network goes on costing" in moved.stderr
    assert "voicecore destroy --only-network" in moved.stderr
    # What costs is gone; AgentCore keeps interfaces, for versions that were in the network.
    gone = vpc.destroy(only_network=True)
    assert gone.code == ExitCode.OK, gone.stderr
    assert "To remove the rest then:  voicecore destroy --only-network" in gone.stderr
    assert "goes on costing" not in vpc.deploy().stderr
    assert vpc.destroy().code == ExitCode.OK
    aws.clock.advance(9 * 3600)
    assert "Nothing is left" in vpc.destroy(only_network=True).stderr
    assert aws.inventory() == before


def test_what_builds_in_aws_left_goes_with_the_images(aws: Aws, deployer: Deployer) -> None:
    before = aws.inventory()
    assert deployer.deploy().code == ExitCode.OK
    target = parse_reference("123456789012.dkr.ecr.us-east-1.amazonaws.com/voicecore/line:x")
    account = codebuild.connect(target)
    codebuild_resources.ensure_bucket(account, "line")
    codebuild_resources.ensure_log_group(account, "line")
    role = codebuild_resources.ensure_role(account, "line", target)
    codebuild_resources.ensure_project(account, "line", role, ())
    gone = deployer.destroy()
    assert gone.code == ExitCode.OK, gone.stderr
    for what in ("CodeBuild project", "log group /aws/codebuild", "IAM role", "S3 bucket"):
        assert f"  - {what}" in gone.stderr
    assert aws.inventory() == before


def test_the_templates_are_written_for_other_means(aws: Aws, vpc: Deployer) -> None:
    exported = vpc.deploy(export=True)
    assert exported.code == ExitCode.OK, exported.stderr
    names = [Path(line).name for line in exported.stdout.splitlines()]
    assert names == [
        *(f"voicecore-line-{stack}.yaml" for stack in ("images", "network", "dev")),
        *(f"deployer-policy-{n}.json" for n in (1, 2)),
    ]
    assert not list(aws.journal)
