"""What a deployed agent costs: per month while nobody calls, and per minute of a call.

List prices of US East (N. Virginia) in US dollars; other regions differ a little. Whoever needs
it exact asks AWS's calculator; whoever is about to leave a NAT gateway running is told here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from voicecore.cloud.stacks.deployment import Deployment
from voicecore.cloud.stacks.ecs_server import CALLS_A_TASK, GIGABYTES, VCPUS

HOURS_A_MONTH = 730


@dataclass(frozen=True)
class Price:
    """What AWS asks for one unit."""

    dollars: float
    unit: str
    source: str
    date: str
    confirmed: bool = True
    """Whether AWS's own page or price list was read; else it is as others report it."""


@dataclass(frozen=True)
class Item:
    """One thing on a bill; dollars of None are billed by somebody else."""

    what: str
    dollars: float | None


_LIST = "AWS Price List"
_MODELS = "Amazon Bedrock pricing"

PRICES = {
    "vcpu": Price(0.0895, "vCPU-hour used", _LIST, "2026-08-11"),
    "memory": Price(0.00945, "GB-hour of the peak", _LIST, "2026-08-11"),
    "nat": Price(0.045, "hour", "Amazon VPC pricing", "2026"),
    "nat data": Price(0.045, "GB", "Amazon VPC pricing", "2026"),
    "address": Price(0.005, "hour", "Amazon VPC pricing", "2026", confirmed=False),
    "traffic": Price(0.09, "GB out", "Amazon EC2 pricing", "2026"),
    "channel": Price(0.03, "channel-month in use", "Kinesis Video Streams pricing", "2026"),
    "turn": Price(0.12 / 1000, "relay-minute", "Kinesis Video Streams pricing", "2026"),
    "secret": Price(0.40, "month", "AWS Secrets Manager pricing", "2026", confirmed=False),
    # Of Linux on ARM; AWS's calculators give the same, its own page was not read.
    "task vcpu": Price(0.03238, "vCPU-hour", "AWS Fargate pricing", "2026-03", confirmed=False),
    "task memory": Price(0.00356, "GB-hour", "AWS Fargate pricing", "2026-03", confirmed=False),
    "balancer": Price(0.0225, "hour", "Elastic Load Balancing pricing", "2026-03", confirmed=False),
    "balancer unit": Price(
        0.008, "LCU-hour, as 1 GB", "Elastic Load Balancing pricing", "2026-03", confirmed=False
    ),
    "images": Price(0.10, "GB-month", "Amazon ECR pricing", "2026", confirmed=False),
    "logs": Price(0.50, "GB", "Amazon CloudWatch pricing", "2026-08-11"),
    "sonic speech in": Price(3.00, "million tokens", _LIST, "2026-09-12"),
    "sonic speech out": Price(12.00, "million tokens", _LIST, "2026-09-12"),
    "nova lite in": Price(0.30, "million tokens", _MODELS, "2026"),
    "nova lite out": Price(2.50, "million tokens", _MODELS, "2026"),
    "polly": Price(16.00, "million characters, neural", "Amazon Polly pricing", "2026-10-07"),
    "transcribe": Price(0.024, "minute", "Amazon Transcribe pricing", "2026", confirmed=False),
}


def _task_hour() -> float:
    """Dollars that one task of a server costs an hour."""
    return VCPUS * PRICES["task vcpu"].dollars + GIGABYTES * PRICES["task memory"].dollars


_MONTHLY: Mapping[str, float] = {
    "AWS::EC2::NatGateway": PRICES["nat"].dollars * HOURS_A_MONTH,
    "AWS::EC2::EIP": PRICES["address"].dollars * HOURS_A_MONTH,
    "AWS::KinesisVideo::SignalingChannel": PRICES["channel"].dollars,
    "AWS::SecretsManager::Secret": PRICES["secret"].dollars,
    # It has a public address in each of its two zones.
    "AWS::ElasticLoadBalancingV2::LoadBalancer": (
        PRICES["balancer"].dollars + 2 * PRICES["address"].dollars
    )
    * HOURS_A_MONTH,
    # The one task that always runs.
    "AWS::ECS::Service": _task_hour() * HOURS_A_MONTH,
}

