"""A client of the session server, which signs with example credentials, and a fake AgentCore."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from fastapi.testclient import TestClient

from ..server import create_app

KEY = "a-key-that-is-as-long-as-it-has-to-be"
ARN = "arn:aws:bedrock-agentcore:us-east-1:123456789012:runtime/support_line-abcdefghij"
ENDPOINT_ARN = f"{ARN}/runtime-endpoint/prod"
ENVIRONMENT = {
    "SESSION_API_KEY": KEY,
    "AGENT_RUNTIME_ARN": ARN,
    "AGENT_ENDPOINT": "prod",
    "AWS_REGION": "us-east-1",
}
MANY = {
    "SESSIONS_AT_ONCE": "1000",
    "STARTS_PER_MINUTE": "1000",
    "STARTS_PER_MINUTE_IN_TOTAL": "1000",
}
AUTHORIZED = {"Authorization": f"Bearer {KEY}"}

Serve = Callable[..., TestClient]

# A closed port.
UNREACHABLE = "http://127.0.0.1:9"


@contextmanager
def agentcore(answer: Any, requests: list[tuple[str, Any]]) -> Iterator[str]:
    """Yield the URL of an AgentCore whose agent gives this answer, and record its requests."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            session = self.headers["X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"]
            length = int(self.headers.get("Content-Length") or 0)
            requests.append((session, json.loads(self.rfile.read(length) or b"null")))
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


# A session starts at its agent, which is opened for it.
RUN = ExitStack()
AWS = RUN.enter_context(agentcore({"status": "success"}, []))


@contextmanager
def serving(aws: str, settings: dict[str, str]) -> Iterator[TestClient]:
    """Yield a client of a server with these settings, whose AgentCore is at `aws`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "example")
        patch.setenv("AWS_ENDPOINT_URL_BEDROCK_AGENTCORE", aws)
        app = create_app(ENVIRONMENT | settings)
        with TestClient(app, raise_server_exceptions=False) as client:
            yield client


@pytest.fixture(scope="session")
def client() -> Iterator[TestClient]:
    """A client of a server that all tests share."""
    with serving(AWS, MANY) as client:
        yield client


@pytest.fixture
def serve() -> Iterator[Serve]:
    """A function that returns a client of a server with its own settings, and its own AWS."""
    with ExitStack() as stack:

        def serve(aws: str = AWS, **settings: str) -> TestClient:
            return stack.enter_context(serving(aws, settings))

        yield serve
