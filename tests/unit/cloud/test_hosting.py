"""What keeps a session server from being put into AWS, and how it is waited for."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, cast

import pytest

from tests.unit.cloud.deployments import DAILY, DOMAIN, GIVEN, WEBRTC, by_telephone, deployment
from voicecore.aws.session import Aws
from voicecore.catalog import regions
from voicecore.catalog.phones import PHONES
from voicecore.cloud.deploy import server_part
from voicecore.cloud.deploy.cloudformation import Live
from voicecore.cloud.deploy.server_part import CannotHost, ServerDown, Standing, Wanted
from voicecore.cloud.stacks.env_split import BadEnvironment, Environment, server_environment_of
from voicecore.contract.invites import invite

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
    server_part.require_health(live, pause, lambda: now[0])
    return now[0]


def test_a_server_that_comes_to_answer_is_waited_for(live: Live) -> None:
    assert waits(live, 0) == 0
    assert 0 < waits(live, 5) < server_part.HEALTHY_SECONDS


def test_one_that_does_not_is_told_with_where_to_look(live: Live) -> None:
    with pytest.raises(ServerDown, match="502") as down:
        waits(live, 1000)
    assert "aws logs tail /aws/lambda/voicecore-line-dev-server" in str(down.value.hint)


def test_one_on_ecs_writes_elsewhere(live: Live) -> None:
    tasks = replace(
        live, name="voicecore-line-dev-server", outputs={**live.outputs, "Cluster": "x"}
    )
    with pytest.raises(ServerDown) as down:
        waits(tasks, 1000)
    assert "aws logs tail /ecs/voicecore-line-dev-server" in str(down.value.hint)


def test_an_invite_of_one_on_ecs_is_signed_here(live: Live) -> None:
    class Secrets:
        def client(self, service: str) -> Secrets:
            assert service == "secretsmanager"
            return self

        def get_secret_value(self, SecretId: str) -> dict[str, str]:
            assert SecretId == "arn"
            return {"SecretString": json.dumps({"SESSION_API_KEY": "key"})}

    tasks = replace(live, outputs={"Url": "https://x/", "Cluster": "c", "SessionKeyArn": "arn"})
    url, _, said = server_part.page_for(cast("Aws", Secrets()), tasks, hours=1).partition("#")
    until = int(said.split(".")[1])
    assert (url, said) == ("https://x/", invite("key", until))
    assert 3590 < until - time.time() <= 3600


def test_a_domain_is_asked_for_at_its_load_balancer(live: Live) -> None:
    # Nothing there speaks TLS; and the domain itself leads nowhere, which is not the server's.
    outputs = {
        "Url": "https://phone.invalid/",
        "Cluster": "x",
        "Address": live.outputs["Url"][7:-1],
    }
    with pytest.raises(ServerDown, match="SSL") as down:
        waits(replace(live, outputs=outputs), 0)
    assert "phone.invalid" in down.value.message
    assert server_part.record_for(replace(live, outputs=outputs)) == outputs["Address"]
    leads = {"Url": "https://localhost/", "Address": "127.0.0.1"}
    assert server_part.record_for(replace(live, outputs=leads)) == ""
    assert server_part.record_for(live) == ""


@pytest.mark.parametrize("region", regions.AGENTCORE)
def test_only_where_lambda_has_urls(region: str) -> None:
    of = deployment("offline", region=region)
    if region in regions.FUNCTION_URLS:
        server_part.require_possible(of, NOTHING)
        return
    with pytest.raises(CannotHost, match=region):
        server_part.require_possible(of, NOTHING)


def test_callers_must_have_a_relay() -> None:
    of = deployment("offline", WEBRTC)
    server_part.require_possible(of, NOTHING)
    with pytest.raises(CannotHost, match="CLOUDFLARE_TURN_KEY_ID"):
        server_part.require_possible(of, Environment({"TURN_SOURCE": "cloudflare"}, {}))


TWILIO = Environment({}, {"TWILIO_ACCOUNT_SID": "AC", "TWILIO_AUTH_TOKEN": "hush"})


@pytest.mark.parametrize(
    ("options", "settings", "said"),
    [
        ({"network": "public"}, TWILIO, 'network = "public"'),
        ({"vpc": GIVEN}, TWILIO, "private ones"),
        ({"server": DOMAIN, "region": "us-west-2"}, TWILIO, "is in us-east-1"),
        ({"region": "us-gov-west-1"}, TWILIO, "no CloudFront in us-gov-west-1"),
        ({}, NOTHING, "TWILIO_AUTH_TOKEN is missing"),
    ],
    ids=["public", "given", "certificate", "cloudfront", "credentials"],
)
def test_what_cannot_carry_calls_is_told_before_anything_is_made(
    options: dict[str, Any], settings: Environment, said: str
) -> None:
    server_part.require_possible(by_telephone(), TWILIO)
    server_part.require_possible(by_telephone(server=DOMAIN), TWILIO)
    with pytest.raises((CannotHost, BadEnvironment), match=said) as refused:
        server_part.require_possible(by_telephone(**options), settings)
    assert "hush" not in str(refused.value)


def test_vonage_alone_may_dial_the_agent_itself_and_its_server_be_a_function() -> None:
    vonage = replace(by_telephone(network="public"), phones=(PHONES["vonage"],))
    direct = {"VONAGE_DIRECT": "1"}
    with pytest.raises(BadEnvironment, match="VONAGE_SIGNATURE_SECRET"):
        server_part.require_possible(vonage, Environment(direct, {}))
    secrets = dict.fromkeys(PHONES["vonage"].secrets, "known")
    server_part.require_possible(vonage, Environment(direct, secrets))
    assert not server_part.carries_calls(vonage, Environment(direct, secrets))
    both = replace(vonage, phones=(PHONES["vonage"], PHONES["twilio"]))
    with pytest.raises(CannotHost, match="load balancer"):
        server_part.require_possible(both, Environment(direct, secrets))


def test_neither_kind_of_server_becomes_the_other() -> None:
    def standing(kind: str) -> Standing:
        return Standing(template={"Resources": {"It": {"Type": kind}}})

    function, service = standing("AWS::Lambda::Function"), standing("AWS::ECS::Service")
    phone, web = Wanted(by_telephone(), TWILIO), Wanted(deployment("offline"), NOTHING)
    server_part.require_same_kind(phone, service)
    server_part.require_same_kind(web, function)
    server_part.require_same_kind(phone, Standing())
    server_part.require_same_kind(phone, standing("AWS::SecretsManager::Secret"))
    with pytest.raises(CannotHost, match="on AWS Lambda, and should now run on ECS") as refused:
        server_part.require_same_kind(phone, function)
    assert "voicecore destroy --only-server\n" in str(refused.value.hint)
    with pytest.raises(CannotHost, match="on ECS Fargate, and should now run on AWS Lambda"):
        server_part.require_same_kind(web, service)


def test_what_several_tasks_do_not_share_is_told() -> None:
    assert "Up to 2 tasks" in Wanted(by_telephone(), TWILIO).note
    small = by_telephone(server=replace(DOMAIN, peak_calls=25))
    store = Environment({}, {"SESSION_STORE": "redis://x"})
    for quiet in (Wanted(small, TWILIO), Wanted(by_telephone(), store)):
        assert quiet.note == ""
    assert Wanted(deployment("offline"), NOTHING).note == ""


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
