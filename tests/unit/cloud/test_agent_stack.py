import pytest

from tests.unit.cloud.deployments import (
    GIVEN,
    IMAGE,
    WEBRTC,
    WEBSOCKET,
    agent,
    deployment,
    statements_of,
)
from voicecore.cloud.stacks.agent_stack import EnvironmentTooLarge, agent_stack, foundation_of
from voicecore.cloud.stacks.env_split import Environment
from voicecore.cloud.stacks.stack import BODY_MAX, references
from voicecore.cloud.stacks.versions import with_next_version
from voicecore.console.errors import ExitCode


def properties(stack, name="Runtime"):
    return stack.resources[name]["Properties"]


def test_a_public_agent_has_a_role_a_runtime_and_an_endpoint_and_nothing_else() -> None:
    stack = agent(deployment())
    assert list(stack.resources) == ["Role", "Runtime", "Endpoint"]
    assert stack.parameters == {"ImageUri": IMAGE}
    assert properties(stack)["NetworkConfiguration"] == {"NetworkMode": "PUBLIC"}
    assert stack.tags["voicecore:stage"] == "dev"


def test_the_runtime_is_what_the_settings_say() -> None:
    runtime = properties(agent(deployment(idle_timeout=120, max_lifetime=3600)))
    assert runtime["AgentRuntimeName"] == "support_line_dev"
    assert runtime["LifecycleConfiguration"] == {
        "IdleRuntimeSessionTimeout": 120,
        "MaxLifetime": 3600,
    }
    assert runtime["ProtocolConfiguration"] == "HTTP"
    assert runtime["RequestHeaderConfiguration"] == {
        "RequestHeaderAllowlist": ["X-Amzn-Bedrock-AgentCore-Runtime-Custom-Transport"]
    }


def test_a_vpc_is_told_by_parameters() -> None:
    stack = agent(deployment(network="vpc"))
    assert stack.parameters["Subnets"] == "subnet-a,subnet-b"
    assert properties(stack)["NetworkConfiguration"]["NetworkModeConfig"] == {
        "Subnets": {"Ref": "Subnets"},
        "SecurityGroups": {"Ref": "SecurityGroups"},
    }


def test_the_users_own_network_wins() -> None:
    stack = agent(deployment(network="vpc", vpc=GIVEN))
    assert stack.parameters["Subnets"] == ",".join(GIVEN.subnets)
    assert stack.parameters["SecurityGroups"] == ",".join(GIVEN.security_groups)


def test_turn_comes_only_with_transports_that_need_it() -> None:
    def channels(stack):
        return [name for name in stack.resources if name.startswith("Channel")]

    assert channels(agent(deployment("offline", WEBSOCKET, peak_calls=100))) == []
    both = agent(deployment("offline", WEBSOCKET, WEBRTC, network="vpc", peak_calls=100))
    assert len(channels(both)) == 6  # AWS's example in the limits of KVS
    assert properties(both, "Channel6") == {"Name": "voicecore-support-line-dev-6"}
    variables = properties(both)["EnvironmentVariables"]
    assert variables["TURN_CHANNEL_PREFIX"] == "voicecore-support-line-dev-"
    assert variables["TURN_CHANNEL_COUNT"] == "6"
    other = agent(deployment("offline", WEBRTC, source="cloudflare"))
    assert channels(other) == []
    assert not [s for s in statements_of(other) if "kinesisvideo" in str(s)]


def test_a_secret_is_made_empty_and_its_value_is_nowhere() -> None:
    stack = agent(deployment("cascade"), DEEPGRAM_API_KEY="dg-hidden")
    assert "dg-hidden" not in stack.body + str(stack.parameters)
    assert "SecretString" not in properties(stack, "Secret")
    assert properties(stack)["EnvironmentVariables"]["AGENT_SECRET_ARN"] == {"Ref": "Secret"}


def test_the_foundation_needs_no_image_and_no_network() -> None:
    whole = agent(deployment("cascade", WEBRTC, network="vpc"), KEY="x")
    foundation = foundation_of(whole)
    assert list(foundation.resources) == ["Role", "Channel1", "Secret"]
    assert foundation.parameters == {} and "Parameters" not in foundation.template
    assert list(foundation.template["Outputs"]) == ["RoleArn", "SecretArn"]
    assert {name: whole.resources[name] for name in foundation.resources} == foundation.resources


@pytest.mark.parametrize("network", ["public", "vpc"])
@pytest.mark.parametrize("pipeline", ["nova-sonic", "cascade", "offline"])
def test_every_reference_leads_somewhere(pipeline: str, network: str) -> None:
    stack = agent(deployment(pipeline, WEBSOCKET, WEBRTC, network=network), KEY="x")
    pseudo = {"AWS::Partition", "AWS::Region", "AWS::AccountId"}
    known = set(stack.resources) | set(stack.template["Parameters"]) | pseudo
    assert references(stack.template) <= known
    assert set(stack.parameters) == set(stack.template["Parameters"])


def test_another_image_changes_nothing_but_the_runtime(now) -> None:
    first = with_next_version((), "sha256:a", "first", now)
    second = with_next_version(first, "sha256:b", "second", now)
    one, two = (
        agent_stack(deployment("cascade"), Environment(), history, f"x@{history[-1].image}")
        for history in (first, second)
    )
    differing = [name for name in one.resources if one.resources[name] != two.resources[name]]
    assert differing == ["Runtime"]
    assert one.tags == two.tags
    tags = properties(two)["Tags"]
    assert list(tags) == ["voicecore:v1", "voicecore:v2"]
    assert properties(two)["Description"].startswith("v2 2026-")


def test_the_longest_message_fits(now) -> None:
    history = with_next_version((), "sha256:" + "a" * 64, "ü" * 5000, now)
    runtime = properties(agent_stack(deployment(), Environment(), history, IMAGE))
    assert len(runtime["Description"]) <= 1200
    assert len(runtime["Tags"]["voicecore:v1"]) <= 256


def test_too_many_variables_are_refused() -> None:
    plain = {"LOG_LEVEL": "x" * 2000, "WHISPER_MODEL": "x" * 2000, "PIPER_VOICE": "x" * 100}
    with pytest.raises(EnvironmentTooLarge, match="4096 bytes") as raised:
        agent_stack(deployment(), Environment(plain), ())
    assert raised.value.exit_code == ExitCode.BAD_PROJECT


def test_the_largest_template_fits_into_a_request() -> None:
    largest = agent(deployment("cascade", WEBRTC, network="vpc", peak_calls=2500), KEY="x")
    assert len(largest.body) < BODY_MAX
    assert len(largest.resources) < 500  # CloudFormation quotas
