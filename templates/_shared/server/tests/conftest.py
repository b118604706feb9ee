"""The server that the tests ask: with credentials that sign, and an AWS where nobody listens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest
from fastapi.testclient import TestClient

from server import create_app

KEY = "a-key-that-is-as-long-as-it-has-to-be"
ARN = "arn:aws:bedrock-agentcore:us-east-1:123456789012:runtime/support_line-abcdefghij"
ENVIRONMENT = {"SESSION_API_KEY": KEY, "AGENT_RUNTIME_ARN": ARN, "AWS_REGION": "us-east-1"}
MANY = {"SESSIONS_AT_ONCE": "1000", "STARTS_PER_MINUTE": "1000"}
AUTHORIZED = {"Authorization": f"Bearer {KEY}"}

Serve = Callable[..., TestClient]


@contextmanager
def serving(aws: str, settings: dict[str, str]) -> Iterator[TestClient]:
    """A client of a server with these settings, to which `aws` is AgentCore."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "example")
        patch.setenv("AWS_ENDPOINT_URL_BEDROCK_AGENTCORE", aws)
        app = create_app(ENVIRONMENT | settings)
        with TestClient(app, raise_server_exceptions=False) as client:
            yield client


@pytest.fixture(scope="session")
def client() -> Iterator[TestClient]:
    """A client of a server that all tests share, without an AWS."""
    with serving("http://127.0.0.1:9", MANY) as client:
        yield client


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Makes clients of servers with settings of their own, and perhaps an AWS that answers."""
    with ExitStack() as stack:

        def serve(aws: str = "http://127.0.0.1:9", **settings: str) -> TestClient:
            return stack.enter_context(serving(aws, settings))

        yield serve
