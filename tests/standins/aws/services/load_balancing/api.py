"""Owns what moto's load balancers and CloudFront lack: AWS's checks, and real traffic."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from moto.backends import get_backend

from tests.ports import free_port
from tests.standins.aws.cloud import Call, Cloud
from tests.standins.aws.services.load_balancing.proxies import CloudFrontDistribution, LoadBalancer
from tests.standins.aws.services.load_balancing.traffic import Target, Traffic
from tests.standins.aws.services.vpc_origins import note_use
from tests.standins.models.refusal import Refused

_DELAY = "deregistration_delay.timeout_seconds"
_DELAY_MAX = 3600  # Elastic Load Balancing User Guide; moto allows 3599


def _backend(call: Call) -> Any:
    return get_backend("elbv2")[call.account][call.region]


def modify_target_group_attributes(cloud: Cloud, call: Call) -> dict[str, Any]:
    given = {each["Key"]: each["Value"] for each in call.params["Attributes"]}
    if given.get(_DELAY) != str(_DELAY_MAX):
        return call.moto()
    arn = call.params["TargetGroupArn"]
    group = _backend(call).target_groups.get(arn)
    if group is None:
        raise Refused("TargetGroupNotFound", "One or more target groups not found", 400)
    group.attributes.update(given)
    return {"Attributes": [{"Key": k, "Value": str(v)} for k, v in group.attributes.items()]}


def create_listener(cloud: Cloud, call: Call) -> dict[str, Any]:
    for certificate in call.params.get("Certificates", []):
        arn = certificate["CertificateArn"]
        if arn.split(":")[3] != call.region:
            raise Refused("CertificateNotFound", f"Certificate ARN '{arn}' is not valid", 400)
    answer = call.moto()
    if traffic := _traffic(cloud):
        found = _backend(call).load_balancers[call.params["LoadBalancerArn"]]
        handle = LoadBalancer(traffic, _backend(call), found.arn).handle
        traffic.listen(handle, found.dns_name, tuple(_certificate_domains(cloud, call)))
    return answer


def _certificate_domains(cloud: Cloud, call: Call) -> Iterator[str]:
    """Yield the domain names of a listener's certificates."""
    acm = cloud.client("acm", call.region, call.caller, "elasticloadbalancing")
    for each in call.params.get("Certificates", []):
        found = acm.describe_certificate(CertificateArn=each["CertificateArn"])
        yield found["Certificate"]["DomainName"]


def delete_listener(cloud: Cloud, call: Call) -> dict[str, Any]:
    arn = call.params["ListenerArn"]
    balancers = _backend(call).load_balancers.values()
    found = next((each for each in balancers if arn in each.listeners), None)
    answer = call.moto()
    if found and (traffic := _traffic(cloud)):
        traffic.close(found.dns_name)
    return answer


def require_load_balancer(call: Call) -> None:
    """Raise Refused if no load balancer uses a service's target group."""
    for each in call.params.get("loadBalancers", []):
        arn = each["targetGroupArn"]
        group = _backend(call).target_groups.get(arn)
        if group is None or not group.load_balancer_arns:
            message = (
                f"The target group with targetGroupArn {arn} does not have an associated load "
                "balancer."
            )
            raise Refused("InvalidParameterException", message, 400)


def create_load_balancer(cloud: Cloud, call: Call) -> dict[str, Any]:
    """Create a load balancer; with traffic, its DNS name is a port of this machine."""
    answer = call.moto()
    if _traffic(cloud):
        (made,) = answer["LoadBalancers"]
        made["DNSName"] = f"127.0.0.1:{free_port()}"
        _backend(call).load_balancers[made["LoadBalancerArn"]].dns_name = made["DNSName"]
    return answer


def describe_target_health(cloud: Cloud, call: Call) -> dict[str, Any]:
    answer, traffic = call.moto(), _traffic(cloud)
    if traffic is None:
        return answer
    known = {
        target.id: target.described for target in traffic.targets(call.params["TargetGroupArn"])
    }
    for asked in call.params.get("Targets", []):
        gone = Target(asked["Id"], asked.get("Port", 80), "", "unused", "Target.NotRegistered")
        known.setdefault(asked["Id"], gone.described)
    return {"TargetHealthDescriptions": list(known.values())}


