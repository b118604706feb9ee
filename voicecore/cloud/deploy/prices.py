"""Owns cost estimates: dollars per month of idle resources, and per minute of a call.

The figures are list prices, in prices.toml. Estimates are for orientation, such as a warning
about a running NAT gateway; exact costs come from AWS's calculator.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from voicecore.cloud.stacks.deployment import Deployment
from voicecore.cloud.stacks.ecs_tasks import CALLS_PER_TASK, GIGABYTES, VCPUS
from voicecore.cloud.stacks.lambda_server import MEMORY
from voicecore.cloud.stacks.network_stack import S3_ENDPOINT
from voicecore.cloud.stacks.zones import ZONES_PER_NETWORK

HOURS_PER_MONTH = 730

TRACES = "traces"
"""Item of the spans that CloudWatch keeps."""


@dataclass(frozen=True)
class Price:
    """The list price of one unit."""

    dollars: float
    unit: str
    source: str
    """Title of the page that the figure comes from."""
    url: str
    date: str
    confirmed: bool
    """True when AWS's own page or price list was read."""


@dataclass(frozen=True)
class CostItem:
    """One item of an estimate; `dollars` is None when it is unknown or billed by others."""

    what: str
    dollars: float | None


@cache
def prices() -> Mapping[str, Price]:
    """Return the list prices by key."""
    text = Path(__file__).with_name("prices.toml").read_text(encoding="utf-8")
    return {key: Price(**price) for key, price in tomllib.loads(text).items()}


# A call, as estimated. AWS meters actual use, so real calls differ.
_AGENT_SPEAKS = 0.4  # share of the time; the caller is listened to all the time
_TOKENS_PER_SECOND = 25  # of speech, Nova Sonic
_CHARACTERS_PER_SECOND = 15  # of spoken English
_TURNS_PER_MINUTE = 4
_PROMPT_TOKENS = 800  # instructions and the conversation so far
_REPLY_TOKENS = 25
_BYTES_PER_SECOND = 48_000  # of the agent's speech: 24 kHz, 16 bits
_RELAYS_PER_CALL = 2  # one at each end
# Through a load balancer: 50 messages a second each way, about 350 bytes each (Twilio's).
_PHONE_BYTES_PER_SECOND = 2 * 50 * 350


# A session is counted twice (network, caller), held, ended and released; its caller and its state
# are looked up.
_TABLE_WRITES, _TABLE_READS = 5, 3
_TRACE_BYTES = 40_000  # of a minute: 6 turns, each of 7 spans of 900 bytes


def dollars_per_month(resource_type: str, logical_id: str = "") -> float:
    """Return what a resource of this CloudFormation type costs per month without calls.

    A TURN channel counts in full, although it is free in a month without calls. The logical ID
    tells the gateway endpoint, which is free, from interface endpoints.
    """
    return 0.0 if logical_id == S3_ENDPOINT else _per_month().get(resource_type, 0.0)


def cost_per_minute(
    deployment: Deployment, server: bool = False, carries_calls: bool = False, table: bool = False
) -> list[CostItem]:
    """Return what one minute of a call costs; `server`: through a session server in AWS.

    `table`: the server's copies share a DynamoDB table; a call of one minute counts.

    Lambda's price per request and GB-second is on its pricing page and was not read: a call needs
    a handful of requests of milliseconds each.
    """
    vcpus, gigabytes = deployment.pipeline.compute
    compute = (vcpus * _dollars("vcpu") + gigabytes * _dollars("memory")) / 60
    items = [CostItem("AgentCore Runtime", compute)]
    services = _services_per_minute()
    items += [CostItem(used.title, services.get(used.name)) for used in deployment.uses]
    items += [CostItem(used.title, None) for used in deployment.own_uses]
    if deployment.needs_turn:
        relays = _RELAYS_PER_CALL * _dollars("turn")
        items.append(CostItem("TURN", relays if deployment.uses_kvs else None))
    if carries_calls:
        items += _phone_server_per_minute(deployment)
    elif server:
        items.append(CostItem("AWS Lambda", None))
    if table:
        writes = _millionths("table write", _TABLE_WRITES)
        items.append(CostItem("DynamoDB", writes + _millionths("table read", _TABLE_READS)))
    if deployment.traced:
        items.append(CostItem(TRACES, _TRACE_BYTES / 1e9 * _dollars("logs")))
    traffic = 60 * _AGENT_SPEAKS * _BYTES_PER_SECOND / 1e9
    return [*items, CostItem("traffic", traffic * _dollars("traffic"))]


