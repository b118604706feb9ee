"""Every template, as `voicecore deploy --export template` writes it.

The role of the agent is the same in each network, so it has a file of its own: a change to it
changes one file.
"""

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
import yaml

from tests.golden import assert_golden
from tests.unit.cloud.deployments import (
    DAILY,
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
from voicecore.catalog.pipelines import GENERATED
from voicecore.cloud.deploy.export import as_yaml
from voicecore.cloud.stacks.images_stack import images_stack
from voicecore.cloud.stacks.network_stack import network_stack
from voicecore.cloud.stacks.stack import Json, Stack
from voicecore.project.project import Vpc
from voicecore.project.settings.network import PUBLIC, VPC

ROLES = "agent-roles.yaml"
ZONES = ("use1-az1", "use1-az2")


def stacks() -> Iterator[tuple[str, Stack]]:
    yield "images", images_stack(deployment())
    yield "network", network_stack(deployment(network=VPC), ZONES)
    yield "network-ha", network_stack(deployment(network=VPC, vpc=Vpc(ha=True)), ZONES)
    closed = deployment("cascade", network=VPC, vpc=Vpc(endpoints=True))
    yield "network-endpoints", network_stack(closed, ZONES)
    yield "network-cascade-webrtc", network_stack(deployment("cascade", WEBRTC), ZONES)
    for pipeline in GENERATED:
        for transport in (WEBSOCKET, WEBRTC):
            for network, vpc in ((PUBLIC, Vpc()), (VPC, Vpc()), (VPC, OWN_VPC)):
                if network == VPC or not transport.not_public:
                    name = "given" if vpc.given else network
                    of = deployment(pipeline, transport, network=network, vpc=vpc)
                    yield f"{pipeline}-{transport.name}-{name}", make_agent_stack(of)
    chosen = {"stt": "deepgram", "tts": "cartesia"}
    keys = {"DEEPGRAM_API_KEY": "hidden", "CARTESIA_API_KEY": "hidden"}
    yield "cascade-keys", make_agent_stack(deployment("cascade", services=chosen), **keys)
    daily = deployment("offline", DAILY, network=VPC)
    yield "network-daily", network_stack(daily, ZONES)
    yield "offline-daily-vpc", make_agent_stack(daily, DAILY_API_KEY="hidden")
    yield "lambda-server-websocket", make_lambda_stack(deployment())
    yield "network-phone", network_stack(phone_deployment(), ZONES)
    yield "ecs-server-cloudfront", make_ecs_stack(phone_deployment(), TWILIO_AUTH_TOKEN="hidden")
    yield "ecs-server-public", make_ecs_stack(phone_deployment(), False)
    yield "ecs-server-domain", make_ecs_stack(phone_deployment(server=DOMAIN))
    yield (
        "lambda-server-webrtc-keys",
        make_lambda_stack(deployment("cascade", WEBRTC), COTURN_SECRET="hidden"),
    )


def is_agent(stack: Stack) -> bool:
    return "Runtime" in stack.resources


def without_role(stack: Stack) -> Stack:
    resources = {**stack.resources, "Role": f"as in {ROLES}"}
    return replace(stack, template={**stack.template, "Resources": resources})


@pytest.mark.parametrize(("name", "stack"), list(stacks()), ids=[name for name, _ in stacks()])
def test_template_matches_golden_file(name: str, stack: Stack) -> None:
    whole = as_yaml(stack)
    assert "hidden" not in whole
    assert "&id" not in whole  # CloudFormation does not know YAML aliases
    assert_golden(f"cloud/{name}.yaml", as_yaml(without_role(stack)) if is_agent(stack) else whole)


def test_roles_match_golden_file() -> None:
    roles: dict[str, Json] = {}
    for name, stack in stacks():
        if is_agent(stack):
            agent = name.removesuffix("-given").removesuffix(f"-{PUBLIC}").removesuffix(f"-{VPC}")
            assert roles.setdefault(agent, stack.resources["Role"]) == stack.resources["Role"]
    apart = json.loads(json.dumps(roles))  # YAML has aliases for values that are shared
    assert_golden(f"cloud/{ROLES}", yaml.safe_dump(apart, sort_keys=False, width=4096))
