"""The agent's stack: its resources, parameters and variables."""

import pytest

from tests.unit.cloud.deployments import (
    IMAGE,
    OWN_VPC,
    WEBRTC,
    WEBSOCKET,
    deployment,
    make_agent_stack,
    statements_of,
)
from voicecore.catalog.transports.record import HEADERS
from voicecore.cloud.stacks import env_split
from voicecore.cloud.stacks.agent_stack import EnvironmentTooLarge, agent_stack, foundation_of
from voicecore.cloud.stacks.env_split import Environment
from voicecore.cloud.stacks.stack import BODY_MAX, references
from voicecore.cloud.stacks.versions import Live, with_next_version
from voicecore.console.errors import ExitCode


def properties(stack, name="Runtime"):
    return stack.resources[name]["Properties"]


def test_public_agent_has_only_role_runtime_and_endpoint() -> None:
    stack = make_agent_stack(deployment())
    assert list(stack.resources) == ["Role", "Runtime", "Endpoint"]
    live = {"LiveVersion": "1", "EarlierVersions": "none"}
    assert stack.parameters == {"ImageUri": IMAGE, **live}
    assert properties(stack)["NetworkConfiguration"] == {"NetworkMode": "PUBLIC"}
    assert stack.tags["voicecore:stage"] == "dev"


def test_runtime_follows_the_stage_settings() -> None:
    runtime = properties(make_agent_stack(deployment(idle_timeout=120, max_lifetime=3600)))
    assert runtime["AgentRuntimeName"] == "support_line_dev"
    assert runtime["LifecycleConfiguration"] == {
        "IdleRuntimeSessionTimeout": 120,
        "MaxLifetime": 3600,
    }
    assert runtime["ProtocolConfiguration"] == "HTTP"
    assert runtime["RequestHeaderConfiguration"] == {"RequestHeaderAllowlist": list(HEADERS)}


@pytest.mark.parametrize("platform", ["v1", "v2"])
def test_platform_is_always_said(platform: str) -> None:
    runtime = properties(make_agent_stack(deployment(platform=platform)))
    assert runtime["PlatformVersion"] == platform.upper()
    assert runtime["EnvironmentVariables"]["AGENTCORE_PLATFORM"] == platform


def test_endpoint_stays_at_its_version_while_the_runtime_changes() -> None:
    stack = agent_stack(deployment(), Environment(), image_uri=IMAGE, live=Live("7", ("2", "5")))
    assert properties(stack, "Endpoint")["AgentRuntimeVersion"] == {"Ref": "LiveVersion"}
    assert stack.parameters["LiveVersion"] == "7"
    assert stack.parameters["EarlierVersions"] == "2,5"


def test_network_comes_from_parameters() -> None:
    stack = make_agent_stack(deployment(network="vpc"))
    assert stack.parameters["Subnets"] == "subnet-a,subnet-b"
    assert properties(stack)["NetworkConfiguration"]["NetworkModeConfig"] == {
        "Subnets": {"Ref": "Subnets"},
        "SecurityGroups": {"Ref": "SecurityGroups"},
    }


def test_own_vpc_overrides_the_created_network() -> None:
    stack = make_agent_stack(deployment(network="vpc", vpc=OWN_VPC))
    assert stack.parameters["Subnets"] == ",".join(OWN_VPC.subnets)
    assert stack.parameters["SecurityGroups"] == ",".join(OWN_VPC.security_groups)


def test_channels_exist_only_for_transports_with_turn() -> None:
    def channels(stack):
        return [name for name in stack.resources if name.startswith("Channel")]

    assert channels(make_agent_stack(deployment("offline", WEBSOCKET, peak_calls=100))) == []
    both = make_agent_stack(deployment("offline", WEBSOCKET, WEBRTC, network="vpc", peak_calls=100))
    assert len(channels(both)) == 6  # AWS's example in the limits of KVS
    assert properties(both, "Channel6") == {"Name": "voicecore-support-line-dev-6"}
    variables = properties(both)["EnvironmentVariables"]
    assert variables["TURN_CHANNEL_PREFIX"] == "voicecore-support-line-dev-"
    assert variables["TURN_CHANNEL_COUNT"] == "6"
    other = make_agent_stack(deployment("offline", WEBRTC, source="cloudflare"))
    assert channels(other) == []
    assert not [s for s in statements_of(other) if "kinesisvideo" in str(s)]


