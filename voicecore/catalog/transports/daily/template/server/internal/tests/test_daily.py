"""Callers get a room with the agent, by browser and by phone; unsigned requests start nothing."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from daily_cloud import DOMAIN, HMAC, Cloud, daily_cloud, signed
from fastapi.testclient import TestClient

from .conftest import AUTHORIZED, UNREACHABLE, Serve, agentcore

CALL = {"From": "+14155550100", "To": "+14155550123", "callId": "1", "callDomain": "lab"}
CALLED = {"to": "+14155550100"}
START = {"transport": "daily"}


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """A fake Daily, and an environment that uses it."""
    with daily_cloud() as cloud:
        for name, value in cloud.variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("DAILY_DIALIN_HMAC", HMAC)
        yield cloud


Requests = list[tuple[str, Any]]


@pytest.fixture
def joined(serve: Serve, cloud: Cloud) -> Iterator[tuple[TestClient, Requests]]:
    """A client of a server whose agent joins every room, and the agent's requests."""
    requests: Requests = []
    with agentcore({"status": "joined"}, requests) as url:
        yield serve(url), requests


def dial(
    client: TestClient,
    call: dict[str, Any] = CALL,
    at: float = 0,
    **signature: Any,
) -> tuple[int, dict[str, Any]]:
    """Dial, `at` seconds from now; return the webhook's answer."""
    body = json.dumps(call, separators=(",", ":")).encode()
    headers = signed(body, time.time() + at, **signature)
    answer = client.post("/daily/dialin", content=body, headers=headers)
    return answer.status_code, answer.json()


def test_start_returns_a_room_with_the_agent(
    joined: tuple[TestClient, Requests], cloud: Cloud
) -> None:
    client, requests = joined
    body = client.post("/start", headers=AUTHORIZED, json=START).json()
    [(session, request)] = requests
    assert session == body["sessionId"]
    assert (request["type"], request["data"]["room_url"]) == ("join", body["roomUrl"])
    name = body["roomUrl"].removeprefix(DOMAIN)
    assert session not in name
    agents, callers = (cloud.tokens[t] for t in (request["data"]["token"], body["roomToken"]))
    assert agents["is_owner"] and not callers["is_owner"]
    assert agents["room_name"] == callers["room_name"] == name
    assert 8 * 3600 - 60 < callers["exp"] - time.time() <= 8 * 3600
    _, _, made = cloud.requests[0]
    assert made["privacy"] == "private"
    assert made["properties"]["eject_at_room_exp"]


def test_resumed_session_keeps_its_room(joined: tuple[TestClient, Requests]) -> None:
    client, requests = joined
    first = client.post("/start", headers=AUTHORIZED, json=START).json()
    mine = {"sessionId": first["sessionId"], "token": first["token"]}
    again = client.post("/start", headers=AUTHORIZED, json=START | mine).json()
    assert again["roomUrl"] == first["roomUrl"]
    assert [request["data"]["room_url"] for _, request in requests] == [first["roomUrl"]] * 2


def test_hang_up_closes_the_room(joined: tuple[TestClient, Requests], cloud: Cloud) -> None:
    client, _ = joined
    body = client.post("/start", headers=AUTHORIZED, json=START).json()
    assert cloud.rooms
    token = {"X-Session-Token": body["token"]}
    assert client.delete(f"/sessions/{body['sessionId']}", headers=token).status_code == 204
    assert not cloud.rooms


def test_failed_join_leaves_no_room(serve: Serve, cloud: Cloud) -> None:
    refusal = {"code": "no_room", "message": "The agent cannot join the room."}
    with agentcore({"error": refusal}, []) as url:
        answer = serve(url).post("/start", headers=AUTHORIZED, json=START)
    assert (answer.status_code, answer.json()["error"]) == (503, refusal)
    assert not cloud.rooms
    answer = serve(UNREACHABLE).post("/start", headers=AUTHORIZED, json=START)
    assert answer.json()["error"]["code"] == "aws_unreachable"
    assert not cloud.rooms


@pytest.mark.parametrize(
    ("key", "status", "code", "expected"),
    [
        (None, 0, "no_daily_key", 503),
        ("another", 0, "daily_key_refused", 503),
        ("", 500, "daily_refused", 502),
        ("", 429, "daily_busy", 503),
    ],
)
def test_errors_of_daily_are_reported(
    client: TestClient,
    cloud: Cloud,
    monkeypatch: pytest.MonkeyPatch,
    key: str | None,
    status: int,
    code: str,
    expected: int,
) -> None:
    if key is None:
        monkeypatch.delenv("DAILY_API_KEY")
    elif key:
        monkeypatch.setenv("DAILY_API_KEY", key)
    cloud.failing_status = status
    answer = client.post("/start", headers=AUTHORIZED, json=START)
    assert (answer.status_code, answer.json()["error"]["code"]) == (expected, code)


