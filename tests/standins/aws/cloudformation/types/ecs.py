"""The resource types of a session server on Fargate: ECS, load balancer, scaling, CloudFront."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Mapping
from typing import Any

from tests.standins.aws.cloudformation.types.base import (
    Context,
    Failed,
    Properties,
    ResourceType,
    as_request,
)

_POLL_SECONDS = 0.1  # real seconds
_SECRET = re.compile(r"\{\{resolve:secretsmanager:(.+?):SecretString:([^:}]*)(?::[^}]*)?\}\}")


def _request(c: Context, service: str, operation: str, p: Properties) -> dict[str, Any]:
    """Return the properties under the names of the operation's members; others are rejected."""
    shape = c.client(service).meta.service_model.operation_model(operation).input_shape
    return as_request(_with_secrets(c, p), shape)


def _with_secrets(c: Context, value: Any) -> Any:
    """Resolve dynamic references to secrets (CloudFormation User Guide, dynamic-references)."""
    match value:
        case str():
            return _SECRET.sub(lambda found: _secret(c, *found.groups()), value)
        case list():
            return [_with_secrets(c, each) for each in value]
        case Mapping():
            return {key: _with_secrets(c, each) for key, each in value.items()}
        case _:
            return value


def _secret(c: Context, id: str, key: str) -> str:

    text = c.client("secretsmanager").get_secret_value(SecretId=id)["SecretString"]
    return json.loads(text)[key] if key else text


# ---- ECS


def _ecs_tags(c: Context) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in c.tags.items()]


def _ecs_retag(arn: str, c: Context, tags: dict[str, str], gone: list[str]) -> None:
    ecs = c.client("ecs")
    if gone:
        ecs.untag_resource(resourceArn=arn, tagKeys=gone)
    if tags:
        pairs = [{"key": key, "value": value} for key, value in tags.items()]
        ecs.tag_resource(resourceArn=arn, tags=pairs)


def _cluster(c: Context, p: Properties) -> str:
    c.client("ecs").create_cluster(**_request(c, "ecs", "CreateCluster", p), tags=_ecs_tags(c))
    return p["ClusterName"]


def _cluster_attributes(c: Context, physical: str) -> dict[str, Any]:
    found = c.client("ecs").describe_clusters(clusters=[physical])["clusters"]
    if not found or found[0]["status"] != "ACTIVE":
        raise Failed(f"Cluster {physical} not found.")
    return {"Arn": found[0]["clusterArn"]}


def _cluster_delete(c: Context, physical: str, p: Properties) -> None:
    c.client("ecs").delete_cluster(cluster=physical)


def _cluster_retag(c: Context, physical: str, tags: dict[str, str], gone: list[str]) -> None:
    _ecs_retag(_cluster_attributes(c, physical)["Arn"], c, tags, gone)


def _task(c: Context, p: Properties) -> str:
    request = _request(c, "ecs", "RegisterTaskDefinition", p)
    made = c.client("ecs").register_task_definition(**request, tags=_ecs_tags(c))
    return made["taskDefinition"]["taskDefinitionArn"]


def _task_attributes(c: Context, physical: str) -> dict[str, Any]:
    found = c.client("ecs").describe_task_definition(taskDefinition=physical)["taskDefinition"]
    return {"TaskDefinitionArn": found["taskDefinitionArn"]}


def _task_delete(c: Context, physical: str, p: Properties) -> None:
    c.client("ecs").deregister_task_definition(taskDefinition=physical)


def _task_retag(c: Context, physical: str, tags: dict[str, str], gone: list[str]) -> None:
    _ecs_retag(physical, c, tags, gone)


def _service(c: Context, p: Properties) -> str:
    request = {"DesiredCount": 1} | dict(p)
    made = c.client("ecs").create_service(
        **_request(c, "ecs", "CreateService", request), tags=_ecs_tags(c)
    )
    return made["service"]["serviceArn"]


def _service_found(c: Context, physical: str) -> dict[str, Any]:
    cluster = physical.split("/")[-2]
    found = c.client("ecs").describe_services(cluster=cluster, services=[physical])["services"]
    if not found or found[0]["status"] != "ACTIVE":
        raise Failed(f"Service {physical} not found.")
    return found[0]


def _service_attributes(c: Context, physical: str) -> dict[str, Any]:
    found = _service_found(c, physical)
    return {"Name": found["serviceName"], "ServiceArn": physical}


def _service_update(c: Context, physical: str, old: Properties, p: Properties) -> None:
    request = _request(c, "ecs", "UpdateService", {**p, "Service": physical})
    c.client("ecs").update_service(**request)


def _service_delete(c: Context, physical: str, p: Properties) -> None:
    c.client("ecs").delete_service(cluster=p["Cluster"], service=physical, force=True)


