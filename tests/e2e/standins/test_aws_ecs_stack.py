"""The session server's ECS stack in the stand-in: created, updated and deleted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.standins.aws import Aws, aws_standin
from tests.unit.cloud.deployments import AGENT, DOMAIN, phone_deployment
from voicecore.cloud.stacks.deployment import Deployment
from voicecore.cloud.stacks.ecs_load_balancer import ORIGIN_ADDRESSES
from voicecore.cloud.stacks.ecs_server import ecs_server_stack
from voicecore.cloud.stacks.env_split import Environment
from voicecore.cloud.stacks.network_stack import network_stack
from voicecore.cloud.stacks.stack import Stack

ZONES = ("use1-az1", "use1-az2")
FROM_CLOUDFRONT = {ORIGIN_ADDRESSES: "pl-0123456789abcdef0"}
REPOSITORY = "123456789012.dkr.ecr.us-east-1.amazonaws.com/voicecore/support-line"


@pytest.fixture
def aws() -> Iterator[Aws]:
    with aws_standin() as standin:
        yield standin


def apply_stack(aws: Aws, stack: Stack, verb: str = "create") -> dict[str, str]:
    """Create or update the stack, and return its outputs."""
    cloud = aws.client("cloudformation")
    getattr(cloud, f"{verb}_stack")(
        StackName=stack.name,
        TemplateBody=stack.body,
        Capabilities=["CAPABILITY_NAMED_IAM"],
        Parameters=[
            {"ParameterKey": key, "ParameterValue": value}
            for key, value in stack.parameters.items()
        ],
        Tags=[{"Key": key, "Value": value} for key, value in stack.tags.items()],
    )
    aws.clock.until(lambda: not status(aws, stack.name).endswith("_IN_PROGRESS"))
    events = cloud.describe_stack_events(StackName=stack.name)["StackEvents"]
    reasons = [f"{e['LogicalResourceId']}: {e.get('ResourceStatusReason')}" for e in events
           if e["ResourceStatus"].endswith("FAILED")]  # fmt: skip
    assert status(aws, stack.name) == f"{verb.upper()}_COMPLETE", "\n".join(reasons)
    (found,) = cloud.describe_stacks(StackName=stack.name)["Stacks"]
    return {o["OutputKey"]: o["OutputValue"] for o in found["Outputs"]}


def status(aws: Aws, name: str) -> str:
    cloud = aws.client("cloudformation")
    return cloud.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]


def delete_stack(aws: Aws, name: str) -> None:
    cloud = aws.client("cloudformation")
    id = cloud.describe_stacks(StackName=name)["Stacks"][0]["StackId"]
    cloud.delete_stack(StackName=name)
    aws.clock.until(lambda: not status(aws, id).endswith("_IN_PROGRESS"))
    assert status(aws, id) == "DELETE_COMPLETE"


def server_stack(
    of: Deployment, network: dict[str, str], digest: str, private: bool = True
) -> Stack:
    image = f"{REPOSITORY}@sha256:{digest * 64}"
    given = network | FROM_CLOUDFRONT
    return ecs_server_stack(
        of, Environment({}, {"KEY": "x"}), image, AGENT, "", given, private=private
    )


def service(aws: Aws, outputs: dict[str, str]) -> dict[str, Any]:
    query = {"cluster": outputs["Cluster"], "services": [outputs["Service"]]}
    (found,) = aws.client("ecs").describe_services(**query)["services"]
    return found


def with_certificate(aws: Aws, region: str = "us-east-1") -> Deployment:
    """Return a stage with a domain, whose certificate is in `region`."""
    acm = aws.client("acm", region)
    arn = acm.request_certificate(DomainName=DOMAIN.domain)["CertificateArn"]
    return phone_deployment(server=replace(DOMAIN, certificate=arn))


@pytest.mark.parametrize(
    ("domain", "private"),
    [(False, True), (False, False), (True, False)],
    ids=["private origin", "cloudfront", "domain"],
)
def test_create_update_and_delete_leave_nothing(aws: Aws, domain: bool, private: bool) -> None:
    of = with_certificate(aws) if domain else phone_deployment()
    before = aws.inventory()
    network = apply_stack(aws, network_stack(of, ZONES))
    outputs = apply_stack(aws, server_stack(of, network, "1", private))
    first = service(aws, outputs)
    kinds = {item.kind for item in aws.inventory()}
    assert {"ecs:service", "elasticloadbalancing:loadbalancer/app"} <= kinds
    assert ("cloudfront:vpcorigin" in kinds) == private
    (balancer,) = aws.client("elbv2").describe_load_balancers()["LoadBalancers"]
    assert balancer["Scheme"] == ("internal" if private else "internet-facing")
    assert outputs["Url"].startswith("https://") and outputs["Url"].endswith("/")

    apply_stack(aws, server_stack(of, network, "2", private), "update")
    second = service(aws, outputs)
    assert second["serviceArn"] == first["serviceArn"]
    assert second["taskDefinition"] != first["taskDefinition"]

    delete_stack(aws, server_stack(of, network, "2").name)
    delete_stack(aws, network_stack(of, ZONES).name)
    assert aws.inventory() == before


def test_only_cloudfront_has_the_load_balancers_key(aws: Aws) -> None:
    of = phone_deployment()
    outputs = apply_stack(aws, server_stack(of, apply_stack(aws, network_stack(of, ZONES)), "1"))
    secret = aws.client("secretsmanager").get_secret_value(
        SecretId="voicecore/support-line/dev/origin"
    )
    key = json.loads(secret["SecretString"])["KEY"]
    (made,) = aws.client("cloudfront").list_distributions()["DistributionList"]["Items"]
    (origin,) = made["Origins"]["Items"]
    assert [h["HeaderValue"] for h in origin["CustomHeaders"]["Items"]] == [key]
    elb = aws.client("elbv2")
    (balancer,) = elb.describe_load_balancers()["LoadBalancers"]
    (listener,) = elb.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
    rules = elb.describe_rules(ListenerArn=listener["ListenerArn"])["Rules"]
    keys = [c["HttpHeaderConfig"]["Values"] for rule in rules for c in rule["Conditions"]]
    assert keys == [[key]]
    template = aws.client("cloudformation").get_template(
        StackName="voicecore-support-line-dev-server"
    )
    assert key not in json.dumps(template["TemplateBody"])
    assert outputs["Url"] == f"https://{made['DomainName']}/"


def test_certificate_of_another_region_rolls_back(aws: Aws) -> None:
    of = with_certificate(aws, "eu-west-1")
    network = apply_stack(aws, network_stack(of, ZONES))
    with pytest.raises(AssertionError, match=r"Certificate ARN .* is not valid"):
        apply_stack(aws, server_stack(of, network, "1"))


def test_service_needs_a_load_balancer_for_its_target_group(aws: Aws) -> None:
    of = phone_deployment()
    network = apply_stack(aws, network_stack(of, ZONES))
    stack = server_stack(of, network, "1")
    del stack.template["Resources"]["FromCloudFront"]
    stack.template["Resources"]["Service"]["DependsOn"] = []
    with pytest.raises(AssertionError, match="does not have an associated load balancer"):
        apply_stack(aws, stack)


def test_more_tasks_do_not_replace_the_service(aws: Aws) -> None:
    of = phone_deployment()
    network = apply_stack(aws, network_stack(of, ZONES))
    outputs = apply_stack(aws, server_stack(of, network, "1"))
    more = replace(of, stage=replace(of.stage, server=replace(of.stage.server, peak_calls=200)))
    apply_stack(aws, server_stack(more, network, "1"), "update")
    (target,) = aws.client("application-autoscaling").describe_scalable_targets(
        ServiceNamespace="ecs"
    )["ScalableTargets"]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (1, 8)
    assert target["ResourceId"] == f"service/{outputs['Cluster']}/{outputs['Service']}"
