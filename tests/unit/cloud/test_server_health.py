"""Waiting for a deployed session server, and creating invites for it."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import cast

import pytest

from tests.standins.inspecting_proxy import inspecting_proxy
from voicecore.aws.session import Aws
from voicecore.cloud.deploy.parts import server_health
from voicecore.cloud.deploy.parts.server_health import ServerNotHealthy
from voicecore.cloud.resources.deployed_stack import DeployedStack
from voicecore.commands.invite import revocation_text
from voicecore.contract.invites import sign_invite


class StartingServer(BaseHTTPRequestHandler):
    """Answers 502 for the next `failures` requests, then 200."""

    failures = 0

    def do_GET(self) -> None:
        failing = type(self).failures > 0
        type(self).failures -= failing
        body = b'{"Message": "Internal Server Error"}'
        self.send_response(502 if failing else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


@pytest.fixture
def stack() -> Iterator[DeployedStack]:
    """The stack of a server on Lambda."""
    server = HTTPServer(("127.0.0.1", 0), StartingServer)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}/"
    outputs = {"Url": url, "FunctionName": "voicecore-line-dev-server"}
    yield DeployedStack("id", "name", "CREATE_COMPLETE", outputs=outputs)
    server.shutdown()
    server.server_close()


def seconds_waited(stack: DeployedStack, failures: int, pace: float = 1) -> float:
    """Return the simulated seconds until a server that first fails so often is healthy."""
    now = [0.0]

    def pause(seconds: float) -> None:
        now[0] += pace * seconds

    StartingServer.failures = failures
    server_health.require_health(stack, pause, lambda: now[0])
    return now[0]


def test_waits_for_server_that_starts_to_answer(stack: DeployedStack) -> None:
    assert seconds_waited(stack, 0) == 0
    assert 0 < seconds_waited(stack, 5) < server_health.HEALTHY_SECONDS


def test_server_that_never_answers_is_reported_with_its_log_group(stack: DeployedStack) -> None:
    with pytest.raises(ServerNotHealthy, match="502") as error:
        seconds_waited(stack, 1000, pace=20)
    assert "aws logs tail /aws/lambda/voicecore-line-dev-server" in str(error.value.hint)


def test_server_on_ecs_has_another_log_group(stack: DeployedStack) -> None:
    on_ecs = replace(stack, outputs={**stack.outputs, "Cluster": "voicecore-line-dev-server"})
    with pytest.raises(ServerNotHealthy) as error:
        seconds_waited(on_ecs, 1000, pace=20)
    assert "aws logs tail /ecs/voicecore-line-dev-server" in str(error.value.hint)


def test_invite_for_server_on_ecs_is_signed_here(stack: DeployedStack) -> None:
    class SecretsManager:
        def client(self, service: str) -> SecretsManager:
            assert service == "secretsmanager"
            return self

        def get_secret_value(self, SecretId: str) -> dict[str, str]:
            assert SecretId == "arn"
            return {"SecretString": json.dumps({"SESSION_API_KEY": "key"})}

    on_ecs = replace(stack, outputs={"Url": "https://x/", "Cluster": "c", "SessionKeyArn": "arn"})
    page = server_health.invite_url(cast("Aws", SecretsManager()), on_ecs, hours=1)
    url, _, signed = page.partition("#")
    _, id, until, _ = signed.split(".")
    assert (url, signed) == ("https://x/", sign_invite("key", int(until), id))
    assert 3590 < int(until) - time.time() <= 3600


def test_failure_without_a_message_is_told_by_its_type(stack: DeployedStack) -> None:
    class Lambda:
        def client(self, service: str) -> Lambda:
            assert service == "lambda"
            return self

        def invoke(self, FunctionName: str, Payload: str) -> dict[str, object]:
            assert (FunctionName, Payload) == (stack.outputs["FunctionName"], sent)
            failure = io.StringIO('{"errorMessage": "", "errorType": "TimeoutError"}')
            return {"FunctionError": "Unhandled", "Payload": failure}

    sent = '{"revoke_invite": "0123abcd"}'
    with pytest.raises(ServerNotHealthy, match="could not revoke the invite: TimeoutError"):
        server_health.revoke_invite(cast("Aws", Lambda()), stack, "0123abcd")


@pytest.mark.parametrize(
    ("ended", "told"),
    [
        (2, "session. Ended 2 open sessions."),
        (0, "session. None was open."),
        (None, "last until their callers hang up: an earlier version deployed the server."),
    ],
)
def test_revocation_tells_what_becomes_of_calls(ended: int | None, told: str) -> None:
    assert told in revocation_text("0123abcd", ended, "dev")


def test_domain_is_checked_at_its_load_balancer(stack: DeployedStack) -> None:
    # The server there does not speak TLS; the domain itself points nowhere.
    outputs = {
        "Url": "https://phone.invalid/",
        "Cluster": "x",
        "Address": stack.outputs["Url"][7:-1],
    }
    with pytest.raises(ServerNotHealthy, match="SSL") as error:
        seconds_waited(replace(stack, outputs=outputs), 0, pace=20)
    assert "phone.invalid" in error.value.message
    elsewhere = {"Url": "https://phone.invalid/", "Address": "127.0.0.1"}
    assert server_health.missing_record(replace(stack, outputs=elsewhere)) == "127.0.0.1"
    unknown = {"Url": "https://phone.invalid/", "Address": "balancer.invalid"}
    assert server_health.missing_record(replace(stack, outputs=unknown)) == ""
    pointing = {"Url": "https://localhost/", "Address": "127.0.0.1"}
    assert server_health.missing_record(replace(stack, outputs=pointing)) == ""
    assert server_health.missing_record(stack) == ""


def test_health_is_asked_through_the_proxy(
    stack: DeployedStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proxy's certificate has the name of the domain, as the load balancer's has."""
    routes = {"phone.invalid": "", "balancer.invalid": stack.outputs["Url"].rstrip("/")}
    outputs = {"Url": "https://phone.invalid/", "Cluster": "x", "Address": "balancer.invalid"}
    with inspecting_proxy(tmp_path, routes) as proxy:
        for name, value in proxy.environment().items():
            monkeypatch.setenv(name, value)
        assert seconds_waited(replace(stack, outputs=outputs), 0) == 0
        assert proxy.hosts == ["balancer.invalid"]
        monkeypatch.setenv("NO_PROXY", "balancer.invalid")
        with pytest.raises(ServerNotHealthy, match="Failed to resolve"):
            seconds_waited(replace(stack, outputs=outputs), 0, pace=20)
        monkeypatch.delenv("NO_PROXY")
        monkeypatch.delenv("SSL_CERT_FILE")
        with pytest.raises(ServerNotHealthy, match="CERTIFICATE_VERIFY_FAILED"):
            seconds_waited(replace(stack, outputs=outputs), 0, pace=20)
