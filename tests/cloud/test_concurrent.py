"""Concurrent deploys, stages that share stacks, and Ctrl-C."""

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cloud.deploying import Deployer, ImagesDouble
from tests.cloud.test_deploy import changes, edit
from tests.conftest import Result
from tests.standins.aws import Aws
from tests.standins.aws.journal import JournalEntry
from voicecore.aws.login import AwsLogin
from voicecore.console.errors import ExitCode
from voicecore.image.builders import codebuild, codebuild_resources
from voicecore.image.registry.reference import parse_reference
from voicecore.project.project import load_project


class DeployInThread:
    """Runs a deploy in a thread of this process."""

    def __init__(self, deployer: Deployer) -> None:
        self._results: list[Result] = []
        self._thread = threading.Thread(target=lambda: self._results.append(deployer.deploy()))
        self._thread.start()

    def result(self) -> Result:
        self._thread.join(300)
        return self._results[0]


def wait_until(is_true: Callable[[], object], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def status(aws: Aws, stack: str) -> str | None:
    found = aws.client("cloudformation").describe_stacks()["Stacks"]
    return next((s["StackStatus"] for s in found if s["StackName"] == stack), None)


def reads_the_stage(entry: JournalEntry) -> bool:
    """Return True for the call by which a waiting deploy reads its stage's stack."""
    name = entry.params.get("StackName")
    return entry.action == "cloudformation:DescribeStacks" and name == "voicecore-line-dev"


def test_deploy_waits_for_another_deploy_of_the_stage(aws: Aws, deployer: Deployer) -> None:
    assert deployer.deploy().code == ExitCode.OK
    edit(deployer)
    with aws.faults.hold("Runtime"):
        first = DeployInThread(deployer)
        wait_until(lambda: status(aws, "voicecore-line-dev") == "UPDATE_IN_PROGRESS")
        aws.journal.clear()
        second = DeployInThread(deployer)
        wait_until(lambda: sum(reads_the_stage(entry) for entry in aws.journal) > 2)
    assert first.result().code == ExitCode.OK, first.result().stderr
    result = second.result()
    assert result.code == ExitCode.OK, result.stderr
    assert "Waiting for another operation on voicecore-line-dev" in result.stderr
    # Both may set MMDSv2 and move the endpoint, each when it finds that still to be done.
    assert "~ runtime" not in result.stderr
    assert "nothing was changed" in deployer.deploy().stderr


def test_plan_outdated_by_another_deploy_is_not_applied(aws: Aws, deployer: Deployer) -> None:
    assert deployer.deploy().code == ExitCode.OK
    edit(deployer)
    pushing, released = threading.Event(), threading.Event()

    def hold() -> None:
        pushing.set()
        released.wait(30)

    slow = DeployInThread(deployer.with_images(ImagesDouble(before_push=hold)))
    assert pushing.wait(30)
    aws.client("cloudformation").update_stack(
        StackName="voicecore-line-dev",
        UsePreviousTemplate=True,
        Parameters=[
            {"ParameterKey": name, "UsePreviousValue": True} for name in ("ImageUri", "LiveVersion")
        ],
        Tags=[
            {"Key": "voicecore:project", "Value": "line"},
            {"Key": "voicecore:id", "Value": load_project(deployer.root).id},
            {"Key": "by", "Value": "hand"},
        ],
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )
    wait_until(lambda: status(aws, "voicecore-line-dev") == "UPDATE_COMPLETE")
    released.set()
    refused = slow.result()
    assert refused.code == ExitCode.AWS_REFUSED, refused.stderr
    assert "Another deploy changed the stack voicecore-line-dev" in refused.stderr
    assert deployer.deploy().code == ExitCode.OK


def add_stage(deployer: Deployer, name: str) -> None:
    path = deployer.root / "voicecore.toml"
    path.write_text(f"{path.read_text()}\n[stages.{name}]\n")


def test_stages_have_own_stacks_and_share_network_and_images(aws: Aws, vpc: Deployer) -> None:
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


def test_shared_stacks_are_created_once_by_two_concurrent_deploys(aws: Aws, vpc: Deployer) -> None:
    add_stage(vpc, "prod")
    dev = vpc.start(aws.environment)
    prod = vpc.start(aws.environment, stage="prod")
    dev.join(300)
    prod.join(300)
    assert (dev.exitcode, prod.exitcode) == (0, 0), vpc.log
    assert len(aws.client("ec2").describe_nat_gateways()["NatGateways"]) == 1


@pytest.mark.parametrize("held", ["AWS::EC2::NatGateway", "AWS::BedrockAgentCore::Runtime"])
def test_deploy_continues_after_ctrl_c_during_stack_operations(
    aws: Aws, vpc: Deployer, held: str
) -> None:
    with aws.faults.hold(held):
        process = vpc.start(aws.environment)
        stack = "network" if "EC2" in held else "dev"
        log = vpc.root / "deploy.log"
        wait_until(lambda: log.exists() and f"voicecore-line-{stack}" in log.read_text())
        wait_until(lambda: (status(aws, f"voicecore-line-{stack}") or "").endswith("_IN_PROGRESS"))
        assert process.pid is not None
        os.kill(process.pid, signal.SIGINT)
        process.join(60)
        assert process.exitcode == ExitCode.INTERRUPTED, vpc.log
        assert (
            "Operations already started continue in AWS. To resume, run:  voicecore deploy"
            in vpc.log
        )
    again = vpc.deploy()
    assert again.code == ExitCode.OK, again.stderr


def test_ctrl_c_abandons_a_build(aws: Aws, deployer: Deployer) -> None:
    process = deployer.start(aws.environment, images=ImagesDouble(seconds=600))
    wait_until(lambda: status(aws, "voicecore-line-images") == "CREATE_COMPLETE")
    assert process.pid is not None
    os.kill(process.pid, signal.SIGINT)
    process.join(60)
    assert process.exitcode == ExitCode.INTERRUPTED, deployer.log
    assert "build abandoned" in deployer.log
    assert deployer.deploy().code == ExitCode.OK


def test_destroy_continues_after_ctrl_c(aws: Aws, vpc: Deployer) -> None:
    before = aws.inventory()
    assert vpc.deploy().code == ExitCode.OK
    with aws.faults.hold("Endpoint"):
        process = vpc.start(aws.environment, command="destroy", network=True)
        wait_until(lambda: status(aws, "voicecore-line-dev") == "DELETE_IN_PROGRESS")
        assert process.pid is not None
        os.kill(process.pid, signal.SIGINT)
        process.join(60)
        assert process.exitcode == ExitCode.INTERRUPTED, vpc.log
        assert "continue in AWS. To resume, run:  voicecore destroy --network" in vpc.log
    assert vpc.destroy(network=True).code == ExitCode.OK
    assert aws.inventory() == before


def test_ctrl_c_during_preflight_changes_nothing(aws: Aws, vpc: Deployer) -> None:
    aws.faults.slow("servicequotas:*", 3)
    process = vpc.start(aws.environment)
    wait_until(lambda: any(entry.action == "iam:SimulatePrincipalPolicy" for entry in aws.journal))
    assert process.pid is not None
    os.kill(process.pid, signal.SIGINT)
    process.join(60)
    assert process.exitcode == ExitCode.INTERRUPTED, vpc.log
    assert changes(aws) == []


def test_secrets_are_stored_in_secrets_manager_only(aws: Aws, deployer: Deployer) -> None:
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


def test_first_secret_is_written_before_the_runtime_reads_it(aws: Aws, deployer: Deployer) -> None:
    assert deployer.deploy().code == ExitCode.OK
    (deployer.root / "agent" / ".env").write_text("DEEPGRAM_API_KEY=key\n")
    aws.journal.clear()
    assert deployer.deploy().code == ExitCode.OK
    actions = [entry.action for entry in aws.journal]
    put = actions.index("secretsmanager:PutSecretValue")
    assert put < actions.index("bedrock-agentcore:UpdateAgentRuntime")


def test_unused_network_is_reported_and_can_be_deleted(aws: Aws, vpc: Deployer) -> None:
    before = aws.inventory()
    assert vpc.deploy().code == ExitCode.OK
    needed = vpc.destroy(only_network=True)
    assert needed.code == ExitCode.AWS_REFUSED
    assert "The network is used by dev" in needed.stderr
    settings = vpc.root / "voicecore.toml"
    settings.write_text(settings.read_text().replace('network = "vpc"', 'network = "public"'))
    moved = vpc.deploy()
    assert moved.code == ExitCode.OK, moved.stderr
    assert "voicecore-line-network still incurs charges" in moved.stderr
    assert "voicecore destroy --only-network" in moved.stderr
    # NAT gateways are deleted; AgentCore keeps interfaces of versions that were in the network.
    gone = vpc.destroy(only_network=True)
    assert gone.code == ExitCode.OK, gone.stderr
    assert "To delete the rest then, run:  voicecore destroy --only-network" in gone.stderr
    assert "still incurs charges" not in vpc.deploy().stderr
    assert vpc.destroy().code == ExitCode.OK
    aws.clock.advance(9 * 3600)
    assert "Nothing is left" in vpc.destroy(only_network=True).stderr
    assert aws.inventory() == before


def test_resources_of_builds_in_aws_are_deleted_with_the_images(
    aws: Aws, deployer: Deployer
) -> None:
    before = aws.inventory()
    assert deployer.deploy().code == ExitCode.OK
    target = parse_reference("123456789012.dkr.ecr.us-east-1.amazonaws.com/voicecore/line:x")
    account = codebuild.connect(target, AwsLogin())
    owner = load_project(deployer.root).owner
    codebuild_resources.ensure_bucket(account, owner)
    codebuild_resources.ensure_log_group(account, owner)
    role = codebuild_resources.ensure_role(account, owner, target)
    codebuild_resources.ensure_project(account, owner, role, ())
    gone = deployer.destroy()
    assert gone.code == ExitCode.OK, gone.stderr
    for what in ("CodeBuild project", "log group /aws/codebuild", "IAM role", "S3 bucket"):
        assert f"  - {what}" in gone.stderr
    assert aws.inventory() == before


def test_export_writes_templates_and_policies_without_asking_aws(aws: Aws, vpc: Deployer) -> None:
    exported = vpc.deploy(export=True)
    assert exported.code == ExitCode.OK, exported.stderr
    names = [Path(line).name for line in exported.stdout.splitlines()]
    assert names == [
        *(f"voicecore-line-{stack}.yaml" for stack in ("images", "network", "dev")),
        *(f"deployer-policy-{n}.json" for n in (1, 2)),
        *(f"execution-role-{kind}.json" for kind in ("policy", "trust")),
        "README.md",
    ]
    assert not list(aws.journal)
