"""The stack of a session server on ECS: what must hold so that no call is cut."""

from typing import Any

import pytest

from tests.unit.cloud.deployments import DOMAIN, deployment, make_ecs_stack, phone_deployment
from voicecore.cloud.stacks.ecs_load_balancer import is_private
from voicecore.cloud.stacks.ecs_tasks import CALLS_PER_TASK, max_tasks
from voicecore.cloud.stacks.network_stack import network_stack
from voicecore.cloud.stacks.stack import references
from voicecore.project.project import ServerSettings

ZONES = ("use1-az1", "use1-az2")
PUBLIC = {"LoadBalancer": {"Properties": {"Scheme": "internet-facing"}}}
BOTH = pytest.mark.parametrize(
    "stack",
    [
        make_ecs_stack(phone_deployment(), KEY="x"),
        make_ecs_stack(phone_deployment(server=DOMAIN)),
    ],
    ids=["cloudfront", "domain"],
)


def properties(stack, name: str) -> dict[str, Any]:
    return stack.resources[name]["Properties"]


def attributes(stack, name: str, key: str) -> dict[str, str]:
    return {each["Key"]: each["Value"] for each in properties(stack, name)[key]}


@BOTH
def test_update_cuts_no_call(stack) -> None:
    rollout = properties(stack, "Service")["DeploymentConfiguration"]
    assert (rollout["MinimumHealthyPercent"], rollout["MaximumPercent"]) == (100, 200)
    assert rollout["DeploymentCircuitBreaker"] == {"Enable": True, "Rollback": True}
    targets = attributes(stack, "Targets", "TargetGroupAttributes")
    assert targets["deregistration_delay.timeout_seconds"] == "3600"
    balancer = attributes(stack, "LoadBalancer", "LoadBalancerAttributes")
    assert balancer["idle_timeout.timeout_seconds"] == "120"
    (container,) = properties(stack, "Task")["ContainerDefinitions"]
    assert container["StopTimeout"] == 120
    # Scaling sets the count; an update that set it would stop tasks, and so calls.
    assert "DesiredCount" not in properties(stack, "Service")


@BOTH
def test_ecs_stops_no_task_to_balance_zones(stack) -> None:
    assert properties(stack, "Service")["AvailabilityZoneRebalancing"] == "DISABLED"


@pytest.mark.parametrize(
    ("calls", "healthy", "samples", "measured"),
    [
        (0, 1, 1, 0),
        (50, 2, 2, 25),
        (50, 2, None, 25),
        (100, 2, 4, 25),  # half of the calls are on two tasks that drain
        (100, 2, 12, 25),  # where ECS sends three samples a minute
        (100, 2, 5, 50),  # tasks that start carry none
        (10, 0, 1, 10),
    ],
)
def test_scaling_does_not_count_draining_calls(
    calls: int, healthy: int, samples: int | None, measured: float
) -> None:
    policy = properties(make_ecs_stack(phone_deployment()), "ByCalls")
    metrics = policy["TargetTrackingScalingPolicyConfiguration"]["CustomizedMetricSpecification"]
    known: dict[str, Any] = {
        "connections": 2 * calls or None,
        "tasks": healthy,
        "samples": samples,
        "FILL": lambda series, value: value if series is None else series,
        "IF": lambda condition, yes, no: yes if condition else no,
    }
    for metric in metrics["Metrics"]:
        if "Expression" in metric:
            known[metric["Id"]] = eval(metric["Expression"], known)  # as CloudWatch computes it
    assert known["calls"] == measured


@BOTH
def test_tasks_are_arm64_without_public_address(stack) -> None:
    assert properties(stack, "Task")["RuntimePlatform"]["CpuArchitecture"] == "ARM64"
    network = properties(stack, "Service")["NetworkConfiguration"]["AwsvpcConfiguration"]
    assert (network["AssignPublicIp"], network["Subnets"]) == ("DISABLED", {"Ref": "Subnets"})
    (rule,) = properties(stack, "ServerGroup")["SecurityGroupIngress"]
    assert rule["SourceSecurityGroupId"] == {"Fn::GetAtt": ["DoorGroup", "GroupId"]}


@pytest.mark.parametrize(
    ("of", "deployed", "scheme", "rule"),
    [
        (phone_deployment(), {}, "internal", "SourcePrefixListId"),
        (phone_deployment(region="ap-southeast-7"), {}, "internet-facing", "SourcePrefixListId"),
        (phone_deployment(), PUBLIC, "internet-facing", "SourcePrefixListId"),
        (phone_deployment(server=DOMAIN), {}, "internet-facing", "CidrIp"),
    ],
    ids=["new", "region without VPC origins", "deployed before", "domain"],
)
def test_load_balancer_is_private_where_it_can_be(of, deployed, scheme: str, rule: str) -> None:
    stack = make_ecs_stack(of, is_private(of, deployed))
    balancer = properties(stack, "LoadBalancer")
    assert balancer["Scheme"] == scheme
    private = scheme == "internal"
    assert balancer["Subnets"] == {"Ref": "Subnets" if private else "PublicSubnets"}
    assert ("PublicSubnets" in stack.parameters) != private
    (ingress,) = properties(stack, "DoorGroup")["SecurityGroupIngress"]
    assert rule in ingress
    assert ("PrivateOrigin" in stack.resources) == private
    if not of.stage.server.domain:
        (origin,) = properties(stack, "Distribution")["DistributionConfig"]["Origins"]
        assert ("VpcOriginConfig" in origin, "CustomOriginConfig" in origin) == (
            private,
            not private,
        )


