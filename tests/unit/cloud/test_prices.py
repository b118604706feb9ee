"""Cost estimates, from the list prices in prices.toml."""

import pytest

from tests.unit.cloud.deployments import WEBRTC, WEBSOCKET, deployment, phone_deployment
from voicecore.cloud.deploy.prices import CostItem, cost_per_minute, dollars_per_month, prices


def test_idle_resources_cost_their_list_price() -> None:
    assert dollars_per_month("AWS::EC2::NatGateway") == pytest.approx(32.85)
    assert dollars_per_month("AWS::EC2::EIP") == pytest.approx(3.65)
    assert dollars_per_month("AWS::EC2::Subnet") == 0


def per_minute(pipeline: str, *transports, **services: str) -> dict[str, float | None]:
    stage = deployment(pipeline, *transports, services=services)
    return {item.what: item.dollars for item in cost_per_minute(stage)}


@pytest.mark.parametrize(
    ("model", "title"),
    [("nova-2-5-sonic", "Amazon Nova 2.5 Sonic"), ("nova-2-sonic", "Amazon Nova 2 Sonic")],
)
def test_cost_of_a_minute_of_nova_sonic(model: str, title: str) -> None:
    cost = per_minute("nova-sonic", WEBSOCKET, speech_to_speech=model)
    # Ten minutes cost $0.117 for the model and $0.009 for AgentCore, by the same arithmetic.
    assert cost[title] == pytest.approx(0.0117)
    assert cost["AgentCore Runtime"] == pytest.approx(0.0009, abs=0.00005)
    assert "TURN" not in cost


def test_turn_costs_where_it_is_used() -> None:
    assert per_minute("offline", WEBRTC)["TURN"] == pytest.approx(2 * 0.12 / 1000)
    others = cost_per_minute(deployment("offline", WEBRTC, source="twilio"))
    assert CostItem("TURN", None) in others  # Twilio bills it


def test_other_providers_bill_by_themselves() -> None:
    cost = per_minute("cascade", WEBSOCKET, stt="deepgram", tts="cartesia")
    assert cost["Deepgram"] is None and cost["Cartesia"] is None
    assert cost["Amazon Nova 2 Lite"]


def test_server_that_carries_calls_costs_per_month() -> None:
    balancer = "AWS::ElasticLoadBalancingV2::LoadBalancer"
    assert dollars_per_month("AWS::ECS::Service") == pytest.approx(28.83, abs=0.01)
    assert dollars_per_month(balancer) == pytest.approx(23.73, abs=0.01)
    items = cost_per_minute(phone_deployment(), carries_calls=True)
    cost = {item.what: item.dollars for item in items}
    assert cost["load balancer"] == pytest.approx(0.0000168)
    assert cost["Twilio"] is None and "AWS Lambda" not in cost


def test_every_price_has_a_source_and_a_date() -> None:
    for price in prices().values():
        assert price.source and price.date and price.unit
        assert price.url.startswith("https://")
