"""What keeps a session server from being put into AWS, and how it is waited for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.unit.cloud.deployments import DAILY, WEBRTC, deployment
from voicecore import regions
from voicecore.cloud import hosting
from voicecore.cloud.cloudformation import Live
from voicecore.cloud.environment import BadEnvironment, Environment, server_environment_of
from voicecore.cloud.hosting import CannotHost, ServerDown

NOTHING = Environment({}, {})


class Answering(BaseHTTPRequestHandler):
    """502 as often as it is told, and then 200."""

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
        """Nobody reads it."""


@pytest.fixture
def live() -> Iterator[Live]:
    server = HTTPServer(("127.0.0.1", 0), Answering)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}/"
    outputs = {"Url": url, "FunctionName": "voicecore-line-dev-server"}
    yield Live("id", "name", "CREATE_COMPLETE", outputs=outputs)
    server.shutdown()
    server.server_close()


def waits(live: Live, failures: int) -> float:
    """The seconds that are waited for a server that fails so often, by a clock of its own."""
    now = [0.0]

    def pause(seconds: float) -> None:
        now[0] += seconds

    Answering.failures = failures
    hosting.require_health(live, pause, lambda: now[0])
    return now[0]


def test_a_server_that_comes_to_answer_is_waited_for(live: Live) -> None:
    assert waits(live, 0) == 0
    assert 0 < waits(live, 5) < hosting.HEALTHY_SECONDS


def test_one_that_does_not_is_told_with_where_to_look(live: Live) -> None:
    with pytest.raises(ServerDown, match="502") as down:
        waits(live, 1000)
    assert "aws logs tail /aws/lambda/voicecore-line-dev-server" in str(down.value.hint)


@pytest.mark.parametrize("region", regions.AGENTCORE)
def test_only_where_lambda_has_urls(region: str) -> None:
    of = deployment("offline", region=region)
    if region in regions.FUNCTION_URLS:
        hosting.require_possible(of, NOTHING)
        return
    with pytest.raises(CannotHost, match=region):
        hosting.require_possible(of, NOTHING)


def test_callers_must_have_a_relay() -> None:
    of = deployment("offline", WEBRTC)
    hosting.require_possible(of, NOTHING)
    with pytest.raises(CannotHost, match="CLOUDFLARE_TURN_KEY_ID"):
        hosting.require_possible(of, Environment({"TURN_SOURCE": "cloudflare"}, {}))


def test_a_server_without_the_key_of_who_carries_the_calls_is_refused() -> None:
    key = {"DAILY_API_KEY": "hush", "DAILY_API_URL": "https://api.daily.co/v1"}
    made = server_environment_of(key, "us-east-1", [DAILY])
    assert made.secret == {"DAILY_API_KEY": "hush"}
    with pytest.raises(BadEnvironment, match="DAILY_API_KEY is missing: Daily lets nobody in"):
        server_environment_of({"DAILY_API_KEY": ""}, "us-east-1", [DAILY, WEBRTC])


def test_what_is_this_machines_stays_here() -> None:
    values = {
        "SESSION_API_KEY": "of-this-machine",
        "AGENT_RUNTIME_ARN": "arn",
        "AWS_REGION": "us-east-1",
        "HOST": "0.0.0.0",
        "TRUSTED_PROXIES": "10.0.0.0/8",
        "STARTS_PER_MINUTE": "7",
        "TWILIO_AUTH_TOKEN": "hush",
        "OIDC_AUDIENCE": "",
    }
    made = server_environment_of(values, "us-east-1")
    assert made == Environment({"STARTS_PER_MINUTE": "7"}, {"TWILIO_AUTH_TOKEN": "hush"})
    with pytest.raises(BadEnvironment, match=r"server/\.env cannot go to AWS"):
        server_environment_of(values | {"AWS_PROFILE": "mine"}, "us-east-1")
