"""cfn-lint: every template against AWS's schemas, in each region that it can be deployed to."""

from collections.abc import Iterator

import pytest

from tests.unit.cloud.deployments import (
    DOMAIN,
    OWN_VPC,
    WEBRTC,
    WEBSOCKET,
    deployment,
    make_agent_stack,
    make_ecs_stack,
    make_lambda_stack,
    phone_deployment,
)
from voicecore.catalog import regions
from voicecore.catalog.pipelines import PIPELINES
from voicecore.catalog.pipelines.record import regions_of, services_of
from voicecore.cloud.stacks.agent_stack import foundation_of
from voicecore.cloud.stacks.images_stack import images_stack
from voicecore.cloud.stacks.network_stack import network_stack
from voicecore.cloud.stacks.stack import Stack
from voicecore.project.project import Vpc
from voicecore.project.settings.network import PUBLIC, VPC

pytestmark = pytest.mark.slow

ZONES = ("use1-az1", "use1-az2")

# AWS's samples use this action, and cfn-lint's list of IAM actions lacks it.
UNLISTED = ("W3037", "'invokemodelwithbidirectionalstream' is not one of")


def stacks() -> Iterator[tuple[str, Stack, tuple[str, ...]]]:
    """Yield each kind of stack, with the regions that it can be deployed to."""
    everywhere = regions.AGENTCORE
    for ha in (False, True):
        of = deployment(network=VPC, vpc=Vpc(ha=ha))
        yield f"network-{'ha' if ha else 'one'}", network_stack(of, ZONES), everywhere
    of = deployment("cascade", WEBRTC)
    closed = deployment("cascade", network=VPC, vpc=Vpc(endpoints=True))
    yield "network-endpoints", network_stack(closed, ZONES), everywhere
    yield "network-udp", network_stack(of, ZONES), everywhere
    yield "images", images_stack(deployment()), everywhere
    yield "network-phone", network_stack(phone_deployment(), ZONES), everywhere
    yield (
        "ecs-server",
        make_ecs_stack(phone_deployment(), TWILIO_AUTH_TOKEN="x"),
        regions.CLOUDFRONT,
    )
    yield "ecs-server-domain", make_ecs_stack(phone_deployment(server=DOMAIN)), everywhere
    yield "lambda-server", make_lambda_stack(deployment(), KEY="x"), regions.FUNCTION_URLS
    for pipeline in PIPELINES.values():
        here = regions_of(pipeline, services_of(pipeline, {}))
        yield (
            f"{pipeline.name}-public",
            make_agent_stack(deployment(pipeline.name, network=PUBLIC)),
            here,
        )
        of = deployment(pipeline.name, network=VPC, vpc=OWN_VPC)
        yield f"{pipeline.name}-given", make_agent_stack(of, KEY="x"), here
        of = deployment(pipeline.name, WEBSOCKET, WEBRTC, network=VPC, peak_calls=50)
        with_turn = tuple(region for region in here if region in regions.KVS)
        yield f"{pipeline.name}-turn", make_agent_stack(of, KEY="x"), with_turn
        yield f"{pipeline.name}-foundation", foundation_of(make_agent_stack(of, KEY="x")), with_turn


def lint_errors(stack: Stack, where: tuple[str, ...]) -> list[tuple[str, str]]:
    # Takes 3 s to load, which each process of the unit tests would spend on collection.
    from cfnlint.api import lint

    found = [(match.rule.id, match.message) for match in lint(stack.body, regions=list(where))]
    return [
        (rule, message)
        for rule, message in found
        if not (rule == UNLISTED[0] and message.startswith(UNLISTED[1]))
    ]


@pytest.mark.parametrize(
    ("stack", "where"), [case[1:] for case in stacks()], ids=[case[0] for case in stacks()]
)
def test_templates_pass_cfn_lint(stack: Stack, where: tuple[str, ...]) -> None:
    assert where
    assert lint_errors(stack, where) == []


def test_linter_finds_mistakes() -> None:
    stack = make_agent_stack(deployment())
    properties = stack.resources["Runtime"]["Properties"]
    properties["NetworkConfiguration"]["NetworkMode"] = "OPEN"
    properties["LifecycleConfiguration"]["Longest"] = 1
    assert {rule for rule, _ in lint_errors(stack, ("us-east-1",))} == {"E3030", "E3002"}


def test_linter_knows_regions_without_function_urls() -> None:
    # CloudFormation has them in eu-south-2, which Lambda's guide excludes.
    refused = (r for r in regions.AGENTCORE if r not in regions.FUNCTION_URLS)
    without = tuple(region for region in refused if region != "eu-south-2")
    for region in without:
        ((_, message),) = lint_errors(make_lambda_stack(deployment()), (region,))
        assert "AWS::Lambda::Url" in message


def test_linter_knows_regions_without_cloudfront() -> None:
    stack = make_ecs_stack(phone_deployment(), False)
    ((_, message),) = lint_errors(stack, ("us-gov-west-1",))
    assert "AWS::CloudFront::Distribution" in message


def test_linter_knows_regions_without_kvs() -> None:
    ((_, message),) = lint_errors(make_agent_stack(deployment("offline", WEBRTC)), ("us-west-1",))
    assert "AWS::KinesisVideo::SignalingChannel" in message
