"""How a deployed agent comes by TURN: what it is told, and the pool of KVS's channels."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

from voicecore.catalog.turn_sources import CHOICE, KVS, SOURCES
from voicecore.catalog.turn_sources.variables import NETWORK, mistakes_in
from voicecore.cloud.stacks.deployment import Deployment
from voicecore.cloud.stacks.stack import Resource
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.project import aws_names
from voicecore.project.schema import PUBLIC

# Kinesis Video Streams Developer Guide, kvswebrtc-limits: hard limits of one channel.
CREDENTIALS_PER_SECOND = 5
ALLOCATIONS = 50

# Both ends of a call ask for credentials.
_CREDENTIALS_PER_CALL = 2
# The agent's relay, and a browser's two: it opens one for each URI it is given, and is given two.
_ALLOCATIONS_PER_CALL = 3
# Nothing says how fast a peak builds up; all of its calls within half a minute is fast.
_SECONDS_TO_PEAK = 30

PORTS = (443, 3478, 5349)
"""Where TURN servers listen, by UDP and TCP: KVS's at the first; RFC 8656 and 7065 have the others.
"""


class NoRelay(VoicecoreError):
    """The agent would get no TURN relay in AWS."""


def channels_for(peak_calls: int, calls_per_second: float | None = None) -> int:
    """How many channels serve so many calls at once.

    `calls_per_second` is the rate at which new ones arrive; unsaid, all begin within half a minute.
    """
    rate = calls_per_second or peak_calls / _SECONDS_TO_PEAK
    by_rate = ceil(_CREDENTIALS_PER_CALL * rate / CREDENTIALS_PER_SECOND)
    by_allocations = ceil(_ALLOCATIONS_PER_CALL * peak_calls / ALLOCATIONS)
    return max(by_rate, by_allocations, 1)


def pool_of(deployment: Deployment) -> dict[str, Resource]:
    """The signalling channels, by logical id; none where nobody asks for their credentials."""
    if not deployment.asks_kvs:
        return {}
    return {
        f"Channel{number}": Resource(
            "AWS::KinesisVideo::SignalingChannel",
            {"Name": aws_names.channel_name_for(deployment.name, deployment.stage.name, number)},
        )
        for number in range(1, channels_for(deployment.turn.peak_calls) + 1)
    }


def variables_of(deployment: Deployment) -> dict[str, str]:
    """The environment variables that tell the agent where it is, and who has credentials for it.

    Where that is KVS, the agent asks all other sources that it has the variables of after it.
    """
    told = {NETWORK: deployment.network.upper()}
    if not deployment.needs_turn:
        return told if any(transport.udp_ports for transport in deployment.transports) else {}
    if not deployment.asks_kvs:
        return {CHOICE: deployment.turn.source, **told}
    # The channels are called prefix + 1 to prefix + count.
    prefix, count = SOURCES[KVS].needs
    return {prefix: prefix_of(deployment), count: str(len(pool_of(deployment))), **told}


def require_relay(deployment: Deployment, variables: Mapping[str, str]) -> list[str]:
    """Raise NoRelay if an agent with these `variables` of its own would get no relay in AWS.

    Returns what only some callers will miss.
    """
    if not deployment.needs_turn:
        return []
    known = {**variables_of(deployment), **{k: v for k, v in variables.items() if v}}
    found = mistakes_in(known, in_aws=True, udp=deployment.network != PUBLIC)
    if fatal := [mistake for mistake in found if mistake.fatal]:
        raise NoRelay(
            "agent/.env leaves the agent without a TURN relay, and in AWS nobody reaches it "
            "otherwise:\n" + "\n".join(f"  {m.variable} {m.message}" for m in fatal),
            "\n".join(dict.fromkeys(mistake.hint for mistake in fatal)),
            ExitCode.BAD_PROJECT,
        )
    return [f"{mistake.variable} {mistake.message}. {mistake.hint}" for mistake in found]


def prefix_of(deployment: Deployment) -> str:
    """What the names of the stage's channels begin with; their number follows."""
    return aws_names.channel_name_for(deployment.name, deployment.stage.name, 0).removesuffix("0")
