import pytest

from tests.unit.cloud.deployments import WEBRTC, WEBSOCKET, deployment, phone_deployment
from voicecore.cloud.deploy.prices import PRICES, Item, a_minute, a_month


def test_what_is_left_running_costs_what_aws_says() -> None:
    assert a_month("AWS::EC2::NatGateway") == pytest.approx(32.85)
    assert a_month("AWS::EC2::EIP") == pytest.approx(3.65)
    assert a_month("AWS::EC2::Subnet") == 0


def minute(pipeline: str, *transports, **services: str) -> dict[str, float | None]:
    of = deployment(pipeline, *transports, services=services)
    return {item.what: item.dollars for item in a_minute(of)}


def test_a_minute_of_nova_sonic() -> None:
    spent = minute("nova-sonic", WEBSOCKET)
    # Ten minutes cost $0.117 for the model and $0.009 for AgentCore, by the same arithmetic.
    assert spent["Amazon Nova 2 Sonic"] == pytest.approx(0.0117)
    assert spent["AgentCore Runtime"] == pytest.approx(0.0009, abs=0.00005)
    assert "TURN" not in spent


def test_turn_is_paid_where_it_is_used() -> None:
    assert minute("offline", WEBRTC)["TURN"] == pytest.approx(2 * 0.12 / 1000)
    others = a_minute(deployment("offline", WEBRTC, source="twilio"))
    assert Item("TURN", None) in others  # bills by itself


def test_other_providers_bill_by_themselves() -> None:
    spent = minute("cascade", WEBSOCKET, stt="deepgram", tts="cartesia")
    assert spent["Deepgram"] is None and spent["Cartesia"] is None
    assert spent["Amazon Nova 2 Lite"]


def test_a_server_that_carries_calls_costs_by_the_month() -> None:
    assert a_month("AWS::ECS::Service") == pytest.approx(28.83, abs=0.01)
    assert a_month("AWS::ElasticLoadBalancingV2::LoadBalancer") == pytest.approx(23.73, abs=0.01)
    spent = {item.what: item.dollars for item in a_minute(phone_deployment(), bridged=True)}
    assert spent["load balancer"] == pytest.approx(0.0000168)
    assert spent["Twilio"] is None and "AWS Lambda" not in spent


def test_every_price_says_where_it_is_from() -> None:
    assert all(price.source and price.date and price.unit for price in PRICES.values())
