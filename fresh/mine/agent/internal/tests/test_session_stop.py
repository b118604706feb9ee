"""The agent stops its own session, at the endpoint that the session server has named."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import unquote

import pytest

from .. import session_stop

RUNTIME = "arn:aws:bedrock-agentcore:us-east-1:123456789012:runtime/line_dev-abc"
LOCAL = RUNTIME.replace("123456789012", "000000000000")


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Yield the paths of the requests that a stop makes; the agent knows no endpoint yet."""
    paths: list[str] = []

    class FakeAgentCore(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            paths.append(unquote(self.path))
            self.send_response(200)
            self.end_headers()

    with HTTPServer(("127.0.0.1", 0), FakeAgentCore) as agentcore:
        threading.Thread(target=agentcore.serve_forever, args=(0.02,), daemon=True).start()
        for name, value in {
            "AWS_ENDPOINT_URL_BEDROCK_AGENTCORE": f"http://127.0.0.1:{agentcore.server_port}",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "example",
        }.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("OTEL_RESOURCE_ATTRIBUTES", raising=False)
        monkeypatch.setitem(session_stop._endpoint, "arn", "")
        yield paths
        agentcore.shutdown()


@pytest.mark.parametrize(
    ("named", "by_aws", "path"),
    [
        (f"{RUNTIME}/runtime-endpoint/prod", "", f"{RUNTIME}/stopruntimesession?qualifier=prod"),
        (RUNTIME, "", f"{RUNTIME}/stopruntimesession?qualifier=DEFAULT"),
        (None, f"{RUNTIME}/runtime-endpoint/dev", f"{RUNTIME}/stopruntimesession?qualifier=dev"),
        # The snapshot of a version serves all its endpoints.
        (f"{RUNTIME}/runtime-endpoint/prod", f"{RUNTIME}/runtime-endpoint/DEFAULT",
         f"{RUNTIME}/stopruntimesession?qualifier=prod"),
        (f"{LOCAL}/runtime-endpoint/DEFAULT", "", ""),
        ("arn:aws:lambda:us-east-1:123456789012:function:x", "", ""),
        ({"arn": RUNTIME}, "", ""),
    ],
)  # fmt: skip
def test_session_is_stopped_at_its_endpoint(
    stopped: list[str], monkeypatch: pytest.MonkeyPatch, named: object, by_aws: str, path: str
) -> None:
    if by_aws:
        attributes = f"service.name=line,cloud.resource_id={by_aws}"
        monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", attributes)
    session_stop.learn(named)
    session_stop.stop("a-session-of-a-test-with-34-letters")
    assert stopped == [f"/runtimes/{path}"] * bool(path)
