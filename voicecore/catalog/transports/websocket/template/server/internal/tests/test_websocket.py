"""WebSocket clients get a presigned URL for their own session."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from ..sigv4 import Keys, presigned_url
from .conftest import ARN, AUTHORIZED, ENDPOINT_ARN, Serve, agentcore


def test_start_returns_a_presigned_url(serve: Serve) -> None:
    asked: list[tuple[str, object]] = []
    with agentcore({"status": "open"}, asked) as aws:
        client = serve(aws)
        request = {"transport": "websocket"}
        body = client.post("/start", headers=AUTHORIZED, json=request).json()
    # The agent accepts the URL for as long as the process lives that this has reached.
    opening = {"type": "open", "data": {"transport": "websocket"}, "endpoint": ENDPOINT_ARN}
    assert asked == [(body["sessionId"], opening)]
    url = urlsplit(body["wsUrl"])
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    assert f"{url.scheme}://{url.netloc}" == aws.replace("http", "ws")
    assert query["X-Amzn-Bedrock-AgentCore-Runtime-Custom-Opened"] == ENDPOINT_ARN
    assert unquote(url.path) == f"/runtimes/{ARN}/ws" and "%3A" in url.path
    assert query["qualifier"] == "prod"
    assert query["X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"] == body["sessionId"]
    assert int(query["X-Amz-Expires"]) == body["expiresIn"] <= 300
    assert query["X-Amz-Credential"].endswith("/us-east-1/bedrock-agentcore/aws4_request")


@pytest.mark.parametrize("token", [None, "a/token+with=what&urls%have"])
def test_signature_equals_botocore(token: str | None) -> None:
    query = {"qualifier": "DEFAULT", "Session-Id": "a b/c~d"}
    keys = Keys("AKIDEXAMPLE", "secret", token)
    scope, now = ("us-east-1", "bedrock-agentcore"), datetime(2026, 11, 23, 1, 2, 3, tzinfo=UTC)
    url = presigned_url(
        "https://aws.example:8443/runtimes/arn%3Aaws/ws", query, keys, scope, now, 300
    )
    unsigned, _, signature = url.partition("&X-Amz-Signature=")
    sent = parse_qs(urlsplit(unsigned).query)
    assert sent.get("X-Amz-Security-Token") == ([token] if token else None)
    request = AWSRequest("GET", unsigned)
    request.context["timestamp"] = "20261123T010203Z"
    signer = SigV4QueryAuth(Credentials(*keys), scope[1], scope[0])
    canonical = signer.canonical_request(request)
    assert signature == signer.signature(signer.string_to_sign(request, canonical), request)
