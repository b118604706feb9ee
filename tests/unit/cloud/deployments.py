"""Deployments that tests share: every pipeline, on every transport."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voicecore.catalog.phones import PHONES
from voicecore.catalog.pipelines import PIPELINES
from voicecore.catalog.pipelines.record import services_of
from voicecore.catalog.transports import TRANSPORTS
from voicecore.catalog.transports.record import Transport
from voicecore.catalog.turn_sources import KVS
from voicecore.cloud.stacks.agent_stack import agent_stack
from voicecore.cloud.stacks.deployment import Deployment
from voicecore.cloud.stacks.ecs_server import bridge_stack
from voicecore.cloud.stacks.env_split import Environment
from voicecore.cloud.stacks.lambda_server import server_stack
from voicecore.cloud.stacks.stack import Stack
from voicecore.project.project import ServerSettings, Stage, TurnSettings, Vpc
from voicecore.project.schema import PUBLIC, VPC

WEBSOCKET = TRANSPORTS["websocket"]
WEBRTC = TRANSPORTS["webrtc"]
TELEPHONE = TRANSPORTS["telephony"]
DAILY = TRANSPORTS["daily"]

GIVEN = Vpc(("subnet-0123456789abcdef0", "subnet-0123456789abcdef1"), ("sg-0123456789abcdef0",))
ACCOUNT = "123456789012"
DIGEST = "sha256:" + "0123456789abcdef" * 4
AGENT = f"arn:aws:bedrock-agentcore:us-east-1:{ACCOUNT}:runtime/support_line_dev-abcdefghij"
DOMAIN = ServerSettings(
    "phone.example.com",
    f"arn:aws:acm:us-east-1:{ACCOUNT}:certificate/01234567-89ab-cdef-0123-456789abcdef",
)
IMAGE = f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/voicecore/support-line@{DIGEST}"


def deployment(
    pipeline: str = "nova-sonic",
    *transports: Transport,
    region: str = "us-east-1",
    network: str = PUBLIC,
    vpc: Vpc | None = None,
    peak_calls: int = 10,
    source: str = KVS,
    services: Mapping[str, str] | None = None,
    **stage: Any,
) -> Deployment:
    record = PIPELINES[pipeline]
    return Deployment(
        name="support-line",
        stage=Stage(**({"name": "dev", "region": region} | stage)),
        transports=transports or (WEBSOCKET,),
        pipeline=record,
        services=services_of(record, dict(services or {})),
        network=network,
        vpc=vpc or Vpc(),
        turn=TurnSettings(source, peak_calls),
        phones=(PHONES["twilio"],) if TELEPHONE in transports else (),
    )


def agent(of: Deployment, **secret: str) -> Stack:
    """The agent's stack as a first deploy would ask for it."""
    subnets, groups = (("subnet-a", "subnet-b"), ("sg-a",)) if of.network == VPC else ((), ())
    return agent_stack(of, Environment({}, secret), (), IMAGE, subnets, groups)


def server(of: Deployment, **secret: str) -> Stack:
    """The session server's stack beside it."""
    return server_stack(of, Environment({"STARTS_PER_MINUTE": "7"}, secret), IMAGE, AGENT)


def by_telephone(**options: Any) -> Deployment:
    """A stage whose server carries calls."""
    return deployment("nova-sonic", TELEPHONE, **({"network": VPC} | options))


def bridge(of: Deployment, **secret: str) -> Stack:
    """The stack of such a server, beside the agent's."""
    settings = Environment({"STARTS_PER_MINUTE": "7"}, secret)
    network = {"Vpc": "vpc-0", "PublicSubnets": "subnet-0,subnet-1", "Subnets": "subnet-2,subnet-3"}
    return bridge_stack(of, settings, IMAGE, AGENT, "", network)


def filled(part: Any) -> Any:
    """Part of a template as CloudFormation would fill it in."""
    match part:
        case {"Ref": "Secret" | "SessionKey"}:
            return f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:voicecore/support-line/dev-x"
        case {"Ref": "RuntimeArn"}:
            return AGENT
        case {"Fn::Sub": str(text)}:
            for name, value in {
                "Partition": "aws",
                "Region": "us-east-1",
                "AccountId": ACCOUNT,
            }.items():
                text = text.replace(f"${{AWS::{name}}}", value)
            return text.replace("${RuntimeArn}", AGENT)
        case dict():
            return {key: filled(value) for key, value in part.items()}
        case list():
            return [filled(value) for value in part]
        case _:
            return part


def statements_of(stack: Stack, role: str = "Role") -> list[dict[str, Any]]:
    """The statements of a role."""
    (policy,) = stack.resources[role]["Properties"]["Policies"]
    return policy["PolicyDocument"]["Statement"]
