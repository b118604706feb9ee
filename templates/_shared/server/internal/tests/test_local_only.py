"""A server that `voicecore dev` runs is closed to web pages of others."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from ..local_only import LocalOnly
from .conftest import AWS, Serve, serving

HOST = "127.0.0.1:7860"
SITE = "https://shop.example"


@pytest.fixture(scope="module")
def local() -> Iterator[TestClient]:
    """A client of a server that `voicecore dev` runs."""
    hosts = {"LOCAL_HOSTS": "127.0.0.1,localhost,tunnel.example"}
    with serving(AWS, hosts | {"ALLOWED_ORIGINS": SITE}) as client:
        yield client


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (200, {}),
        (200, {"Host": "localhost:7860"}),
        (200, {"Host": "LOCALHOST"}),
        (200, {"Host": "tunnel.example"}),
        (200, {"Origin": f"http://{HOST}", "Sec-Fetch-Site": "same-origin"}),
        (200, {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}),
        (200, {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors", "Origin": SITE}),
        (403, {"Host": "attacker.example"}),
        (403, {"Host": "127.0.0.1.attacker.example"}),
        (403, {"Host": "[::1"}),
        (403, {"Host": "attacker.example", "Origin": "http://attacker.example"}),
        (403, {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}),
        (403, {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Origin": "null"}),
        (403, {"Origin": "https://attacker.example"}),
        (403, {"Origin": "http://127.0.0.1:8000"}),
    ],
)
def test_pages_of_others_are_refused(
    local: TestClient, status: int, headers: dict[str, str]
) -> None:
    answer = local.get("/health", headers={"Host": HOST, **headers})
    assert answer.status_code == status
    if status == 403:
        assert answer.json()["error"]["code"] == "not_local"
        assert "access-control-allow-origin" not in answer.headers


def test_other_servers_answer_under_any_name(serve: Serve) -> None:
    headers = {"Host": "phone.example", "Sec-Fetch-Site": "cross-site"}
    assert serve().get("/health", headers=headers).status_code == 200


def test_any_page_loads_only_the_public_files() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("served")(scope, receive, send)

    client = TestClient(LocalOnly(app, ["127.0.0.1"], [], ["/voice.js"]))
    page = {"Host": HOST, "Origin": "https://any.example", "Sec-Fetch-Site": "cross-site"}
    assert client.get("/voice.js", headers=page).text == "served"
    assert client.get("/config", headers=page).status_code == 403
    assert client.get("/voice.js", headers=page | {"Host": "attacker.example"}).status_code == 403
