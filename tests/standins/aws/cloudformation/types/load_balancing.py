"""The resource types of Elastic Load Balancing."""

from __future__ import annotations

from typing import Any

from tests.standins.aws.cloudformation.types.base import (
    Context,
    Properties,
    ResourceType,
)
from tests.standins.aws.cloudformation.types.properties import request_for


def _elb_tags(c: Context) -> dict[str, Any]:
    return {"Tags": c.pairs()} if c.tags else {}


def _elb_retag(c: Context, physical: str, tags: dict[str, str], gone: list[str]) -> None:
    elb = c.client("elbv2")
    if gone:
        elb.remove_tags(ResourceArns=[physical], TagKeys=gone)
    if tags:
        pairs = [{"Key": key, "Value": value} for key, value in tags.items()]
        elb.add_tags(ResourceArns=[physical], Tags=pairs)


def _balancer(c: Context, p: Properties) -> str:
    request = request_for(c, "elbv2", "CreateLoadBalancer", p)
    made = c.client("elbv2").create_load_balancer(Name=c.name(32), **request, **_elb_tags(c))
    arn = made["LoadBalancers"][0]["LoadBalancerArn"]
    c.cloud.clock.sleep(c.cloud.durations.balancer)
    _balancer_update(c, arn, {}, p)
    return arn


def _balancer_update(c: Context, physical: str, old: Properties, p: Properties) -> None:
    c.client("elbv2").modify_load_balancer_attributes(
        LoadBalancerArn=physical, Attributes=p.get("LoadBalancerAttributes", [])
    )


def _balancer_attributes(c: Context, physical: str) -> dict[str, Any]:
    (found,) = c.client("elbv2").describe_load_balancers(LoadBalancerArns=[physical])[
        "LoadBalancers"
    ]
    return {
        "LoadBalancerArn": physical,
        "DNSName": found["DNSName"],
        "LoadBalancerName": found["LoadBalancerName"],
        "LoadBalancerFullName": physical.partition(":loadbalancer/")[2],
    }


def _balancer_delete(c: Context, physical: str, p: Properties) -> None:
    c.client("elbv2").delete_load_balancer(LoadBalancerArn=physical)


def _targets(c: Context, p: Properties) -> str:
    request = request_for(c, "elbv2", "CreateTargetGroup", p)
    made = c.client("elbv2").create_target_group(Name=c.name(32), **request, **_elb_tags(c))
    arn = made["TargetGroups"][0]["TargetGroupArn"]
    _targets_update(c, arn, {}, p)
    return arn


def _targets_update(c: Context, physical: str, old: Properties, p: Properties) -> None:
    c.client("elbv2").modify_target_group_attributes(
        TargetGroupArn=physical, Attributes=p.get("TargetGroupAttributes", [])
    )


def _targets_attributes(c: Context, physical: str) -> dict[str, Any]:
    c.client("elbv2").describe_target_groups(TargetGroupArns=[physical])
    return {
        "TargetGroupArn": physical,
        "TargetGroupFullName": physical.rpartition(":")[2],
    }


def _targets_delete(c: Context, physical: str, p: Properties) -> None:
    c.client("elbv2").delete_target_group(TargetGroupArn=physical)


def _listener(c: Context, p: Properties) -> str:
    request = request_for(c, "elbv2", "CreateListener", p)
    made = c.client("elbv2").create_listener(**request, **_elb_tags(c))
    return made["Listeners"][0]["ListenerArn"]


def _listener_update(c: Context, physical: str, old: Properties, p: Properties) -> None:
    request = request_for(c, "elbv2", "ModifyListener", p)
    c.client("elbv2").modify_listener(ListenerArn=physical, **request)


def _listener_attributes(c: Context, physical: str) -> dict[str, Any]:
    c.client("elbv2").describe_listeners(ListenerArns=[physical])
    return {"ListenerArn": physical}


def _listener_delete(c: Context, physical: str, p: Properties) -> None:
    c.client("elbv2").delete_listener(ListenerArn=physical)


def _rule(c: Context, p: Properties) -> str:
    request = request_for(c, "elbv2", "CreateRule", p)
    made = c.client("elbv2").create_rule(**request, **_elb_tags(c))
    return made["Rules"][0]["RuleArn"]


def _rule_update(c: Context, physical: str, old: Properties, p: Properties) -> None:
    c.client("elbv2").modify_rule(RuleArn=physical, **request_for(c, "elbv2", "ModifyRule", p))


def _rule_attributes(c: Context, physical: str) -> dict[str, Any]:
    c.client("elbv2").describe_rules(RuleArns=[physical])
    return {"RuleArn": physical}


def _rule_delete(c: Context, physical: str, p: Properties) -> None:
    c.client("elbv2").delete_rule(RuleArn=physical)


RESOURCE_TYPES: dict[str, ResourceType] = {
    "AWS::ElasticLoadBalancingV2::LoadBalancer": ResourceType(
        _balancer, _balancer_delete, _balancer_attributes, _balancer_update, retag=_elb_retag
    ),
    "AWS::ElasticLoadBalancingV2::TargetGroup": ResourceType(
        _targets, _targets_delete, _targets_attributes, _targets_update, retag=_elb_retag
    ),
    "AWS::ElasticLoadBalancingV2::Listener": ResourceType(
        _listener, _listener_delete, _listener_attributes, _listener_update, retag=_elb_retag
    ),
    "AWS::ElasticLoadBalancingV2::ListenerRule": ResourceType(
        _rule, _rule_delete, _rule_attributes, _rule_update, retag=_elb_retag
    ),
}  # fmt: skip
