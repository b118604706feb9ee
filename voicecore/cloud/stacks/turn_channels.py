"""Owns TURN for a deployed agent: its variables, and the signaling channels of KVS."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

from voicecore.catalog.turn_sources import CHOICE, KVS, SOURCES
from voicecore.catalog.turn_sources.variables import NETWORK, mistakes_in
from voicecore.cloud.stacks.deployment import Deployment
from voicecore.cloud.stacks.stack import Resource
from voicecore.console.errors import ExitCode, VoicecoreError
from voicecore.project import aws_names
from voicecore.project.settings.network import PUBLIC

# Hard limits of one channel (Kinesis Video Streams Developer Guide, kvswebrtc-limits).
CREDENTIALS_PER_SECOND = 5
ALLOCATIONS = 50

# Both caller and agent ask for credentials.
_CREDENTIALS_PER_CALL = 2
# The agent's relay, and two of the browser, which opens one for each of the two URIs it gets.
_ALLOCATIONS_PER_CALL = 3
# An assumption: all calls of a peak start within half a minute.
_SECONDS_TO_PEAK = 30

TURN_PORTS = (443, 3478, 5349)
"""Ports of TURN servers, UDP and TCP: the first is KVS's, the others are in RFC 8656 and 7065."""


class NoRelayInAws(VoicecoreError):
    """The agent would get no TURN relay in AWS."""


def channel_count(peak_calls: int, calls_per_second: float | None = None) -> int:
    """Return how many channels serve `peak_calls` simultaneous calls.

    `calls_per_second` is the rate of new calls; by default all start within half a minute.
    """
    rate = calls_per_second or peak_calls / _SECONDS_TO_PEAK
    by_rate = ceil(_CREDENTIALS_PER_CALL * rate / CREDENTIALS_PER_SECOND)
    by_allocations = ceil(_ALLOCATIONS_PER_CALL * peak_calls / ALLOCATIONS)
    return max(by_rate, by_allocations, 1)


def signaling_channels(deployment: Deployment) -> dict[str, Resource]:
    """Return the signaling channels by logical ID; none if KVS is not the TURN source."""
    if not deployment.uses_kvs:
        return {}
    return {
        f"Channel{number}": Resource(
            "AWS::KinesisVideo::SignalingChannel",
            {"Name": aws_names.channel_name_for(deployment.name, deployment.stage.name, number)},
        )
        for number in range(1, channel_count(deployment.turn.peak_calls) + 1)
    }


def turn_variables(deployment: Deployment) -> dict[str, str]:
    """Return the agent's environment variables for its network and its TURN source.

    With KVS, the agent also tries every other source that it has variables for, after KVS.
    """
    variables = {NETWORK: deployment.network.upper()}
    if not deployment.needs_turn:
        return variables if any(transport.udp_ports for transport in deployment.transports) else {}
    if not deployment.uses_kvs:
        return {CHOICE: deployment.turn.source, **variables}
    # The channels' names are prefix + 1 to prefix + count.
    prefix, count = SOURCES[KVS].needs
    return {
        prefix: channel_prefix(deployment),
        count: str(len(signaling_channels(deployment))),
        **variables,
    }


def require_relay(deployment: Deployment, variables: Mapping[str, str]) -> list[str]:
    """Raise NoRelayInAws if an agent with these variables of agent/.env would get no relay.

    Returns warnings about relays that only some callers will miss.
    """
    if not deployment.needs_turn:
        return []
    known = {**turn_variables(deployment), **{k: v for k, v in variables.items() if v}}
    found = mistakes_in(known, in_aws=True, udp=deployment.network != PUBLIC)
    if fatal := [mistake for mistake in found if mistake.fatal]:
        raise NoRelayInAws(
            "agent/.env gives the agent no TURN relay, and in AWS callers cannot reach it "
            "without one:\n" + "\n".join(f"  {m.variable} {m.message}" for m in fatal),
            "\n".join(dict.fromkeys(mistake.hint for mistake in fatal)),
            ExitCode.BAD_PROJECT,
        )
    return [f"{mistake.variable} {mistake.message}. {mistake.hint}" for mistake in found]


def channel_prefix(deployment: Deployment) -> str:
    """Return the prefix of the names of the stage's channels; a number follows."""
    return aws_names.channel_name_for(deployment.name, deployment.stage.name, 0).removesuffix("0")
