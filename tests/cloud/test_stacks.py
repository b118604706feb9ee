"""The stacks as CloudFormation makes, changes and removes them, in the stand-in of AWS."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from tests.standins.aws.standin import Aws, aws_standin
from tests.unit.cloud.deployments import ACCOUNT, OWN_VPC, WEBRTC, WEBSOCKET, deployment
from voicecore.cloud.deploy.cloudformation import CloudFormation, Event, Live, StackFailed
from voicecore.cloud.iam.deployer import deployer_statements
from voicecore.cloud.stacks.agent_stack import agent_stack, foundation_of
from voicecore.cloud.stacks.deployment import Deployment
from voicecore.cloud.stacks.env_split import Environment
from voicecore.cloud.stacks.images_stack import images_stack
from voicecore.cloud.stacks.network_stack import SECURITY_GROUPS, SUBNETS, network_stack
from voicecore.cloud.stacks.stack import Stack
from voicecore.cloud.stacks.versions import versions_in, with_next_version
from voicecore.project.project import Vpc
from voicecore.project.schema import VPC

ZONES = ("use1-az1", "use1-az2")
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def aws() -> Iterator[Aws]:
    with aws_standin() as standin:
        yield standin


class Console:
    """Brings stacks up and down, and remembers what happened to their resources."""

    def __init__(self, aws: Aws) -> None:
        self.aws = aws
        self.cloud = CloudFormation(aws.client("cloudformation"), "again", aws.clock.sleep)
        self.events: list[Event] = []

    def up(self, stack: Stack) -> Live:
        self.events.clear()
        return self.cloud.ensure(stack, self.events.append)

    def down(self, *names: str) -> None:
        for name in names:
            live = self.cloud.find(name)
            assert live
            self.cloud.delete(live, self.events.append)

    @property
    def touched(self) -> list[str]:
        """The resources that changed, in order."""
        return list(dict.fromkeys(e.resource for e in self.events if not e.of_stack))

    def push(self, tag: str) -> str:
        """The address of an image, by its digest."""
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
def console(aws: Aws) -> Console:
    return Console(aws)


def agent(of: Deployment, settings: Environment, image: str, network: Live | None = None) -> Stack:
    told = network.outputs if network else {SUBNETS: "", SECURITY_GROUPS: ""}
    history = with_next_version((), image.partition("@")[2], "first, don't fear", NOW)
    return agent_stack(
        of, settings, history, image, told[SUBNETS].split(","), told[SECURITY_GROUPS].split(",")
    )


LIVES = [
    (deployment("nova-sonic", WEBSOCKET), Environment()),
    (
        deployment("cascade", WEBSOCKET, WEBRTC, network=VPC, vpc=Vpc(ha=True), peak_calls=50),
        Environment({"LOG_LEVEL": "DEBUG"}, {"DEEPGRAM_API_KEY": "hidden"}),
    ),
]


@pytest.mark.parametrize(("of", "settings"), LIVES, ids=["public", "vpc"])
def test_from_nothing_to_nothing(
    aws: Aws, console: Console, of: Deployment, settings: Environment
) -> None:
    before = aws.inventory()
    images = console.up(images_stack(of))
    network = console.up(network_stack(of, ZONES)) if of.creates_network else None
    assert "RuntimeArn" not in console.up(foundation_of(agent(of, settings, ""))).outputs
    live = console.up(agent(of, settings, console.push("one"), network))

    control = aws.client("bedrock-agentcore-control")
    runtime = control.get_agent_runtime(agentRuntimeId=live.outputs["RuntimeId"])
    assert runtime["status"] == "READY"
    assert runtime["networkConfiguration"]["networkMode"] == of.network.upper()
    assert runtime["roleArn"] == live.outputs["RoleArn"]
    tags = control.list_tags_for_resource(resourceArn=live.outputs["RuntimeArn"])["tags"]
    assert [version.message for version in versions_in(tags)] == ["first, don't fear"]
    assert of.tags().items() <= tags.items()

    made = (live.name, *([network.name] if network else []), images.name)
    console.down(*made)
    assert aws.inventory() == before
    granted = {a for s in deployer_statements(of, ACCOUNT) for a in s.actions}
    called = {e.action for e in aws.journal if e.by in ("client", "cloudformation")}
    # Pushing is the image's affair, whatever it is pushed with.
    assert called - granted <= {"ecr:PutImage"}
    assert "hidden" not in "".join(map(str, aws.journal))


def test_another_image_touches_the_runtime_and_its_endpoint_only(
    aws: Aws, console: Console
) -> None:
    of, settings = LIVES[0]
    console.up(images_stack(of))
    console.up(agent(of, settings, console.push("one")))
    two = agent(of, settings, console.push("two"))
    console.up(two)
    assert console.touched == ["Runtime", "Endpoint"]
    console.up(two)
    assert console.touched == []


def test_a_second_gateway_comes_and_goes_under_running_calls(aws: Aws, console: Console) -> None:
    of = deployment("offline", WEBRTC, network=VPC)
    one = console.up(network_stack(of, ZONES, ha=False))
    two = console.up(network_stack(of, ZONES, ha=True))
    assert set(console.touched) == {"Public2", "PublicRoutes2", "Address2", "Nat2", "Route2"}
    again = console.up(network_stack(of, ZONES, ha=False))
    assert one.outputs[SUBNETS] == two.outputs[SUBNETS] == again.outputs[SUBNETS]
    assert one.outputs[SECURITY_GROUPS] == again.outputs[SECURITY_GROUPS]


def test_zones_that_become_better_move_no_subnet(aws: Aws, console: Console) -> None:
    of = deployment("offline", WEBRTC, network=VPC)
    live = console.up(network_stack(of, ("use1-az2", "use1-az4")))
    console.up(network_stack(of, ("use1-az1", "use1-az2")).keeping(live.parameters))
    assert console.touched == []


def test_a_runtime_that_fails_leaves_the_foundation(aws: Aws, console: Console) -> None:
    of, settings = LIVES[0]
    console.up(images_stack(of))
    console.up(foundation_of(agent(of, settings, "")))
    missing = f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/voicecore/support-line@sha256:{'0' * 64}"
    with pytest.raises(StackFailed, match="does not exist"):
        console.up(agent(of, settings, missing))
    live = console.cloud.find("voicecore-support-line-dev")
    assert live and live.status == "UPDATE_ROLLBACK_COMPLETE"
    assert "RuntimeArn" in console.up(agent(of, settings, console.push("one"))).outputs


def test_stages_share_images_and_network(aws: Aws, console: Console) -> None:
    dev, prod = (deployment("offline", WEBRTC, network=VPC, name=name) for name in ("dev", "prod"))
    console.up(images_stack(dev))
    network = console.up(network_stack(dev, ZONES))
    console.up(images_stack(prod))
    assert console.touched == []
    console.up(network_stack(prod, ZONES))
    assert console.touched == []
    image = console.push("one")
    runtimes = {
        console.up(agent(of, Environment(), image, network)).outputs["RuntimeArn"]
        for of in (dev, prod)
    }
    assert len(runtimes) == 2


def test_a_given_network_is_not_made(aws: Aws, console: Console) -> None:
    of = deployment("offline", WEBRTC, network=VPC, vpc=OWN_VPC)
    assert not of.creates_network
    stack = agent(of, Environment(), "image@sha256:0")
    assert not [r for r in stack.resources.values() if r["Type"].startswith("AWS::EC2")]
