"""Mends of moto's load balancers and of ECS beside them: what AWS takes, and what it refuses."""

from __future__ import annotations

from typing import Any

from moto.backends import get_backend

from tests.lab.aws.world import Call, World
from tests.lab.models.refusal import Refused

_DELAY = "deregistration_delay.timeout_seconds"
_DELAY_MAX = 3600  # Elastic Load Balancing User Guide; moto stops one second before


def _backend(call: Call) -> Any:
    return get_backend("elbv2")[call.account][call.region]


def modify_target_group_attributes(world: World, call: Call) -> dict[str, Any]:
    given = {each["Key"]: each["Value"] for each in call.params["Attributes"]}
    if given.get(_DELAY) != str(_DELAY_MAX):
        return call.moto()
    arn = call.params["TargetGroupArn"]
    group = _backend(call).target_groups.get(arn)
    if group is None:
        raise Refused("TargetGroupNotFound", "One or more target groups not found", 400)
    group.attributes.update(given)
    return {"Attributes": [{"Key": k, "Value": str(v)} for k, v in group.attributes.items()]}


def create_listener(world: World, call: Call) -> dict[str, Any]:
    for certificate in call.params.get("Certificates", []):
        arn = certificate["CertificateArn"]
        if arn.split(":")[3] != call.region:
            raise Refused("CertificateNotFound", f"Certificate ARN '{arn}' is not valid", 400)
    return call.moto()


def create_service(world: World, call: Call) -> dict[str, Any]:
    for each in call.params.get("loadBalancers", []):
        arn = each["targetGroupArn"]
        group = _backend(call).target_groups.get(arn)
        if group is None or not group.load_balancer_arns:
            message = (
                f"The target group with targetGroupArn {arn} does not have an associated load "
                "balancer."
            )
            raise Refused("InvalidParameterException", message, 400)
    return call.moto()


HANDLERS = {
    ("elbv2", "ModifyTargetGroupAttributes"): modify_target_group_attributes,
    ("elbv2", "CreateListener"): create_listener,
    ("ecs", "CreateService"): create_service,
}
