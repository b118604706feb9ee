"""The session server's own requests to AWS are signed, retried and refused as botocore's are."""

from __future__ import annotations

import importlib.util
import itertools
import json
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, cast
from urllib.parse import quote, urlsplit

import botocore.session
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

from tests.standins.models.sigv4 import Keys, Request, check_headers
from voicecore.scaffold.render import templates

ARN = "arn:aws:bedrock-agentcore:us-east-1:123456789012:runtime/line-0123456789"
INVOCATIONS = f"/runtimes/{quote(ARN, safe='')}/invocations?qualifier=dev"


class Aws(ThreadingHTTPServer):
    """Answers requests in turn, each by one of `answers`; keeps what it received."""

    def __init__(self, *answers: Callable[[Handler], None]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers, self.received = list(answers), list[Request]()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        aws = cast(Aws, self.server)
        aws.received.append(Request("POST", parts.path, parts.query, headers, body))
        aws.answers.pop(0)(self)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


def answer(status: int, document: object = None, **headers: str) -> Callable[[Handler], None]:
    def send(handler: Handler) -> None:
        body = json.dumps(document or {}).encode()
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return send


def answer_and_hang_up(handler: Handler) -> None:
    """Answer, and close the connection without having announced it."""
    answer(200)(handler)
    handler.close_connection = True


def say_nothing(handler: Handler) -> None:
    time.sleep(1)
    handler.close_connection = True


@pytest.fixture(scope="module")
def module() -> Any:
    path = templates() / "_shared/server/internal/aws_service.py"
    spec = importlib.util.spec_from_file_location("aws_service", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def serve(module: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., tuple[Any, Aws]]]:
    servers: list[Aws] = []
    for name in module.KEYS:
        monkeypatch.setenv(name, name.lower())

    def start(*answers: Callable[[Handler], None], service: str = "dynamodb") -> tuple[Any, Aws]:
        servers.append(server := Aws(*answers))
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        return module.AwsService(service, "us-east-1", 0.5, 2), server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_request_is_signed(serve: Callable[..., tuple[Any, Aws]]) -> None:
    aws, server = serve(answer(200), service="bedrock-agentcore")
    aws.post(INVOCATIONS, {"X-Amzn-Bedrock-AgentCore-Runtime-Session-Id": "s"}, b"{}", "Invoke")
    keys = Keys("aws_access_key_id", "aws_secret_access_key")
    check_headers(server.received[0], keys, "us-east-1", "bedrock-agentcore")
    assert server.received[0].headers["x-amz-security-token"] == "aws_session_token"


@pytest.mark.parametrize("first", [answer(503), answer(429)])
def test_busy_service_is_asked_twice(first: Any, serve: Callable[..., tuple[Any, Aws]]) -> None:
    aws, server = serve(first, answer(200, {"Item": 1}))
    assert aws.call("DynamoDB_20120810.GetItem", "1.0", {"TableName": "t"}) == {"Item": 1}
    one, two = server.received
    assert one.body == two.body == b'{"TableName": "t"}'
    assert two.headers["x-amz-target"] == "DynamoDB_20120810.GetItem"


def test_connection_that_aws_closed_is_replaced(serve: Callable[..., tuple[Any, Aws]]) -> None:
    aws, server = serve(answer_and_hang_up, answer(200, {"Item": 1}))
    aws.call("DynamoDB_20120810.GetItem", "1.0", {})
    time.sleep(0.05)  # the end of the connection arrives
    assert aws.call("DynamoDB_20120810.GetItem", "1.0", {}) == {"Item": 1}
    assert len(server.received) == 2


@pytest.mark.parametrize(
    "refusal",
    [
        answer(400, {"__type": "com.amazonaws.dynamodb.v20120810#NoSuchThing", "message": "why"}),
        answer(403, {"Message": "why"}, x_amzn_ErrorType="NoSuchThing:http://internal.amazon.com/"),
        answer(404, {"code": "NoSuchThing", "message": "why"}),
    ],
)
def test_refusal_is_raised_as_by_botocore(
    refusal: Any, serve: Callable[..., tuple[Any, Aws]]
) -> None:
    aws, server = serve(refusal)
    with pytest.raises(ClientError, match=r"\(NoSuchThing\).*GetItem operation: why"):
        aws.call("DynamoDB_20120810.GetItem", "1.0", {})
    assert len(server.received) == 1


@pytest.mark.parametrize("refusal", [answer(400, ["not", "an", "object"]), answer(400)])
def test_refusal_without_a_code_has_its_status(
    refusal: Any, serve: Callable[..., tuple[Any, Aws]]
) -> None:
    aws, _ = serve(refusal)
    with pytest.raises(ClientError, match=r"\(400\)"):
        aws.post("/", {}, b"", "GetItem")


def test_request_that_may_be_in_work_is_not_repeated(
    serve: Callable[..., tuple[Any, Aws]],
) -> None:
    aws, server = serve(say_nothing)
    with pytest.raises(ReadTimeoutError):
        aws.post("/", {}, b"", "GetItem")
    assert len(server.received) == 1


@pytest.mark.parametrize("service", ["bedrock-agentcore", "dynamodb", "secretsmanager"])
def test_endpoint_in_the_environment_is_that_of_botocore(
    service: str, module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = botocore.session.Session().create_client(service, "us-east-1")
    variable = client.meta.service_model.service_id.upper().replace(" ", "_")
    monkeypatch.setenv(f"AWS_ENDPOINT_URL_{variable}", "http://127.0.0.1:1/")
    assert module.endpoint_of(service, "us-east-1") == "http://127.0.0.1:1"


@pytest.mark.parametrize("service", ["bedrock-agentcore", "dynamodb", "secretsmanager"])
def test_fips_and_dual_stack_endpoints_are_those_of_botocore(
    service: str, module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    session = botocore.session.Session()
    for fips, dual_stack in itertools.product(("true", "false"), ("True", "")):
        monkeypatch.setenv("AWS_USE_FIPS_ENDPOINT", fips)
        monkeypatch.setenv("AWS_USE_DUALSTACK_ENDPOINT", dual_stack)
        wanted = Config(use_fips_endpoint=fips == "true", use_dualstack_endpoint=bool(dual_stack))
        client = session.create_client(service, "us-gov-west-1", config=wanted)
        assert module.endpoint_of(service, "us-gov-west-1") == client.meta.endpoint_url


def test_unreachable_service_is_an_error_of_botocore(
    serve: Callable[..., tuple[Any, Aws]], monkeypatch: pytest.MonkeyPatch
) -> None:
    aws, _ = serve()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(EndpointConnectionError):
        aws.post("/", {}, b"", "GetItem")