def test_secret_is_created_without_its_value() -> None:
    stack = make_agent_stack(deployment("cascade"), DEEPGRAM_API_KEY="dg-hidden")
    assert "dg-hidden" not in stack.body + str(stack.parameters)
    assert "SecretString" not in properties(stack, "Secret")
    assert properties(stack)["EnvironmentVariables"]["AGENT_SECRET_ARN"] == {"Ref": "Secret"}


def test_foundation_needs_no_image_and_no_network() -> None:
    whole = make_agent_stack(deployment("cascade", WEBRTC, network="vpc"), KEY="x")
    foundation = foundation_of(whole)
    assert list(foundation.resources) == ["Role", "Channel1", "Secret"]
    assert foundation.parameters == {} and "Parameters" not in foundation.template
    assert list(foundation.template["Outputs"]) == ["RoleArn", "SecretArn"]
    assert {name: whole.resources[name] for name in foundation.resources} == foundation.resources


@pytest.mark.parametrize("network", ["public", "vpc"])
@pytest.mark.parametrize("pipeline", ["nova-sonic", "cascade", "offline"])
def test_every_reference_resolves(pipeline: str, network: str) -> None:
    stack = make_agent_stack(deployment(pipeline, WEBSOCKET, WEBRTC, network=network), KEY="x")
    pseudo = {"AWS::Partition", "AWS::Region", "AWS::AccountId"}
    known = set(stack.resources) | set(stack.template["Parameters"]) | pseudo
    assert references(stack.template) <= known
    assert set(stack.parameters) == set(stack.template["Parameters"])


def test_new_image_changes_only_the_runtime(now) -> None:
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


def test_long_message_fits_into_description_and_tag(now) -> None:
    history = with_next_version((), "sha256:" + "a" * 64, "ü" * 5000, now)
    runtime = properties(agent_stack(deployment(), Environment(), history, IMAGE))
    assert len(runtime["Description"]) <= 1200
    assert len(runtime["Tags"]["voicecore:v1"]) <= 256


@pytest.mark.parametrize(("platform", "most"), [("v1", 4096), ("v2", 2560)])
@pytest.mark.parametrize("secret", [{}, {"KEY": "x"}], ids=["", "secret"])
def test_runtime_takes_50_variables_of_so_many_bytes_together(
    secret: dict[str, str], platform: str, most: int
) -> None:
    def variables(count: int, total: int) -> Environment:
        """Return an environment that makes so many variables and bytes in the runtime."""
        own = env_split.bytes_of(
            {name: "us-east-1" for name in ("AWS_REGION", "AWS_DEFAULT_REGION")}
            | {"AGENTCORE_PLATFORM": platform}
        )
        # The name of the variable, and the most characters of a secret's ARN.
        own += 16 + 160 if secret else 0
        names = [f"V{n:02}" for n in range(count - 3 - len(secret))]
        values = dict.fromkeys(names, "x") | {names[0]: "x" * (total - own - 4 * len(names) + 1)}
        return Environment(values, secret)

    of = deployment("offline", platform=platform)
    agent_stack(of, variables(50, most), ())
    for count, total in ((51, most), (50, most + 1)):
        with pytest.raises(EnvironmentTooLarge, match=f"{most} bytes on platform {platform}"):
            agent_stack(of, variables(count, total), ())


def test_rejects_too_many_variables() -> None:
    plain = {"LOG_LEVEL": "x" * 2000, "WHISPER_MODEL": "x" * 2000, "PIPER_VOICE": "x" * 100}
    with pytest.raises(EnvironmentTooLarge, match="4096 bytes") as raised:
        agent_stack(deployment(), Environment(plain), ())
    assert raised.value.exit_code == ExitCode.BAD_PROJECT
    with pytest.raises(EnvironmentTooLarge) as raised:
        agent_stack(deployment(platform="v2"), Environment(plain), ())
    assert 'platform = "v1" (4096 bytes)' in str(raised.value.hint)


def test_largest_template_fits_into_a_request() -> None:
    largest = make_agent_stack(
        deployment("cascade", WEBRTC, network="vpc", peak_calls=2500), KEY="x"
    )
    assert len(largest.body) < BODY_MAX
    assert len(largest.resources) < 500  # CloudFormation quotas
