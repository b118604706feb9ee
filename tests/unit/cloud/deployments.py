"""Builders of deployments and stacks that tests share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from voicecore.catalog.phones import PHONES
from voicecore.catalog.pipelines import PIPELINES
from voicecore.catalog.pipelines.record import services_of
from voicecore.catalog.transports import TRANSPORTS
from voicecore.catalog.transports.record import Transport
from voicecore.catalog.turn_sources import KVS
from voicecore.cloud.stacks.agent_stack import agent_stack
from voicecore.cloud.stacks.deployment import Deployment
from voicecore.cloud.stacks.ecs_server import ecs_server_stack
from voicecore.cloud.stacks.env_split import Environment
from voicecore.cloud.stacks.lambda_server import lambda_server_stack
from voicecore.cloud.stacks.stack import Stack
from voicecore.project.project import ServerSettings, Stage, TurnSettings, Vpc
from voicecore.project.settings.network import PUBLIC, VPC

WEBSOCKET = TRANSPORTS["websocket"]
WEBRTC = TRANSPORTS["webrtc"]
TELEPHONE = TRANSPORTS["telephony"]
DAILY = TRANSPORTS["daily"]

OWN_VPC = Vpc(("subnet-0123456789abcdef0", "subnet-0123456789abcdef1"), ("sg-0123456789abcdef0",))
ACCOUNT = "123456789012"
DIGEST = "sha256:" + "0123456789abcdef" * 4
AGENT = f"arn:aws:bedrock-agentcore:us-east-1:{ACCOUNT}:runtime/support_line_dev-abcdefghij"
DOMAIN = ServerSettings(
    "phone.example.com",
    f"arn:aws:acm:us-east-1:{ACCOUNT}:certificate/01234567-89ab-cdef-0123-456789abcdef",
)
TABLE = f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/voicecore-support-line-dev-server"
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
        stage=replace(Stage(name="dev", region=region), **stage),
        transports=transports or (WEBSOCKET,),
        pipeline=record,
        services=services_of(record, dict(services or {})),
        network=network,
        vpc=vpc or Vpc(),
        turn=TurnSettings(source, peak_calls),
        phones=(PHONES["twilio"],) if TELEPHONE in transports else (),
    )


def make_agent_stack(of: Deployment, **secret: str) -> Stack:
    """Return the agent's stack as a first deploy creates it."""
    subnets, groups = (("subnet-a", "subnet-b"), ("sg-a",)) if of.network == VPC else ((), ())
    return agent_stack(of, Environment({}, secret), (), IMAGE, subnets, groups)


def make_lambda_stack(of: Deployment, **secret: str) -> Stack:
    """Return the stack of a session server on Lambda."""
    return lambda_server_stack(of, Environment({"STARTS_PER_MINUTE": "7"}, secret), IMAGE, AGENT)


def phone_deployment(**options: Any) -> Deployment:
    """Return a stage whose session server carries phone calls."""
    options.setdefault("network", VPC)
    return deployment("nova-sonic", TELEPHONE, **options)


def make_ecs_stack(of: Deployment, private: bool = True, /, **secret: str) -> Stack:
    """Return the stack of a session server on ECS."""
    env = Environment({"STARTS_PER_MINUTE": "7"}, secret)
    network = {
        "Vpc": "vpc-0",
        "PublicSubnets": "subnet-0,subnet-1",
        "Subnets": "subnet-2,subnet-3",
        "OriginAddresses": "pl-0",
    }
    return ecs_server_stack(of, env, IMAGE, AGENT, "", network, private=private)


def resolve(part: Any) -> Any:
    """Return part of a template with its references resolved, as CloudFormation does."""
    match part:
        case {"Ref": "Secret" | "SessionKey"}:
            return f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:voicecore/support-line/dev-x"
        case {"Fn::GetAtt": ["SessionTable", "Arn"]}:
            return TABLE
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
            return {key: resolve(value) for key, value in part.items()}
        case list():
            return [resolve(value) for value in part]
        case _:
            return part


def statements_of(stack: Stack, role: str = "Role") -> list[dict[str, Any]]:
    """Return the policy statements of a role."""
    (policy,) = stack.resources[role]["Properties"]["Policies"]
    return policy["PolicyDocument"]["Statement"]
