"""The server that the tests ask: with credentials that sign, and an AWS where nobody listens."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from server import create_app

KEY = "a-key-for-the-tests"
ARN = "arn:aws:bedrock-agentcore:us-east-1:123456789012:runtime/support_line-abcdefghij"
ENVIRONMENT = {"SESSION_API_KEY": KEY, "AGENT_RUNTIME_ARN": ARN, "AWS_REGION": "us-east-1"}
AUTHORIZED = {"Authorization": f"Bearer {KEY}"}


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> TestClient:
    """A client of the server."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")
    monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_AGENTCORE", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    return TestClient(create_app(ENVIRONMENT), raise_server_exceptions=False)
