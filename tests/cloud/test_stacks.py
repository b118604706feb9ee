"""The stacks are created, updated and deleted by CloudFormation, in the stand-in of AWS."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from tests.standins.aws.access import accesses, granted
from tests.standins.aws.standin import Aws, aws_standin
from tests.unit.cloud.deployments import ACCOUNT, OWN_VPC, WEBRTC, WEBSOCKET, deployment
from voicecore.cloud.iam.deployer import deployer_statements
from voicecore.cloud.resources.cloudformation import CloudFormation
from voicecore.cloud.resources.deployed_stack import DeployedStack, StackEvent
from voicecore.cloud.resources.stack_failure import StackFailed
from voicecore.cloud.stacks.agent_stack import agent_stack, foundation_of
from voicecore.cloud.stacks.deployment import Deployment
from voicecore.cloud.stacks.env_split import Environment
from voicecore.cloud.stacks.images_stack import images_stack
from voicecore.cloud.stacks.network_stack import SECURITY_GROUPS, SUBNETS, network_stack
from voicecore.cloud.stacks.stack import Stack
from voicecore.cloud.stacks.versions import versions_in, with_next_version
from voicecore.project.identity import Owner
from voicecore.project.project import Vpc
from voicecore.project.settings.network import VPC

ZONES = ("use1-az1", "use1-az2")
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def aws() -> Iterator[Aws]:
    with aws_standin() as standin:
        yield standin


class Stacks:
    """Applies and deletes stacks, and keeps the events of the last operation."""

    def __init__(self, aws: Aws) -> None:
        self.aws = aws
        self.cloud = CloudFormation(
            aws.client("cloudformation"), Owner("support-line"), "again", aws.clock.sleep
        )
        self.events: list[StackEvent] = []

    def apply(self, stack: Stack) -> DeployedStack:
        self.events.clear()
        return self.cloud.ensure(stack, self.events.append)

    def delete(self, *names: str) -> None:
        for name in names:
            deployed = self.cloud.find(name)
            assert deployed
            self.cloud.delete(deployed, self.events.append)

    @property
    def changed(self) -> list[str]:
        """The resources that the last operation changed, in order."""
        return list(dict.fromkeys(e.resource for e in self.events if not e.is_stack))

    def push(self, tag: str) -> str:
        """Push an image, and return its URI by digest."""
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"digest": "sha256:" + "1" * 64, "size": 1,
                       "mediaType": "application/vnd.oci.image.config.v1+json"},
            "layers": [],
            "annotations": {"tag": tag},
        }  # fmt: skip
        pushed = self.aws.client("ecr").put_image(
            repositoryName="voicecore/support-line",
            imageManifest=json.dumps(manifest),
            imageTag=tag,
        )
        digest = pushed["image"]["imageId"]["imageDigest"]
        return f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/voicecore/support-line@{digest}"


@pytest.fixture
def stacks(aws: Aws) -> Stacks:
    return Stacks(aws)


def agent(
    stage: Deployment, environment: Environment, image: str, network: DeployedStack | None = None
) -> Stack:
    outputs = network.outputs if network else {SUBNETS: "", SECURITY_GROUPS: ""}
    history = with_next_version((), image.partition("@")[2], "first, don't fear", NOW)
    return agent_stack(
        stage,
        environment,
        history,
        image,
        outputs[SUBNETS].split(","),
        outputs[SECURITY_GROUPS].split(","),
    )


STAGES = [
    (deployment("nova-sonic", WEBSOCKET), Environment()),
    (
        deployment("cascade", WEBSOCKET, WEBRTC, network=VPC, vpc=Vpc(ha=True), peak_calls=50),
        Environment({"LOG_LEVEL": "DEBUG"}, {"DEEPGRAM_API_KEY": "hidden"}),
    ),
]


@pytest.mark.parametrize(("stage", "environment"), STAGES, ids=["public", "vpc"])
def test_stacks_of_a_stage_are_created_and_deleted(
    aws: Aws, stacks: Stacks, stage: Deployment, environment: Environment
) -> None:
    before = aws.inventory()
    images = stacks.apply(images_stack(stage))
    network = stacks.apply(network_stack(stage, ZONES)) if stage.creates_network else None
    assert "RuntimeArn" not in stacks.apply(foundation_of(agent(stage, environment, ""))).outputs
    deployed = stacks.apply(agent(stage, environment, stacks.push("one"), network))

    control = aws.client("bedrock-agentcore-control")
    runtime = control.get_agent_runtime(agentRuntimeId=deployed.outputs["RuntimeId"])
    assert runtime["status"] == "READY"
    assert runtime["networkConfiguration"]["networkMode"] == stage.network.upper()
    assert runtime["roleArn"] == deployed.outputs["RoleArn"]
    tags = control.list_tags_for_resource(resourceArn=deployed.outputs["RuntimeArn"])["tags"]
    assert [version.message for version in versions_in(tags)] == ["first, don't fear"]
    assert stage.tags().items() <= tags.items()

    names = (deployed.name, *([network.name] if network else []), images.name)
    stacks.delete(*names)
    assert aws.inventory() == before
    statements = [statement.json for statement in deployer_statements(stage, ACCOUNT)]
    assert [a for a in accesses(aws.journal) if not granted(statements, a)] == []
    assert "hidden" not in "".join(map(str, aws.journal))


def test_new_image_changes_only_the_runtime(aws: Aws, stacks: Stacks) -> None:
    stage, environment = STAGES[0]
    stacks.apply(images_stack(stage))
    stacks.apply(agent(stage, environment, stacks.push("one")))
    two = agent(stage, environment, stacks.push("two"))
    stacks.apply(two)
    assert stacks.changed == ["Runtime"]
    stacks.apply(two)
    assert stacks.changed == []


def test_second_nat_gateway_is_added_and_removed_without_replacing_subnets(
    aws: Aws, stacks: Stacks
) -> None:
    stage = deployment("offline", WEBRTC, network=VPC)
    one = stacks.apply(network_stack(stage, ZONES, ha=False))
    two = stacks.apply(network_stack(stage, ZONES, ha=True))
    assert set(stacks.changed) == {"Public2", "PublicRoutes2", "Address2", "Nat2", "Route2"}
    again = stacks.apply(network_stack(stage, ZONES, ha=False))
    assert one.outputs[SUBNETS] == two.outputs[SUBNETS] == again.outputs[SUBNETS]
    assert one.outputs[SECURITY_GROUPS] == again.outputs[SECURITY_GROUPS]


def test_deployed_subnets_stay_in_their_zones(aws: Aws, stacks: Stacks) -> None:
    stage = deployment("offline", WEBRTC, network=VPC)
    deployed = stacks.apply(network_stack(stage, ("use1-az2", "use1-az4")))
    stacks.apply(network_stack(stage, ("use1-az1", "use1-az2")).keeping(deployed.parameters))
    assert stacks.changed == []


def test_failed_runtime_keeps_the_rest_of_the_stack(aws: Aws, stacks: Stacks) -> None:
    stage, environment = STAGES[0]
    stacks.apply(images_stack(stage))
    stacks.apply(foundation_of(agent(stage, environment, "")))
    missing = f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/voicecore/support-line@sha256:{'0' * 64}"
    with pytest.raises(StackFailed, match="does not exist"):
        stacks.apply(agent(stage, environment, missing))
    deployed = stacks.cloud.find("voicecore-support-line-dev")
    assert deployed and deployed.status == "UPDATE_ROLLBACK_COMPLETE"
    assert "RuntimeArn" in stacks.apply(agent(stage, environment, stacks.push("one"))).outputs


def test_stages_share_images_and_network(aws: Aws, stacks: Stacks) -> None:
    dev, prod = (deployment("offline", WEBRTC, network=VPC, name=name) for name in ("dev", "prod"))
    stacks.apply(images_stack(dev))
    network = stacks.apply(network_stack(dev, ZONES))
    stacks.apply(images_stack(prod))
    assert stacks.changed == []
    stacks.apply(network_stack(prod, ZONES))
    assert stacks.changed == []
    image = stacks.push("one")
    runtimes = {
        stacks.apply(agent(stage, Environment(), image, network)).outputs["RuntimeArn"]
        for stage in (dev, prod)
    }
    assert len(runtimes) == 2


def test_no_network_is_created_for_given_subnets(aws: Aws, stacks: Stacks) -> None:
    stage = deployment("offline", WEBRTC, network=VPC, vpc=OWN_VPC)
    assert not stage.creates_network
    stack = agent(stage, Environment(), "image@sha256:0")
    assert not [r for r in stack.resources.values() if r["Type"].startswith("AWS::EC2")]