def get_metric_statistics(cloud: Cloud, call: Call) -> dict[str, Any]:
    """Return the open connections: two for each request or WebSocket, caller's and target's.

    Without any, no data point is returned (ELB User Guide, load-balancer-cloudwatch-metrics).
    """
    p, traffic = call.params, _traffic(cloud)
    if traffic is None or p["MetricName"] != "ActiveConnectionCount":
        return call.moto()
    name = {each["Name"]: each["Value"] for each in p["Dimensions"]}["LoadBalancer"]
    groups = {
        group.arn
        for group in _backend(call).target_groups.values()
        if any(arn.endswith(f":loadbalancer/{name}") for arn in group.load_balancer_arns)
    }
    count = 2.0 * traffic.connections(groups)
    at = cloud.clock.now().replace(second=0, microsecond=0)
    points = [{"Timestamp": at, "Sum": count, "Unit": "Count"}] if count else []
    return {"Label": p["MetricName"], "Datapoints": points}


def create_distribution(cloud: Cloud, call: Call) -> dict[str, Any]:
    """Create a distribution; with traffic, its domain is a port of this machine."""
    answer = call.moto()
    given = call.params.get("DistributionConfigWithTags", call.params)["DistributionConfig"]
    note_use(cloud, answer["Distribution"]["Id"], given)
    if traffic := _traffic(cloud):
        made = answer["Distribution"]
        found = cast(
            Any, get_backend("cloudfront")[call.account][call.partition].distributions[made["Id"]]
        )
        found.domain_name = made["DomainName"] = f"127.0.0.1:{free_port()}"
        handle = CloudFrontDistribution(
            traffic, lambda: found.distribution_config.Origins["Items"]
        ).handle
        traffic.listen(handle, found.domain_name, ("127.0.0.1",))
    return answer


def update_distribution(cloud: Cloud, call: Call) -> dict[str, Any]:
    note_use(cloud, call.params["Id"], call.params["DistributionConfig"])
    return call.moto()


def delete_distribution(cloud: Cloud, call: Call) -> dict[str, Any]:
    backend = get_backend("cloudfront")[call.account][call.partition]
    found = backend.distributions.get(call.params["Id"])
    answer = call.moto()
    if found and (traffic := _traffic(cloud)):
        traffic.close(found.domain_name)
    return answer


def put_scaling_policy(cloud: Cloud, call: Call) -> dict[str, Any]:
    """Create or update a scaling policy; moto gives an updated one another ARN."""
    policies = get_backend("applicationautoscaling")[call.account][call.region].policies
    before = {key: policy.policy_arn for key, policy in policies.items()}
    answer = call.moto()
    for key, policy in policies.items():
        if policy.policy_arn == answer["PolicyARN"] and key in before:
            policy.policy_arn = answer["PolicyARN"] = before[key]
    return answer


def _traffic(cloud: Cloud) -> Traffic | None:
    return cloud.state.get(("traffic",))


HANDLERS = {
    ("application-autoscaling", "PutScalingPolicy"): put_scaling_policy,
    ("elbv2", "ModifyTargetGroupAttributes"): modify_target_group_attributes,
    ("elbv2", "CreateListener"): create_listener,
    ("elbv2", "CreateLoadBalancer"): create_load_balancer,
    ("elbv2", "DeleteListener"): delete_listener,
    ("elbv2", "DescribeTargetHealth"): describe_target_health,
    ("cloudwatch", "GetMetricStatistics"): get_metric_statistics,
    ("cloudfront", "CreateDistributionWithTags"): create_distribution,
    ("cloudfront", "CreateDistribution"): create_distribution,
    ("cloudfront", "UpdateDistribution"): update_distribution,
    ("cloudfront", "DeleteDistribution"): delete_distribution,
}