def _service_settled(c: Context, physical: str) -> bool:
    """Return True when only the last deployment is left; moto alone never reaches that."""
    if c.cloud.state.get(("containers",)) is None:
        return True
    primary, *others = _service_found(c, physical)["deployments"]
    if any(each["rolloutState"] == "FAILED" for each in (primary, *others)):
        raise Failed(
            "Resource handler returned message: \"Error occurred during operation 'ECS Deployment "
            "Circuit Breaker was triggered.'\" (HandlerErrorCode: GeneralServiceException)"
        )
    return _poll_slowly(primary["rolloutState"] == "COMPLETED" and not others)


def _service_gone(c: Context, physical: str) -> bool:
    asked = {"cluster": physical.split("/")[-2], "services": [physical]}
    found = c.client("ecs").describe_services(**asked)["services"]
    return _poll_slowly(all(each["status"] == "INACTIVE" for each in found))


def _poll_slowly(done: bool) -> bool:
    """Return `done`, after a pause if it is False: processes take seconds, and each poll costs."""
    if not done:
        time.sleep(_POLL_SECONDS)
    return done


def _service_retag(c: Context, physical: str, tags: dict[str, str], gone: list[str]) -> None:
    _ecs_retag(physical, c, tags, gone)


# ---- Elastic Load Balancing


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
    request = _request(c, "elbv2", "CreateLoadBalancer", p)
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
    request = _request(c, "elbv2", "CreateTargetGroup", p)
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
    request = _request(c, "elbv2", "CreateListener", p)
    made = c.client("elbv2").create_listener(**request, **_elb_tags(c))
    return made["Listeners"][0]["ListenerArn"]


def _listener_update(c: Context, physical: str, old: Properties, p: Properties) -> None:
    request = _request(c, "elbv2", "ModifyListener", p)
    c.client("elbv2").modify_listener(ListenerArn=physical, **request)


def _listener_attributes(c: Context, physical: str) -> dict[str, Any]:
    c.client("elbv2").describe_listeners(ListenerArns=[physical])
    return {"ListenerArn": physical}


def _listener_delete(c: Context, physical: str, p: Properties) -> None:
    c.client("elbv2").delete_listener(ListenerArn=physical)


def _rule(c: Context, p: Properties) -> str:
    request = _request(c, "elbv2", "CreateRule", p)
    made = c.client("elbv2").create_rule(**request, **_elb_tags(c))
    return made["Rules"][0]["RuleArn"]


def _rule_update(c: Context, physical: str, old: Properties, p: Properties) -> None:
    c.client("elbv2").modify_rule(RuleArn=physical, **_request(c, "elbv2", "ModifyRule", p))


def _rule_attributes(c: Context, physical: str) -> dict[str, Any]:
    c.client("elbv2").describe_rules(RuleArns=[physical])
    return {"RuleArn": physical}


def _rule_delete(c: Context, physical: str, p: Properties) -> None:
    c.client("elbv2").delete_rule(RuleArn=physical)


# ---- Application Auto Scaling

_SCALING = "application-autoscaling"


