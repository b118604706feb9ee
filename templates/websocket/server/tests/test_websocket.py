"""WebSocket clients get a URL that opens one connection to their own session."""

from __future__ import annotations

from urllib.parse import parse_qs, unquote, urlsplit

from fastapi.testclient import TestClient

from conftest import ARN, AUTHORIZED


def test_start_gives_a_signed_url(client: TestClient) -> None:
    request = {"transport": "websocket"}
    body = client.post("/start", headers=AUTHORIZED, json=request).json()
    url = urlsplit(body["wsUrl"])
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    assert (url.scheme, url.netloc) == ("ws", "127.0.0.1:9")
    assert unquote(url.path) == f"/runtimes/{ARN}/ws" and "%3A" in url.path
    assert query["qualifier"] == "DEFAULT"
    assert query["X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"] == body["sessionId"]
    assert int(query["X-Amz-Expires"]) == body["expiresIn"] <= 300
    assert query["X-Amz-Credential"].endswith("/us-east-1/bedrock-agentcore/aws4_request")
