"""Every template against AWS's own schemas, in each region that it may be deployed to."""

from collections.abc import Iterator

import pytest
from cfnlint.api import lint

from tests.unit.cloud.deployments import (
    DOMAIN,
    GIVEN,
    WEBRTC,
    WEBSOCKET,
    agent,
    bridge,
    by_telephone,
    deployment,
    server,
)
from voicecore.catalog import regions
from voicecore.catalog.pipelines import PIPELINES, regions_of, services_of
from voicecore.cloud.stacks.agent_stack import foundation_of
from voicecore.cloud.stacks.images_stack import images_stack
from voicecore.cloud.stacks.network_stack import network_stack
from voicecore.cloud.stacks.stack import Stack
from voicecore.project.project import Vpc
from voicecore.project.schema import PUBLIC, VPC

pytestmark = pytest.mark.slow

ZONES = ("use1-az1", "use1-az2")

# AWS's samples use it, and no list of IAM's actions has it (yet).
UNLISTED = ("W3037", "'invokemodelwithbidirectionalstream' is not one of")


def stacks() -> Iterator[tuple[str, Stack, tuple[str, ...]]]:
    """Each kind of stack, and the regions in which there can be one."""
    everywhere = regions.AGENTCORE
    for ha in (False, True):
        of = deployment(network=VPC, vpc=Vpc(ha=ha))
        yield f"network-{'ha' if ha else 'one'}", network_stack(of, ZONES), everywhere
    of = deployment("cascade", WEBRTC)
    yield "network-udp", network_stack(of, ZONES), everywhere
    yield "images", images_stack(deployment()), everywhere
    yield "network-bridge", network_stack(by_telephone(), ZONES), everywhere
    yield "bridge", bridge(by_telephone(), TWILIO_AUTH_TOKEN="x"), regions.CLOUDFRONT
    yield "bridge-domain", bridge(by_telephone(server=DOMAIN)), everywhere
    yield "server", server(deployment(), KEY="x"), regions.FUNCTION_URLS
    for pipeline in PIPELINES.values():
        here = regions_of(pipeline, services_of(pipeline, {}))
        yield f"{pipeline.name}-public", agent(deployment(pipeline.name, network=PUBLIC)), here
        of = deployment(pipeline.name, network=VPC, vpc=GIVEN)
        yield f"{pipeline.name}-given", agent(of, KEY="x"), here
        of = deployment(pipeline.name, WEBSOCKET, WEBRTC, network=VPC, peak_calls=50)
        with_turn = tuple(region for region in here if region in regions.KVS)
        yield f"{pipeline.name}-turn", agent(of, KEY="x"), with_turn
        yield f"{pipeline.name}-foundation", foundation_of(agent(of, KEY="x")), with_turn


def found_in(stack: Stack, where: tuple[str, ...]) -> list[tuple[str, str]]:
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
    assert found_in(stack, where) == []


def test_the_linter_sees_what_is_wrong() -> None:
    stack = agent(deployment())
    properties = stack.resources["Runtime"]["Properties"]
    properties["NetworkConfiguration"]["NetworkMode"] = "OPEN"
    properties["LifecycleConfiguration"]["Longest"] = 1
    assert {rule for rule, _ in found_in(stack, ("us-east-1",))} == {"E3030", "E3002"}


def test_the_linter_knows_where_there_are_no_function_urls() -> None:
    without = tuple(r for r in regions.AGENTCORE if r not in regions.FUNCTION_URLS)
    for region in without:
        ((_, message),) = found_in(server(deployment()), (region,))
        assert "AWS::Lambda::Url" in message


def test_the_linter_knows_where_there_is_no_cloudfront() -> None:
    ((_, message),) = found_in(bridge(by_telephone()), ("us-gov-west-1",))
    assert "AWS::CloudFront::Distribution" in message


def test_the_linter_knows_where_there_is_no_turn() -> None:
    ((_, message),) = found_in(agent(deployment("offline", WEBRTC)), ("us-west-1",))
    assert "AWS::KinesisVideo::SignalingChannel" in message
