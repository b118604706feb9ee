import pytest

from tests.unit.cloud.deployments import WEBRTC, WEBSOCKET, deployment
from voicecore.cloud.stacks.turn_channels import (
    ALLOCATIONS,
    CREDENTIALS_PER_SECOND,
    NoRelay,
    channels_for,
    require_relay,
    variables_of,
)


@pytest.mark.parametrize(
    ("peak", "rate", "channels"),
    [(1, None, 1), (10, None, 1), (16, None, 1), (17, None, 2), (100, 2, 6), (100, None, 6),
     (10, 50, 20), (2500, None, 150)],
)  # fmt: skip
def test_the_pool(peak: int, rate: float | None, channels: int) -> None:
    assert channels_for(peak, rate) == channels


@pytest.mark.parametrize("peak", range(1, 500, 7))
def test_no_channel_is_asked_for_more_than_it_gives(peak: int) -> None:
    channels = channels_for(peak)
    assert channels * ALLOCATIONS >= 3 * peak
    assert channels * CREDENTIALS_PER_SECOND >= 2 * peak / 30


@pytest.mark.parametrize("network", ["vpc", "public"])
def test_the_agent_is_told_its_channels_and_its_network(network: str) -> None:
    of = deployment("nova-sonic", WEBRTC, network=network, peak_calls=20)
    told = variables_of(of)
    assert (told["TURN_CHANNEL_COUNT"], told["NETWORK_MODE"]) == ("2", network.upper())
    assert require_relay(of, {}) == []
    assert variables_of(deployment("nova-sonic", WEBSOCKET)) == {}


def test_the_agent_is_told_another_source() -> None:
    of = deployment("nova-sonic", WEBRTC, network="vpc", source="coturn")
    assert variables_of(of) == {"TURN_SOURCE": "coturn", "NETWORK_MODE": "VPC"}
    own = {"COTURN_URLS": "turn:turn.example.org", "COTURN_SECRET": "s"}
    assert require_relay(of, own | {"TURN_SOURCE": ""}) == []
    with pytest.raises(NoRelay, match="COTURN_URLS is required by coturn"):
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
def test_an_agent_that_nobody_would_reach_is_not_deployed(
    variables: dict[str, str], said: str
) -> None:
    with pytest.raises(NoRelay, match=said):
        require_relay(deployment("nova-sonic", WEBRTC, network="public"), variables)