def _scaling(c: Context, p: Properties) -> str:
    c.client(_SCALING).register_scalable_target(
        **_request(c, _SCALING, "RegisterScalableTarget", p), **({"Tags": c.tags} if c.tags else {})
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
        **_request(c, _SCALING, "RegisterScalableTarget", p)
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
    request = _request(c, _SCALING, "PutScalingPolicy", {**p, **target})
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


# ---- CloudFront


def _listed(items: list[Any]) -> dict[str, Any]:
    return {"Quantity": len(items), "Items": items}


def _distribution_config(c: Context, p: Properties, reference: str) -> dict[str, Any]:
    """Return the configuration in the API's format, where lists carry their lengths."""
    given = _with_secrets(c, p["DistributionConfig"])
    origins: list[dict[str, Any]] = []
    for origin in given["Origins"]:
        headers = _listed(origin.get("OriginCustomHeaders", []))
        kept = {name: origin[name] for name in ("Id", "DomainName", "VpcOriginConfig")
                if name in origin}  # fmt: skip
        if "CustomOriginConfig" in origin:
            ports = {"HTTPPort": 80, "HTTPSPort": 443}
            kept["CustomOriginConfig"] = ports | origin["CustomOriginConfig"]
        origins.append(kept | {"CustomHeaders": headers})
    behaviour = dict(given["DefaultCacheBehavior"])
    behaviour["AllowedMethods"] = _listed(behaviour["AllowedMethods"])
    return {
        "CallerReference": reference,
        "Comment": given.get("Comment", ""),
        "Enabled": given["Enabled"],
        "Origins": _listed(origins),
        "DefaultCacheBehavior": behaviour,
    }


def _distribution(c: Context, p: Properties) -> str:
    config = _distribution_config(c, p, str(uuid.uuid4()))
    tags = {"Items": c.pairs()}
    made = c.client("cloudfront").create_distribution_with_tags(
        DistributionConfigWithTags={"DistributionConfig": config, "Tags": tags}
    )
    c.cloud.clock.sleep(c.cloud.durations.distribution)
    return made["Distribution"]["Id"]


def _distribution_found(c: Context, physical: str) -> dict[str, Any]:
    return c.client("cloudfront").get_distribution(Id=physical)


def _distribution_settled(c: Context, physical: str) -> bool:
    return _distribution_found(c, physical)["Distribution"]["Status"] == "Deployed"


def _distribution_update(c: Context, physical: str, old: Properties, p: Properties) -> None:
    found = _distribution_found(c, physical)
    reference = found["Distribution"]["DistributionConfig"]["CallerReference"]
    c.client("cloudfront").update_distribution(
        Id=physical,
        IfMatch=found["ETag"],
        DistributionConfig=_distribution_config(c, p, reference),
    )


def _distribution_attributes(c: Context, physical: str) -> dict[str, Any]:
    found = _distribution_found(c, physical)["Distribution"]
    return {"Id": physical, "DomainName": found["DomainName"]}


def _distribution_delete(c: Context, physical: str, p: Properties) -> None:
    found = _distribution_found(c, physical)
    c.client("cloudfront").delete_distribution(Id=physical, IfMatch=found["ETag"])


def _distribution_retag(c: Context, physical: str, tags: dict[str, str], gone: list[str]) -> None:
    front = c.client("cloudfront")
    arn = _distribution_found(c, physical)["Distribution"]["ARN"]
    if gone:
        front.untag_resource(Resource=arn, TagKeys={"Items": gone})
    if tags:
        pairs = [{"Key": key, "Value": value} for key, value in tags.items()]
        front.tag_resource(Resource=arn, Tags={"Items": pairs})


def _origin_config(p: Properties) -> dict[str, Any]:
    given = p["VpcOriginEndpointConfig"]
    defaults = {"HTTPPort": 80, "HTTPSPort": 443, "OriginProtocolPolicy": "match-viewer"}
    return {name: given.get(name, value) for name, value in defaults.items()} | {
        "Name": given["Name"],
        "Arn": given["Arn"],
    }


def _origin(c: Context, p: Properties) -> str:
    made = c.client("cloudfront").create_vpc_origin(
        VpcOriginEndpointConfig=_origin_config(p), Tags={"Items": c.pairs()}
    )
    c.cloud.clock.sleep(c.cloud.durations.distribution)
    return made["VpcOrigin"]["Id"]


def _origin_update(c: Context, physical: str, old: Properties, p: Properties) -> None:
    front = c.client("cloudfront")
    front.update_vpc_origin(
        Id=physical,
        IfMatch=front.get_vpc_origin(Id=physical)["ETag"],
        VpcOriginEndpointConfig=_origin_config(p),
    )


def _origin_attributes(c: Context, physical: str) -> dict[str, Any]:
    found = c.client("cloudfront").get_vpc_origin(Id=physical)["VpcOrigin"]
    return {"Id": physical, "Arn": found["Arn"]}


def _origin_delete(c: Context, physical: str, p: Properties) -> None:
    front = c.client("cloudfront")
    front.delete_vpc_origin(Id=physical, IfMatch=front.get_vpc_origin(Id=physical)["ETag"])


RESOURCE_TYPES: dict[str, ResourceType] = {
    "AWS::ECS::Cluster": ResourceType(
        _cluster, _cluster_delete, _cluster_attributes, retag=_cluster_retag,
        named_by="ClusterName",
    ),
    "AWS::ECS::TaskDefinition": ResourceType(
        _task, _task_delete, _task_attributes, retag=_task_retag
    ),
    "AWS::ECS::Service": ResourceType(
        _service, _service_delete, _service_attributes, _service_update, _service_settled,
        _service_gone, retag=_service_retag, named_by="ServiceName",
    ),
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
    "AWS::ApplicationAutoScaling::ScalableTarget": ResourceType(
        _scaling, _scaling_delete, _scaling_attributes, _scaling_update
    ),
    "AWS::ApplicationAutoScaling::ScalingPolicy": ResourceType(
        _policy, _policy_delete, _policy_attributes, _policy_update
    ),
    "AWS::CloudFront::Distribution": ResourceType(
        _distribution, _distribution_delete, _distribution_attributes, _distribution_update,
        _distribution_settled, retag=_distribution_retag,
    ),
    "AWS::CloudFront::VpcOrigin": ResourceType(
        _origin, _origin_delete, _origin_attributes, _origin_update
    ),
}  # fmt: skip
