"""The resource types of Application Auto Scaling."""

from __future__ import annotations

from typing import Any

from tests.standins.aws.cloudformation.types.base import (
    Context,
    Failed,
    Properties,
    ResourceType,
)
from tests.standins.aws.cloudformation.types.properties import request_for

_SCALING = "application-autoscaling"


def _scaling(c: Context, p: Properties) -> str:
    c.client(_SCALING).register_scalable_target(
        **request_for(c, _SCALING, "RegisterScalableTarget", p),
        **({"Tags": c.tags} if c.tags else {}),
    )
    return "|".join((p["ResourceId"], p["ScalableDimension"], p["ServiceNamespace"]))


def _scaled(physical: str) -> dict[str, str]:
    resource, dimension, namespace = physical.split("|")
    return {
        "ResourceId": resource,
        "ScalableDimension": dimension,
        "ServiceNamespace": namespace,
    }


def _scaling_update(c: Context, physical: str, old: Properties, p: Properties) -> None:
    c.client(_SCALING).register_scalable_target(
        **request_for(c, _SCALING, "RegisterScalableTarget", p)
    )


def _scaling_attributes(c: Context, physical: str) -> dict[str, Any]:
    asked = _scaled(physical)
    found = c.client(_SCALING).describe_scalable_targets(
        ServiceNamespace=asked["ServiceNamespace"], ResourceIds=[asked["ResourceId"]]
    )["ScalableTargets"]
    if not found:
        raise Failed(f"No scalable target registered for {physical}")
    return {"Id": physical}


def _scaling_delete(c: Context, physical: str, p: Properties) -> None:
    c.client(_SCALING).deregister_scalable_target(**_scaled(physical))


def _policy(c: Context, p: Properties) -> str:
    target = _scaled(p["ScalingTargetId"])
    request = request_for(c, _SCALING, "PutScalingPolicy", {**p, **target})
    return c.client(_SCALING).put_scaling_policy(**request)["PolicyARN"]


def _policy_update(c: Context, physical: str, old: Properties, p: Properties) -> None:
    _policy(c, p)


def _policy_attributes(c: Context, physical: str) -> dict[str, Any]:
    found = c.client(_SCALING).describe_scaling_policies(ServiceNamespace="ecs")["ScalingPolicies"]
    if physical not in {each["PolicyARN"] for each in found}:
        raise Failed(f"No scaling policy {physical}")
    return {"Arn": physical}


def _policy_delete(c: Context, physical: str, p: Properties) -> None:
    _policy_attributes(c, physical)  # moto has another error than AWS for one that is gone
    c.client(_SCALING).delete_scaling_policy(
        PolicyName=p["PolicyName"], **_scaled(p["ScalingTargetId"])
    )


RESOURCE_TYPES: dict[str, ResourceType] = {
    "AWS::ApplicationAutoScaling::ScalableTarget": ResourceType(
        _scaling, _scaling_delete, _scaling_attributes, _scaling_update
    ),
    "AWS::ApplicationAutoScaling::ScalingPolicy": ResourceType(
        _policy, _policy_delete, _policy_attributes, _policy_update
    ),
}  # fmt: skip
