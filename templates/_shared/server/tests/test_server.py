"""The session server lets its own clients in, and nobody else."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from conftest import AUTHORIZED, ENVIRONMENT
from server import PLACEHOLDER, create_app


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}])
def test_strangers_are_refused(client: TestClient, headers: dict[str, str]) -> None:
    for answer in (
        client.post("/start", headers=headers),
        client.delete(f"/sessions/{'s' * 36}", headers=headers),
    ):
        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "unauthorized"


def test_start_gives_a_new_session(client: TestClient) -> None:
    answer = client.post("/start", headers=AUTHORIZED)
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    body = answer.json()
    assert 33 <= len(body["sessionId"]) <= 100
    assert body["sessionId"] != client.post("/start", headers=AUTHORIZED).json()["sessionId"]


def test_only_the_token_resumes_a_session(client: TestClient) -> None:
    first = client.post("/start", headers=AUTHORIZED).json()
    mine = {"sessionId": first["sessionId"], "token": first["token"]}
    assert client.post("/start", headers=AUTHORIZED, json=mine).json()["token"] == first["token"]
    for token in ("", "0" * 64):
        answer = client.post("/start", headers=AUTHORIZED, json=mine | {"token": token})
        assert answer.status_code == 403


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"transport": "pigeon"}, 400),
        ({"sessionId": "too-short", "token": "x"}, 400),
        ({"unknown": 1}, 422),
    ],
)
def test_bad_requests_say_what_is_wrong(
    client: TestClient, body: dict[str, object], status: int
) -> None:
    answer = client.post("/start", headers=AUTHORIZED, json=body)
    assert answer.status_code == status
    assert answer.json()["error"]["message"]


def test_hanging_up_needs_the_token_and_reports_an_unreachable_aws(client: TestClient) -> None:
    session = client.post("/start", headers=AUTHORIZED).json()
    url = f"/sessions/{session['sessionId']}"
    assert client.delete(url, headers=AUTHORIZED).status_code == 403
    answer = client.delete(url, headers=AUTHORIZED | {"X-Session-Token": session["token"]})
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "aws_unreachable"


@pytest.mark.parametrize("key", ["", PLACEHOLDER])
def test_refuses_to_start_without_a_key(key: str) -> None:
    with pytest.raises(SystemExit, match="SESSION_API_KEY"):
        create_app(ENVIRONMENT | {"SESSION_API_KEY": key})


def test_health_is_open(client: TestClient) -> None:
    assert client.get("/health").json() == {"status": "ok"}
