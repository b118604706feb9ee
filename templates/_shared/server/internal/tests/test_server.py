"""The session server admits its own clients only."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from ..access import Access, Session, new_session_id
from ..agentcore import AgentCore
from ..metrics import Metrics
from ..middleware import BODY_BYTES
from ..open_sessions import OpenSessions
from ..server import BY_PHONE, TRANSPORTS, create_app
from ..session_table import MemoryTable
from ..settings import PLACEHOLDER, read
from ..static_page import serve as serve_page
from .conftest import (
    ARN,
    AUTHORIZED,
    ENVIRONMENT,
    KEY,
    UNREACHABLE,
    Serve,
    agentcore,
    invited,
)

admits_invites = pytest.mark.skipif(
    set(TRANSPORTS) <= set(BY_PHONE), reason="only the key starts sessions of phone calls"
)


def session(client: TestClient) -> tuple[str, dict[str, str]]:
    """Return the path of a new session, and the header with its token."""
    started = client.post("/start", headers=AUTHORIZED).json()
    return f"/sessions/{started['sessionId']}", {"X-Session-Token": started["token"]}


def known_session() -> tuple[str, dict[str, str]]:
    """Return the same of a session that another copy of the server started."""
    transport = next(iter(TRANSPORTS))
    mine = Session(new_session_id(), "key", transport, int(time.time()))
    token = Access(read(ENVIRONMENT)).token_for(mine)
    return f"/sessions/{mine.id}", {"X-Session-Token": token}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Basic {KEY}"},
        invited(key="another"),
        invited(seconds=-1),
        invited(seconds=32 * 86_400),
        {"Authorization": "Bearer invite.99999999999.forged"},
        {"Authorization": "Bearer a.b.c"},
    ],
)
def test_invalid_credentials_are_refused(client: TestClient, headers: dict[str, str]) -> None:
    for answer in (client.post("/start", headers=headers), client.get("/metrics", headers=headers)):
        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "unauthorized"


def test_start_returns_a_new_session(client: TestClient) -> None:
    answer = client.post("/start", headers=AUTHORIZED)
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    body = answer.json()
    assert 33 <= len(body["sessionId"]) <= 100
    assert body["sessionId"] != client.post("/start", headers=AUTHORIZED).json()["sessionId"]


@admits_invites
def test_invite_starts_sessions_but_reads_no_metrics(client: TestClient) -> None:
    assert client.post("/start", headers=invited()).status_code == 200
    assert client.get("/metrics", headers=invited()).status_code == 401


def test_only_the_token_resumes_a_session(client: TestClient) -> None:
    first = client.post("/start", headers=AUTHORIZED).json()
    mine = {"sessionId": first["sessionId"], "token": first["token"]}
    again = client.post("/start", headers=AUTHORIZED, json=mine).json()
    assert again["sessionId"] == first["sessionId"]
    for token in ("", "0" * 64):
        answer = client.post("/start", headers=AUTHORIZED, json=mine | {"token": token})
        assert answer.status_code == 403
    assert client.post("/start", headers=invited(), json=mine).status_code == 403


def test_session_needs_its_own_token(client: TestClient) -> None:
    path, token = session(client)
    other, others = session(client)
    state = client.get(path, headers=token).json()
    assert state["transport"] in TRANSPORTS
    assert 0 <= state["seconds"] < 60
    assert client.get(path).status_code == 403
    assert client.get(path, headers=others).status_code == 403
    assert client.delete(path, headers=others).status_code == 403


@pytest.mark.parametrize(
    "body", [{"transport": "pigeon"}, {"sessionId": "too-short", "token": "x"}, {"unknown": 1}, []]
)
def test_bad_request_reports_what_is_wrong(client: TestClient, body: object) -> None:
    answer = client.post("/start", headers=AUTHORIZED, json=body)
    assert answer.status_code == 422
    assert answer.json()["error"]["message"]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_data_of_the_client_reaches_the_agent_first(serve: Serve, transport: str) -> None:
    asked: list[tuple[str, Any]] = []
    sent = {"customer": "C-1042", "é": [1, None, {"x": True}]}
    request = {"transport": transport, "createDailyRoom": False, "body": sent}
    with agentcore({"status": "ok"}, asked) as aws:
        serve(aws).post("/start", headers=AUTHORIZED, json=request)
    (_, told), *_ = asked
    assert (told["type"], told["data"]) == ("data", sent)


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        ('{"a": "' + "x" * 8192 + '"}', "8192 bytes"),
        ('{"a": ' + "[" * 16 + "]" * 16 + "}", "16 levels"),
        ('{"a": ' + "[" * 300 + "]" * 300 + "}", "16 levels"),
        ('{"a": NaN}', "not JSON compliant"),
        ('["a"]', "dict"),
    ],
    ids=["long", "deep", "very deep", "no number", "list"],
)
def test_data_is_small_plain_json(client: TestClient, sent: str, why: str) -> None:
    headers = AUTHORIZED | {"Content-Type": "application/json"}
    answer = client.post("/start", headers=headers, content=f'{{"body": {sent}}}')
    assert answer.status_code == 422
    assert why in answer.json()["error"]["message"]


@pytest.mark.parametrize("body", [b"x" * 1_000_000, [b"x" * 100_000] * 2], ids=["", "in chunks"])
def test_large_body_is_refused(client: TestClient, body: Any) -> None:
    answer = client.post("/start", headers=AUTHORIZED, content=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")


@pytest.mark.parametrize("in_chunks", [False, True])
def test_body_may_have_just_as_many_bytes(client: TestClient, in_chunks: bool) -> None:
    headers = AUTHORIZED | {"Content-Type": "application/json"}
    for size, status in {BODY_BYTES: 200, BODY_BYTES + 1: 413}.items():
        body = b"{}".ljust(size)
        content: Any = [body[:-1], body[-1:]] if in_chunks else body
        assert client.post("/start", headers=headers, content=content).status_code == status


def test_unreachable_aws_is_reported(serve: Serve) -> None:
    client = serve(aws=UNREACHABLE)
    path, token = known_session()
    for _ in range(2):  # a hang-up can be repeated
        answer = client.delete(path, headers=token)
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "aws_unreachable"
    assert client.get(path, headers=token).status_code == 404


def test_unreachable_token_issuer_is_reported(serve: Serve) -> None:
    discovery = f"{UNREACHABLE}/.well-known/openid-configuration"
    client = serve(OIDC_DISCOVERY_URL=discovery, OIDC_AUDIENCE="line")
    header = "eyJhbGciOiJSUzI1NiJ9"  # {"alg":"RS256"}
    headers = {"Authorization": f"Bearer {header}.e30.AA"}
    answer = client.post("/start", headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "issuer_unreachable")
    assert answer.headers["Retry-After"] == "60"


def test_hang_up_ends_the_session_and_frees_its_place(serve: Serve) -> None:
    client = serve(SESSIONS_AT_ONCE="1")
    path, token = session(client)
    assert client.delete(path, headers=token).status_code == 204
    assert client.get(path, headers=token).status_code == 404
    mine = {"sessionId": path.split("/")[2], "token": token["X-Session-Token"]}
    assert client.post("/start", headers=AUTHORIZED, json=mine).status_code == 404
    assert client.post("/start", headers=AUTHORIZED).status_code == 200


@admits_invites
def test_revoked_invite_and_its_sessions_are_refused(serve: Serve) -> None:
    requests: list[tuple[str, Any]] = []
    with agentcore({"status": "success"}, requests) as aws:
        revoke(serve(aws), requests)


def revoke(client: TestClient, requests: list[tuple[str, Any]]) -> None:
    revoked, other = invited(), invited()
    started = client.post("/start", headers=revoked).json()
    path = f"/invites/{revoked['Authorization'].split('.')[1]}"
    assert client.delete(path, headers=revoked).status_code == 401
    for ended in (1, 0):
        answer = client.delete(path, headers=AUTHORIZED)
        assert (answer.status_code, answer.json()) == (200, {"ended": ended})
    # Requests to the agent have a type; the others stop its session.
    stops = [session for session, body in requests if "type" not in (body or {})]
    assert stops == [started["sessionId"]]
    assert client.post("/start", headers=revoked).status_code == 401
    token = {"X-Session-Token": started["token"]}
    assert client.get(f"/sessions/{started['sessionId']}", headers=token).status_code == 401
    assert client.post("/start", headers=other).status_code == 200
    assert client.delete("/invites/short", headers=AUTHORIZED).status_code == 422


@pytest.mark.parametrize(
    ("answer", "seconds", "is_freed"),
    [
        ({"status": "ok", "calls": 0}, 1800, True),
        ({"status": "ok", "calls": 1}, 1800, False),
        ({"error": {"code": "unknown_request", "message": "an agent of before"}}, 1800, False),
        ({"status": "ok", "calls": 0}, 3900, False),  # its caller may still connect
        ({"status": "ok", "calls": 0}, 120, False),  # it runs out soon
    ],
)
def test_open_session_without_a_call_frees_its_place(
    monkeypatch: pytest.MonkeyPatch, answer: object, seconds: int, is_freed: bool
) -> None:
    async def free(aws: str) -> bool:
        monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_AGENTCORE", aws)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")
        table, runtime = MemoryTable(), AgentCore(ARN, "DEFAULT", "us-east-1", Metrics())
        mine = Session(new_session_id(), "key", next(iter(TRANSPORTS)), int(time.time()))
        await table.hold(mine, 1, seconds)
        async with runtime.open():
            await OpenSessions(table, runtime).free("key")
        return not await table.open_until("key")

    with agentcore(answer, []) as aws:
        assert asyncio.run(free(aws)) == is_freed


def test_start_limit_returns_retry_after(serve: Serve) -> None:
    client = serve(STARTS_PER_MINUTE="2", SESSIONS_AT_ONCE="100")
    for _ in range(4):  # the minute may end between two of them
        answer = client.post("/start", headers=AUTHORIZED)
    assert answer.status_code == 429
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    # Another caller; one who may not start it is not limited either.
    assert client.post("/start", headers=invited()).status_code in (200, 403)


def test_all_callers_share_a_start_limit(serve: Serve) -> None:
    client = serve(STARTS_PER_MINUTE_IN_TOTAL="2")
    for _ in range(4):  # the minute may end between two of them
        answer = client.post("/start", headers=AUTHORIZED)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "too_many_starts")
    assert 1 <= int(answer.headers["Retry-After"]) <= 60


def test_each_network_has_a_request_limit(serve: Serve) -> None:
    client = serve(REQUESTS_PER_MINUTE="3")
    answers = [client.post("/start").status_code for _ in range(7)]
    assert answers[0] == 401 and answers[-1] == 429
    assert client.get("/health").status_code == 200


def test_each_caller_has_a_session_limit(serve: Serve) -> None:
    client = serve(SESSIONS_AT_ONCE="1")
    session(client)
    answer = client.post("/start", headers=AUTHORIZED)
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "too_many")


def test_forged_forwarded_address_is_ignored(serve: Serve) -> None:
    client = serve(REQUESTS_PER_MINUTE="2", TRUSTED_PROXIES="10.0.0.0/8")
    for number in range(6):
        answer = client.post("/start", headers={"X-Forwarded-For": f"192.0.2.{number}"})
    assert answer.status_code == 429


def test_all_mistakes_are_reported_at_start() -> None:
    wrong = {
        "SESSION_API_KEY": PLACEHOLDER,
        "AGENT_RUNTIME_ARN": "arn:aws:lambda:us-east-1:123456789012:function:x",
        "AGENT_ENDPOINT": "prod/../DEFAULT",
        "SESSION_STORE": "mysql://",
        "TRUSTED_PROXIES": "everyone",
        "ALLOWED_ORIGINS": "*",
        "STARTS_PER_MINUTE": "many",
        "PORT": "70000",
        "OIDC_DISCOVERY_URL": "http://issuer.example/",
    }
    with pytest.raises(SystemExit) as raised:
        create_app(ENVIRONMENT | wrong)
    for name in wrong:
        assert name in str(raised.value)
    assert PLACEHOLDER not in str(raised.value)


@pytest.mark.parametrize("key", ["", "short"])
def test_start_needs_a_long_key(key: str) -> None:
    with pytest.raises(SystemExit, match="SESSION_API_KEY"):
        create_app(ENVIRONMENT | {"SESSION_API_KEY": key})


def test_other_sites_are_refused_unless_allowed(serve: Serve) -> None:
    origin = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}
    closed = serve().options("/start", headers=origin)
    assert "Access-Control-Allow-Origin" not in closed.headers
    client = serve(ALLOWED_ORIGINS="https://shop.example")
    answer = client.options("/start", headers=origin)
    assert answer.headers["Access-Control-Allow-Origin"] == "https://shop.example"


def test_health_and_config_need_no_key(client: TestClient) -> None:
    assert client.get("/health").json() == {"status": "ok"}
    config = client.get("/config")
    assert config.json()["transports"]
    assert config.headers["X-Content-Type-Options"] == "nosniff"


def test_metrics_and_the_openapi_document(client: TestClient) -> None:
    path, token = session(client)
    client.get(path, headers=token)
    metrics = client.get("/metrics", headers=AUTHORIZED).text
    assert 'route="/sessions/{session_id}"' in metrics
    assert path not in metrics
    assert "/start" in client.get("/openapi.json").json()["paths"]


def test_page_connects_only_to_the_server_and_the_agent(tmp_path: Path) -> None:
    (tmp_path / "page/assets").mkdir(parents=True)
    (tmp_path / "page/index.html").write_text("<!doctype html>")
    (tmp_path / "page/assets/page-4f2a.js").write_text("// " + "long " * 200)
    (tmp_path / "secret").write_text("")
    app = FastAPI()
    serve_page(app, lambda: "wss://agent.example", tmp_path / "page")
    client = TestClient(app)
    page = client.get("/")
    assert page.headers["Cache-Control"] == "no-cache"
    assert "connect-src 'self' wss://agent.example;" in page.headers["Content-Security-Policy"]
    asset = client.get("/assets/page-4f2a.js")
    assert "immutable" in asset.headers["Cache-Control"]
    assert asset.headers["Content-Encoding"] == "gzip"
    etag = {"If-None-Match": page.headers["ETag"]}
    assert client.get("/", headers=etag).status_code == 304
    assert asset.headers["Access-Control-Allow-Origin"] == "*"  # voice.js loads it elsewhere
    assert "Access-Control-Allow-Origin" not in page.headers
    for path in ("/secret", "/../secret", "/assets/..%2f..%2fsecret", "/assets/%00", "/assets"):
        assert client.get(path).status_code == 404
    assert client.post("/").status_code == 405


@pytest.mark.parametrize("example", [True, False])
def test_example_of_an_embedded_call_is_served_to_its_developer_only(
    tmp_path: Path, example: bool
) -> None:
    for name in ("index.html", "embed.html", "embed.js", "voice.js"):
        (tmp_path / name).write_text(name)
    app = FastAPI()
    scripts = serve_page(app, lambda: "", tmp_path, example=example)
    client = TestClient(app)
    assert client.get("/voice.js").text == "voice.js"
    assert client.get("/embed").status_code == (200 if example else 404)
    assert sorted(scripts) == (["/embed.js", "/voice.js"] if example else ["/voice.js"])
    assert client.get("/embed.js").status_code == (200 if example else 404)
