"""The stack of a server that carries calls: what must hold of it, whatever the rest says."""

from typing import Any

import pytest

from tests.unit.cloud.deployments import DOMAIN, bridge, by_telephone, deployment
from voicecore.cloud.stacks.ecs_server import CALLS_A_TASK, tasks_of
from voicecore.cloud.stacks.network_stack import network_stack
from voicecore.cloud.stacks.stack import references
from voicecore.project.project import ServerSettings

ZONES = ("use1-az1", "use1-az2")
BOTH = pytest.mark.parametrize(
    "stack", [bridge(by_telephone(), KEY="x"), bridge(by_telephone(server=DOMAIN))],
    ids=["cloudfront", "domain"],
)  # fmt: skip


def properties(stack, name: str) -> dict[str, Any]:
    return stack.resources[name]["Properties"]


def attributes(stack, name: str, key: str) -> dict[str, str]:
    return {each["Key"]: each["Value"] for each in properties(stack, name)[key]}


@BOTH
def test_no_update_cuts_a_call(stack) -> None:
    told = properties(stack, "Service")["DeploymentConfiguration"]
    assert (told["MinimumHealthyPercent"], told["MaximumPercent"]) == (100, 200)
    assert told["DeploymentCircuitBreaker"] == {"Enable": True, "Rollback": True}
    targets = attributes(stack, "Targets", "TargetGroupAttributes")
    assert targets["deregistration_delay.timeout_seconds"] == "3600"
    balancer = attributes(stack, "LoadBalancer", "LoadBalancerAttributes")
    assert balancer["idle_timeout.timeout_seconds"] == "120"
    (container,) = properties(stack, "Task")["ContainerDefinitions"]
    assert container["StopTimeout"] == 120
    # Scaling says how many there are: an update that did would end tasks, and so calls.
    assert "DesiredCount" not in properties(stack, "Service")


@BOTH
def test_it_is_arm_and_has_no_public_address(stack) -> None:
    assert properties(stack, "Task")["RuntimePlatform"]["CpuArchitecture"] == "ARM64"
    network = properties(stack, "Service")["NetworkConfiguration"]["AwsvpcConfiguration"]
    assert (network["AssignPublicIp"], network["Subnets"]) == ("DISABLED", {"Ref": "Subnets"})
    (rule,) = properties(stack, "ServerGroup")["SecurityGroupIngress"]
    assert rule["SourceSecurityGroupId"] == {"Fn::GetAtt": ["DoorGroup", "GroupId"]}
    assert properties(stack, "LoadBalancer")["Subnets"] == {"Ref": "PublicSubnets"}


def test_nobody_but_cloudfront_is_let_in() -> None:
    stack = bridge(by_telephone())
    (default,) = properties(stack, "Listener")["DefaultActions"]
    assert default["FixedResponseConfig"]["StatusCode"] == "403"
    (condition,) = properties(stack, "FromCloudFront")["Conditions"]
    (origin,) = properties(stack, "Distribution")["DistributionConfig"]["Origins"]
    (header,) = origin["OriginCustomHeaders"]
    (key,) = condition["HttpHeaderConfig"]["Values"]
    assert key == header["HeaderValue"]
    assert key == {"Fn::Sub": "{{resolve:secretsmanager:${OriginKey}:SecretString:KEY}}"}
    assert condition["HttpHeaderConfig"]["HttpHeaderName"] == header["HeaderName"]


def test_with_a_domain_there_is_tls_and_no_cloudfront() -> None:
    stack = bridge(by_telephone(server=DOMAIN))
    listener = properties(stack, "Listener")
    assert (listener["Protocol"], listener["Port"]) == ("HTTPS", 443)
    assert listener["Certificates"] == [{"CertificateArn": DOMAIN.certificate}]
    assert "Distribution" not in stack.resources and "OriginKey" not in stack.resources
    (ingress,) = properties(stack, "DoorGroup")["SecurityGroupIngress"]
    assert (ingress["FromPort"], ingress["ToPort"]) == (443, 443)


def test_secrets_reach_the_environment_and_nothing_else() -> None:
    stack = bridge(by_telephone(), TWILIO_AUTH_TOKEN="hidden")
    assert "hidden" not in stack.body
    (container,) = properties(stack, "Task")["ContainerDefinitions"]
    where = {each["Name"]: each["ValueFrom"]["Fn::Sub"] for each in container["Secrets"]}
    assert where == {
        "SESSION_API_KEY": "${SessionKey}:SESSION_API_KEY::",
        "TWILIO_AUTH_TOKEN": "${Secret}:TWILIO_AUTH_TOKEN::${SecretVersion}",
    }
    # ECS refuses a name that is both.
    assert not where.keys() & {each["Name"] for each in container["Environment"]}


@pytest.mark.parametrize(("calls", "tasks"), [(1, 1), (25, 1), (26, 2), (50, 2), (2500, 100)])
def test_as_many_tasks_as_calls_need(calls: int, tasks: int) -> None:
    of = by_telephone(server=ServerSettings(peak_calls=calls))
    assert tasks_of(of) == tasks
    scaling = properties(bridge(of), "Scaling")
    assert (scaling["MinCapacity"], scaling["MaxCapacity"]) == (1, tasks)
    policy = properties(bridge(of), "ByCalls")["TargetTrackingScalingPolicyConfiguration"]
    assert policy["TargetValue"] == CALLS_A_TASK


def test_it_lets_in_as_many_calls_as_it_is_made_for() -> None:
    def allowed(calls: int) -> str:
        task = properties(bridge(by_telephone(server=ServerSettings(peak_calls=calls))), "Task")
        (container,) = task["ContainerDefinitions"]
        return {e["Name"]: e["Value"] for e in container["Environment"]}["SESSIONS_AT_ONCE"]

    assert (allowed(10), allowed(200)) == ("50", "200")


def test_how_long_old_calls_are_kept_may_be_less() -> None:
    of = bridge(by_telephone(server=ServerSettings(drain_minutes=1)))
    told = attributes(of, "Targets", "TargetGroupAttributes")
    assert told["deregistration_delay.timeout_seconds"] == "60"


def test_a_session_table_of_ones_own_is_reached() -> None:
    stack = bridge(by_telephone(), SESSION_STORE="rediss://store.example:6380/0")
    out = [r["FromPort"] for r in properties(stack, "ServerGroup")["SecurityGroupEgress"]]
    assert out == [443, 6380]


def test_a_load_balancer_finds_subnets_in_two_zones() -> None:
    stack = network_stack(by_telephone(), ZONES)
    assert stack.template["Outputs"]["PublicSubnets"]["Value"] == {
        "Fn::Join": [",", [{"Ref": "Public1"}, {"Ref": "Public2"}]]
    }
    before = network_stack(deployment(network="vpc"), ZONES)
    added = set(stack.resources) - set(before.resources)
    assert added == {"Public2", "PublicRoutes2"}


@BOTH
def test_every_reference_leads_somewhere(stack) -> None:
    known = set(stack.resources) | set(stack.template["Parameters"])
    assert {n for n in references(stack.template) if "::" not in n} - known == set()