# A call as it is reckoned here. AWS meters what is used, so a real one differs.
_AGENT_TALKS = 0.4  # of the time; the caller is listened to all the time
_TOKENS_A_SECOND = 25  # of speech, Nova 2 Sonic
_CHARACTERS_A_SECOND = 15  # of spoken English
_TURNS_A_MINUTE = 4
_TOKENS_OF_A_PROMPT = 800  # instructions and what was said before
_TOKENS_OF_A_REPLY = 25
_BYTES_A_SECOND = 48_000  # of the agent's speech: 24 kHz, 16 bits
_RELAYS_A_CALL = 2  # one at each end
# Through a load balancer: 50 messages a second each way, of some 350 bytes (Twilio's).
_BRIDGED_BYTES_A_SECOND = 2 * 50 * 350


def a_month(resource_type: str) -> float:
    """Dollars that a resource of this CloudFormation type costs a month while nobody calls.

    A TURN channel is reckoned in full, though a month in which nobody calls costs nothing.
    """
    return _MONTHLY.get(resource_type, 0.0)


def a_minute(deployment: Deployment, served: bool = False, bridged: bool = False) -> list[Item]:
    """What one minute of a call costs, by what it is spent on; `served`: by a server in AWS.

    What Lambda asks for requests and GB-seconds was never read (its pricing page has it): a call
    takes a handful of requests, of milliseconds each.
    """
    cpu, memory = deployment.pipeline.compute
    compute = (cpu * PRICES["vcpu"].dollars + memory * PRICES["memory"].dollars) / 60
    items = [Item("AgentCore Runtime", compute)]
    for service in deployment.uses:
        items.append(Item(service.title, _A_MINUTE_OF.get(service.name)))
    if deployment.needs_turn:
        relays = _RELAYS_A_CALL * PRICES["turn"].dollars
        items.append(Item("TURN", relays if deployment.asks_kvs else None))
    if bridged:
        # Of a load balancer's four measures it is the bytes that a call has most of; they go
        # through NAT, too, to the agent and back.
        gigabytes = 60 * _BRIDGED_BYTES_A_SECOND / 1e9
        items.append(Item("load balancer", gigabytes * PRICES["balancer unit"].dollars))
        items.append(Item("NAT gateway", gigabytes * PRICES["nat data"].dollars))
        items.append(Item("ECS Fargate", _task_hour() / 60 / CALLS_A_TASK))
        if not deployment.stage.server.domain:
            items.append(Item("CloudFront", None))
        items.extend(Item(phone.title, None) for phone in deployment.phones)
    elif served:
        items.append(Item("AWS Lambda", None))
    gigabytes = 60 * _AGENT_TALKS * _BYTES_A_SECOND / 1e9
    return [*items, Item("traffic", gigabytes * PRICES["traffic"].dollars)]


def _millionths(key: str, units: float) -> float:
    return PRICES[key].dollars * units / 1e6


_A_MINUTE_OF = {
    "nova-2-sonic": _millionths("sonic speech in", 60 * _TOKENS_A_SECOND)
    + _millionths("sonic speech out", 60 * _TOKENS_A_SECOND * _AGENT_TALKS),
    "transcribe": PRICES["transcribe"].dollars,
    "nova-lite": _millionths("nova lite in", _TURNS_A_MINUTE * _TOKENS_OF_A_PROMPT)
    + _millionths("nova lite out", _TURNS_A_MINUTE * _TOKENS_OF_A_REPLY),
    "polly": _millionths("polly", 60 * _AGENT_TALKS * _CHARACTERS_A_SECOND),
}
"""Of AWS's own services; others bill by themselves."""