def test_unreachable_daily_is_reported(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAILY_API_KEY", "any")
    monkeypatch.setenv("DAILY_API_URL", "http://127.0.0.1:9/v1")
    answer = client.post("/start", headers=AUTHORIZED, json=START)
    assert answer.json()["error"]["code"] == "daily_unreachable"


def test_dialing_caller_gets_a_room_with_a_phone(
    joined: tuple[TestClient, Requests], cloud: Cloud
) -> None:
    client, requests = joined
    status, body = dial(client)
    assert (status, body["status"]) == (200, "ok")
    [(session, request)] = requests
    assert session == body["sessionId"]
    assert request["data"]["dialin"] == {"call_id": "1", "call_domain": "lab"}
    [room] = cloud.rooms.values()
    assert room.properties["sip"] == {
        "display_name": CALL["From"],
        "sip_mode": "dial-in",
        "num_endpoints": 1,
        "video": False,
    }


@pytest.mark.parametrize("name", ["test", "Test"])
def test_test_request_of_daily_starts_nothing(
    joined: tuple[TestClient, Requests], cloud: Cloud, name: str
) -> None:
    client, requests = joined
    assert client.post("/daily/dialin", json={name: "test"}).status_code == 200
    assert not requests and not cloud.requests


def test_unsigned_or_old_webhook_starts_nothing(
    joined: tuple[TestClient, Requests], cloud: Cloud
) -> None:
    client, requests = joined
    unsigned = client.post("/daily/dialin", json=CALL)
    assert unsigned.status_code == 401
    for old in (-400, 400):
        assert dial(client, at=old)[0] == 401
    assert dial(client, secret="YW5vdGhlcg==")[0] == 401
    body = json.dumps(CALL).encode()
    changed = client.post(
        "/daily/dialin", content=body.replace(b"0123", b"0124"), headers=signed(body)
    )
    assert changed.status_code == 401
    assert not requests and not cloud.requests


def test_repeated_webhook_is_refused(joined: tuple[TestClient, Requests]) -> None:
    client, requests = joined
    assert dial(client)[0] == 200
    status, body = dial(client)
    assert (status, body["error"]["code"]) == (401, "replayed")
    assert len(requests) == 1


def test_timestamp_may_be_in_seconds(joined: tuple[TestClient, Requests]) -> None:
    client, _ = joined
    assert dial(client, unit=1)[0] == 200


@pytest.mark.parametrize("secret", ["", "not base64!"])
def test_dial_in_needs_the_secret(
    client: TestClient, cloud: Cloud, monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    monkeypatch.setenv("DAILY_DIALIN_HMAC", secret)
    status, body = dial(client)
    assert (status, body["error"]["code"]) == (503, "no_dialin")


def test_number_of_another_owner_is_refused(
    joined: tuple[TestClient, Requests], monkeypatch: pytest.MonkeyPatch
) -> None:
    client, requests = joined
    monkeypatch.setenv("PHONE_NUMBERS", "+14155550999, +14155550123")
    assert dial(client)[0] == 200
    status, body = dial(client, {**CALL, "callId": "2", "To": "+14155550000"})
    assert (status, body["error"]["code"]) == (404, "unknown_number")
    assert dial(client, {**CALL, "callId": "3", "To": "sip:line@lab.sip.daily.co"})[0] == 200
    assert len(requests) == 2


@pytest.mark.parametrize("body", [b"not json", b"[]", b"[" * 100_000, b'{"callId": {}}'])
def test_invalid_webhook_is_refused(client: TestClient, cloud: Cloud, body: bytes) -> None:
    answer = client.post("/daily/dialin", content=body, headers=signed(body))
    assert answer.status_code == 422
    assert answer.json()["error"]["message"]


def test_key_allows_dial_out(joined: tuple[TestClient, Requests], cloud: Cloud) -> None:
    client, requests = joined
    assert client.post("/daily/calls", json=CALLED).status_code == 401
    body = client.post("/daily/calls", headers=AUTHORIZED, json=CALLED).json()
    [(session, request)] = requests
    assert request["data"]["dialout"] == {"phoneNumber": "+14155550100"}
    [room] = cloud.rooms.values()
    assert room.properties["enable_dialout"]
    token = {"X-Session-Token": body["token"]}
    assert client.get(f"/sessions/{session}", headers=token).json()["transport"] == "daily"
    sip = {"to": "sip:desk@example.com", "callerId": "a-number"}
    assert client.post("/daily/calls", headers=AUTHORIZED, json=sip).status_code == 200
    dialout = requests[1][1]["data"]["dialout"]
    assert dialout == {"sipUri": "sip:desk@example.com", "callerId": "a-number"}


@pytest.mark.parametrize("to", ["", "911", "+0123456789", "14155550100", "sip:", "tel:+1", None])
def test_invalid_number_is_not_called(client: TestClient, cloud: Cloud, to: object) -> None:
    answer = client.post("/daily/calls", headers=AUTHORIZED, json={"to": to})
    assert answer.status_code == 422
    assert not cloud.requests


def test_log_contains_no_numbers(
    joined: tuple[TestClient, Requests], capsys: pytest.CaptureFixture[str]
) -> None:
    client, _ = joined
    dial(client)
    client.post("/daily/calls", headers=AUTHORIZED, json=CALLED)
    written = capsys.readouterr().out
    assert "session_started" in written
    assert not re.search("14155550", written)
