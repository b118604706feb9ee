"""TURN in AWS: the number of signaling channels, and the agent's variables."""

import pytest

from tests.unit.cloud.deployments import WEBRTC, WEBSOCKET, deployment
from voicecore.cloud.stacks.turn_channels import (
    ALLOCATIONS,
    CREDENTIALS_PER_SECOND,
    NoRelayInAws,
    channel_count,
    require_relay,
    turn_variables,
)


@pytest.mark.parametrize(
    ("peak", "rate", "channels"),
    [(1, None, 1), (10, None, 1), (16, None, 1), (17, None, 2), (100, 2, 6), (100, None, 6),
     (10, 50, 20), (2500, None, 150)],
)  # fmt: skip
def test_channel_count(peak: int, rate: float | None, channels: int) -> None:
    assert channel_count(peak, rate) == channels


@pytest.mark.parametrize("peak", range(1, 500, 7))
def test_channels_stay_within_their_limits(peak: int) -> None:
    channels = channel_count(peak)
    assert channels * ALLOCATIONS >= 3 * peak
    assert channels * CREDENTIALS_PER_SECOND >= 2 * peak / 30


@pytest.mark.parametrize("network", ["vpc", "public"])
def test_variables_name_channels_and_network(network: str) -> None:
    of = deployment("nova-sonic", WEBRTC, network=network, peak_calls=20)
    variables = turn_variables(of)
    assert (variables["TURN_CHANNEL_COUNT"], variables["NETWORK_MODE"]) == ("2", network.upper())
    assert require_relay(of, {}) == []
    assert turn_variables(deployment("nova-sonic", WEBSOCKET)) == {}


def test_variables_name_another_turn_source() -> None:
    of = deployment("nova-sonic", WEBRTC, network="vpc", source="coturn")
    assert turn_variables(of) == {"TURN_SOURCE": "coturn", "NETWORK_MODE": "VPC"}
    own = {"COTURN_URLS": "turn:turn.example.org", "COTURN_SECRET": "s"}
    assert require_relay(of, own | {"TURN_SOURCE": ""}) == []
    with pytest.raises(NoRelayInAws, match="COTURN_URLS is required by coturn"):
        require_relay(of, {})


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"TURN_SOURCE": "none"}, "selects no TURN source"),
        ({"TURN_SOURCE": "static", "ICE_SERVER_URLS": "stun:a.example.org"}, "only STUN servers"),
        ({"TURN_SOURCE": "static", "ICE_SERVER_URLS": "turn:a b"}, "not the URL of a TURN server"),
        ({"TURN_SOURCE": "static", "ICE_SERVER_URLS": "turn:a.example.org:3478"}, "TURN over UDP"),
        ({"TURN_SOURCE": "cloudflare"}, "CLOUDFLARE_TURN_KEY_ID"),
    ],
)
def test_rejects_agent_without_relay(variables: dict[str, str], said: str) -> None:
    with pytest.raises(NoRelayInAws, match=said):
        require_relay(deployment("nova-sonic", WEBRTC, network="public"), variables)