def flood_hour(requests_at_once: int) -> float:
    """Return what a server on Lambda costs per hour while it always answers as many requests.

    The price per request is not counted.
    """
    return requests_at_once * MEMORY / 1024 * 3600 * _dollars("function memory")


def _phone_server_per_minute(deployment: Deployment) -> list[CostItem]:
    # Of the four dimensions of a load balancer unit, calls use most bytes. The bytes also pass
    # the NAT gateway, to the agent and back.
    gigabytes = 60 * _PHONE_BYTES_PER_SECOND / 1e9
    items = [
        CostItem("load balancer", gigabytes * _dollars("balancer unit")),
        CostItem("NAT gateway", gigabytes * _dollars("nat data")),
        CostItem("ECS Fargate", _task_hour() / 60 / CALLS_PER_TASK),
    ]
    if not deployment.stage.server.domain:
        items.append(CostItem("CloudFront", None))
    return [*items, *(CostItem(phone.title, None) for phone in deployment.phones)]


@cache
def _per_month() -> Mapping[str, float]:
    return {
        "AWS::EC2::NatGateway": _dollars("nat") * HOURS_PER_MONTH,
        "AWS::EC2::EIP": _dollars("address") * HOURS_PER_MONTH,
        # An interface in each zone.
        "AWS::EC2::VPCEndpoint": ZONES_PER_NETWORK * _dollars("endpoint") * HOURS_PER_MONTH,
        "AWS::KinesisVideo::SignalingChannel": _dollars("channel"),
        "AWS::SecretsManager::Secret": _dollars("secret"),
        # A load balancer has a public address in each of its two zones.
        "AWS::ElasticLoadBalancingV2::LoadBalancer": (
            _dollars("balancer") + 2 * _dollars("address")
        )
        * HOURS_PER_MONTH,
        # One task always runs.
        "AWS::ECS::Service": _task_hour() * HOURS_PER_MONTH,
    }


@cache
def _services_per_minute() -> Mapping[str, float]:
    """Return dollars per minute of services that AWS bills; other providers bill by themselves."""
    return {
        **{name: _sonic_minute(name) for name in ("nova-2-5-sonic", "nova-2-sonic")},
        "transcribe": _dollars("transcribe"),
        "nova-lite": _millionths("nova lite in", _TURNS_PER_MINUTE * _PROMPT_TOKENS)
        + _millionths("nova lite out", _TURNS_PER_MINUTE * _REPLY_TOKENS),
        "polly": _millionths("polly", 60 * _AGENT_SPEAKS * _CHARACTERS_PER_SECOND),
    }


def _sonic_minute(name: str) -> float:
    """Return dollars per minute of a model that listens all the time."""
    tokens = 60 * _TOKENS_PER_SECOND
    spoken = _millionths(f"{name} speech out", tokens * _AGENT_SPEAKS)
    return _millionths(f"{name} speech in", tokens) + spoken


def _task_hour() -> float:
    """Return dollars per hour of one task of a session server."""
    return VCPUS * _dollars("task vcpu") + GIGABYTES * _dollars("task memory")


def _millionths(key: str, units: float) -> float:
    return _dollars(key) * units / 1e6


def _dollars(key: str) -> float:
    return prices()[key].dollars