def test_load_balancer_accepts_only_cloudfront() -> None:
    stack = make_ecs_stack(phone_deployment())
    (default,) = properties(stack, "Listener")["DefaultActions"]
    assert default["FixedResponseConfig"]["StatusCode"] == "403"
    (condition,) = properties(stack, "FromCloudFront")["Conditions"]
    (origin,) = properties(stack, "Distribution")["DistributionConfig"]["Origins"]
    (header,) = origin["OriginCustomHeaders"]
    (key,) = condition["HttpHeaderConfig"]["Values"]
    assert key == header["HeaderValue"]
    assert key == {"Fn::Sub": "{{resolve:secretsmanager:${OriginKey}:SecretString:KEY}}"}
    assert condition["HttpHeaderConfig"]["HttpHeaderName"] == header["HeaderName"]


def test_domain_gets_https_without_cloudfront() -> None:
    stack = make_ecs_stack(phone_deployment(server=DOMAIN))
    listener = properties(stack, "Listener")
    assert (listener["Protocol"], listener["Port"]) == ("HTTPS", 443)
    assert listener["Certificates"] == [{"CertificateArn": DOMAIN.certificate}]
    assert "Distribution" not in stack.resources and "OriginKey" not in stack.resources
    (ingress,) = properties(stack, "DoorGroup")["SecurityGroupIngress"]
    assert (ingress["FromPort"], ingress["ToPort"]) == (443, 443)


def test_secrets_are_only_in_the_environment() -> None:
    stack = make_ecs_stack(phone_deployment(), TWILIO_AUTH_TOKEN="hidden")
    assert "hidden" not in stack.body
    (container,) = properties(stack, "Task")["ContainerDefinitions"]
    sources = {each["Name"]: each["ValueFrom"]["Fn::Sub"] for each in container["Secrets"]}
    assert sources == {
        "SESSION_API_KEY": "${SessionKey}:SESSION_API_KEY::",
        "TWILIO_AUTH_TOKEN": "${Secret}:TWILIO_AUTH_TOKEN::${SecretVersion}",
    }
    # ECS rejects a variable that is in both lists.
    assert not sources.keys() & {each["Name"] for each in container["Environment"]}


@pytest.mark.parametrize(("calls", "tasks"), [(1, 1), (25, 1), (26, 2), (50, 2), (2500, 100)])
def test_max_tasks_follows_peak_calls(calls: int, tasks: int) -> None:
    of = phone_deployment(server=ServerSettings(peak_calls=calls))
    assert max_tasks(of) == tasks
    scaling = properties(make_ecs_stack(of), "Scaling")
    assert (scaling["MinCapacity"], scaling["MaxCapacity"]) == (1, tasks)
    policy = properties(make_ecs_stack(of), "ByCalls")["TargetTrackingScalingPolicyConfiguration"]
    assert policy["TargetValue"] == CALLS_PER_TASK


def test_session_limit_follows_peak_calls() -> None:
    def allowed(calls: int) -> str:
        task = properties(
            make_ecs_stack(phone_deployment(server=ServerSettings(peak_calls=calls))), "Task"
        )
        (container,) = task["ContainerDefinitions"]
        return {e["Name"]: e["Value"] for e in container["Environment"]}["SESSIONS_AT_ONCE"]

    assert (allowed(10), allowed(200)) == ("50", "200")


def test_drain_minutes_shorten_draining() -> None:
    of = make_ecs_stack(phone_deployment(server=ServerSettings(drain_minutes=1)))
    targets = attributes(of, "Targets", "TargetGroupAttributes")
    assert targets["deregistration_delay.timeout_seconds"] == "60"


def test_security_group_allows_session_store() -> None:
    stack = make_ecs_stack(phone_deployment(), SESSION_STORE="rediss://store.example:6380/0")
    out = [r["FromPort"] for r in properties(stack, "ServerGroup")["SecurityGroupEgress"]]
    assert out == [443, 6380]


def test_network_has_two_public_subnets_for_load_balancer() -> None:
    stack = network_stack(phone_deployment(), ZONES)
    assert stack.template["Outputs"]["PublicSubnets"]["Value"] == {
        "Fn::Join": [",", [{"Ref": "Public1"}, {"Ref": "Public2"}]]
    }
    before = network_stack(deployment(network="vpc"), ZONES)
    added = set(stack.resources) - set(before.resources)
    assert added == {"Public2", "PublicRoutes2"}


@BOTH
def test_every_reference_resolves(stack) -> None:
    known = set(stack.resources) | set(stack.template["Parameters"])
    assert {n for n in references(stack.template) if "::" not in n} - known == set()
