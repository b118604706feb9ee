"""Requirements of a session server in AWS, checked before anything is created."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cloud.deployments import (
    DAILY,
    DOMAIN,
    OWN_VPC,
    WEBRTC,
    deployment,
    phone_deployment,
)
from voicecore.catalog import regions
from voicecore.catalog.phones import PHONES
from voicecore.cloud.deploy.parts.server_requirements import (
    CannotDeployServer,
    carries_calls,
    require_same_compute,
    require_server_possible,
)
from voicecore.cloud.deploy.parts.server_state import DesiredServer, desired_server
from voicecore.cloud.stacks.env_split import BadEnvironment, Environment, split_server_env
from voicecore.project.project import Project

EMPTY = Environment({}, {})
TWILIO = Environment({}, {"TWILIO_ACCOUNT_SID": "AC", "TWILIO_AUTH_TOKEN": "hush"})


@pytest.mark.parametrize("region", regions.AGENTCORE)
def test_server_requires_a_region_with_function_urls(region: str) -> None:
    stage = deployment("offline", region=region)
    if region in regions.FUNCTION_URLS:
        require_server_possible(stage, EMPTY)
        return
    with pytest.raises(CannotDeployServer, match=region):
        require_server_possible(stage, EMPTY)


def test_callers_require_a_relay() -> None:
    stage = deployment("offline", WEBRTC)
    require_server_possible(stage, EMPTY)
    with pytest.raises(CannotDeployServer, match="CLOUDFLARE_TURN_KEY_ID"):
        require_server_possible(stage, Environment({"TURN_SOURCE": "cloudflare"}, {}))


@pytest.mark.parametrize(
    ("options", "environment", "text"),
    [
        ({"network": "public"}, TWILIO, 'network = "public"'),
        ({"vpc": OWN_VPC}, TWILIO, "lists private subnets"),
        ({"server": DOMAIN, "region": "us-west-2"}, TWILIO, "is in us-east-1"),
        ({"region": "us-gov-west-1"}, TWILIO, "CloudFront is not available in us-gov-west-1"),
        ({}, EMPTY, "TWILIO_AUTH_TOKEN is missing"),
    ],
    ids=["public", "given", "certificate", "cloudfront", "credentials"],
)
def test_server_that_cannot_carry_calls_is_rejected(
    options: dict[str, Any], environment: Environment, text: str
) -> None:
    require_server_possible(phone_deployment(), TWILIO)
    require_server_possible(phone_deployment(server=DOMAIN), TWILIO)
    with pytest.raises((CannotDeployServer, BadEnvironment), match=text) as error:
        require_server_possible(phone_deployment(**options), environment)
    assert "hush" not in str(error.value)


def test_vonage_alone_may_call_the_agent_itself_with_the_server_on_lambda() -> None:
    vonage = replace(phone_deployment(network="public"), phones=(PHONES["vonage"],))
    direct = {"VONAGE_DIRECT": "1"}
    with pytest.raises(BadEnvironment, match="VONAGE_SIGNATURE_SECRET"):
        require_server_possible(vonage, Environment(direct, {}))
    secrets = dict.fromkeys(PHONES["vonage"].secrets, "known")
    require_server_possible(vonage, Environment(direct, secrets))
    assert not carries_calls(vonage, Environment(direct, secrets))
    both = replace(vonage, phones=(PHONES["vonage"], PHONES["twilio"]))
    with pytest.raises(CannotDeployServer, match="load balancer"):
        require_server_possible(both, Environment(direct, secrets))


def test_server_cannot_move_between_lambda_and_ecs() -> None:
    def resources(type_: str) -> dict[str, Any]:
        return {"It": {"Type": type_}}

    function, service = resources("AWS::Lambda::Function"), resources("AWS::ECS::Service")
    assert DesiredServer(phone_deployment(), TWILIO).carries_calls
    assert not DesiredServer(deployment("offline"), EMPTY).carries_calls
    require_same_compute(True, service, "dev")
    require_same_compute(False, function, "dev")
    require_same_compute(True, {}, "dev")
    require_same_compute(True, resources("AWS::SecretsManager::Secret"), "dev")
    with pytest.raises(CannotDeployServer, match="on AWS Lambda and must move to ECS") as error:
        require_same_compute(True, function, "dev")
    assert "voicecore destroy --only-server\n" in str(error.value.hint)
    with pytest.raises(CannotDeployServer, match="on ECS Fargate and must move to AWS Lambda"):
        require_same_compute(False, service, "dev")


@pytest.mark.parametrize(
    ("settings", "default"),
    [('reader.endpoint("AGENT_ENDPOINT")', False), ('reader.arn("AGENT_RUNTIME_ARN")', True),
     (None, False)],
    ids=["new", "old", "rearranged"],
)  # fmt: skip
def test_server_of_before_keeps_the_permission_for_the_default_endpoint(
    tmp_path: Path, settings: str | None, default: bool
) -> None:
    (tmp_path / "server/internal").mkdir(parents=True)
    if settings:
        (tmp_path / "server/internal/settings.py").write_text(settings)
    project = Project(tmp_path, "x", ("websocket",), "offline", "us-east-1", {})
    stack = desired_server(project, deployment("offline")).stack("", "", "")
    assert ("runtime-endpoint/dev" in stack.body, "runtime-endpoint/DEFAULT" in stack.body) == (
        True,
        default,
    )


def test_server_without_the_key_of_its_transport_is_rejected() -> None:
    key = {"DAILY_API_KEY": "hush", "DAILY_API_URL": "https://api.daily.co/v1"}
    environment = split_server_env(key, "us-east-1", [DAILY])
    assert environment.secret == {"DAILY_API_KEY": "hush"}
    with pytest.raises(
        BadEnvironment, match="DAILY_API_KEY is missing: callers cannot join through Daily"
    ):
        split_server_env({"DAILY_API_KEY": ""}, "us-east-1", [DAILY, WEBRTC])


def test_variables_of_this_machine_are_not_deployed() -> None:
    values = {
        "SESSION_API_KEY": "of-this-machine",
        "AGENT_ENDPOINT": "prod",
        "AGENT_RUNTIME_ARN": "arn",
        "AWS_REGION": "us-east-1",
        "HOST": "0.0.0.0",
        "TRUSTED_PROXIES": "10.0.0.0/8",
        "STARTS_PER_MINUTE": "7",
        "TWILIO_AUTH_TOKEN": "hush",
        "OIDC_AUDIENCE": "",
    }
    environment = split_server_env(values, "us-east-1")
    assert environment == Environment({"STARTS_PER_MINUTE": "7"}, {"TWILIO_AUTH_TOKEN": "hush"})
    with pytest.raises(BadEnvironment, match=r"server/\.env cannot be deployed"):
        split_server_env(values | {"AWS_PROFILE": "mine"}, "us-east-1")
