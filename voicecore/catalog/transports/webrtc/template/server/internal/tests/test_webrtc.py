"""WebRTC clients get TURN servers, and their offers reach the agent of their own session."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fastapi.testclient import TestClient

from .conftest import AUTHORIZED, ENDPOINT_ARN, Serve, agentcore, invited

OFFER = {"sdp": "v=0\r\n", "type": "offer"}
CUSTOMER = {"customer": "C-1042"}
ANSWER = {"sdp": "v=0", "type": "answer", "pc_id": "1"}


def session(client: TestClient) -> tuple[str, dict[str, str]]:
    """Return the path of a new session's offers, and the header with its token."""
    started = client.post("/start", headers=AUTHORIZED, json={"transport": "webrtc"}).json()
    path = f"/sessions/{started['sessionId']}/api/offer"
    return path, {"X-Session-Token": started["token"]}


def test_start_returns_one_turn_server_for_a_browser(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    urls = "stun:a.example,turn:a.example:53,turn:a.example:3478,turns:a.example:5349"
    monkeypatch.setenv("COTURN_URLS", f"{urls},turns:a.example:443?transport=tcp")
    monkeypatch.setenv("COTURN_SECRET", "secret")
    request = {"transport": "webrtc", "enableDefaultIceServers": True}
    body = client.post("/start", headers=AUTHORIZED, json=request).json()
    [server] = body["iceConfig"]["iceServers"]
    assert server["urls"] == ["turn:a.example:3478", "turns:a.example:443?transport=tcp"]
    assert server["username"] and server["credential"]
    assert "secret" not in json.dumps(body)


def test_start_without_sources_returns_no_server(client: TestClient) -> None:
    body = client.post("/start", headers=AUTHORIZED, json={"transport": "webrtc"}).json()
    assert body["iceConfig"] == {"iceServers": []}


def test_start_reports_why_there_are_no_credentials(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ICE_SERVER_URLS", "stun:a.example")
    answer = client.post("/start", headers=AUTHORIZED, json={"transport": "webrtc"})
    assert answer.status_code == 503
    assert "ICE_SERVER_URLS has no turn:" in answer.json()["error"]["message"]


@pytest.mark.parametrize("by_key", [True, False], ids=["key", "token"])
def test_offers_and_candidates_reach_the_agent(serve: Serve, by_key: bool) -> None:
    asked: list[tuple[str, Any]] = []
    with agentcore({"answer": ANSWER}, asked) as url:
        client = serve(url)
        path, token = session(client)
        headers = AUTHORIZED if by_key else token
        sent = OFFER | {"requestData": CUSTOMER}
        assert client.post(path, headers=headers, json=sent).json() == ANSWER
        client.patch(path, headers=headers, json={"pc_id": "1", "candidates": []})
    name, offer = path.split("/")[2], OFFER | {"request_data": CUSTOMER}
    assert asked == [
        (name, {"type": kind, "data": data, "endpoint": ENDPOINT_ARN})
        for kind, data in (("offer", offer), ("ice-candidates", {"pc_id": "1", "candidates": []}))
    ]


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        ({"error": {"code": "bad_offer", "message": "no"}}, 422, "bad_offer"),
        ({"error": {"code": "no_relay", "message": "no"}}, 503, "no_relay"),
        ({"error": {"code": "unknown_connection", "message": "no"}}, 404, "unknown_connection"),
        ({"error": "anything"}, 502, "bad_agent"),
        ({}, 502, "bad_agent"),
        ("words", 502, "bad_agent"),
    ],
)
def test_agent_errors_become_a_status_and_a_code(
    serve: Serve, answer: Any, status: int, code: str
) -> None:
    with agentcore(answer, []) as url:
        client = serve(url)
        path, token = session(client)
        refusal = client.post(path, headers=token, json=OFFER)
    assert (refusal.status_code, refusal.json()["error"]["code"]) == (status, code)


def test_invite_that_started_the_session_sends_its_offers(serve: Serve) -> None:
    with agentcore({"answer": ANSWER}, []) as url:
        client = serve(url)
        mine, other = invited(), invited()
        started = client.post("/start", headers=mine, json={"transport": "webrtc"}).json()
        path = f"/sessions/{started['sessionId']}/api/offer"
        assert client.post(path, headers=mine, json=OFFER).json() == ANSWER
        refusal = client.post(path, headers=other, json=OFFER)
    assert (refusal.status_code, refusal.json()["error"]["code"]) == (403, "wrong_token")
    assert refusal.json()["info"] == refusal.json()["error"]["message"]


def test_callers_without_a_token_reach_no_session(client: TestClient) -> None:
    path, _ = session(client)
    for method in (client.post, client.patch):
        assert method(path, json=OFFER).status_code == 401
        assert method(path, headers={"X-Session-Token": "0" * 64}, json=OFFER).status_code == 403


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"x" * 1_000_000, 413),
        (b"no json", 422),
        (b"[" * 100_000, 422),
        (b'{"sdp": "anything"}', 422),
        (b'{"sdp": "v=0", "\\ud800": 1, "type": 2}', 422),
    ],
)
def test_invalid_offer_is_refused(client: TestClient, body: bytes, status: int) -> None:
    path, token = session(client)
    answer = client.post(path, headers=token, content=body)
    assert answer.status_code == status
    assert answer.json()["error"]["message"]


def test_ended_session_refuses_offers(serve: Serve) -> None:
    with agentcore({"answer": ANSWER}, []) as url:
        client = serve(url)
        path, token = session(client)
        assert client.delete(path.removesuffix("/api/offer"), headers=token).status_code == 204
        assert client.post(path, headers=token, json=OFFER).status_code == 404


def test_pipecats_own_webrtc_clients_are_supported(client: TestClient) -> None:
    body = client.post("/start", headers=AUTHORIZED, json={"enableDefaultIceServers": True}).json()
    assert body["transport"] == "webrtc"
